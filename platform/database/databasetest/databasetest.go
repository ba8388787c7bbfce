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
