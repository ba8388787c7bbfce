package identity

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tenonhq/tenon/platform/fault"
)

// How many members a page has.
const (
	DefaultMemberLimit = 20
	MaxMemberLimit     = 100
)

// MaxMemberSearch is the longest text to search members for, in characters.
const MaxMemberSearch = 120

// MemberListing asks for a part of the active members of a tenant.
type MemberListing struct {
	// Role is "" for every role.
	Role Role
	// Search is found in the full name or the address, whatever the case; at most
	// [MaxMemberSearch] characters.
	Search string
	// After is where the page before ended; the zero value starts at the top.
	After MemberCursor
	// Limit is the page's size, from 1 to [MaxMemberLimit]; 0 is
	// [DefaultMemberLimit].
	Limit int
}

func (l MemberListing) parse() (MemberListing, error) {
	var fields []fault.Field
	if _, err := ParseRole(string(l.Role)); l.Role != "" && err != nil {
		fields = append(fields, fault.Field{Name: "role", Message: "Use owner, admin, member or viewer."})
	}
	l.Search = norm.NFC.String(strings.TrimSpace(l.Search))
	if utf8.RuneCountInString(l.Search) > MaxMemberSearch || !utf8.ValidString(l.Search) || strings.ContainsFunc(l.Search, unicode.IsControl) {
		fields = append(fields, fault.Field{Name: "q", Message: "Use at most 120 characters, and no control characters."})
	}
	switch {
	case l.Limit == 0:
		l.Limit = DefaultMemberLimit
	case l.Limit < 1, l.Limit > MaxMemberLimit:
		fields = append(fields, fault.Field{Name: "limit", Message: "Use a number from 1 to 100."})
	}
	if len(fields) > 0 {
		return MemberListing{}, fault.InvalidFields(fields...)
	}
	return l, nil
}

// MemberPage is a part of a list of members.
type MemberPage struct {
	Members []Member
	// Next is where the next page starts; its zero value ends the list.
	Next MemberCursor
}

// MemberCursor is a place in a list of members. The zero value is before the
// first one.
type MemberCursor struct {
	joinedAt time.Time // in microseconds, as PostgreSQL keeps it
	id       string
}

// MemberCursorAt returns the place right after m.
func MemberCursorAt(m Member) MemberCursor {
	return MemberCursor{joinedAt: m.JoinedAt.UTC().Truncate(time.Microsecond), id: m.ID}
}

// Position returns what the cursor points at: the list goes on with those who
// joined later, or at the same time with a larger id.
func (c MemberCursor) Position() (joinedAt time.Time, id string) { return c.joinedAt, c.id }

// IsZero reports whether c is before the first member.
func (c MemberCursor) IsZero() bool { return c == MemberCursor{} }

const (
	cursorTimeSize  = 8 // microseconds since 1970
	maxCursorIDSize = 128
)

// maxCursorTime keeps forged cursors within what PostgreSQL takes for a time.
var maxCursorTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

var cursorEncoding = base64.RawURLEncoding.Strict()

// String returns the cursor as clients see it, "" for the zero value. Clients
// pass it on unread: what is in it may change.
func (c MemberCursor) String() string {
	if c.IsZero() {
		return ""
	}
	raw := binary.BigEndian.AppendUint64(nil, uint64(c.joinedAt.UnixMicro()))
	return cursorEncoding.EncodeToString(append(raw, c.id...))
}

// ParseMemberCursor returns the cursor that text is; "" is the zero value.
// Errors are of kind [fault.Invalid] with a field "after".
func ParseMemberCursor(text string) (MemberCursor, error) {
	if text == "" {
		return MemberCursor{}, nil
	}
	// The decoder would skip line breaks.
	if len(text) > cursorEncoding.EncodedLen(cursorTimeSize+maxCursorIDSize) || strings.ContainsAny(text, "\r\n") {
		return MemberCursor{}, errInvalidCursor
	}
	raw, err := cursorEncoding.DecodeString(text)
	if err != nil || len(raw) <= cursorTimeSize {
		return MemberCursor{}, errInvalidCursor
	}
	micros, id := int64(binary.BigEndian.Uint64(raw[:cursorTimeSize])), string(raw[cursorTimeSize:])
	if micros < 0 || micros >= maxCursorTime || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return MemberCursor{}, errInvalidCursor
	}
	return MemberCursor{joinedAt: time.UnixMicro(micros).UTC(), id: id}, nil
}

var errInvalidCursor = fault.InvalidFields(fault.Field{
	Name: "after", Message: "Use the cursor of the page before, or none to start at the top.",
})
