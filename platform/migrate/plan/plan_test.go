package plan_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/migrate/plan"
	"github.com/tenonhq/tenon/platform/tenant"
)

// noted is in public, and triggers below call it.
const noted = "CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"

func scratch(t *testing.T, public string) *plan.Scratch {
	t.Helper()
	s, err := plan.OpenScratch(t.Context(), localpgtest.NewDatabase(t), public)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func directory(t *testing.T, path string) *plan.Directory {
	t.Helper()
	d, err := plan.OpenDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTheProductsDirectories holds that Atlas has nothing to plan for what is
// committed.
func TestTheProductsDirectories(t *testing.T) {
	t.Parallel()
	s := scratch(t, migrations.PublicSchema)
	for path, desired := range map[string]string{"public": migrations.PublicSchema, "tenant": migrations.TenantSchema} {
		names, err := plan.Diff(t.Context(), s, directory(t, filepath.Join("../../../migrations", path)), desired, "nothing")
		if err != nil || len(names) > 0 {
			t.Errorf("%s: %v, %v", path, names, err)
			for _, name := range names { // not to be left in the tree
				_ = os.Remove(filepath.Join("../../../migrations", path, name))
			}
		}
	}
}

const (
	desired1 = `CREATE TYPE mood AS ENUM ('good', 'bad');
		CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY, name text NOT NULL, mood mood NOT NULL DEFAULT 'good', CONSTRAINT people_pkey PRIMARY KEY (id));`
	desired2 = `CREATE TYPE mood AS ENUM ('good', 'bad', 'ugly');
		CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY, name text NOT NULL, mood mood NOT NULL DEFAULT 'good', phone text NOT NULL DEFAULT '', CONSTRAINT people_pkey PRIMARY KEY (id));
		CREATE UNIQUE INDEX people_name_key ON people (lower(name)) WHERE name <> '';`
)

// TestDiff goes the way of an author, and of the engine that applies the result.
func TestDiff(t *testing.T) {
	t.Parallel()
	s, path := scratch(t, ""), t.TempDir()
	d := directory(t, path)
	db := databasetest.New(t)
	for i, step := range []struct{ name, desired string }{{"init", desired1}, {"add_phone", desired2}, {"nothing", desired2}} {
		names, err := plan.Diff(t.Context(), s, d, step.desired, step.name)
		if err != nil {
			t.Fatal(err)
		}
		if (len(names) == 0) != (step.name == "nothing") {
			t.Errorf("%s writes %v", step.name, names)
		}
		for _, name := range names {
			content, err := os.ReadFile(filepath.Join(path, name))
			if err != nil || !strings.Contains(name, step.name) || strings.Contains(string(content), "tenon_scratch") || len(content) == 0 {
				t.Errorf("%s: %s, %v", name, content, err)
			}
		}
		loaded, err := migrate.Load(os.DirFS(path))
		if err != nil {
			t.Fatal(err)
		}
		if want := min(i+1, 2); len(loaded.Migrations()) != want {
			t.Errorf("%d migrations, want %d", len(loaded.Migrations()), want)
		}
		if err := migrate.Verify(t.Context(), db, loaded, step.desired); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	down, err := filepath.Glob(filepath.Join(path, "*_add_phone.down.sql"))
	if err != nil || len(down) != 1 {
		t.Fatalf("%v, %v", down, err)
	}
	content, err := os.ReadFile(down[0])
	if err != nil || !strings.Contains(string(content), `DROP COLUMN "phone"`) || !strings.Contains(string(content), `DROP INDEX "people_name_key"`) {
		t.Errorf("the reverse is %s, %v", content, err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	s, path := scratch(t, ""), t.TempDir()
	d := directory(t, path)
	for _, name := range []string{"", "Add", "a b", "../x", "a__b", "_a"} {
		if _, err := plan.Diff(t.Context(), s, d, desired1, name); !errors.Is(err, plan.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := d.New(name); !errors.Is(err, plan.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := plan.Diff(t.Context(), s, d, "CREATE TABLE (", "x"); err == nil || !strings.Contains(err.Error(), "desired") {
		t.Errorf("a desired state that is none: %v", err)
	}
	paths, err := d.New("by_hand")
	if err != nil || len(paths) != 2 {
		t.Fatalf("%v, %v", paths, err)
	}
	if _, err := plan.Diff(t.Context(), s, d, desired1, "x"); err == nil || !strings.Contains(err.Error(), "validate") {
		t.Errorf("a directory whose sum is missing: %v", err)
	}
	if err := d.Hash(); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(path, "*_x.*")); err != nil || len(left) > 0 {
		t.Errorf("a refused diff leaves %v", left)
	}
	if _, err := plan.OpenDirectory(filepath.Join(path, "none")); err == nil {
		t.Error("a directory that is not there")
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	s, path := scratch(t, noted), t.TempDir()
	d := directory(t, path)
	for name, content := range map[string]string{
		"20260101000001_init.up.sql":    "CREATE TABLE a (id int PRIMARY KEY, name text);\nCREATE TABLE b (id int);\nCREATE TABLE c (name text);\nCREATE TRIGGER c_noted AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION public.noted();",
		"20260101000002_changes.up.sql": "DROP TABLE b;\nALTER TABLE a ADD COLUMN must text NOT NULL;\nCREATE INDEX a_name ON a (name);\nCREATE UNIQUE INDEX a_name_key ON a (name);\nALTER TABLE c RENAME COLUMN name TO title;",
	} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Hash(); err != nil {
		t.Fatal(err)
	}
	codes := func(options plan.LintOptions) string {
		t.Helper()
		findings, err := plan.Lint(t.Context(), s, d, options)
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, finding := range findings {
			codes = append(codes, finding.Code)
			if finding.Line < 1 || finding.Text == "" || !strings.HasPrefix(finding.String(), "20260101000002_changes.up.sql:") {
				t.Errorf("%+v", finding)
			}
		}
		return strings.Join(codes, " ")
	}
	for code, what := range map[string]string{"DS102": "a dropped table", "MF103": "a column without a default", "MF101": "a unique index", "DS103": "a renamed column, which is gone for who knew its name", "TN101": "an index that blocks"} {
		found := codes(plan.LintOptions{Latest: 1, Concurrently: true})
		if !strings.Contains(found, code) {
			t.Errorf("%s is not found in %s", what, found)
		}
	}
	if found := codes(plan.LintOptions{}); strings.Contains(found, "TN101") {
		t.Errorf("an index that blocks is reported without being asked: %s", found)
	}
}

func TestRepair(t *testing.T) {
	t.Parallel()
	s, live := scratch(t, noted), localpgtest.NewDatabase(t)
	db := databasetest.Open(t, live)
	if _, err := db.Registry().ExecContext(t.Context(), noted); err != nil {
		t.Fatal(err)
	}
	const should = "CREATE TYPE mood AS ENUM ('fine', 'bad'); CREATE TABLE things (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood NOT NULL DEFAULT 'fine', name text NOT NULL); CREATE INDEX things_name ON things (name);" +
		"CREATE TRIGGER things_noted AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION public.noted();"
	for name, c := range map[string]struct {
		altered string
		want    []string
	}{
		"same":    {"", nil},
		"altered": {"DROP INDEX things_name; ALTER TABLE things ALTER COLUMN name DROP NOT NULL, ADD COLUMN extra int;", []string{"CREATE INDEX \"things_name\" ON \"things\"", "DROP COLUMN \"extra\"", "SET NOT NULL"}},
		"gone":    {"DROP TABLE things;", []string{"CREATE TABLE \"things\""}},
	} {
		schema := tenant.MustParse("tenant_" + name)
		databasetest.CreateTenant(t, db, schema, "CREATE TABLE _migrations (id int);"+should+c.altered)
		got, err := plan.Repair(t.Context(), s, live, schema.String(), should)
		if err != nil || (got == "") != (len(c.want) == 0) || strings.Contains(got, "_migrations") || strings.Contains(got, "tenant_") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if _, err := db.Tenants().ExecContext(tenant.NewContext(t.Context(), schema), got+";SELECT 1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, err := plan.Repair(t.Context(), s, live, schema.String(), should); err != nil || again != "" {
			t.Errorf("%s: still %q, %v", name, again, err)
		}
	}
	if _, err := plan.Repair(t.Context(), s, live, "tenant_nowhere", should); err == nil {
		t.Error("a schema that does not exist is repaired")
	}
	if _, err := plan.Repair(t.Context(), s, "postgres://u:s3cr3t@%zz/", "tenant_same", should); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("%v", err)
	}
}
