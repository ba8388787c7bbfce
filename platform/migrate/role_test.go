package migrate_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

// log is what a tenant's role may append to.
const log = `CREATE TABLE "log" (id bigserial PRIMARY KEY, line text)`

// trySQL runs a statement as the tenant's role and returns the code of the error.
func trySQL(t *testing.T, db *database.DB, schema tenant.Schema, statement string) string {
	t.Helper()
	_, err := db.Tenants().ExecContext(tenant.NewContext(t.Context(), schema), statement)
	if code := database.SQLState(err); err == nil || code != "" {
		return code
	}
	return err.Error()
}

// rights holds a role of a schema at v2 with the log to what it may do.
func rights(t *testing.T, db *database.DB, schema, other tenant.Schema) {
	t.Helper()
	const denied = "42501"
	for statement, want := range map[string]string{
		"INSERT INTO things (id) VALUES (7) ON CONFLICT DO NOTHING":          "",
		"UPDATE things SET colour = 'blue' WHERE id = 7":                     "",
		"SELECT id, colour FROM things FOR UPDATE":                           "",
		"DELETE FROM things":                                                 "",
		"INSERT INTO log (line) VALUES ('x')":                                "42501",
		"SELECT * FROM log":                                                  "",
		"UPDATE log SET line = ''":                                           denied,
		"DELETE FROM log":                                                    denied,
		"TRUNCATE log":                                                       denied,
		"SELECT * FROM _migrations":                                          denied,
		"INSERT INTO _migrations (filename, hash) VALUES ('', '')":           denied,
		"ALTER TABLE things ADD COLUMN x int":                                denied,
		"CREATE TABLE other (id int)":                                        denied,
		"SELECT * FROM public.tenants":                                       denied,
		"SELECT * FROM " + other.String() + ".things":                        denied,
		"INSERT INTO " + other.String() + ".log (line) VALUES ('not yours')": denied,
		"SELECT nextval('" + other.String() + ".log_id_seq')":                denied,
	} {
		if got := trySQL(t, db, schema, statement); got != want {
			t.Errorf("%s: %s: %q, want %q", schema, statement, got, want)
		}
	}
}

// TestRolesFromProvisioningToPurge follows tenants through everything that makes,
// changes and drops what their roles may do, on the direct way and through PgBouncer.
func TestRolesFromProvisioningToPurge(t *testing.T) {
	t.Parallel()
	for route, newURL := range map[string]func(t testing.TB) string{
		"direct":    localpgtest.NewDatabase,
		"pgbouncer": func(t testing.TB) string { return localpgtest.NewPgBouncer(t, localpgtest.NewDatabase(t)) },
	} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			f := &fleet{db: databasetest.Open(t, newURL(t))}
			logged := with(v2, files{"3_log": log})
			options := []migrate.Option{migrate.WithRoles(migrate.RolesOn), migrate.WithReadOnly("log", "not_there")}
			old, current := f.engine(t, v1, options...), f.engine(t, logged, options...)
			up(t, old)
			f.db.UseRoles(true)
			grown, late := mustProvision(t, f.db, old, "grown"), mustProvision(t, f.db, f.engine(t, v1), "late")
			if got := trySQL(t, f.db, grown, "INSERT INTO things (id) VALUES (1)"); got != "" {
				t.Errorf("at the first version: %s", got)
			}
			if got := trySQL(t, f.db, late, "SELECT 1"); !strings.Contains(got, "no role of its own") && got != "22023" {
				t.Errorf("without a role: %s", got)
			}
			if result := up(t, current); result.Migrated != 2 {
				t.Fatalf("%+v", result)
			}
			fresh := mustProvision(t, f.db, current, "fresh")
			rights(t, f.db, grown, fresh)
			rights(t, f.db, fresh, grown)

			for _, want := range []int{1, 0} { // once done there is nothing left
				result, err := current.CreateRoles(t.Context(), migrate.RolesOptions{})
				if err != nil || result.Done != want || len(result.Failures) > 0 {
					t.Errorf("%+v, %v", result, err)
				}
			}
			rights(t, f.db, late, fresh)

			// Somebody's hand: what a role has too much or too little is put right.
			ctx := tenant.NewContext(t.Context(), late)
			report, err := current.Roles(t.Context())
			if err != nil || report.Missing != 0 || report.Tenants != 3 || report.Superuser || !report.CanCreate {
				t.Errorf("%+v, %v", report, err)
			}
			role := `"` + database.RoleName(report.Database, late) + `"`
			if _, err := f.db.Owner().ExecContext(ctx, "REVOKE ALL ON things FROM "+role+"; GRANT ALL ON log, _migrations TO "+role); err != nil {
				t.Fatal(err)
			}
			if result, err := current.CreateRoles(t.Context(), migrate.RolesOptions{Repair: true}); err != nil || result.Done != 3 {
				t.Errorf("%+v, %v", result, err)
			}
			if got := trySQL(t, f.db, late, "DELETE FROM log"); got != "42501" {
				t.Errorf("after the repair: %q", got)
			}
			rights(t, f.db, fresh, late)

			if err := current.Deprovision(t.Context(), late); err != nil {
				t.Fatal(err)
			}
			if _, err := f.db.Registry().ExecContext(t.Context(), "DELETE FROM tenants WHERE schema_name = 'tenant_late'"); err != nil {
				t.Fatal(err)
			}
			roles := func() (n int) {
				if err := f.db.Registry().NewRaw("SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole").Scan(t.Context(), &n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			before := roles()
			if err := f.engine(t, logged).Deprovision(t.Context(), late); err != nil { // again, and without roles
				t.Error(err)
			}
			if again := mustProvision(t, f.db, current, "late"); true {
				rights(t, f.db, again, fresh)
			}
			if result, err := current.DropRoles(t.Context(), nil); err != nil || result.Done != 3 || len(result.Failures) > 0 {
				t.Errorf("%+v, %v", result, err)
			}
			if after := roles(); before == 0 || after != 0 {
				t.Errorf("%d memberships before, %d after", before, after)
			}
			f.db.UseRoles(false)
			if got := trySQL(t, f.db, grown, "SELECT * FROM _migrations"); got != "" {
				t.Errorf("with the login's rights: %s", got)
			}
		})
	}
}

