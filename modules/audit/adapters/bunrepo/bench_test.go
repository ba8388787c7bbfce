package bunrepo_test

import (
	"context"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/tenant"
)

// BenchmarkChange measures what recording a change costs: the same UPDATE in a tenant
// with the trigger and in one without, turn by turn; "audited/bare" is the ratio of
// the times.
func BenchmarkChange(b *testing.B) {
	db := newDB(b)
	bare, audited := benchTenant(b, db), benchTenant(b, db)
	if _, err := db.Owner().ExecContext(bare, `ALTER TABLE projects DISABLE TRIGGER projects_audit`); err != nil {
		b.Fatal(err)
	}
	change := func(ctx context.Context, n int) time.Duration {
		began := time.Now()
		if _, err := db.Tenants().ExecContext(ctx, `UPDATE projects SET description = ?`, n); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	var with, without time.Duration
	n := 0
	for b.Loop() {
		n++
		without += change(bare, n)
		with += change(audited, n)
	}
	b.ReportMetric(with.Seconds()/without.Seconds(), "audited/bare")
	b.ReportMetric(float64(with.Microseconds()-without.Microseconds())/float64(n), "µs-more")
	b.ReportMetric(0, "ns/op")
}

func benchTenant(b *testing.B, db *database.DB) context.Context {
	ctx := tenant.NewContext(b.Context(), newTenant(b, db))
	if _, err := db.Owner().ExecContext(ctx, `INSERT INTO users (id, role) VALUES ('user_1', 'member');
		INSERT INTO projects (name, slug, created_by) VALUES ('Apollo', 'apollo', 'user_1')`); err != nil {
		b.Fatal(err)
	}
	return ctx
}
