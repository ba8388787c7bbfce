package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tenonhq/tenon/platform/origin"
)

// Entry is one change of one thing.
type Entry struct {
	// Seq is its place in the tenant's record: 1, 2, 3 and so on, without a gap.
	Seq int64
	// At is when the change took effect, in microseconds.
	At time.Time
	// Origin is who made it, and by which request.
	Origin Origin
	// Action is what was done to what, such as "project.updated".
	Action string
	// Subject is the id of what was changed.
	Subject string
	// Label is what that was called then, "" for people and where it has no name.
	Label string
	// Changes is a JSON object of what is different: {"name": {"before": …, "after": …}},
	// without a before for what is new and without an after for what is gone. An
	// empty object stands for personal data. It is the text that was hashed.
	Changes string
	// Hash covers all of this and the hash of the entry before.
	Hash Hash
}

// Origin is where an entry's change came from, as it was recorded.
type Origin struct {
	Kind origin.Kind
	// Actor is who of that kind: an account's id, an event's, a command's user, a
	// job's name, or the database's login.
	Actor string
	// APIKey is the id of the key that acted for the account.
	APIKey string
	// IP is the client's address, "" when it is not known.
	IP string
	// RequestID is what the log has the request under.
	RequestID string
}

// Subjects returns what is recorded: the first halves of actions.
func Subjects() []string {
	return []string{"organization", "member", "invitation", "project", "api_key"}
}

// Change is a value before and after; nil where there was or is none.
type Change struct {
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// IsPersonal reports whether the values were left out.
func (c Change) IsPersonal() bool { return c.Before == nil && c.After == nil }

// Fields returns what changed, by the name of the column. Text that is no such
// object has none; [Verify] finds what was written over.
func (e Entry) Fields() map[string]Change {
	var fields map[string]Change
	if json.Unmarshal([]byte(e.Changes), &fields) != nil {
		return nil
	}
	return fields
}

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// HashAfter returns what the entry's hash has to be behind the one before, which is
// nil for the first of all. It is what audit_append in migrations/schema/public.sql
// computes: SHA-256 over the hash before and the fields in their order, each with its
// length in bytes in front, times in microseconds since 1970.
func (e Entry) HashAfter(before *Hash) Hash {
	var text strings.Builder
	for i, field := range []string{
		strconv.FormatInt(e.Seq, 10), strconv.FormatInt(e.At.UnixMicro(), 10), string(e.Origin.Kind), e.Origin.Actor, e.Origin.APIKey,
		e.Origin.IP, e.Origin.RequestID, e.Action, e.Subject, e.Label, e.Changes,
	} {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.Itoa(len(field)) + ":" + field)
	}
	sum := sha256.New()
	if before != nil {
		sum.Write(before[:])
	}
	sum.Write([]byte(text.String()))
	return Hash(sum.Sum(nil))
}

// ChangesOf returns [Entry.Changes] of something new: what it has, by name, with nil
// for what is personal.
func ChangesOf(values map[string]any) (string, error) {
	changes := make(map[string]Change, len(values))
	for name, value := range values {
		var change Change
		if value != nil {
			encoded, err := json.Marshal(value)
			if err != nil {
				return "", err
			}
			change.After = encoded
		}
		changes[name] = change
	}
	encoded, err := json.Marshal(changes)
	return string(encoded), err
}
