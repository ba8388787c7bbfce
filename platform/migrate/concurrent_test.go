package migrate_test

import (
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

const apart = "-- atlas:txmode none\n\n"

// v3 has a file that runs outside of transactions between two that do not.
var v3 = files{
	"1_init":     v1["1_init"],
	"2_indexes":  apart + "CREATE INDEX CONCURRENTLY things_name ON things (name);\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"Things by Id\" ON things (id, name);",
	"3_colour":   "ALTER TABLE things ADD COLUMN colour text NOT NULL DEFAULT 'red'",
	"4_no_index": apart + "DROP INDEX CONCURRENTLY things_name",
}

func TestFilesOutsideOfTransactions(t *testing.T) {
	t.Parallel()
	url := localpgtest.Superuser(t, localpgtest.NewDatabase(t)) // indexes are made invalid by writing to the catalog
	f := &fleet{db: databasetest.Open(t, url)}
	f.old = f.engine(t, v1)
	up(t, f.old)
	for _, name := range []string{"fine", "invalid", "half", "locked", "violating"} {
		f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, name))
	}
	invalid, half, violating := f.schemas[1], f.schemas[2], f.schemas[4]
	// What engines that were killed leave behind.
	f.exec(t, invalid, `CREATE INDEX things_name ON things (name)`)
	f.exec(t, invalid, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'things_name'::regclass`)
	f.exec(t, half, `CREATE INDEX things_name ON things (name)`)
	f.exec(t, violating, `ALTER TABLE things DROP CONSTRAINT things_pkey; INSERT INTO things VALUES (1, 'twice'), (1, 'twice')`)

	without := f.engine(t, v3)
	result, err := without.Up(t.Context(), migrate.Options{Only: []string{"fine"}})
	if err != nil || len(result.Failures) != 1 || !strings.Contains(result.Failures[0].Err.Error(), "direct connection") {
		t.Errorf("without a direct connection: %+v, %v", result, err)
	}
	next := f.engine(t, v3, migrate.WithDirectURL(url))
	result, err = next.Up(t.Context(), migrate.Options{})
	if err != nil || result.Migrated != 4 || len(result.Failures) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if failure := result.Failures[0]; failure.Schema != violating.String() || !strings.Contains(failure.Err.Error(), "could not create unique index") {
		t.Errorf("%+v", failure)
	}
	fresh := mustProvision(t, f.db, next, "fresh")
	want := text(t, f.db, fresh, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = ?`, fresh.String())
	for _, schema := range f.schemas[:4] {
		if got := text(t, f.db, schema, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = ?`, schema.String()); got != want {
			t.Errorf("%s does not have the fingerprint of a fresh schema", schema)
		}
		if got := text(t, f.db, schema, `SELECT count(*) FROM _migrations`); got != "4" {
			t.Errorf("%s has %s revisions", schema, got)
		}
	}
	// The failed one kept what was done before, and is finished once it is mended.
	f.exec(t, violating, `DELETE FROM things; ALTER TABLE things ADD PRIMARY KEY (id)`)
	if result, err = next.RetryFailed(t.Context(), result.Run, migrate.Options{}); err != nil || result.Migrated != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if got := text(t, f.db, violating, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = ?`, violating.String()); got != want {
		t.Error("the mended tenant does not have the fingerprint of a fresh schema")
	}
}

// TestTwoEnginesOutsideOfTransactions lets several engines build the same
// indexes: one does, and nobody drops what another is building.
func TestTwoEnginesOutsideOfTransactions(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	f := &fleet{db: databasetest.Open(t, url)}
	f.old = f.engine(t, v1)
	up(t, f.old)
	for _, name := range []string{"a", "b", "c", "d"} {
		f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, name))
	}
	done := make(chan migrate.Result)
	for range 3 {
		go func() {
			result, err := f.engine(t, v3, migrate.WithDirectURL(url)).Up(t.Context(), migrate.Options{Workers: 2, Attempts: 20})
			if err != nil {
				t.Error(err)
			}
			done <- result
		}()
	}
	for range 3 {
		if result := <-done; len(result.Failures) > 0 {
			t.Errorf("%+v", result)
		}
	}
	if got := f.at(t, 4); len(got) != 4 {
		t.Errorf("%v are done", got)
	}
}

func TestADirectURLThroughAPooler(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	f := &fleet{db: databasetest.Open(t, url)}
	f.old = f.engine(t, v1)
	up(t, f.old)
	f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, "acme"))
	next := f.engine(t, v3, migrate.WithDirectURL(localpgtest.NewPgBouncer(t, url)))
	result, err := next.Up(t.Context(), migrate.Options{})
	if err != nil || len(result.Failures) != 1 || !strings.Contains(result.Failures[0].Err.Error(), "pooler") {
		t.Errorf("%+v, %v", result, err)
	}
	if got := text(t, f.db, tenant.MustParse("tenant_acme"), `SELECT count(*) FROM _migrations`); got != "1" {
		t.Errorf("%s revisions", got)
	}
}
