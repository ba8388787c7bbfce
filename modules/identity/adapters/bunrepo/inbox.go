package bunrepo

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

var _ identity.Inbox = (*Inbox)(nil)

// Inbox implements [identity.Inbox]. It is a queue as well: an event is kept
// from other workers by its row lock, which ends with the transaction, also
// when the worker is killed.
type Inbox struct{ db bun.IDB }

// NewInbox returns an inbox over the handle for public tables.
func NewInbox(db *database.DB) *Inbox { return &Inbox{db: db.Registry()} }

type inboxRow struct {
	bun.BaseModel `bun:"table:webhook_inbox,alias:i"`

	ID            string    `bun:"id,pk"`
	Type          string    `bun:"type"`
	Payload       string    `bun:"payload"` // as text: Bun would encode JSON anew, and not as it was signed
	State         string    `bun:"state"`
	Attempts      int       `bun:"attempts"`
	LastError     string    `bun:"last_error"`
	OccurredAt    time.Time `bun:"occurred_at"`
	ReceivedAt    time.Time `bun:"received_at"`
	NextAttemptAt time.Time `bun:"next_attempt_at"`
	FinishedAt    time.Time `bun:"finished_at,nullzero"`
}

// Add implements [identity.Inbox].
func (i *Inbox) Add(ctx context.Context, event identity.InboxEvent) (bool, error) {
	result, err := i.db.NewInsert().Model(&inboxRow{
		ID:            event.ID,
		Type:          event.Type,
		Payload:       string(event.Payload),
		State:         string(identity.InboxPending),
		OccurredAt:    event.OccurredAt,
		ReceivedAt:    event.ReceivedAt,
		NextAttemptAt: event.ReceivedAt,
	}).On("CONFLICT (id) DO NOTHING").Exec(ctx)
	if err != nil {
		return false, fault.Wrap("add to inbox", database.Classify(err))
	}
	added, err := result.RowsAffected()
	return added == 1, fault.Wrap("add to inbox", err)
}

// Next implements [identity.Inbox].
func (i *Inbox) Next(ctx context.Context, now time.Time) (identity.InboxEvent, bool, error) {
	var row inboxRow
	err := i.db.NewSelect().Model(&row).
		Where("state = ?", identity.InboxPending).
		Where("(next_attempt_at <= ?0 OR next_attempt_at > ?0::timestamptz + make_interval(secs => least(power(2, least(attempts, 20) - 1), ?1) + 60))",
			now, identity.MaxRetryDelay.Seconds()).
		Order("next_attempt_at", "received_at", "id").Limit(1).For("UPDATE SKIP LOCKED").Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return identity.InboxEvent{}, false, nil
	case err != nil:
		return identity.InboxEvent{}, false, fault.Wrap("read inbox", database.Classify(err))
	}
	return row.event(), true, nil
}

func (row inboxRow) event() identity.InboxEvent {
	return identity.InboxEvent{
		ID: row.ID, Type: row.Type, Payload: []byte(row.Payload),
		OccurredAt: row.OccurredAt, ReceivedAt: row.ReceivedAt, Attempts: row.Attempts,
	}
}

func (row inboxRow) record() identity.InboxRecord {
	return identity.InboxRecord{
		InboxEvent: row.event(), State: identity.InboxState(row.State), LastError: row.LastError,
		NextAttemptAt: row.NextAttemptAt, FinishedAt: row.FinishedAt,
	}
}

// List implements [identity.Inbox].
func (i *Inbox) List(ctx context.Context, listing identity.InboxListing) ([]identity.InboxRecord, error) {
	return selectAll(ctx, i.db, inboxRow.record, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.OrderExpr(`received_at DESC, id COLLATE "C"`).Limit(int64(listing.Limit))
		if len(listing.States) > 0 {
			q = q.Where("state IN (?)", bun.List(listing.States))
		}
		if len(listing.Types) > 0 {
			q = q.Where("type IN (?)", bun.List(listing.Types))
		}
		if !listing.Since.IsZero() {
			q = q.Where("received_at >= ?", listing.Since)
		}
		if after := listing.After; after != (identity.InboxPosition{}) {
			q = q.Where("received_at <= ?", after.ReceivedAt).
				Where(`(received_at < ? OR id COLLATE "C" > ?)`, after.ReceivedAt, after.ID)
		}
		return q
	})
}

