package tenancy

import (
	"context"
	"log/slog"
	"time"
)

// purgeInterval is how often a [Purger] looks. What it waits for is days away.
const purgeInterval = time.Hour

// Purger purges the tenants of deleted organizations once their grace period is
// over. Any number of them may run.
type Purger struct {
	service *Service
	grace   time.Duration
	log     *slog.Logger
}

// NewPurger returns a purger that leaves deleted tenants alone for the grace
// period.
func NewPurger(service *Service, grace time.Duration, log *slog.Logger) *Purger {
	return &Purger{service: service, grace: grace, log: log}
}

// Run purges now and then every hour, until ctx ends.
func (p *Purger) Run(ctx context.Context) {
	ticker := time.NewTicker(purgeInterval)
	defer ticker.Stop()
	for {
		p.purge(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *Purger) purge(ctx context.Context) {
	purged, err := p.service.Purge(ctx, p.service.now().Add(-p.grace))
	for _, t := range purged {
		p.log.InfoContext(ctx, "a deleted organization's data was purged", "tenant", t.ID, "schema", t.Schema.String(), "deleted_at", t.DeletedAt)
	}
	if err != nil && ctx.Err() == nil {
		p.log.ErrorContext(ctx, "deleted organizations could not be purged", "error", err)
	}
}
