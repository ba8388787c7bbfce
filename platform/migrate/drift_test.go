package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/migrate"
)

// alterations are things that somebody does to a tenant's schema by hand, with
// what the difference has to name.
var alterations = map[string][2]string{
	"a column":      {`ALTER TABLE things ADD COLUMN extra int`, "+ column things extra integer"},
	"a default":     {`ALTER TABLE things ALTER COLUMN colour SET DEFAULT 'blue'`, "not null   'blue'::text"},
	"no default":    {`ALTER TABLE things ALTER COLUMN colour DROP DEFAULT`, "not null   'red'::text"},
	"a type":        {`ALTER TABLE things ALTER COLUMN name TYPE varchar(20)`, "+ column things name character varying(20)"},
	"null":          {`ALTER TABLE things ALTER COLUMN name DROP NOT NULL`, "- column things name text not null"},
	"no index":      {`DROP INDEX things_colour`, "- index CREATE INDEX things_colour"},
	"an index":      {`CREATE INDEX more ON things (name)`, "+ index CREATE INDEX more"},
	"a constraint":  {`ALTER TABLE things ADD CHECK (name <> '')`, "+ constraint things things_name_check"},
	"a table":       {`CREATE TABLE more (id int)`, "+ relation r more"},
	"a view":        {`CREATE VIEW v AS SELECT id FROM things`, "+ relation v v"},
	"a function":    {`CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`, "+ function CREATE OR REPLACE FUNCTION f()"},
	"a trigger":     {`CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER x BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION g()`, "+ trigger CREATE TRIGGER x"},
	"a sequence":    {`CREATE SEQUENCE s`, "+ sequence s"},
	"a policy":      {`ALTER TABLE things ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON things USING (true)`, "+ policy things p"},
	"an enum":       {`CREATE TYPE mood AS ENUM ('fine')`, "+ enum mood 'fine'"},
	"no primary":    {`ALTER TABLE things DROP CONSTRAINT things_pkey`, "- constraint things things_pkey PRIMARY KEY"},
	"another order": {`DROP INDEX things_colour; CREATE INDEX things_colour ON things (colour DESC)`, "+ index CREATE INDEX things_colour ON things USING btree (colour DESC)"},
}

func TestDrift(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	engine := f.engine(t, v2)
	up(t, engine)
	names := map[string]string{}
	for what, alteration := range alterations {
		name := strings.ReplaceAll(strings.ReplaceAll(what, " ", "_"), "'", "")
		schema := mustProvision(t, f.db, engine, name)
		names[schema.String()] = what
		f.exec(t, schema, alteration[0])
	}
	f.exec(t, f.schemas[0], `DROP SCHEMA tenant_t000 CASCADE`)
	mustProvision(t, f.db, f.old, "old")
	mustProvision(t, f.db, f.engine(t, with(v2, files{"3_new": "CREATE TABLE more (id int)"})), "newer")

	drifts, looked, err := engine.Drift(t.Context(), migrate.Options{})
	if err != nil || looked != len(alterations)+5 || len(drifts) != len(alterations)+1 {
		t.Fatalf("%d of %d, %v", len(drifts), looked, err)
	}
	for _, d := range drifts {
		if d.Schema == "tenant_t000" {
			if !d.Missing {
				t.Errorf("%+v", d)
			}
			continue
		}
		want := alterations[names[d.Schema]][1]
		if !slices.ContainsFunc(d.Lines, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("%s: %q, want %q", d.Schema, d.Lines, want)
		}
		if slices.ContainsFunc(d.Lines, func(line string) bool {
			return strings.Contains(line, d.Schema) || strings.Contains(line, "tenant_verify")
		}) {
			t.Errorf("a difference names the schema: %q", d.Lines)
		}
	}
	if drifts, looked, err = engine.Drift(t.Context(), migrate.Options{Only: []string{"t001"}}); err != nil || looked != 1 || len(drifts) != 0 {
		t.Errorf("%+v, %d, %v", drifts, looked, err)
	}
}

func TestDriftOfPublic(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ alteration, want string }{
		"nothing":       {`SELECT 1`, ""},
		"more":          {`CREATE TABLE more (id int); CREATE FUNCTION audit_more() RETURNS int LANGUAGE sql AS 'SELECT 1'`, ""},
		"a function":    {`CREATE OR REPLACE FUNCTION audit_tenant() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`, "- function CREATE OR REPLACE FUNCTION audit_tenant()"},
		"its path":      {`ALTER FUNCTION audit_append RESET search_path`, "- function CREATE OR REPLACE FUNCTION audit_append("},
		"no trigger":    {`ALTER TABLE tenants DISABLE TRIGGER tenants_audit_updated`, "- trigger CREATE CONSTRAINT TRIGGER tenants_audit_updated"},
		"no index":      {`DROP INDEX tenants_slug_key`, "- index CREATE UNIQUE INDEX tenants_slug_key ON tenants"},
		"a foreign key": {`ALTER TABLE migration_run_tenants DROP CONSTRAINT migration_run_tenants_run_id_fkey`, "- constraint migration_run_tenants migration_run_tenants_run_id_fkey"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1)
			if _, err := f.db.Registry().ExecContext(t.Context(), c.alteration); err != nil {
				t.Fatal(err)
			}
			drifts, looked, err := f.old.Drift(t.Context(), migrate.Options{})
			switch {
			case err != nil || looked != 1:
				t.Fatalf("%+v, %d, %v", drifts, looked, err)
			case c.want == "":
				if len(drifts) > 0 {
					t.Errorf("%+v", drifts)
				}
			case len(drifts) != 1 || drifts[0].Schema != "public" || drifts[0].Version == "" || len(drifts[0].Lines) != 1 || !strings.HasPrefix(drifts[0].Lines[0], c.want):
				t.Errorf("%+v, want %q", drifts, c.want)
			}
			if drifts, _, err := f.old.Drift(t.Context(), migrate.Options{Only: []string{"t000"}}); err != nil || len(drifts) > 0 {
				t.Errorf("of a tenant alone: %+v, %v", drifts, err)
			}
		})
	}
}

