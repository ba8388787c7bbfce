package audit

import (
	"context"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// Log is the record of the tenant in the context; without a tenant every method
// fails.
type Log interface {
	// List returns entries that pass the listing's filter, the newest first, at most
	// its limit.
	List(ctx context.Context, listing Listing) ([]Entry, error)
	// Daily counts the entries since a time by the day they were made on, as its first
	// moment in UTC; days without any are left out.
	Daily(ctx context.Context, since time.Time) (map[time.Time]int, error)
	// BySeq returns one entry. Errors: [ErrNotFound].
	BySeq(ctx context.Context, seq int64) (Entry, error)
	// After returns the entries behind seq, the oldest first, at most limit.
	After(ctx context.Context, seq int64, limit int) ([]Entry, error)
	// Anchors returns every anchor, the oldest first.
	Anchors(ctx context.Context) ([]Anchor, error)
	// Record adds an entry about something that no table of the tenant has, in the
	// transaction that ctx carries, if any. Each value becomes a [Change] without a
	// before; nil stands for personal data. The entry's place, time, origin and hash
	// are decided here.
	Record(ctx context.Context, action, subject string, values map[string]any) error
	// Cut adds an anchor and removes the entries up to it, all or nothing. Errors:
	// [fault.Conflict] when there is no entry with the anchor's place and hash.
	Cut(ctx context.Context, anchor Anchor) error
}

// ErrNotFound is what a caller gets for an entry that never was, or was cut off.
var ErrNotFound = fault.New(fault.NotFound, "There is no such entry. It may be older than the record is kept.")

// ErrNotThere is what an anchor gets whose entry is not there.
var ErrNotThere = fault.New(fault.Conflict, "The record has no entry with this number and hash.")
