// Package memory keeps the audit log in memory, for tests of use cases without a
// database. There are no triggers here: it has what was given to Record.
package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/origin"
	"github.com/tenonhq/tenon/platform/tenant"
)

var (
	_ audit.Log   = (*Log)(nil)
	_ memtx.Store = (*Log)(nil)
)

// Log implements [audit.Log].
type Log struct {
	mu      sync.Mutex
	records map[tenant.Schema]record
}

// record is one tenant's. Its slices are replaced, never changed.
type record struct {
	entries []audit.Entry // the oldest first
	anchors []audit.Anchor
}

// NewLog returns a log without entries.
func NewLog() *Log { return &Log{records: map[tenant.Schema]record{}} }

var errNoTenant = errors.New("audit: no tenant in the context")

// of runs fn on the record of the context's tenant, and keeps what it made of it.
func (l *Log) of(ctx context.Context, fn func(r *record) error) error {
	schema, ok := tenant.FromContext(ctx)
	if !ok {
		return errNoTenant
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.records[schema]
	if err := fn(&r); err != nil {
		return err
	}
	l.records[schema] = r
	return nil
}

// Snapshot implements [memtx.Store].
func (l *Log) Snapshot() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	saved := maps.Clone(l.records)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.records = saved
	}
}

func passes(l audit.Listing, e audit.Entry) bool {
	subject, _, _ := strings.Cut(e.Action, ".")
	return (l.Before == 0 || e.Seq < l.Before) && (l.Actor == "" || l.Actor == e.Origin.Actor) &&
		(l.Action == "" || l.Action == e.Action || l.Action == subject) && (l.Subject == "" || l.Subject == e.Subject) &&
		(l.From.IsZero() || !e.At.Before(l.From)) && (l.Until.IsZero() || e.At.Before(l.Until))
}

// List implements [audit.Log].
func (l *Log) List(ctx context.Context, listing audit.Listing) (found []audit.Entry, err error) {
	err = l.of(ctx, func(r *record) error {
		for _, entry := range slices.Backward(r.entries) {
			if len(found) < listing.Limit && passes(listing, entry) {
				found = append(found, entry)
			}
		}
		return nil
	})
	return found, err
}

// Daily implements [audit.Log].
func (l *Log) Daily(ctx context.Context, since time.Time) (days map[time.Time]int, err error) {
	days = map[time.Time]int{}
	err = l.of(ctx, func(r *record) error {
		for _, e := range r.entries {
			if !e.At.Before(since) {
				days[e.At.Truncate(24*time.Hour)]++
			}
		}
		return nil
	})
	return days, err
}

// BySeq implements [audit.Log].
func (l *Log) BySeq(ctx context.Context, seq int64) (entry audit.Entry, err error) {
	err = l.of(ctx, func(r *record) error {
		for _, e := range r.entries {
			if e.Seq == seq {
				entry = e
				return nil
			}
		}
		return audit.ErrNotFound
	})
	return entry, err
}

// After implements [audit.Log].
func (l *Log) After(ctx context.Context, seq int64, limit int) (found []audit.Entry, err error) {
	err = l.of(ctx, func(r *record) error {
		for _, e := range r.entries {
			if e.Seq > seq && len(found) < limit {
				found = append(found, e)
			}
		}
		return nil
	})
	return found, err
}

// Anchors implements [audit.Log].
func (l *Log) Anchors(ctx context.Context) (anchors []audit.Anchor, err error) {
	err = l.of(ctx, func(r *record) error {
		anchors = slices.Clone(r.anchors)
		return nil
	})
	return anchors, err
}

// head is where the record ends.
func (r record) head() (seq int64, hash *audit.Hash) {
	if n := len(r.anchors); n > 0 {
		seq, hash = r.anchors[n-1].Seq, &r.anchors[n-1].Hash
	}
	if n := len(r.entries); n > 0 {
		seq, hash = r.entries[n-1].Seq, &r.entries[n-1].Hash
	}
	return seq, hash
}

// Record implements [audit.Log].
func (l *Log) Record(ctx context.Context, action, subject string, values map[string]any) error {
	changes, err := audit.ChangesOf(values)
	if err != nil {
		return err
	}
	return l.of(ctx, func(r *record) error {
		from := origin.FromContext(ctx)
		seq, hash := r.head()
		entry := audit.Entry{
			Seq: seq + 1, At: time.Now().UTC().Truncate(time.Microsecond),
			Origin: audit.Origin{Kind: from.Kind, Actor: from.Actor, APIKey: from.APIKey, RequestID: from.RequestID},
			Action: action, Subject: subject, Changes: changes,
		}
		if from.IP.IsValid() {
			entry.Origin.IP = from.IP.String()
		}
		if from.Kind == "" {
			entry.Origin.Kind = origin.Database
		}
		if from.Actor == "" {
			entry.Origin.Actor = "memory"
		}
		entry.Hash = entry.HashAfter(hash)
		r.entries = append(slices.Clip(r.entries), entry)
		return nil
	})
}

// Cut implements [audit.Log].
func (l *Log) Cut(ctx context.Context, anchor audit.Anchor) error {
	return l.of(ctx, func(r *record) error {
		at := slices.IndexFunc(r.entries, func(e audit.Entry) bool { return e.Seq == anchor.Seq && e.Hash == anchor.Hash })
		if at < 0 {
			return audit.ErrNotThere
		}
		r.entries, r.anchors = r.entries[at+1:], append(slices.Clip(r.anchors), anchor)
		return nil
	})
}