// TestDriftOfPublicBetweenVersions holds that public is held against what was applied
// to it.
func TestDriftOfPublicBetweenVersions(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	next := migrate.New(f.db, publicAnd(t, `DROP FUNCTION audit_tenant CASCADE`), load(t, v1))
	for _, of := range []struct {
		when   string
		engine *migrate.Engine
	}{{"behind", next}, {"up to date", next}, {"ahead", f.old}} {
		if of.when == "up to date" {
			up(t, next)
		}
		if drifts, _, err := of.engine.Drift(t.Context(), migrate.Options{}); err != nil || len(drifts) > 0 {
			t.Errorf("%s: %+v, %v", of.when, drifts, err)
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 7)
	engine := f.engine(t, v2)
	up(t, engine)
	f.exec(t, f.schemas[0], `DROP SCHEMA tenant_t000 CASCADE`)
	f.exec(t, f.schemas[1], `DROP TABLE _migrations`)
	f.exec(t, f.schemas[2], `UPDATE _migrations SET hash = 'h1:<other>&' WHERE id = 1`)
	f.exec(t, f.schemas[3], `ALTER TABLE _migrations DROP COLUMN hash`)
	f.exec(t, f.schemas[4], `DROP INDEX things_colour`)
	// As an upgrade of PostgreSQL leaves those whose definitions it prints otherwise.
	f.exec(t, f.schemas[4], `UPDATE public.tenants SET schema_fingerprint = 'another' WHERE slug IN ('t004', 't005')`)
	f.exec(t, f.schemas[6], `CREATE SCHEMA tenant_nobody`)
	mustProvision(t, f.db, f.engine(t, with(v2, files{"3_new": "CREATE TABLE more (id int)"})), "newer")
	want := map[string]string{
		"tenant_t000": "gone", "tenant_t001": "_migrations is gone", "tenant_t002": "does not hold", "tenant_t003": "_migrations is gone",
		"tenant_t004": "altered", "tenant_newer": "does not have", "tenant_nobody": "no tenant",
	}
	mismatches, looked, err := engine.Audit(t.Context(), migrate.Options{})
	if err != nil || looked != 8 || len(mismatches) != len(want) {
		t.Fatalf("%+v, %d, %v", mismatches, looked, err)
	}
	for _, m := range mismatches {
		if !strings.Contains(m.Problem, want[m.Schema]) || want[m.Schema] == "" {
			t.Errorf("%+v", m)
		}
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	engine := f.engine(t, v2)
	if _, err := engine.Up(t.Context(), migrate.Options{Except: []string{"t000"}}); err != nil {
		t.Fatal(err)
	}
	// As a restored backup leaves it: older than the registry says.
	if _, err := f.db.Registry().ExecContext(t.Context(), `UPDATE tenants SET schema_version = '20260101000002' WHERE slug = 't000'`); err != nil {
		t.Fatal(err)
	}
	f.exec(t, f.schemas[1], `DROP SCHEMA tenant_t001 CASCADE`)
	f.exec(t, f.schemas[2], `UPDATE _migrations SET hash = 'h1:other'`)

	for name, want := range map[string]fault.Kind{"t001": fault.Conflict, "t002": fault.Conflict, "nobody": fault.Invalid} {
		if adopted, err := engine.Adopt(t.Context(), []string{"t000", name}); !fault.Is(err, want) || adopted != nil {
			t.Errorf("with %s: %v, %v", name, adopted, err)
		}
	}
	if _, err := engine.Adopt(t.Context(), nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("without names: %v", err)
	}
	if got := f.at(t, 1); len(got) != 0 {
		t.Errorf("a refused adoption changed %v", got)
	}
	adopted, err := engine.Adopt(t.Context(), []string{"t000", "t003"})
	if err != nil || len(adopted) != 2 || adopted[0].From != "20260101000002" || adopted[0].To != "20260101000001" || adopted[1].From != adopted[1].To {
		t.Fatalf("%+v, %v", adopted, err)
	}
	if wrong, _, err := engine.Audit(t.Context(), migrate.Options{Only: []string{"t000", "t003"}}); err != nil || len(wrong) != 0 {
		t.Errorf("%+v, %v", wrong, err)
	}
	if result, err := engine.Up(t.Context(), migrate.Options{Only: []string{"t000"}}); err != nil || len(result.Failures) != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if wrong, _, err := engine.Audit(t.Context(), migrate.Options{Only: []string{"t000"}}); err != nil || len(wrong) != 0 {
		t.Errorf("once migrated: %+v, %v", wrong, err)
	}
}
