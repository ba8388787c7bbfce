package projects

import (
	"encoding/base64"
	"encoding/binary"
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
	// CreatedBy is the id of a member, "" for everybody.
	CreatedBy string
}

// Listing asks for one page of a list, the newest projects first.
type Listing struct {
	Filter
	// After is where the page before ended; the zero value starts at the top.
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
	case l.Limit == 0:
		l.Limit = DefaultLimit
	case l.Limit < 1, l.Limit > MaxLimit:
		invalid.add("limit", "Use a number from 1 to 100.")
	}
	return l, invalid.err()
}

// Cursor is a place in a list. The zero value is before its first project.
type Cursor struct {
	createdAt time.Time // in microseconds, as PostgreSQL keeps it
	id        int64
}

// CursorAt returns the place right after p.
func CursorAt(p Project) Cursor {
	return Cursor{createdAt: p.CreatedAt.UTC().Truncate(time.Microsecond), id: p.ID}
}

// Position returns what the cursor points at: the list goes on with the
// projects that are older than createdAt, or as old with a smaller id.
func (c Cursor) Position() (createdAt time.Time, id int64) { return c.createdAt, c.id }

// IsZero reports whether c is before the first project.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// cursorSize is the length of an encoded cursor before base64: microseconds
// since 1970 and an id, 8 bytes each.
const cursorSize = 16

// maxCursorTime keeps forged cursors within what PostgreSQL takes for a time.
var maxCursorTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

var cursorEncoding = base64.RawURLEncoding.Strict()

// String returns the cursor as clients see it, "" for the zero value. Clients
// pass it on unread: what is in it may change.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	var raw [cursorSize]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(c.createdAt.UnixMicro()))
	binary.BigEndian.PutUint64(raw[8:], uint64(c.id))
	return cursorEncoding.EncodeToString(raw[:])
}

// ParseCursor returns the cursor that text is; "" is the zero value. Errors are
// of kind [fault.Invalid] with a field "after".
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	// The decoder would skip line breaks.
	if len(text) != cursorEncoding.EncodedLen(cursorSize) || strings.ContainsAny(text, "\r\n") {
		return Cursor{}, errInvalidCursor
	}
	var raw [cursorSize]byte
	if _, err := cursorEncoding.Decode(raw[:], []byte(text)); err != nil {
		return Cursor{}, errInvalidCursor
	}
	micros, id := int64(binary.BigEndian.Uint64(raw[:8])), int64(binary.BigEndian.Uint64(raw[8:]))
	if micros < 0 || micros >= maxCursorTime || id < 1 {
		return Cursor{}, errInvalidCursor
	}
	return Cursor{createdAt: time.UnixMicro(micros).UTC(), id: id}, nil
}

var errInvalidCursor = fault.InvalidFields(fault.Field{
	Name: "after", Message: "Use the cursor of the page before, or none to start at the top.",
})
