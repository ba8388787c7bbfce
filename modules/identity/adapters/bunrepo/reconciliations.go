package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

var _ identity.Reconciliations = (*Reconciliations)(nil)

// Reconciliations implements [identity.Reconciliations]. A unique index sees to
// it that one is unfinished at most.
type Reconciliations struct{ db bun.IDB }

// NewReconciliations returns a ledger over the handle for public tables.
func NewReconciliations(db *database.DB) *Reconciliations {
	return &Reconciliations{db: db.Registry()}
}

type reconciliationRow struct {
	bun.BaseModel `bun:"table:directory_reconciliations,alias:r"`

	ID            int64     `bun:"id,pk,autoincrement"`
	Worker        string    `bun:"worker"`
	StartedAt     time.Time `bun:"started_at"`
	HeartbeatAt   time.Time `bun:"heartbeat_at"`
	FinishedAt    time.Time `bun:"finished_at,nullzero"`
	Cursor        string    `bun:"cursor"`
	Organizations int       `bun:"organizations"`
	Repaired      int       `bun:"repaired"`
	Remaining     int       `bun:"remaining"`
}

func (row reconciliationRow) reconciliation() identity.Reconciliation {
	return identity.Reconciliation{
		ID: row.ID, Worker: row.Worker, StartedAt: row.StartedAt, HeartbeatAt: row.HeartbeatAt, FinishedAt: row.FinishedAt,
		Cursor: row.Cursor, Organizations: row.Organizations, Repaired: row.Repaired, Left: row.Remaining,
	}
}

// Begin implements [identity.Reconciliations].
func (r *Reconciliations) Begin(ctx context.Context, worker string, now, before time.Time) (identity.Reconciliation, error) {
	row := reconciliationRow{Worker: worker, StartedAt: now, HeartbeatAt: now}
	err := r.db.NewUpdate().Model(&row).Column("worker", "heartbeat_at").
		Where("finished_at IS NULL").Where("heartbeat_at < ?", before).Returning("*").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = r.db.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Returning("*").Scan(ctx)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return identity.Reconciliation{}, identity.ErrReconciling
	case err != nil:
		return identity.Reconciliation{}, fault.Wrap("begin reconciliation", database.Classify(err))
	}
	return row.reconciliation(), nil
}

// Save implements [identity.Reconciliations].
func (r *Reconciliations) Save(ctx context.Context, saved identity.Reconciliation) error {
	result, err := r.db.NewUpdate().Model(&reconciliationRow{
		ID: saved.ID, HeartbeatAt: saved.HeartbeatAt, FinishedAt: saved.FinishedAt, Cursor: saved.Cursor,
		Organizations: saved.Organizations, Repaired: saved.Repaired, Remaining: saved.Left,
	}).Column("heartbeat_at", "finished_at", "cursor", "organizations", "repaired", "remaining").
		WherePK().Where("worker = ?", saved.Worker).Where("finished_at IS NULL").Exec(ctx)
	if err != nil {
		return fault.Wrap("save reconciliation", database.Classify(err))
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = identity.ErrReconciling
	}
	return fault.Wrap("save reconciliation", err)
}

// Latest implements [identity.Reconciliations].
func (r *Reconciliations) Latest(ctx context.Context) (identity.Reconciliation, bool, error) {
	var row reconciliationRow
	err := r.db.NewSelect().Model(&row).Order("id DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return identity.Reconciliation{}, false, nil
	}
	return row.reconciliation(), err == nil, fault.Wrap("look up reconciliation", database.Classify(err))
}
