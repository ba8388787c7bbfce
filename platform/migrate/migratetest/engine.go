// Package migratetest gives tests the product's own migrations.
package migratetest

import (
	"testing"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/migrate"
)

// NewEngine returns an engine of the product's migrations on a database whose schema
// public it has migrated.
func NewEngine(t testing.TB, db *database.DB, options ...migrate.Option) *migrate.Engine {
	t.Helper()
	public, err := migrate.Load(migrations.Public)
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := migrate.Load(migrations.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	engine := migrate.New(db, public, tenants, options...)
	if _, err := engine.Up(t.Context(), migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	return engine
}
