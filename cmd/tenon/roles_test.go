package main

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// TestTheDevelopmentLogin is an ordinary one that owns everything, also in a
// database that was made before there was one.
func TestTheDevelopmentLogin(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{Instance: "test-login", Exclusive: true}
	if err := localpg.Reset(cfg); err != nil {
		t.Fatal(err)
	}
	server, err := localpg.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	query := func(url, statement string) (value string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if err := conn.QueryRow(t.Context(), statement).Scan(&value); err != nil && err != pgx.ErrNoRows {
			t.Fatal(err)
		}
		return value
	}
	query(server.URL("postgres"), "CREATE DATABASE "+localDatabase)
	query(server.URL(localDatabase), "CREATE SCHEMA tenant_old")
	query(server.URL(localDatabase), "CREATE TABLE tenant_old.users (id bigserial)")
	query(server.URL(localDatabase), "CREATE TABLE tenants (id text)")
	for range 2 {
		url, err := createDatabase(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		if got := query(url, "SELECT rolname || rolsuper || rolcreaterole FROM pg_roles WHERE rolname = current_user"); got != localLogin+"falsetrue" {
			t.Errorf("the login is %s", got)
		}
		for _, statement := range []string{
			"ALTER TABLE tenant_old.users ADD COLUMN IF NOT EXISTS name text", "INSERT INTO tenant_old.users (name) VALUES ('Ada')",
			"ALTER TABLE tenants ADD COLUMN IF NOT EXISTS name text", "CREATE TABLE IF NOT EXISTS more (id int)", "CREATE SCHEMA IF NOT EXISTS tenant_new",
		} {
			query(url, statement)
		}
	}
}

// TestRolesOnTheCommandLine gives roles to a fleet that has none, sees them, and takes
// them away.
func TestRolesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	environ := func(mode string) []string { return []string{"DATABASE_URL=" + url, "TENANT_ROLES=" + mode} }
	for _, step := range []struct {
		mode, command string
		code          int
		want          string
	}{
		{"off", "migrate up", 0, ""},
		{"off", "seed --tenants 3 --users 1 --projects 1", 0, "Seeded 3 tenants"},
		{"on", "tenants roles status", 0, "0 of 3 tenants have a role"},
		{"auto", "tenants roles status", 0, "3 of 3 tenants have no role (tenon tenants roles create)"},
		{"auto", "tenants roles create", 0, "3 tenants have their role"},
		{"auto", "tenants roles create", 0, "0 tenants have their role"},
		{"auto", "tenants roles create --repair", 0, "3 tenants have their role"},
		{"auto", "tenants roles status", 0, "TENANT_ROLES=auto: statements run by tenants' roles"},
		{"auto", "tenants roles status --json", 0, `"missing":0`},
		{"on", "tenants roles drop", 2, "--yes"},
		{"maybe", "tenants roles status", 2, "want on, off or auto"},
		{"off", "tenants roles drop --yes", 0, "3 tenants have no role any more"},
		{"auto", "tenants roles status", 0, "0 of 3"},
	} {
		code, stdout, stderr := execute(t, environ(step.mode), strings.Fields(step.command)...)
		if output := stdout + stderr; code != step.code || !strings.Contains(output, step.want) {
			t.Errorf("TENANT_ROLES=%s tenon %s: exit %d, %s", step.mode, step.command, code, output)
		}
	}
}
