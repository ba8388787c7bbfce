package migrate_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

// once is a query hook that does something before the first query with a text in it.
type once struct {
	text string
	do   func()
	sync sync.Once
}

func (o *once) BeforeQuery(ctx context.Context, event *bun.QueryEvent) context.Context {
	if strings.Contains(event.Query, o.text) {
		o.sync.Do(o.do)
	}
	return ctx
}

func (o *once) AfterQuery(context.Context, *bun.QueryEvent) {}

// watched is a fleet with tenants at v1, and an engine for v2 that reads past hook.
func watched(t *testing.T, tenants int, hook *once) (*fleet, *migrate.Engine) {
	t.Helper()
	url := localpgtest.NewDatabase(t)
	f := &fleet{db: databasetest.Open(t, url)}
	f.old = f.engine(t, v1)
	up(t, f.old)
	for _, name := range []string{"t000", "t001", "t002"}[:tenants] {
		f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, name))
	}
	db, err := database.Open(database.Config{URL: url, MaxOpenConns: databasetest.MaxOpenConns, QueryHooks: []bun.QueryHook{hook}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	public, _ := product(t)
	return f, migrate.New(db, public, load(t, v2))
}

// TestWhatChangesMeanwhileIsNoDrift changes tenants between the reading of the registry
// and that of the catalog.
func TestWhatChangesMeanwhileIsNoDrift(t *testing.T) {
	t.Parallel()
	deleted := func(t *testing.T, f *fleet, schema tenant.Schema) {
		f.exec(t, schema, `UPDATE public.tenants SET deleted_at = now() WHERE schema_name = current_schema()`)
	}
	for what, meanwhile := range map[string]func(t *testing.T, f *fleet){
		"migrated": func(t *testing.T, f *fleet) { up(t, f.engine(t, v2)) },
		"purged": func(t *testing.T, f *fleet) {
			deleted(t, f, f.schemas[1])
			if err := f.old.Deprovision(t.Context(), f.schemas[1]); err != nil {
				t.Error(err)
			}
			f.exec(t, f.schemas[0], `DELETE FROM public.tenants WHERE schema_name = '`+f.schemas[1].String()+`'`)
		},
		"being purged": func(t *testing.T, f *fleet) {
			deleted(t, f, f.schemas[1])
			f.exec(t, f.schemas[1], `DROP TABLE _migrations, things`)
		},
		"about to leave the registry": func(t *testing.T, f *fleet) {
			deleted(t, f, f.schemas[1])
			if err := f.old.Deprovision(t.Context(), f.schemas[1]); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			hook := &once{text: "AS fingerprint"}
			f, engine := watched(t, 3, hook)
			hook.do = func() { meanwhile(t, f) }
			if drifts, looked, err := engine.Drift(t.Context(), migrate.Options{}); err != nil || looked != 3 || len(drifts) != 0 {
				t.Errorf("drift: %+v, %d, %v", drifts, looked, err)
			}
		})
		t.Run(what+", verified", func(t *testing.T) {
			t.Parallel()
			hook := &once{text: "AS fingerprint"}
			f, engine := watched(t, 3, hook)
			hook.do = func() { meanwhile(t, f) }
			if mismatches, looked, err := engine.Audit(t.Context(), migrate.Options{}); err != nil || looked != 3 || len(mismatches) != 0 {
				t.Errorf("verify: %+v, %d, %v", mismatches, looked, err)
			}
		})
	}
}

// TestADeletedTenantThatDriftedIsTold has lost a table and not to the purge, which begins
// with another.
func TestADeletedTenantThatDriftedIsTold(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	f.exec(t, f.schemas[0], `UPDATE public.tenants SET deleted_at = now(); DROP TABLE things`)
	if drifts, _, err := f.old.Drift(t.Context(), migrate.Options{}); err != nil || len(drifts) != 1 {
		t.Errorf("%+v, %v", drifts, err)
	}
	if mismatches, _, err := f.old.Audit(t.Context(), migrate.Options{}); err != nil || len(mismatches) != 1 {
		t.Errorf("%+v, %v", mismatches, err)
	}
}

func TestAMigrationOfPublicMeanwhileIsNoDrift(t *testing.T) {
	t.Parallel()
	hook := &once{text: "'public'"}
	f, engine := watched(t, 1, hook)
	newer := migrate.New(f.db, publicAnd(t, `ALTER INDEX tenants_slug_key RENAME TO tenants_slug`), load(t, v1))
	hook.do = func() { // which may find public locked
		_, _ = newer.Up(t.Context(), migrate.Options{LockTimeout: time.Millisecond, Attempts: 1})
	}
	if drifts, _, err := engine.Drift(t.Context(), migrate.Options{}); err != nil || len(drifts) != 0 {
		t.Errorf("%+v, %v", drifts, err)
	}
	if _, err := newer.Up(t.Context(), migrate.Options{}); err != nil {
		t.Error(err)
	}
}

// TestRolesOfATenantThatIsPurgedMeanwhile are nobody's failure.
func TestRolesOfATenantThatIsPurgedMeanwhile(t *testing.T) {
	t.Parallel()
	for what, work := range map[string]func(*migrate.Engine) (migrate.RolesResult, error){
		"create": func(engine *migrate.Engine) (migrate.RolesResult, error) {
			return engine.CreateRoles(t.Context(), migrate.RolesOptions{Repair: true})
		},
		"drop": func(engine *migrate.Engine) (migrate.RolesResult, error) { return engine.DropRoles(t.Context(), nil) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			hook := &once{text: "ALTER DEFAULT PRIVILEGES"}
			f, engine := watched(t, 3, hook)
			if _, err := f.old.CreateRoles(t.Context(), migrate.RolesOptions{}); err != nil {
				t.Fatal(err)
			}
			hook.do = func() {
				if err := f.old.Deprovision(t.Context(), f.schemas[1]); err != nil {
					t.Error(err)
				}
				f.exec(t, f.schemas[0], `DELETE FROM public.tenants WHERE schema_name = '`+f.schemas[1].String()+`'`)
			}
			if result, err := work(engine); err != nil || len(result.Failures) != 0 || result.Done != 2 {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

// TestAPurgeThatWasInterruptedTakesNobodysRole: the schema and the role are gone, and the
// registry's row goes with the next purge.
func TestAPurgeThatWasInterruptedTakesNobodysRole(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	engine := f.engine(t, v1, migrate.WithRoles(migrate.RolesAuto))
	if _, err := engine.CreateRoles(t.Context(), migrate.RolesOptions{}); err != nil {
		t.Fatal(err)
	}
	f.exec(t, f.schemas[1], `UPDATE public.tenants SET deleted_at = now() WHERE schema_name = current_schema()`)
	if err := engine.Deprovision(t.Context(), f.schemas[1]); err != nil {
		t.Fatal(err)
	}
	report, err := engine.Roles(t.Context())
	if use, reason := report.Use(migrate.RolesAuto); err != nil || report.Missing != 0 || !use {
		t.Errorf("%+v, %q, %v", report, reason, err)
	}
	if result, err := engine.CreateRoles(t.Context(), migrate.RolesOptions{}); err != nil || result.Done != 0 || len(result.Failures) != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}
