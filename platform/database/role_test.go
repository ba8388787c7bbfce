package database_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/tenant"
)

func TestRoleNames(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	names := map[string]bool{}
	for _, name := range []string{"one", `o"ther`, "", strings.Repeat("x", 63), "ümläut"} {
		for _, schema := range []tenant.Schema{tenantA, tenantB, tenant.MustParse("tenant_" + strings.Repeat("0", 55) + "1")} {
			role := database.RoleName(name, schema)
			if len(role) > 63 || strings.ContainsAny(role, `"\`) || !strings.HasPrefix(role, "tenant_") {
				t.Errorf("RoleName(%q, %s) = %q", name, schema, role)
			}
			names[role] = true
			var inSQL string
			if err := db.Registry().NewRaw("SELECT "+database.RoleNameSQL(strings.ReplaceAll(name, "?", ""), "s")+" FROM (VALUES (?)) v (s)", schema.String()).Scan(t.Context(), &inSQL); err != nil || inSQL != role {
				t.Errorf("in SQL %q, %v; want %q", inSQL, err, role)
			}
		}
	}
	if len(names) != 15 {
		t.Errorf("%d names of 15 roles", len(names))
	}
}

func TestRolesOnTheWire(t *testing.T) {
	t.Parallel()
	recorder, url := newRecorder(t, localpgtest.NewDatabase(t))
	db := openTenants(t, url)
	databasetest.GiveRole(t, db, tenantA)
	ctx := inA(t)
	var name string
	if err := db.Registry().QueryRowContext(ctx, "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	prefix := pathA + `SET LOCAL ROLE "` + database.RoleName(name, tenantA) + `"; `
	exec := func(ctx context.Context) error {
		_, err := db.Tenants().ExecContext(ctx, oneQuery)
		return err
	}
	db.UseRoles(true)
	recorder.take()
	if err := exec(ctx); err != nil {
		t.Fatal(err)
	}
	recorder.expect(t, "Q SELECT current_database()::text", "Q "+prefix+oneQuery)
	if err := db.InTenantTx(ctx, exec); err != nil {
		t.Fatal(err)
	}
	recorder.expect(t, "Q BEGIN; "+prefix, "Q "+oneQuery, "Q COMMIT")
	if err := db.InSystemTx(ctx, exec); err != nil {
		t.Fatal(err)
	}
	recorder.expect(t, "Q BEGIN; ", "Q "+pathA+oneQuery, "Q COMMIT")
	if _, err := db.Owner().ExecContext(ctx, oneQuery); err != nil {
		t.Fatal(err)
	}
	recorder.expect(t, "Q "+pathA+oneQuery)
	if err := db.InTenantTx(ctx, func(ctx context.Context) error {
		if _, err := db.Owner().ExecContext(ctx, oneQuery); !errors.Is(err, database.ErrOtherScope) {
			t.Errorf("the owner's rights within a tenant's transaction: %v", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	db.UseRoles(false)
	recorder.take()
	if err := exec(ctx); err != nil {
		t.Fatal(err)
	}
	recorder.expect(t, "Q "+pathA+oneQuery)
}

// TestATenantWithoutARole gets an error that says so, and nothing of the login's.
func TestATenantWithoutARole(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, url string) {
		db := openTenants(t, url)
		db.UseRoles(true)
		err := db.InTenantTx(inB(t), func(context.Context) error { return nil })
		if !errors.Is(err, database.ErrNoRole) {
			t.Errorf("a transaction: %v", err)
		}
		for range 2 * databasetest.MaxOpenConns { // no connection is spoiled by it
			if _, err := db.Tenants().ExecContext(inB(t), oneQuery); !errors.Is(err, database.ErrNoRole) {
				t.Errorf("Exec: %v", err)
			}
			if err := db.Tenants().QueryRowContext(inB(t), oneQuery).Scan(new(int)); !errors.Is(err, database.ErrNoRole) {
				t.Errorf("Query: %v", err)
			}
		}
		databasetest.GiveRole(t, db, tenantB)
		if _, err := db.Tenants().ExecContext(inB(t), "SELECT count(*) FROM users"); err != nil {
			t.Error(err)
		}
		// The login lost the right to take the role on.
		if _, err := db.Registry().ExecContext(t.Context(), `DO $$ DECLARE r name; BEGIN
			SELECT rolname INTO r FROM pg_roles JOIN pg_auth_members m ON m.roleid = pg_roles.oid WHERE m.member = current_user::regrole AND rolname LIKE 'tenant%';
			EXECUTE format('REVOKE %I FROM CURRENT_USER', r); END $$`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Tenants().ExecContext(inB(t), oneQuery); !errors.Is(err, database.ErrNoRole) {
			t.Errorf("without membership: %v", err)
		}
	})
}
