package audit

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Tenants hands every tenant that can be worked on to fn with a context in it, as
// [tenancy.Service.Each] does.
func Tenants(ctx context.Context, service *tenancy.Service, fn func(ctx context.Context, t tenancy.Tenant) error) error {
	return service.Each(ctx, func(t tenancy.Tenant) error {
		if !service.Serves(t) {
			return nil // in the middle of a rollout
		}
		return fn(tenant.NewContext(ctx, t.Schema), t)
	})
}

// Retention cuts every tenant's record once a day. Any number of them may run.
type Retention struct {
	cutter  *Cutter
	tenants *tenancy.Service
	keep    time.Duration
	log     *slog.Logger
}

// NewRetention returns one that keeps entries for so long.
func NewRetention(cutter *Cutter, tenants *tenancy.Service, keep time.Duration, log *slog.Logger) *Retention {
	return &Retention{cutter: cutter, tenants: tenants, keep: keep, log: log}
}

const retentionInterval = 24 * time.Hour

// Run cuts now and then every day, until ctx ends.
func (r *Retention) Run(ctx context.Context) {
	ticker := time.NewTicker(retentionInterval)
	defer ticker.Stop()
	for {
		r.cut(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Retention) cut(ctx context.Context) {
	before := r.cutter.now().Add(-r.keep)
	err := Tenants(ctx, r.tenants, func(ctx context.Context, t tenancy.Tenant) error {
		removed, err := r.cutter.Cut(ctx, before)
		switch {
		case errors.Is(err, ErrNotThere): // another process was faster
		case fault.Is(err, fault.Unavailable), ctx.Err() != nil:
			return err
		case err != nil:
			r.log.ErrorContext(ctx, "an audit log cannot be cut", "tenant", t.ID, "error", err)
		case removed > 0:
			r.log.InfoContext(ctx, "old entries of an audit log were cut off", "tenant", t.ID, "entries", removed)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		r.log.ErrorContext(ctx, "the audit logs could not all be cut; it is tried again tomorrow", "error", err)
	}
}
