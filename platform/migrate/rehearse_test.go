package migrate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

func TestPreview(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	empty := migrate.New(db, public, load(t, v1))
	preview, err := empty.Preview(t.Context(), migrate.Options{})
	if err != nil || !strings.Contains(preview.Public, `CREATE TABLE "tenants"`) || len(preview.Groups) != 0 {
		t.Errorf("an empty database: %+v, %v", preview, err)
	}
	f := newFleet(t, 5)
	up(t, f.engine(t, v2))
	for i := range 2 {
		mustProvision(t, f.db, f.old, fmt.Sprint("old", i))
	}
	next := f.engine(t, with(v2, files{"3_more": "CREATE TABLE more (id int)", "4_index": apart + "CREATE INDEX CONCURRENTLY more_id ON more (id)"}))
	preview, err = next.Preview(t.Context(), migrate.Options{Except: []string{"t000"}})
	if err != nil || preview.Public != "" || len(preview.Groups) != 2 {
		t.Fatalf("%+v, %v", preview, err)
	}
	old, current := preview.Groups[0], preview.Groups[1]
	if old.Tenants != 2 || current.Tenants != 4 || old.Schema != "tenant_old0" || len(old.Apart) != 1 ||
		!strings.Contains(old.SQL, "ADD COLUMN colour") || strings.Contains(current.SQL, "ADD COLUMN colour") || !strings.Contains(current.SQL, "CREATE TABLE more") {
		t.Errorf("%+v\n%+v", old, current)
	}
	if len(f.at(t, 4)) != 0 {
		t.Error("the preview migrated somebody")
	}
	unknown, err := f.engine(t, v1).Preview(t.Context(), migrate.Options{Only: []string{"t001"}})
	if err != nil || len(unknown.Groups) != 1 || unknown.Groups[0].Err == nil {
		t.Errorf("a newer tenant: %+v, %v", unknown, err)
	}
}

// TestPreviewWhilePublicIsBehind is about tenants' migrations that call what public
// is to have by then.
func TestPreviewWhilePublicIsBehind(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	next := migrate.New(f.db, publicAnd(t, `CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`),
		load(t, with(v1, files{"2_noted": "CREATE TRIGGER things_noted AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION public.noted()"})))
	for _, altered := range []bool{false, true} {
		if altered {
			f.exec(t, f.schemas[0], `UPDATE public.tenants SET schema_fingerprint = 'another'`)
		}
		preview, err := next.Preview(t.Context(), migrate.Options{})
		if err != nil || !strings.Contains(preview.Public, "FUNCTION noted") || len(preview.Groups) != 1 {
			t.Fatalf("%+v, %v", preview, err)
		}
		if g := preview.Groups[0]; g.Err != nil || !strings.Contains(g.SQL, "public.noted()") || strings.Contains(g.SQL, "(the fingerprint)") == altered || strings.Contains(g.SQL, "pg_get_triggerdef") != altered {
			t.Errorf("altered %t: %+v", altered, g)
		}
	}
	if result := up(t, next); len(result.Public) != 1 || result.Migrated != 2 {
		t.Errorf("%+v", result)
	}
}

func TestRehearse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6)
	violating, locked, gone := f.schemas[1], f.schemas[3], f.schemas[5]
	f.exec(t, violating, `INSERT INTO things VALUES (1, '')`)
	f.exec(t, gone, `DROP SCHEMA tenant_t005 CASCADE`)
	next := f.engine(t, with(v2, files{"3_index": apart + "CREATE INDEX CONCURRENTLY things_name ON things (name)", "4_names": "ALTER TABLE things ADD CHECK (name <> '')"}))

	holding, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		held <- f.db.InTenantTx(tenant.NewContext(t.Context(), locked), func(ctx context.Context) error {
			_, err := f.db.Tenants().ExecContext(ctx, `LOCK TABLE things`)
			close(holding)
			<-release
			return err
		})
	}()
	<-holding
	observed := 0
	rehearsal, err := next.Rehearse(t.Context(), migrate.Options{Workers: 2, LockTimeout: 20 * time.Millisecond, Observe: func(migrate.Progress) { observed++ }})
	close(release)
	if err := <-held; err != nil {
		t.Error(err)
	}
	if err != nil || rehearsal.Tenants != 6 || observed != 6 || len(rehearsal.Failures) != 3 || rehearsal.Longest <= 0 || rehearsal.Total < rehearsal.Longest || rehearsal.Slowest == "" {
		t.Fatalf("%+v, %v", rehearsal, err)
	}
	if len(rehearsal.LeftOut) != 1 || !strings.Contains(rehearsal.LeftOut[0], "index") {
		t.Errorf("left out: %v", rehearsal.LeftOut)
	}
	for _, failure := range rehearsal.Failures {
		want := map[string]string{violating.String(): "violated", locked.String(): "locks", gone.String(): "gone"}[failure.Schema]
		if want == "" || !strings.Contains(failure.Err.Error(), want) {
			t.Errorf("%s: %v", failure.Schema, failure.Err)
		}
	}
	f.schemas = f.schemas[:5]
	f.whole(t)
	if len(f.at(t, 1)) != 6 {
		t.Error("the rehearsal migrated somebody")
	}
	if runs := text(t, f.db, f.schemas[0], `SELECT count(*) FROM public.migration_runs`); runs != "0" {
		t.Errorf("%s runs are in the ledger", runs)
	}
}
