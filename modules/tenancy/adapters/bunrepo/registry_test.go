package bunrepo_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/tenancy/tenancytest"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/migrate/migratetest"
	"github.com/tenonhq/tenon/platform/tenant"
)

// newDatabase returns a database whose public schema is migrated.
func newDatabase(t testing.TB) (*database.DB, *migrate.Engine) {
	t.Helper()
	db := databasetest.New(t)
	return db, migratetest.NewEngine(t, db)
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	tenancytest.RunRegistry(t, func(t *testing.T) tenancy.Registry {
		db, _ := newDatabase(t)
		return bunrepo.NewRegistry(db)
	})
}

// schemas returns the tenants' schemas that the database really has.
func schemas(t testing.TB, db *database.DB) (n int) {
	t.Helper()
	if err := db.Registry().QueryRowContext(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant\_%'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestManyAtOnce has the webhook and the first request bring the same
// organizations in, several of which ask for one slug.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	db, engine := newDatabase(t)
	service := tenancy.NewService(bunrepo.NewRegistry(db), engine, db)
	const organizations, times = 5, 4
	var group sync.WaitGroup
	for i := range organizations * times {
		group.Go(func() {
			_, err := service.Sync(t.Context(), tenancy.Organization{
				ID: fmt.Sprint("org_", i%organizations), Name: "Acme", Slug: "acme", CreatedAt: time.Unix(1700000000, 0),
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	tenants, err := service.List(t.Context(), tenancy.Slug{}, 100)
	if err != nil || len(tenants) != organizations || schemas(t, db) != organizations {
		t.Fatalf("%d tenants, %d schemas, %v", len(tenants), schemas(t, db), err)
	}
	plain := 0
	for _, each := range tenants {
		if each.Slug.String() == "acme" {
			plain++
		}
	}
	if plain != 1 {
		t.Errorf("%d tenants have the slug that all of them asked for", plain)
	}
}

// interrupted is an engine that fails in the middle of provisioning.
type interrupted struct {
	*migrate.Engine
	provision func(ctx context.Context, schema tenant.Schema) error
}

func (i interrupted) Provision(ctx context.Context, schema tenant.Schema) error {
	return i.provision(ctx, schema)
}

// TestInterruptedProvisioning ends it after each of its steps: there is a whole
// tenant or none.
func TestInterruptedProvisioning(t *testing.T) {
	t.Parallel()
	db, engine := newDatabase(t)
	errCrash := errors.New("crash")
	organization := tenancy.Organization{ID: "org_A", Name: "Acme", Slug: "acme", CreatedAt: time.Unix(1700000000, 0)}
	for name, provision := range map[string]func(context.Context, tenant.Schema) error{
		"before the schema": func(context.Context, tenant.Schema) error { return errCrash },
		"after the schema": func(ctx context.Context, schema tenant.Schema) error {
			return errors.Join(engine.Provision(ctx, schema), errCrash)
		},
		"the connection is lost": func(ctx context.Context, schema tenant.Schema) error {
			if err := engine.Provision(ctx, schema); err != nil {
				return err
			}
			_, err := db.Registry().ExecContext(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
			return err
		},
	} {
		if _, err := tenancy.NewService(bunrepo.NewRegistry(db), interrupted{engine, provision}, db).Sync(t.Context(), organization); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := schemas(t, db); n != 0 {
			t.Errorf("%s: %d schemas are left", name, n)
		}
		if _, err := bunrepo.NewRegistry(db).ByID(t.Context(), organization.ID); !errors.Is(err, tenancy.ErrNotFound) {
			t.Errorf("%s: the registry has it: %v", name, err)
		}
	}
	whole, err := tenancy.NewService(bunrepo.NewRegistry(db), engine, db).Sync(t.Context(), organization)
	if err != nil || whole.Slug.String() != "acme" || schemas(t, db) != 1 {
		t.Errorf("%+v, %v", whole, err)
	}
	stored, err := bunrepo.NewRegistry(db).ByID(t.Context(), organization.ID)
	if err != nil || stored.SchemaVersion == "" {
		t.Errorf("its version is %q, %v", stored.SchemaVersion, err)
	}
	// The version is the engine's to write.
	stored.Name, stored.SchemaVersion = "Renamed", "another"
	if err := bunrepo.NewRegistry(db).Update(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	if again, err := bunrepo.NewRegistry(db).ByID(t.Context(), organization.ID); err != nil || again.SchemaVersion == "another" || again.Name != "Renamed" {
		t.Errorf("%+v, %v", again, err)
	}
}

// TestPurge destroys a tenant with more tables than one transaction should lock,
// and lets another one alone.
func TestPurge(t *testing.T) {
	t.Parallel()
	db, engine := newDatabase(t)
	service := tenancy.NewService(bunrepo.NewRegistry(db), engine, db)
	at := time.Unix(1700000000, 0)
	var schemaOf [2]tenant.Schema
	for i, id := range []string{"org_gone", "org_live"} {
		made, err := service.Sync(t.Context(), tenancy.Organization{ID: id, Name: id, Slug: fmt.Sprint("purge-", i), CreatedAt: at})
		if err != nil {
			t.Fatal(err)
		}
		schemaOf[i] = made.Schema
	}
	gone := tenant.NewContext(t.Context(), schemaOf[0])
	if _, err := db.Owner().ExecContext(gone, `DO $$ BEGIN FOR i IN 1..200 LOOP
		EXECUTE format('CREATE TABLE "many %s" (id int PRIMARY KEY); CREATE VIEW "view %s" AS SELECT * FROM "many %s"', i, i, i);
		END LOOP; END $$; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE mood AS ENUM ('good')`); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Sync(t.Context(), tenancy.Organization{ID: "org_gone", DeletedAt: at}); err != nil {
		t.Fatal(err)
	}
	if purged, err := service.Purge(t.Context(), at); err != nil || len(purged) != 0 {
		t.Errorf("before its time: %v, %v", purged, err)
	}
	if purged, err := service.Purge(t.Context(), at.Add(time.Second)); err != nil || len(purged) != 1 {
		t.Fatalf("%v, %v", purged, err)
	}
	if n := schemas(t, db); n != 1 {
		t.Errorf("%d schemas are left", n)
	}
	var users int
	if err := db.Tenants().QueryRowContext(tenant.NewContext(t.Context(), schemaOf[1]), `SELECT count(*) FROM users`).Scan(&users); err != nil {
		t.Errorf("the other tenant: %v", err)
	}
}
