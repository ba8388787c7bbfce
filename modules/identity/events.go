package identity

import (
	"context"
	"slices"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// Events is the webhook inbox as operators see it: what came, what became of it,
// and a way to try again.
type Events struct {
	inbox Inbox
	wake  func()
	now   func() time.Time
}

// NewEvents returns the use cases over an inbox. wake tells a worker of this
// process that there is something to do; without one, others notice soon.
func NewEvents(inbox Inbox, wake func()) *Events {
	return &Events{inbox: inbox, wake: wake, now: time.Now}
}

// MaxEventLimit is how many events are listed at once.
const MaxEventLimit = 500

// InboxStates returns every state that an event can be in.
func InboxStates() []InboxState {
	return []InboxState{InboxPending, InboxApplied, InboxIgnored, InboxDead}
}

// List returns the events of a listing, those received last first. Errors:
// [fault.Invalid] for a state that is none and for a limit that is not from 1 to
// [MaxEventLimit].
func (e *Events) List(ctx context.Context, listing InboxListing) ([]InboxRecord, error) {
	var fields []fault.Field
	for _, state := range listing.States {
		if !slices.Contains(InboxStates(), state) {
			fields = append(fields, fault.Field{Name: "state", Message: "Use pending, applied, ignored or dead."})
		}
	}
	if listing.Limit < 1 || listing.Limit > MaxEventLimit {
		fields = append(fields, fault.Field{Name: "limit", Message: "Use a number from 1 to 500."})
	}
	if len(fields) > 0 {
		return nil, fault.InvalidFields(fields...)
	}
	records, err := e.inbox.List(ctx, listing)
	return records, fault.Wrap("list events", err)
}

// Backlog returns what is not done, and how late it is.
func (e *Events) Backlog(ctx context.Context) (InboxBacklog, error) {
	backlog, err := e.inbox.Backlog(ctx)
	return backlog, fault.Wrap("read backlog", err)
}

// Get returns one event, payload and all. Errors: [ErrNoEvent].
func (e *Events) Get(ctx context.Context, id string) (InboxRecord, error) {
	record, err := e.inbox.Get(ctx, id)
	return record, fault.Wrap("get event", err)
}

// Replay lets an event be applied again, whatever became of it; that is harmless,
// because what it says is merged as it was the first time. Errors: [ErrNoEvent].
func (e *Events) Replay(ctx context.Context, id string) error {
	if err := e.inbox.Replay(ctx, id, e.now()); err != nil {
		return fault.Wrap("replay event", err)
	}
	e.wake()
	return nil
}
