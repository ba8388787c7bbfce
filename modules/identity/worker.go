package identity

import (
	"context"
	"log/slog"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/origin"
)

// MaxAttempts is how often an event is tried before it is dead. With the waits
// of [RetryDelay] that is about a day.
const MaxAttempts = 20

// Worker applies the events of the inbox. Any number of them may run, in one
// process or in many: each event is applied in the transaction that holds it,
// together with the record that it was, so a worker that is killed half way
// leaves it as it was.
type Worker struct {
	inbox  Inbox
	tx     Transactor
	sync   *Sync
	decode Decoder
	log    *slog.Logger
	now    func() time.Time
	wake   chan struct{}
	around Around
}

// Around runs apply, which applies an event within the worker's transaction, and
// returns its error.
type Around func(ctx context.Context, event InboxEvent, apply func(ctx context.Context) error) error

// Wrap makes around see every attempt to apply an event, for traces. It is called
// before [Worker.Run].
func (w *Worker) Wrap(around Around) { w.around = around }

// NewWorker returns a worker that decodes events by decode.
func NewWorker(inbox Inbox, tx Transactor, sync *Sync, decode Decoder, log *slog.Logger) *Worker {
	return &Worker{
		inbox: inbox, tx: tx, sync: sync, decode: decode, log: log, now: time.Now, wake: make(chan struct{}, 1),
		around: func(ctx context.Context, _ InboxEvent, apply func(context.Context) error) error { return apply(ctx) },
	}
}

// Wake makes [Worker.Run] look at the inbox now. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// pollInterval bounds how long an event waits that another process received or
// whose wake-up was lost.
const pollInterval = time.Second

// InboxKept is how long a [Worker] keeps events that were applied or ignored: longer
// than they can be delivered again. Dead ones stay until somebody looks at them.
const InboxKept = 30 * 24 * time.Hour

const (
	// forgetInterval is how often a [Worker] looks for events to forget.
	forgetInterval = time.Hour
	forgetPage     = 500
)

// Run applies events until ctx ends, and forgets those that were done with long ago.
func (w *Worker) Run(ctx context.Context) {
	var forgot time.Time
	for ctx.Err() == nil {
		if now := w.now(); now.Sub(forgot) >= forgetInterval {
			forgot = now
			w.forget(ctx, now.Add(-InboxKept))
		}
		if _, err := w.Drain(ctx); err != nil && ctx.Err() == nil {
			w.log.ErrorContext(ctx, "the webhook inbox cannot be read", "error", err)
		}
		w.wait(ctx)
	}
}

// forget deletes events that were received and done with before a time.
func (w *Worker) forget(ctx context.Context, before time.Time) {
	for ctx.Err() == nil {
		n, err := w.inbox.Forget(ctx, before, forgetPage)
		if err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "webhooks of long ago cannot be deleted", "error", err)
		}
		if err != nil || n < forgetPage {
			return
		}
	}
}

// wait returns when there may be something to do.
func (w *Worker) wait(ctx context.Context) {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-timer.C:
	}
}

// Drain applies every event that is due and returns how many it was done with,
// failed attempts not counted. An error means that the inbox itself failed.
func (w *Worker) Drain(ctx context.Context) (done int, err error) {
	for ctx.Err() == nil {
		attempted, ok, err := w.step(ctx)
		switch {
		case err != nil:
			return done, err
		case !attempted:
			return done, nil
		case ok:
			done++
		}
	}
	return done, ctx.Err()
}

// step tries the next event. attempted is false when none is due.
func (w *Worker) step(ctx context.Context) (attempted, ok bool, err error) {
	var event InboxEvent
	// One event that panics must not stop all others, again after every start.
	err = fault.Recovered(func() error {
		return w.tx.InSystemTx(ctx, func(ctx context.Context) error {
			var err error
			if event, attempted, err = w.inbox.Next(ctx, w.now()); err != nil || !attempted {
				return err
			}
			ctx = origin.NewContext(ctx, origin.Origin{Kind: origin.Webhook, Actor: event.ID})
			return w.around(ctx, event, func(ctx context.Context) error { return w.apply(ctx, event) })
		})
	})
	switch {
	case err == nil:
		return attempted, true, nil
	case !attempted, ctx.Err() != nil:
		return false, false, err
	}
	return true, false, w.fail(ctx, event, err)
}

func (w *Worker) apply(ctx context.Context, event InboxEvent) error {
	observation, err := w.decode(event.Type, event.Payload)
	if err != nil {
		return err
	}
	state := InboxApplied
	if observation.IsZero() {
		state = InboxIgnored
	}
	if err := w.sync.Apply(ctx, observation); err != nil {
		return err
	}
	return w.inbox.Finish(ctx, event.ID, state)
}

// fail records a failed attempt.
func (w *Worker) fail(ctx context.Context, event InboxEvent, cause error) error {
	var retryAt time.Time
	attempt := event.Attempts + 1
	// What cannot be read now will not be read later; what the database was
	// away for says nothing about the event.
	if attempt < MaxAttempts && !fault.Is(cause, fault.Invalid) {
		retryAt = w.now().Add(RetryDelay(attempt))
	}
	level := slog.LevelWarn
	if retryAt.IsZero() {
		level = slog.LevelError
	}
	w.log.Log(ctx, level, "a webhook could not be applied",
		"event", event.ID, "type", event.Type, "attempt", attempt, "dead", retryAt.IsZero(), "error", cause)
	return w.inbox.Fail(ctx, event.ID, cause.Error(), retryAt)
}

// MaxRetryDelay is the longest that a [Worker] leaves a failed event alone.
const MaxRetryDelay = 2 * time.Hour

// RetryDelay is how long a [Worker] leaves an event alone after so many attempts: it
// doubles from a second to [MaxRetryDelay].
func RetryDelay(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt, 1)-1, 13), MaxRetryDelay)
}
