package identity

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tenonhq/tenon/platform/origin"
)

// Nightly reconciles once a day. Any number of them may run: the ledger lets one
// of them work at a time, and tells the others that it is done. What was
// interrupted is gone on with at once.
type Nightly struct {
	reconciler *Reconciler
	ledger     Reconciliations
	hour       int
	log        *slog.Logger
	now        func() time.Time
}

// NewNightly returns a schedule that reconciles from an hour on, in UTC.
func NewNightly(reconciler *Reconciler, ledger Reconciliations, hour int, log *slog.Logger) *Nightly {
	return &Nightly{reconciler: reconciler, ledger: ledger, hour: hour, log: log, now: time.Now}
}

// nightlyPoll is how often a [Nightly] looks whether it is time. It is longer
// than the lease, so that what was killed is gone on with in one look.
const nightlyPoll = 5 * time.Minute

// Run reconciles when it is time, until ctx ends.
func (n *Nightly) Run(ctx context.Context) {
	began := n.now()
	ticker := time.NewTicker(nightlyPoll)
	defer ticker.Stop()
	for {
		if n.due(ctx, began) {
			n.reconcile(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// due reports whether the last reconciliation was interrupted, or began before
// the last time that one should have. The first of all waits for its hour.
func (n *Nightly) due(ctx context.Context, began time.Time) bool {
	latest, ok, err := n.ledger.Latest(ctx)
	now := n.now().UTC()
	if err != nil {
		if ctx.Err() == nil {
			n.log.ErrorContext(ctx, "the ledger of reconciliations cannot be read", "error", err)
		}
		return false
	}
	if ok && latest.FinishedAt.IsZero() {
		return latest.HeartbeatAt.Before(now.Add(-reconcileLease))
	}
	last := time.Date(now.Year(), now.Month(), now.Day(), n.hour, 0, 0, 0, time.UTC)
	if last.After(now) {
		last = last.AddDate(0, 0, -1)
	}
	if ok {
		began = latest.StartedAt
	}
	return began.Before(last)
}

func (n *Nightly) reconcile(ctx context.Context) {
	ctx = origin.NewContext(ctx, origin.Origin{Kind: origin.Job, Actor: "reconciliation"})
	n.log.InfoContext(ctx, "reconciling with the identity provider")
	done, err := n.reconciler.All(ctx, ReconcileOptions{Found: func(d Drift) {
		n.log.WarnContext(ctx, "drift", "kind", string(d.Kind), "organization", d.OrganizationID, "account", d.AccountID,
			"repaired", d.Repaired, "reason", d.Reason)
	}})
	switch {
	case errors.Is(err, ErrReconciling): // another process does
	case err == nil:
		n.log.InfoContext(ctx, "reconciled with the identity provider", "organizations", done.Organizations, "repaired", done.Repaired, "left", done.Left)
	case ctx.Err() != nil:
		n.log.InfoContext(ctx, "the reconciliation is interrupted and goes on later", "organizations", done.Organizations)
	default:
		n.log.ErrorContext(ctx, "the reconciliation stopped and goes on later", "organizations", done.Organizations, "error", err)
	}
}