// Backlog implements [identity.Inbox]. Each state's rows have an index of their
// own, so that it costs no more than what is not done.
func (i *Inbox) Backlog(ctx context.Context) (identity.InboxBacklog, error) {
	var backlog identity.InboxBacklog
	var oldest sql.NullTime
	err := i.db.NewRaw(`SELECT
			(SELECT count(*) FROM webhook_inbox WHERE state = 'pending'),
			(SELECT count(*) FROM webhook_inbox WHERE state = 'dead'),
			(SELECT min(received_at) FROM webhook_inbox WHERE state = 'pending')`).
		Scan(ctx, &backlog.Pending, &backlog.Dead, &oldest)
	if err != nil {
		return identity.InboxBacklog{}, fault.Wrap("read inbox", database.Classify(err))
	}
	backlog.Oldest = oldest.Time
	return backlog, nil
}

// Get implements [identity.Inbox].
func (i *Inbox) Get(ctx context.Context, id string) (identity.InboxRecord, error) {
	var row inboxRow
	err := i.db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return identity.InboxRecord{}, identity.ErrNoEvent
	case err != nil:
		return identity.InboxRecord{}, fault.Wrap("read inbox", database.Classify(err))
	}
	return row.record(), nil
}

// Replay implements [identity.Inbox].
func (i *Inbox) Replay(ctx context.Context, id string, due time.Time) error {
	result, err := i.db.NewUpdate().Model((*inboxRow)(nil)).
		Set("state = ?", identity.InboxPending).Set("attempts = 0").Set("last_error = ''").
		Set("next_attempt_at = ?", due).Set("finished_at = NULL").Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fault.Wrap("replay event", database.Classify(err))
	}
	if changed, err := result.RowsAffected(); err != nil || changed == 0 {
		return cmp.Or(err, error(identity.ErrNoEvent))
	}
	return nil
}

// Forget implements [identity.Inbox].
func (i *Inbox) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	done := i.db.NewSelect().Model((*inboxRow)(nil)).Column("id").
		Where("state IN (?)", bun.List([]identity.InboxState{identity.InboxApplied, identity.InboxIgnored})).
		Where("received_at < ?", before).Where("finished_at < ?", before).
		Order("received_at").Limit(int64(limit))
	result, err := i.db.NewDelete().Model((*inboxRow)(nil)).Where("id IN (?)", done).Exec(ctx)
	if err != nil {
		return 0, fault.Wrap("forget events", database.Classify(err))
	}
	n, err := result.RowsAffected()
	return int(n), fault.Wrap("forget events", err)
}

// Finish implements [identity.Inbox].
func (i *Inbox) Finish(ctx context.Context, id string, state identity.InboxState) error {
	return i.change(ctx, id, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("state = ?", state).Set("last_error = ''").Set("finished_at = now()")
	})
}

// Fail implements [identity.Inbox].
func (i *Inbox) Fail(ctx context.Context, id, reason string, retryAt time.Time) error {
	return i.change(ctx, id, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		q = q.Set("attempts = attempts + 1").Set("last_error = ?", reason)
		if retryAt.IsZero() {
			return q.Set("state = ?", identity.InboxDead).Set("finished_at = now()")
		}
		return q.Set("next_attempt_at = ?", retryAt)
	})
}

func (i *Inbox) change(ctx context.Context, id string, set func(*bun.UpdateQuery) *bun.UpdateQuery) error {
	_, err := set(i.db.NewUpdate().Model((*inboxRow)(nil))).
		Where("id = ?", id).Where("state = ?", identity.InboxPending).Exec(ctx)
	return fault.Wrap("change inbox", database.Classify(err))
}
