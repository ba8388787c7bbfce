package audit

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenonhq/tenon/platform/fault"
)

// How many entries a page has.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Filter narrows a list. Its zero value lets everything through.
type Filter struct {
	// Actor is the account's id of who did it, themselves or by a key, or whatever
	// else [Origin.Actor] is.
	Actor string
	// Action is a whole action, such as "project.updated", or what it was done to,
	// such as "project".
	Action string
	// Subject is the id of what was changed.
	Subject string
	// From and Until bound when it was done: not before From, and before Until. The
	// zero time is no bound.
	From, Until time.Time
}

// Listing asks for one page.
type Listing struct {
	Filter
	// Before is the number that all entries of the page are below; 0 starts at the
	// newest.
	Before int64
	// Limit is from 1 to [MaxLimit]; 0 is [DefaultLimit].
	Limit int
}

// Page is a part of a list.
type Page struct {
	Entries []Entry
	// Next is Before of the next page; 0 ends the list.
	Next int64
}

// maxFilterLength is that of an id or an action, in bytes.
const maxFilterLength = 200

func isFilter(text string) bool {
	return len(text) <= maxFilterLength && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// isAction reports whether text is an action or its first half.
func isAction(text string) bool {
	subject, verb, both := strings.Cut(text, ".")
	return slices.Contains(Subjects(), subject) && (!both || verb != "" && isFilter(text))
}

func (l Listing) parse() (Listing, error) {
	var fields []fault.Field
	refuse := func(name, message string) { fields = append(fields, fault.Field{Name: name, Message: message}) }
	l.Actor, l.Action, l.Subject = strings.TrimSpace(l.Actor), strings.TrimSpace(l.Action), strings.TrimSpace(l.Subject)
	if !isFilter(l.Actor) {
		refuse("actor", "Use a member's id.")
	}
	if l.Action != "" && !isAction(l.Action) {
		refuse("action", "Use one of "+strings.Join(Subjects(), ", ")+", or an action such as project.updated.")
	}
	if !isFilter(l.Subject) {
		refuse("subject", "Use an id.")
	}
	if !l.From.IsZero() && !l.Until.IsZero() && !l.From.Before(l.Until) {
		refuse("until", "Use a time after the first one.")
	}
	if l.Before < 0 {
		refuse("before", "Use a number from the page before.")
	}
	switch {
	case l.Limit == 0:
		l.Limit = DefaultLimit
	case l.Limit < 1, l.Limit > MaxLimit:
		refuse("limit", "Use a number from 1 to "+strconv.Itoa(MaxLimit)+".")
	}
	if len(fields) > 0 {
		return Listing{}, fault.InvalidFields(fields...)
	}
	return l, nil
}

// maxTime keeps times within what PostgreSQL takes for one.
var maxTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// ParseTime reads a bound of a [Filter] as RFC 3339 has it, or a date, which is its
// first moment in UTC; "" is no bound. It fails for everything else, with the field
// called name.
func ParseTime(name, text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Before(maxTime) {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.InvalidFields(fault.Field{Name: name, Message: "Use a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z."})
}

// ParsePeriod reads [Filter.From] and [Filter.Until] as [ParseTime] does, and tells of
// both what is wrong.
func ParsePeriod(from, until string) (begin, end time.Time, err error) {
	begin, fromErr := ParseTime("from", from)
	end, untilErr := ParseTime("until", until)
	return begin, end, fault.JoinInvalid(fromErr, untilErr)
}

// ParseSeq reads [Listing.Before]; "" is 0. It fails for what is no number of an
// entry.
func ParseSeq(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, fault.InvalidFields(fault.Field{Name: "before", Message: "This page of the log does not exist."})
	}
	return seq, nil
}
