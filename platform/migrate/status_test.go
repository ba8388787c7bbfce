package migrate_test

import (
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/migrate"
)

func TestStatusAndHistory(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	if status, err := migrate.New(db, public, load(t, v1)).Status(t.Context()); err != nil || status.PublicErr == nil || len(status.Versions) != 0 {
		t.Errorf("an empty database: %+v, %v", status, err)
	}

	f := newFleet(t, 8)
	f.exec(t, f.schemas[2], `ALTER TABLE things ADD COLUMN colour int`)
	next := f.engine(t, v2)
	result, err := next.Up(t.Context(), migrate.Options{Canary: []string{"t002"}})
	if err != nil || result.Left != 7 {
		t.Fatalf("%+v, %v", result, err)
	}
	status, err := next.Status(t.Context())
	if err != nil || status.PublicErr != nil || len(status.Versions) != 1 || status.Versions[0].Tenants != 8 || !status.Versions[0].Known {
		t.Errorf("%+v, %v", status, err)
	}
	if len(status.Runs) != 1 || status.Runs[0].State != migrate.Paused || status.Runs[0].Pending != 7 || status.Runs[0].Failed != 1 || status.Runs[0].Arguments != "--canary t002" || status.Runs[0].Interrupted {
		t.Errorf("%+v", status.Runs)
	}
	if len(status.Failed) != 1 || status.Failed[0].Slug != "t002" || !strings.Contains(status.Failed[0].Error, "already exists") || status.Failed[0].Attempts != 1 {
		t.Errorf("%+v", status.Failed)
	}
	if result, err = next.Resume(t.Context(), 0, migrate.Options{}); err != nil || result.Migrated != 7 {
		t.Fatalf("%+v, %v", result, err)
	}
	f.exec(t, f.schemas[2], `ALTER TABLE things DROP COLUMN colour`)
	if again := up(t, next); again.Migrated != 1 {
		t.Errorf("%+v", again)
	}
	if status, err = f.old.Status(t.Context()); err != nil || len(status.Failed) != 0 || len(status.Runs) != 0 || status.Versions[0].Known {
		t.Errorf("%+v, %v", status, err)
	}
	history, err := next.History(t.Context(), 10)
	if err != nil || len(history) != 2 || history[0].ID <= history[1].ID || history[1].State != migrate.Finished || history[1].Applied != 7 || history[1].Failed != 1 || history[1].FinishedAt == nil {
		t.Errorf("%+v, %v", history, err)
	}
	run, err := next.Run(t.Context(), history[1].ID)
	if err != nil || run.Applied != 7 {
		t.Errorf("%+v, %v", run, err)
	}
	if _, err := next.Run(t.Context(), 99); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	tenants, err := next.RunTenants(t.Context(), run.ID, "tenant_t004", 2)
	if err != nil || len(tenants) != 2 || tenants[0].Schema != "tenant_t005" || tenants[0].State != "applied" || tenants[0].Duration <= 0 || tenants[0].FinishedAt == nil || tenants[0].From == tenants[0].To {
		t.Errorf("%+v, %v", tenants, err)
	}
	if tenants, err = next.RunTenants(t.Context(), run.ID, "", 10, "failed"); err != nil || len(tenants) != 1 || tenants[0].Slug != "t002" {
		t.Errorf("%+v, %v", tenants, err)
	}
}

// TestAnInterruptedRun shows as one, and the next run over everybody takes it
// over.
func TestAnInterruptedRun(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	next := f.engine(t, v2)
	result, err := next.Up(t.Context(), migrate.Options{StopAfter: -1, Only: []string{"t000"}})
	if err != nil {
		t.Fatal(err)
	}
	f.exec(t, f.schemas[0], `UPDATE public.migration_runs SET state = 'running', finished_at = NULL, heartbeat_at = now() - interval '1 minute'`)
	f.exec(t, f.schemas[0], `UPDATE public.migration_run_tenants SET state = 'pending'`)
	status, err := next.Status(t.Context())
	if err != nil || len(status.Runs) != 1 || !status.Runs[0].Interrupted {
		t.Errorf("%+v, %v", status, err)
	}
	up(t, next)
	if run, err := next.Run(t.Context(), result.Run); err != nil || run.State != migrate.Superseded || run.Reason == "" {
		t.Errorf("%+v, %v", run, err)
	}
}
