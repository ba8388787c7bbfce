package databasetest

import (
	"context"
	"testing"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/tenant"
)

// MaxOpenConns is the size of the pools that this package opens: small, so
// that tests share connections as production does.
const MaxOpenConns = 4

// Open returns a pool on url that is closed when the test ends.
func Open(t testing.TB, url string) *database.DB {
	t.Helper()
	db, err := database.Open(database.Config{URL: url, MaxOpenConns: MaxOpenConns, ApplicationName: "databasetest"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the pool: %v", err)
		}
	})
	return db
}

// GiveRole makes the role of a schema that exists, with rights to what is in it.
func GiveRole(t testing.TB, db *database.DB, schema tenant.Schema) {
	t.Helper()
	ctx := tenant.NewContext(context.Background(), schema)
	var (
		name    string
		version int
	)
	if err := db.Registry().QueryRowContext(ctx, "SELECT current_database(), current_setting('server_version_num')::int").Scan(&name, &version); err != nil {
		t.Fatal(err)
	}
	role, within, option := `"`+database.RoleName(name, schema)+`"`, `"`+schema.String()+`"`, ""
	if version >= 160000 {
		option = " WITH SET TRUE, INHERIT FALSE"
	}
	_, err := db.Owner().ExecContext(ctx, "CREATE ROLE "+role+"; GRANT "+role+" TO CURRENT_USER"+option+"; GRANT USAGE ON SCHEMA "+within+" TO "+role+
		"; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+within+" TO "+role)
	if err != nil {
		t.Fatalf("give %s a role: %v", schema, err)
	}
}

// CreateTenant creates the schema and runs ddl in it.
func CreateTenant(t testing.TB, db *database.DB, schema tenant.Schema, ddl string) {
	t.Helper()
	ctx := tenant.NewContext(context.Background(), schema)
	err := db.InSystemTx(ctx, func(ctx context.Context) error {
		if _, err := db.Registry().NewRaw("CREATE SCHEMA ?", identifier(schema)).Exec(ctx); err != nil {
			return err
		}
		_, err := db.Tenants().ExecContext(ctx, ddl)
		return err
	})
	if err != nil {
		t.Fatalf("create %s: %v", schema, err)
	}
}
