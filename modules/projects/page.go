package projects

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tenonhq/tenon/platform/fault"
)

// How many projects a page has.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// Filter narrows a list. Its zero value lets everything through.
type Filter struct {
	// Search is found in the name, the slug or the description, whatever the
	// case; at most [MaxNameLength] characters.
	Search string
	// Status is "" for every status.
	Status Status
	// Public leaves out private projects, or public ones; nil leaves out neither.
	Public *bool
	// CreatedBy is the id of a member, "" for everybody.
	CreatedBy string
}

// Order is what a list is sorted by: a field, with a hyphen in front for
// descending. Equal values are sorted by the projects' ids, the same way round.
type Order string

// Every order there is. Names are compared without regard to the case of the
// letters A to Z, and by their code points beyond that: the same in every
// database, whatever its collation.
const (
	NewestFirst          Order = "-created_at"
	OldestFirst          Order = "created_at"
	RecentlyChangedFirst Order = "-updated_at"
	RecentlyChangedLast  Order = "updated_at"
	ByName               Order = "name"
	ByNameBackwards      Order = "-name"
)

// Orders returns every order.
func Orders() []Order {
	return []Order{NewestFirst, OldestFirst, RecentlyChangedFirst, RecentlyChangedLast, ByName, ByNameBackwards}
}

// Field returns the field that o sorts by, and whether the largest value comes
// first.
func (o Order) Field() (name string, descending bool) {
	return strings.CutPrefix(string(cmp.Or(o, NewestFirst)), "-")
}

// Listing asks for one page of a list.
type Listing struct {
	Filter
	// Order is [NewestFirst] when it is empty.
	Order Order
	// After is where the page before ended, in the same order; the zero value
	// starts at the top.
	After Cursor
	// Limit is the page's size, from 1 to [MaxLimit]; 0 is [DefaultLimit].
	Limit int
}

// Page is a part of a list.
type Page struct {
	Projects []Project
	// Next is where the next page starts; its zero value ends the list.
	Next Cursor
}

func (l Listing) parse() (Listing, error) {
	var invalid violations
	l.Search = norm.NFC.String(strings.TrimSpace(l.Search))
	switch {
	case utf8.RuneCountInString(l.Search) > MaxNameLength:
		invalid.add("q", "Use at most 120 characters.")
	case !utf8.ValidString(l.Search), strings.ContainsFunc(l.Search, isLayoutControl):
		invalid.add("q", "Use text without control characters.")
	}
	if l.Status != "" {
		l.Status = invalid.status(string(l.Status))
	}
	if !utf8.ValidString(l.CreatedBy) || strings.ContainsFunc(l.CreatedBy, isLayoutControl) {
		invalid.add("created_by", "Use a member's id.")
	}
	switch {
	case l.Order == "":
		l.Order = NewestFirst
	case !slices.Contains(Orders(), l.Order):
		invalid.add("sort", "Use one of created_at, updated_at and name, with a hyphen in front for descending.")
	}
	if !l.After.IsZero() && l.After.order != l.Order {
		invalid.add("after", "Use the cursor of a page that is sorted the same way.")
	}
	switch {
	case l.Limit == 0:
		l.Limit = DefaultLimit
	case l.Limit < 1, l.Limit > MaxLimit:
		invalid.add("limit", "Use a number from 1 to 100.")
	}
	return l, invalid.err()
}

// Cursor is a place in a list of an order. The zero value is before the first
// project of every list.
type Cursor struct {
	order Order
	at    time.Time // in microseconds, as PostgreSQL keeps it; zero in an order by name
	name  string
	id    int64
}

// CursorAt returns the place right after p in a list of order.
func CursorAt(p Project, order Order) Cursor {
	cursor := Cursor{order: cmp.Or(order, NewestFirst), id: p.ID}
	switch field, _ := order.Field(); field {
	case "name":
		cursor.name = p.Name
	case "updated_at":
		cursor.at = p.UpdatedAt.UTC().Truncate(time.Microsecond)
	default:
		cursor.at = p.CreatedAt.UTC().Truncate(time.Microsecond)
	}
	return cursor
}

// Time returns the value that the cursor points at in an order by a time, and
// the id of the project that has it.
func (c Cursor) Time() (at time.Time, id int64) { return c.at, c.id }

// Name returns the name that the cursor points at in an order by name, and the
// id of the project that has it.
func (c Cursor) Name() (name string, id int64) { return c.name, c.id }

// IsZero reports whether c is before the first project.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// A cursor is encoded as one byte for its order, 8 for the id, and then 8 for
// microseconds since 1970 or the bytes of a name.
const (
	cursorHead = 1 + 8
	cursorTime = cursorHead + 8
	cursorMax  = cursorHead + MaxNameLength*utf8.UTFMax
)

// maxCursorTime keeps forged cursors within what PostgreSQL takes for a time.
var maxCursorTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

var cursorEncoding = base64.RawURLEncoding.Strict()

// String returns the cursor as clients see it, "" for the zero value. Clients
// pass it on unread: what is in it may change.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	raw := []byte{byte(slices.Index(Orders(), c.order))}
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.id))
	if field, _ := c.order.Field(); field == "name" {
		raw = append(raw, c.name...)
	} else {
		raw = binary.BigEndian.AppendUint64(raw, uint64(c.at.UnixMicro()))
	}
	return cursorEncoding.EncodeToString(raw)
}

// ParseCursor returns the cursor that text is; "" is the zero value. Errors are
// of kind [fault.Invalid] with a field "after".
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	// The decoder would skip line breaks.
	if len(text) > cursorEncoding.EncodedLen(cursorMax) || strings.ContainsAny(text, "\r\n") {
		return Cursor{}, errInvalidCursor
	}
	raw, err := cursorEncoding.DecodeString(text)
	if err != nil || len(raw) < cursorHead || int(raw[0]) >= len(Orders()) {
		return Cursor{}, errInvalidCursor
	}
	cursor := Cursor{order: Orders()[raw[0]], id: int64(binary.BigEndian.Uint64(raw[1:cursorHead]))}
	if cursor.id < 1 {
		return Cursor{}, errInvalidCursor
	}
	if field, _ := cursor.order.Field(); field == "name" {
		name, problem := parseName(string(raw[cursorHead:]))
		if problem != "" || name != string(raw[cursorHead:]) {
			return Cursor{}, errInvalidCursor
		}
		cursor.name = name
		return cursor, nil
	}
	if len(raw) != cursorTime {
		return Cursor{}, errInvalidCursor
	}
	micros := int64(binary.BigEndian.Uint64(raw[cursorHead:]))
	if micros < 0 || micros >= maxCursorTime {
		return Cursor{}, errInvalidCursor
	}
	cursor.at = time.UnixMicro(micros).UTC()
	return cursor, nil
}

var errInvalidCursor = fault.InvalidFields(fault.Field{
	Name: "after", Message: "Use the cursor of the page before, or none to start at the top.",
})
