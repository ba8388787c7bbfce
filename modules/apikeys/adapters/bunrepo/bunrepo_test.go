package bunrepo_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/apikeys/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/apikeys/apikeystest"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// users are those that [apikeystest.Stores] asks for.
const users = `INSERT INTO users (id, role) VALUES ('` + apikeystest.Ada + `', 'owner'), ('` + apikeystest.Bob + `', 'admin');`

var tenants atomic.Int64

// newTenant creates a schema with the tables that the product has.
func newTenant(t testing.TB, db *database.DB) tenant.Schema {
	t.Helper()
	schema := tenant.MustParse(fmt.Sprintf("tenant_%d", tenants.Add(1)))
	databasetest.CreateTenant(t, db, schema, migrations.TenantSchema+users)
	return schema
}

func newStores(t *testing.T) (apikeystest.Stores, *database.DB) {
	t.Helper()
	db := databasetest.New(t)
	if _, err := db.Registry().ExecContext(t.Context(), migrations.PublicSchema); err != nil {
		t.Fatal(err)
	}
	stores := apikeystest.Stores{
		Repository: bunrepo.NewRepository(db), Index: bunrepo.NewIndex(db), Tx: db, A: newTenant(t, db), B: newTenant(t, db),
	}
	for id, schema := range map[string]tenant.Schema{apikeystest.TenantA: stores.A, apikeystest.TenantB: stores.B} {
		_, err := db.Registry().NewRaw(`INSERT INTO tenants (id, name, slug, schema_name) VALUES (?0, ?0, ?0, ?1)`, id, schema.String()).Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
	}
	return stores, db
}

func TestStores(t *testing.T) {
	t.Parallel()
	apikeystest.Run(t, func(t *testing.T) apikeystest.Stores {
		stores, _ := newStores(t)
		return stores
	})
}

// TestAPurgedTenantsKeysAreGone holds that no key outlives the tenant's place in the
// registry.
func TestAPurgedTenantsKeysAreGone(t *testing.T) {
	t.Parallel()
	stores, db := newStores(t)
	for id, owner := range map[string]string{"A": apikeystest.TenantA, "B": apikeystest.TenantB} {
		entry := apikeys.Entry{ID: id, TenantID: owner, AccountID: apikeystest.Ada, CreatedAt: time.Now(), ExpiresAt: time.Now()}
		if err := stores.Index.Insert(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Registry().NewRaw(`DELETE FROM tenants WHERE id = ?`, apikeystest.TenantA).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Index.Find(t.Context(), "A"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the key of the purged tenant: %v", err)
	}
	if _, err := stores.Index.Find(t.Context(), "B"); err != nil {
		t.Errorf("the other tenant's key: %v", err)
	}
}