// TestCreateRolesGoesPastWhatItCannotGive names the tenant that it fails for, and is
// not stopped by it. Nobody is left with half of a role.
func TestCreateRolesGoesPastWhatItCannotGive(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 45)
	f.exec(t, f.schemas[30], "DROP SCHEMA tenant_t030 CASCADE")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := f.old.CreateRoles(ctx, migrate.RolesOptions{Observe: func(p migrate.Progress) {
		if p.Done == 20 {
			cancel()
		}
	}})
	if err == nil {
		t.Error("an interrupted call returns no error")
	}
	report, err := f.old.Roles(t.Context())
	if err != nil || report.Missing != 25 {
		t.Errorf("after the interruption: %+v, %v", report, err)
	}
	result, err := f.old.CreateRoles(t.Context(), migrate.RolesOptions{})
	if err != nil || result.Done != 24 || len(result.Failures) != 1 || result.Failures[0].Schema != "tenant_t030" {
		t.Errorf("%+v, %v", result, err)
	}
	if report, err := f.old.Roles(t.Context()); err != nil || report.Missing != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestRolesNeedTheRightToMakeThem: a login without CREATEROLE is told so, and under
// auto does without.
func TestRolesNeedTheRightToMakeThem(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	f := &fleet{db: databasetest.Open(t, url)}
	f.old = f.engine(t, v1)
	up(t, f.old)
	f.schemas = []tenant.Schema{mustProvision(t, f.db, f.old, "first")}
	login, err := f.old.Roles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	superuser := databasetest.Open(t, localpgtest.Superuser(t, url))
	if _, err := superuser.Registry().ExecContext(t.Context(), "ALTER ROLE "+login.Login+" NOCREATEROLE"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.old.CreateRoles(t.Context(), migrate.RolesOptions{}); err == nil || !strings.Contains(err.Error(), "CREATEROLE") {
		t.Errorf("create: %v", err)
	}
	mustProvision(t, f.db, f.engine(t, v1, migrate.WithRoles(migrate.RolesAuto)), "auto")
	if _, err := provision(t, f.db, f.engine(t, v1, migrate.WithRoles(migrate.RolesOn)), "on"); database.SQLState(err) != "42501" {
		t.Errorf("a tenant that cannot get its role: %v", err)
	}
	if got := text(t, f.db, f.schemas[0], "SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_on'"); got != "0" {
		t.Error("half a tenant was made")
	}
	if err := f.old.Deprovision(t.Context(), f.schemas[0]); err != nil {
		t.Errorf("a tenant without a role is purged all the same: %v", err)
	}
}

func TestWhereRolesAreUsed(t *testing.T) {
	t.Parallel()
	able := migrate.RolesReport{Login: "app", ServerVersion: 150004, CanCreate: true, Tenants: 100}
	change := func(f func(*migrate.RolesReport)) migrate.RolesReport { r := able; f(&r); return r }
	for name, c := range map[string]struct {
		report migrate.RolesReport
		mode   migrate.Roles
		use    bool
		reason string
	}{
		"auto":                  {able, migrate.RolesAuto, true, ""},
		"off":                   {able, migrate.RolesOff, false, "off"},
		"on, whatever there is": {change(func(r *migrate.RolesReport) { r.Missing, r.CanCreate = 5, false }), migrate.RolesOn, true, ""},
		"one is missing":        {change(func(r *migrate.RolesReport) { r.Missing = 1 }), migrate.RolesAuto, false, "tenon tenants roles create"},
		"no right":              {change(func(r *migrate.RolesReport) { r.CanCreate = false }), migrate.RolesAuto, false, "CREATEROLE"},
		"many on 15":            {change(func(r *migrate.RolesReport) { r.Tenants = 2501 }), migrate.RolesAuto, false, "PostgreSQL 15"},
		"as many on 16":         {change(func(r *migrate.RolesReport) { r.Tenants, r.ServerVersion = 2501, 160001 }), migrate.RolesAuto, true, ""},
		"more on 16":            {change(func(r *migrate.RolesReport) { r.Tenants, r.ServerVersion = 5001, 160001 }), migrate.RolesAuto, false, "PostgreSQL 16"},
		"as many on 18":         {change(func(r *migrate.RolesReport) { r.Tenants, r.ServerVersion = 10000, 180000 }), migrate.RolesAuto, true, ""},
	} {
		if use, reason := c.report.Use(c.mode); use != c.use || !strings.Contains(reason, c.reason) || use != (reason == "") {
			t.Errorf("%s: %v, %q", name, use, reason)
		}
	}
}

// TestSeparateStatements holds that it makes no difference to anybody but the
// server whether a transaction is one message.
func TestSeparateStatements(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	content := with(v2, files{"2_colour!": "DROP INDEX things_colour; ALTER TABLE things DROP COLUMN colour"})
	separately := f.engine(t, content, migrate.WithSeparateStatements(true), migrate.WithRoles(migrate.RolesOn))
	f.exec(t, f.schemas[2], "ALTER TABLE things ADD COLUMN colour int")
	if rehearsal, err := separately.Rehearse(t.Context(), migrate.Options{}); err != nil || rehearsal.Tenants != 3 || len(rehearsal.Failures) != 1 || rehearsal.Longest == 0 {
		t.Errorf("%+v, %v", rehearsal, err)
	}
	f.at(t, 1)
	result := up(t, separately)
	if result.Migrated != 2 || len(result.Failures) != 1 {
		t.Fatalf("%+v", result)
	}
	if got := text(t, f.db, f.schemas[2], "SELECT count(*) FROM _migrations"); got != "1" {
		t.Errorf("the tenant that failed is half migrated: %s revisions", got)
	}
	fresh, plain := mustProvision(t, f.db, separately, "fresh"), mustProvision(t, f.db, f.engine(t, content), "plain")
	for _, schema := range []tenant.Schema{fresh, f.schemas[0]} {
		if got := text(t, f.db, schema, "SELECT count(DISTINCT schema_fingerprint) FROM public.tenants WHERE schema_name IN (?, ?)", schema.String(), plain.String()); got != "1" {
			t.Errorf("%s is not what one message makes", schema)
		}
	}
	back, err := separately.Down(t.Context(), migrate.DownOptions{To: "20260101000001", AllowDestructive: true, Options: migrate.Options{Only: []string{"t000"}}})
	if err != nil || back.Migrated != 1 {
		t.Errorf("%+v, %v", back, err)
	}
}
