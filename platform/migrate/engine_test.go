package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

// files is a directory of migrations by number, such as {"1_init": "CREATE …"};
// the reverse of a file has a "!" behind its name.
type files map[string]string

// directory returns the files as a directory with the atlas.sum that fits.
func directory(t testing.TB, content files) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	var list []atlas.File
	for n := 1; ; n++ {
		found := false
		for name, text := range content {
			number, rest, _ := strings.Cut(name, "_")
			if rest, reverses := strings.CutSuffix(rest, "!"); reverses && number == fmt.Sprint(n) {
				fsys[fmt.Sprintf("202601010000%02d_%s.down.sql", n, rest)] = &fstest.MapFile{Data: []byte(text)}
			} else if number == fmt.Sprint(n) {
				file := fmt.Sprintf("202601010000%02d_%s.up.sql", n, rest)
				fsys[file] = &fstest.MapFile{Data: []byte(text)}
				list = append(list, atlas.NewLocalFile(file, []byte(text)))
				found = true
			}
		}
		if !found {
			break
		}
	}
	fsys[atlas.HashFileName] = &fstest.MapFile{Data: sum(t, list)}
	return fsys
}

func load(t testing.TB, content files) *migrate.Directory {
	t.Helper()
	d, err := migrate.Load(directory(t, content))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func product(t testing.TB) (public, tenants *migrate.Directory) {
	t.Helper()
	public, err := migrate.Load(migrations.Public)
	if err != nil {
		t.Fatal(err)
	}
	if tenants, err = migrate.Load(migrations.Tenant); err != nil {
		t.Fatal(err)
	}
	return public, tenants
}

// publicAnd is the product's public with one more migration.
func publicAnd(t testing.TB, text string) *migrate.Directory {
	t.Helper()
	names, err := fs.Glob(migrations.Public, "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	var list []atlas.File
	add := func(name string, text []byte) {
		fsys[name] = &fstest.MapFile{Data: text}
		list = append(list, atlas.NewLocalFile(name, text))
	}
	for _, name := range names {
		content, err := fs.ReadFile(migrations.Public, name)
		if err != nil {
			t.Fatal(err)
		}
		add(name, content)
	}
	add("20990101000000_more.up.sql", []byte(text))
	fsys[atlas.HashFileName] = &fstest.MapFile{Data: sum(t, list)}
	d, err := migrate.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sum(t testing.TB, list []atlas.File) []byte {
	t.Helper()
	hashes, err := atlas.NewHashFile(list)
	if err != nil {
		t.Fatal(err)
	}
	text, err := hashes.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var (
	v1 = files{"1_init": `CREATE TABLE things (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'what?')`}
	v2 = files{"1_init": v1["1_init"], "2_colour": "ALTER TABLE things ADD COLUMN colour text NOT NULL DEFAULT 'red'; -- why not\nCREATE INDEX things_colour ON things (colour)"}
)

// provision registers and provisions a tenant, as tenancy does.
func provision(t testing.TB, db *database.DB, engine *migrate.Engine, name string) (tenant.Schema, error) {
	t.Helper()
	schema := tenant.MustParse("tenant_" + name)
	return schema, db.InSystemTx(t.Context(), func(ctx context.Context) error {
		_, err := db.Registry().ExecContext(ctx, `INSERT INTO tenants (id, name, slug, schema_name) VALUES (?, ?, ?, ?)`, "org_"+name, name, strings.ReplaceAll(name, "_", "-"), schema.String())
		if err != nil {
			return err
		}
		return engine.Provision(ctx, schema)
	})
}

func mustProvision(t testing.TB, db *database.DB, engine *migrate.Engine, name string) tenant.Schema {
	t.Helper()
	schema, err := provision(t, db, engine, name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func up(t testing.TB, engine *migrate.Engine) migrate.Result {
	t.Helper()
	result, err := engine.Up(t.Context(), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// text returns the one value that a query in the tenant's schema has.
func text(t testing.TB, db *database.DB, schema tenant.Schema, query string, args ...any) string {
	t.Helper()
	var value string
	if err := db.Tenants().QueryRowContext(tenant.NewContext(t.Context(), schema), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestTheProductsMigrations(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	engine := migrate.New(db, first(product(t)), second(product(t)))
	if err := engine.Check(t.Context()); err == nil {
		t.Error("an empty database counts as migrated")
	}
	if result := up(t, engine); len(result.Public) == 0 {
		t.Errorf("nothing was applied to public: %+v", result)
	}
	if err := engine.Check(t.Context()); err != nil {
		t.Error(err)
	}
	schema := mustProvision(t, db, engine, "acme")
	if result := up(t, engine); !result.IsZero() {
		t.Errorf("there is something to do twice: %+v", result)
	}
	if n := text(t, db, schema, `SELECT count(*) FROM _migrations WHERE hash <> ''`); n == "0" {
		t.Error("no revision is recorded")
	}
	if version := text(t, db, schema, `SELECT schema_version || '/' || length(schema_fingerprint) FROM public.tenants`); version != second(product(t)).Latest()+"/64" {
		t.Errorf("the registry says %s", version)
	}
}

func first[A, B any](a A, _ B) A  { return a }
func second[A, B any](_ A, b B) B { return b }

// TestFingerprintsAreEqual holds that it does not matter how a schema got to
// its version, nor what it is called.
func TestFingerprintsAreEqual(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	old, current := migrate.New(db, public, load(t, v1)), migrate.New(db, public, load(t, v2))
	up(t, old)
	migrated := mustProvision(t, db, old, "migrated")
	before := text(t, db, migrated, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = 'tenant_migrated'`)
	if result := up(t, current); result.Migrated != 1 || len(result.Failures) > 0 {
		t.Fatalf("%+v", result)
	}
	fresh := mustProvision(t, db, current, "fresh_with_another_name")
	again := mustProvision(t, db, current, "known_by_then")
	if a, b := text(t, db, fresh, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = ?`, fresh.String()),
		text(t, db, again, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = ?`, again.String()); a != b || len(a) != 64 {
		t.Errorf("the first fresh schema has %q, the second %q", a, b)
	}
	after := text(t, db, migrated, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = 'tenant_migrated'`)
	if want := text(t, db, fresh, `SELECT schema_fingerprint FROM public.tenants WHERE schema_name = ?`, fresh.String()); after != want || after == before {
		t.Errorf("migrated %s, fresh %s, before %s", after, want, before)
	}
	if colour := text(t, db, migrated, `INSERT INTO things (id) VALUES (1) RETURNING name || colour`); colour != "what?red" {
		t.Errorf("the defaults are %q", colour)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, tenants := product(t)
	up(t, migrate.New(db, public, tenants)) // for what the tenants' triggers call
	for name, pair := range map[string]struct {
		dir     *migrate.Directory
		desired string
	}{"public": {public, migrations.PublicSchema}, "tenant": {tenants, migrations.TenantSchema}} {
		if err := migrate.Verify(t.Context(), db, pair.dir, pair.desired); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for what, more := range map[string]string{
			"a table":    "CREATE TABLE more (id int);",
			"a function": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
			"a view":     "CREATE VIEW v AS SELECT 1 AS one;",
		} {
			if err := migrate.Verify(t.Context(), db, pair.dir, pair.desired+more); !errors.Is(err, migrate.ErrDisagree) {
				t.Errorf("%s with %s: %v", name, what, err)
			}
		}
	}
	var left int
	if err := db.Registry().QueryRowContext(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant%'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d schemas are left: %v", left, err)
	}
}

// TestProvisioningIsWhole breaks it at every point and looks for what is left.
func TestProvisioningIsWhole(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	good := migrate.New(db, public, load(t, v2))
	up(t, good)
	broken := migrate.New(db, public, load(t, files{"1_init": v1["1_init"], "2_broken": "CREATE TABLE more (id int); SELECT 1/0"}))
	if _, err := provision(t, db, broken, "acme"); err == nil {
		t.Fatal("a broken migration provisions")
	}
	errStop := errors.New("stop")
	err := db.InSystemTx(t.Context(), func(ctx context.Context) error {
		if _, err := db.Registry().ExecContext(ctx, `INSERT INTO tenants (id, name, slug, schema_name) VALUES ('org_acme', 'a', 'acme', 'tenant_acme')`); err != nil {
			return err
		}
		if err := good.Provision(ctx, tenant.MustParse("tenant_acme")); err != nil {
			return err
		}
		return errStop
	})
	if !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	var left int
	if err := db.Registry().QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant%') + (SELECT count(*) FROM tenants)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d things are left: %v", left, err)
	}
	mustProvision(t, db, good, "acme")
	err = db.InSystemTx(t.Context(), func(ctx context.Context) error { return good.Provision(ctx, tenant.MustParse("tenant_unknown")) })
	if err == nil || !strings.Contains(err.Error(), "registry") {
		t.Errorf("a schema that the registry does not know: %v", err)
	}
}

// TestOneFailureHoldsUpNobody has a tenant with data that violates the new
// constraint, one whose schema is gone, and one whose record was altered.
func TestOneFailureHoldsUpNobody(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	old := migrate.New(db, public, load(t, v1))
	up(t, old)
	schemas := map[string]tenant.Schema{}
	for _, name := range []string{"fine", "violating", "gone", "altered", "fine_too"} {
		schemas[name] = mustProvision(t, db, old, name)
	}
	exec := func(name, statement string) {
		t.Helper()
		if _, err := db.Tenants().ExecContext(tenant.NewContext(t.Context(), schemas[name]), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("violating", `INSERT INTO things VALUES (1, '')`)
	exec("gone", `DROP SCHEMA tenant_gone CASCADE`)
	exec("altered", `UPDATE _migrations SET hash = 'h1:other'`)

	next := migrate.New(db, public, load(t, files{"1_init": v1["1_init"], "2_names": "ALTER TABLE things ADD COLUMN x int; ALTER TABLE things ADD CHECK (name <> '')"}))
	var last migrate.Progress
	result, err := next.Up(t.Context(), migrate.Options{Workers: 2, Observe: func(p migrate.Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if result.Migrated != 2 || len(result.Failures) != 3 || last.Done != 5 || last.Failed != 3 || last.Total != 5 {
		t.Errorf("%+v, %+v", result, last)
	}
	for _, failure := range result.Failures {
		want := map[string]string{"tenant_violating": "violated", "tenant_gone": "gone from the database", "tenant_altered": "altered the record"}[failure.Schema]
		if want == "" || !strings.Contains(failure.Err.Error(), want) {
			t.Errorf("%s: %v", failure.Schema, failure.Err)
		}
	}
	// Nobody is half migrated.
	var columns int
	query := `SELECT count(*) FROM information_schema.columns WHERE table_schema = 'tenant_violating' AND column_name = 'x'`
	if err := db.Registry().QueryRowContext(t.Context(), query).Scan(&columns); err != nil || columns != 0 {
		t.Errorf("the failed tenant has %d new columns: %v", columns, err)
	}
	// What was mended is finished by the next run, and by that alone.
	exec("violating", `DELETE FROM things`)
	if result := up(t, next); result.Migrated != 1 || len(result.Failures) != 2 {
		t.Errorf("%+v", result)
	}
}

func TestTwoEnginesAtOnce(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	old := migrate.New(db, public, load(t, v1))
	var group sync.WaitGroup
	for range 4 { // public is migrated once
		group.Go(func() { up(t, old) })
	}
	group.Wait()
	const tenants = 20
	for i := range tenants {
		mustProvision(t, db, old, fmt.Sprint("t", i))
	}
	var (
		mu    sync.Mutex
		moved int
	)
	for range 3 {
		group.Go(func() {
			result, err := migrate.New(db, public, load(t, v2)).Up(t.Context(), migrate.Options{})
			mu.Lock()
			defer mu.Unlock()
			if moved += result.Migrated; err != nil || len(result.Failures) > 0 {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
	group.Wait()
	if moved != tenants {
		t.Errorf("%d tenants were moved %d times", tenants, moved)
	}
}

func TestALockedTenantIsTriedAgain(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	old, next := migrate.New(db, public, load(t, v1)), migrate.New(db, public, load(t, v2))
	up(t, old)
	schema := mustProvision(t, db, old, "busy")
	locked, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		held <- db.InTenantTx(tenant.NewContext(t.Context(), schema), func(ctx context.Context) error {
			_, err := db.Tenants().ExecContext(ctx, `LOCK TABLE things`)
			close(locked)
			<-release
			return err
		})
	}()
	<-locked
	result, err := next.Up(t.Context(), migrate.Options{LockTimeout: 20 * time.Millisecond, Attempts: 2})
	if err != nil || len(result.Failures) != 1 || !strings.Contains(result.Failures[0].Err.Error(), "held its locks") {
		t.Errorf("%+v, %v", result, err)
	}
	done := make(chan migrate.Result, 1)
	go func() {
		result, err := next.Up(t.Context(), migrate.Options{LockTimeout: 50 * time.Millisecond, Attempts: 100})
		if err != nil {
			t.Error(err)
		}
		done <- result
	}()
	close(release)
	if result := <-done; result.Migrated != 1 {
		t.Errorf("%+v", result)
	}
	if err := <-held; err != nil {
		t.Error(err)
	}
}

func TestAnotherBinarysDatabase(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	public, _ := product(t)
	newer := load(t, v2)
	up(t, migrate.New(db, public, newer))
	mustProvision(t, db, migrate.New(db, public, newer), "acme")
	result := up(t, migrate.New(db, public, load(t, v1)))
	if len(result.Failures) != 1 || !strings.Contains(result.Failures[0].Err.Error(), "newer") {
		t.Errorf("an old binary on a newer tenant: %+v", result)
	}
	for name, other := range map[string]struct {
		dir  *migrate.Directory
		want string
	}{
		"an older binary":    {load(t, files{}), "newer"},
		"another first file": {load(t, v1), "another"},
	} {
		engine := migrate.New(db, other.dir, newer)
		if _, err := engine.Up(t.Context(), migrate.Options{}); err == nil || !strings.Contains(err.Error(), other.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := engine.Check(t.Context()); err == nil || !strings.Contains(err.Error(), other.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDirectoriesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		want   string
	}{
		"edited":        {func(d fstest.MapFS) { d["20260101000001_init.up.sql"].Data = []byte("SELECT 2") }, "20260101000001_init.up.sql was edited"},
		"taken away":    {func(d fstest.MapFS) { delete(d, "20260101000001_init.up.sql") }, "was taken away"},
		"added":         {func(d fstest.MapFS) { d["20260101000009_x.up.sql"] = &fstest.MapFile{Data: []byte("SELECT 1")} }, "20260101000009_x.up.sql was added"},
		"no sum":        {func(d fstest.MapFS) { delete(d, "atlas.sum") }, "atlas.sum is missing"},
		"a broken sum":  {func(d fstest.MapFS) { d["atlas.sum"].Data = []byte("what?") }, "atlas.sum"},
		"misnamed":      {func(d fstest.MapFS) { d["readme.txt"] = &fstest.MapFile{} }, "readme.txt"},
		"a quoted name": {func(d fstest.MapFS) { d["20260101000001_o'x.up.sql"] = &fstest.MapFile{} }, "want VERSION_name"},
	} {
		fsys := directory(t, v2)
		c.change(fsys)
		if _, err := migrate.Load(fsys); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"nothing in it":     "-- nothing\n",
		"half a directive":  "-- atlas:txmode none\nCREATE INDEX CONCURRENTLY x ON y (z);",
		"a table apart":     "-- atlas:txmode none\n\nCREATE TABLE x (y int);",
		"a nameless index":  "-- atlas:txmode none\n\nCREATE INDEX CONCURRENTLY ON y (z);",
		"another mode":      "-- atlas:txmode all\n\nCREATE TABLE x (y int);",
		"an open quotation": "SELECT 'never ends",
	} {
		if _, err := migrate.Load(directory(t, files{"1_x": text})); err == nil || !strings.Contains(err.Error(), "20260101000001_x.up.sql") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzLoad holds that no file makes the reader panic, and that what it accepts
// has statements.
func FuzzLoad(f *testing.F) {
	f.Add("CREATE TABLE x (y int);")
	f.Add("DO $$ BEGIN; END $$; SELECT ';'")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := migrate.Load(directory(t, files{"1_x": text}))
		if err == nil && len(d.Migrations()[0].Statements) == 0 {
			t.Error("accepted, and nothing in it")
		}
	})
}
