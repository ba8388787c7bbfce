package bunrepo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/modules/tenancy"
	tenancyrepo "github.com/tenonhq/tenon/modules/tenancy/adapters/bunrepo"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/migrate/migratetest"
	"github.com/tenonhq/tenon/platform/tenant"
)

// newDatabase returns a database with the tables of public.
func newDatabase(t testing.TB) *database.DB {
	t.Helper()
	db := databasetest.New(t)
	if _, err := db.Registry().ExecContext(t.Context(), migrations.PublicSchema); err != nil {
		t.Fatal(err)
	}
	return db
}

var tenants atomic.Int64

func newTenant(t testing.TB, db *database.DB) tenant.Schema {
	t.Helper()
	schema := tenant.MustParse(fmt.Sprintf("tenant_%d", tenants.Add(1)))
	databasetest.CreateTenant(t, db, schema, migrations.TenantSchema)
	return schema
}

func newStores(t *testing.T) identitytest.Stores {
	db := newDatabase(t)
	return identitytest.Stores{
		Directory: bunrepo.NewDirectory(db), Members: bunrepo.NewMembers(db), Inbox: bunrepo.NewInbox(db), Tx: db,
		Ledger: bunrepo.NewReconciliations(db),
		A:      newTenant(t, db), B: newTenant(t, db),
	}
}

func TestDirectory(t *testing.T)       { t.Parallel(); identitytest.RunDirectory(t, newStores) }
func TestMembers(t *testing.T)         { t.Parallel(); identitytest.RunMembers(t, newStores) }
func TestInbox(t *testing.T)           { t.Parallel(); identitytest.RunInbox(t, newStores) }
func TestReconciliations(t *testing.T) { t.Parallel(); identitytest.RunReconciliations(t, newStores) }
func TestTransactor(t *testing.T)      { t.Parallel(); identitytest.RunTransactor(t, newStores) }

func TestIsolation(t *testing.T) {
	t.Parallel()
	databasetest.RunIsolation(t, func(t *testing.T) databasetest.Isolation {
		db := newDatabase(t)
		members := bunrepo.NewMembers(db)
		return databasetest.Isolation{
			DB: db, A: newTenant(t, db), B: newTenant(t, db),
			Write: func(ctx context.Context, marker string) error {
				return members.Put(ctx, []identity.Member{{ID: marker, Email: marker + "@example.com", Role: identity.RoleMember, IsActive: true}})
			},
			Read: func(ctx context.Context, marker string) (bool, error) {
				_, err := members.ByID(ctx, marker)
				if fault.Is(err, fault.NotFound) {
					return false, nil
				}
				return err == nil, err
			},
			List: func(ctx context.Context) ([]string, error) {
				all, err := members.All(ctx)
				var ids []string
				for _, member := range all {
					ids = append(ids, member.ID)
				}
				return ids, err
			},
		}
	})
}

// TestHistoriesConverge delivers a history to PostgreSQL in a different order
// and by several at once, and expects what it leads to in memory and in order.
func TestHistoriesConverge(t *testing.T) {
	t.Parallel()
	const workers = 4
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			history := identitytest.History(seed, *historyEvents)
			world := identitytest.NewWorld()
			for _, o := range history {
				if err := world.Sync.Apply(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			want, err := world.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}

			sync, service, members := newSync(t, databasetest.New(t))
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(history), func(i, j int) { history[i], history[j] = history[j], history[i] })
			deliver(t, sync, workers, history)
			got, err := identitytest.ReadState(t.Context(), service, members)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, inUTC); diff != "" {
				t.Errorf("(-in memory, in order +in PostgreSQL, shuffled):\n%s", diff)
			}
		})
	}
}

// inUTC compares users by their text, times in one zone.
var inUTC = cmp.Transformer("users", func(s identitytest.TenantState) []string {
	lines := []string{s.Name, s.Slug}
	for _, user := range s.Users {
		user.JoinedAt = user.JoinedAt.UTC()
		lines = append(lines, fmt.Sprintf("%+v", user))
	}
	return lines
})

// newSync returns the use case on PostgreSQL, with tenants made by the real
// migrations.
func newSync(t testing.TB, db *database.DB) (*identity.Sync, *tenancy.Service, *bunrepo.Members) {
	t.Helper()
	service := tenancy.NewService(tenancyrepo.NewRegistry(db), migratetest.NewEngine(t, db), db)
	members := bunrepo.NewMembers(db)
	return identity.NewSync(db, bunrepo.NewDirectory(db), members, service), service, members
}

// deliver applies observations, each by one of several workers.
func deliver(t *testing.T, use *identity.Sync, workers int, observations []identity.Observation) {
	t.Helper()
	queue := make(chan identity.Observation)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for o := range queue {
				if err := use.Apply(t.Context(), o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, o := range observations {
		queue <- o
	}
	close(queue)
	wg.Wait()
}
