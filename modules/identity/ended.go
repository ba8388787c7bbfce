package identity

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// EndedSessions are the sessions that ended at the provider a moment ago: their
// tokens are good for a minute more, and are refused instead. Each process reads
// them from the inbox, which all of them share, so a session is over everywhere
// within [pollInterval] of its event. It is safe for concurrent use.
type EndedSessions struct {
	inbox  Inbox
	types  []string
	decode SessionEnd
	log    *slog.Logger
	now    func() time.Time

	mu    sync.RWMutex
	until map[string]time.Time // by session id
	read  time.Time            // how far the inbox was read
}

// SessionEnd returns the id of the session that an event ended, "" for none.
type SessionEnd func(eventType string, payload []byte) (sessionID string, err error)

const (
	// endedFor is how long an ended session is remembered: longer than a token
	// lives, with room for clocks that differ.
	endedFor = 2 * time.Minute
	// endedOverlap is how far back the inbox is read again, because an event is
	// visible a moment after the time it was received at, and another process's
	// clock decides on that.
	endedOverlap = 15 * time.Second
	endedPage    = 500
)

// NewEndedSessions returns sessions that are read by [EndedSessions.Refresh].
// Events of the types are read by decode.
func NewEndedSessions(inbox Inbox, types []string, decode SessionEnd, log *slog.Logger) *EndedSessions {
	return &EndedSessions{inbox: inbox, types: types, decode: decode, log: log, now: time.Now, until: map[string]time.Time{}}
}

// Has reports whether a session ended.
func (e *EndedSessions) Has(sessionID string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, ended := e.until[sessionID]
	return ended
}

// Run reads the inbox until ctx ends.
func (e *EndedSessions) Run(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if err := e.Refresh(ctx); err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, "ended sessions cannot be read: their tokens are good until they expire", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Refresh reads what came into the inbox since the last time, and forgets what
// is old. An event that cannot be read ended nothing: the worker reports it.
func (e *EndedSessions) Refresh(ctx context.Context) error {
	now := e.now()
	e.mu.RLock()
	since := e.read.Add(-endedOverlap)
	e.mu.RUnlock()
	if oldest := now.Add(-endedFor); since.Before(oldest) {
		since = oldest
	}
	found := map[string]time.Time{}
	listing := InboxListing{Types: e.types, Since: since, Limit: endedPage}
	for {
		records, err := e.inbox.List(ctx, listing)
		if err != nil {
			return fault.Wrap("read ended sessions", err)
		}
		for _, record := range records {
			if id, err := e.decode(record.Type, record.Payload); err == nil && id != "" {
				found[id] = record.ReceivedAt.Add(endedFor)
			}
		}
		if len(records) < endedPage {
			break
		}
		listing.After = records[len(records)-1].Position()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, until := range found {
		e.until[id] = until
	}
	for id, until := range e.until {
		if until.Before(now) {
			delete(e.until, id)
		}
	}
	e.read = now
	return nil
}
