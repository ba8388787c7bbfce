package projects

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// Version is one state of one project. Every change makes another, also two
// within a microsecond, so who knows a version knows whether somebody else has
// changed the project since.
type Version struct {
	id     int64
	micros int64 // of the last change, since 1970
}

// VersionOf returns the state that p is in.
func VersionOf(p Project) Version { return Version{id: p.ID, micros: p.UpdatedAt.UnixMicro()} }

// Position returns the id of the project, and when it was changed last.
func (v Version) Position() (id int64, updatedAt time.Time) {
	return v.id, time.UnixMicro(v.micros).UTC()
}

// String returns the version as clients see it. They pass it on unread: what is
// in it may change.
func (v Version) String() string {
	return strconv.FormatInt(v.id, 36) + "-" + strconv.FormatInt(v.micros, 36)
}

// ParseVersion returns the version that text is, and whether it is one.
func ParseVersion(text string) (v Version, ok bool) {
	id, micros, _ := strings.Cut(text, "-")
	var errID, errMicros error
	v.id, errID = strconv.ParseInt(id, 36, 64)
	v.micros, errMicros = strconv.ParseInt(micros, 36, 64)
	if errID != nil || errMicros != nil || v.id < 1 || v.micros < 0 || v.micros >= maxCursorTime || v.String() != text {
		return Version{}, false
	}
	return v, true
}

// Versions are the states in which a change is to be made; in any other it is
// refused with [ErrChanged]. nil are all states, an empty list are none.
type Versions []Version

// Include reports whether p is in one of the states.
func (v Versions) Include(p Project) bool { return v == nil || slices.Contains(v, VersionOf(p)) }

// ErrChanged is what a caller gets whose change is to be made to a version that
// is no longer the project's.
var ErrChanged = fault.New(fault.PreconditionFailed, "The project was changed by somebody else in the meantime. Get it again and look at what is there now.")
