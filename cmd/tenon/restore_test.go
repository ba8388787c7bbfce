package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/testtool"
)

// TestOneTenantIsRestored is the drill of the operations guide: a tenant's schema
// from a backup, while the others go on.
func TestOneTenantIsRestored(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.newUser(t, "Ada")
	acme, other := p.newOrganization(t, "Acme", "acme", ada), p.newOrganization(t, "Other", "other", ada)
	token := p.token(t, ada, acme)
	projects := func(slug, token string) string {
		t.Helper()
		got := p.call(t, http.MethodGet, "/api/tenants/"+slug+"/projects", token, nil)
		if got.status != http.StatusOK {
			t.Errorf("%s: %d %s", slug, got.status, got.body)
		}
		return got.body
	}
	if got := p.call(t, http.MethodPost, "/api/tenants/acme/projects", token, map[string]string{"name": "Precious"}); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.body)
	}
	conn, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var schema string
	if err := conn.QueryRow(t.Context(), `SELECT schema_name FROM tenants WHERE slug = 'acme'`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	var server int
	if err := conn.QueryRow(t.Context(), `SELECT current_setting('server_version_num')::int / 10000`).Scan(&server); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(testtool.Path(t, "pg_dump"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var dumper int
	if _, err := fmt.Sscan(between(string(said), ") ", "."), &dumper); err == nil && dumper < server {
		t.Skipf("pg_dump %d cannot dump PostgreSQL %d: on-version.sh brings a server alone", dumper, server)
	}
	backup := filepath.Join(t.TempDir(), "acme.dump")
	run := func(name string, args ...string) {
		t.Helper()
		if output, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, output)
		}
	}
	tenon := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := execute(t, []string{"DATABASE_URL=" + p.DatabaseURL}, args...)
		if code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, stderr)
		}
		return stdout
	}
	run("pg_dump", "--format=custom", "--schema="+schema, "--file="+backup, p.DatabaseURL)

	if got := p.call(t, http.MethodDelete, "/api/tenants/acme/projects/precious", token, nil); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	tenon("tenants", "suspend", "acme")
	run("psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--command=DROP SCHEMA "+pgx.Identifier{schema}.Sanitize()+" CASCADE", p.DatabaseURL)
	run("pg_restore", "--exit-on-error", "--single-transaction", "--dbname="+p.DatabaseURL, backup)
	if said := tenon("migrate", "adopt", "--only", "acme"); !strings.Contains(said, schema) {
		t.Error(said)
	}
	tenon("migrate", "up", "--only", "acme")
	tenon("migrate", "verify", "--only", "acme")
	projects("other", p.token(t, ada, other))
	tenon("tenants", "activate", "acme")
	if got := projects("acme", token); !strings.Contains(got, "precious") {
		t.Errorf("the project is not back: %s", got)
	}
	if got := p.call(t, http.MethodPost, "/api/tenants/acme/projects", token, map[string]string{"name": "Next"}); got.status != http.StatusCreated {
		t.Errorf("after the restoration: %d %s", got.status, got.body)
	}
}
