package database_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/tenant"
)

// TestGroupsOfTenants holds that a tenant's statements and transactions keep to the
// connections of its group, and that groups share none.
func TestGroupsOfTenants(t *testing.T) {
	t.Parallel()
	const groups, conns, tenants = 3, 8, 30
	url := localpgtest.NewDatabase(t)
	db, err := database.Open(database.Config{URL: url, MaxOpenConns: conns, TenantGroups: groups})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var mu sync.Mutex
	servedBy := make([]map[int]bool, tenants) // the server's processes, by tenant
	const query = "SELECT pg_backend_pid()"
	var wg sync.WaitGroup
	for n := range tenants {
		servedBy[n] = map[int]bool{}
		ctx := tenant.NewContext(t.Context(), tenant.MustParse(fmt.Sprint("tenant_", n)))
		inTx := func(run func(context.Context, func(context.Context) error) error) func(*int) error {
			return func(pid *int) error {
				return run(ctx, func(ctx context.Context) error { return db.Tenants().QueryRowContext(ctx, query).Scan(pid) })
			}
		}
		for _, way := range []func(pid *int) error{
			func(pid *int) error { return db.Tenants().QueryRowContext(ctx, query).Scan(pid) },
			func(pid *int) error { return db.Owner().NewRaw(query).Scan(ctx, pid) },
			inTx(db.InTenantTx),
			inTx(db.InSystemTx),
		} {
			wg.Go(func() {
				var pid int
				if err := way(&pid); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				servedBy[n][pid] = true
			})
		}
	}
	wg.Wait()
	var found []map[int]bool // processes that share tenants
	for _, pids := range servedBy {
		merged := maps.Clone(pids)
		found = slices.DeleteFunc(found, func(group map[int]bool) bool {
			for pid := range group {
				if pids[pid] {
					maps.Copy(merged, group)
					return true
				}
			}
			return false
		})
		found = append(found, merged)
	}
	for _, group := range found {
		if len(group) > conns/groups+1 {
			t.Errorf("a group has %d connections", len(group))
		}
	}
	// Tenants that a single connection served all along look like a group of theirs.
	if len(found) < groups || len(found) > conns {
		t.Errorf("%d groups, want %d: %v", len(found), groups, found)
	}
	if stats := db.Stats(); stats.MaxOpenConnections != conns || stats.OpenConnections > conns || stats.InUse != 0 {
		t.Errorf("%+v", stats)
	}

	for _, cfg := range []database.Config{{MaxOpenConns: 5, TenantGroups: 3}, {TenantGroups: database.DefaultMaxOpenConns}} {
		cfg.URL = url
		if _, err := database.Open(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// TestAGroupIsNotOneTenants has a tenant want all connections of its group: another
// one of the group, and what is about no tenant, find some.
func TestAGroupIsNotOneTenants(t *testing.T) {
	t.Parallel()
	db, err := database.Open(database.Config{URL: localpgtest.NewDatabase(t), MaxOpenConns: 4, TenantGroups: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	release, held := make(chan struct{}), make(chan struct{}, 100)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := db.InTenantTx(inA(t), func(context.Context) error { held <- struct{}{}; <-release; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	<-held
	for n := range 20 { // whichever group they are of
		ctx := tenant.NewContext(t.Context(), tenant.MustParse(fmt.Sprint("tenant_", n)))
		if _, err := db.Tenants().ExecContext(ctx, oneQuery); err != nil {
			t.Error(err)
		}
		if _, err := db.Registry().ExecContext(ctx, oneQuery); err != nil {
			t.Error(err)
		}
	}
	if in := db.Stats().InUse; in != 1 {
		t.Errorf("the tenant holds %d connections", in)
	}
	close(release)
	wg.Wait()
}

// TestIsolationInGroups runs the isolation contract on two tenants whose connections
// are divided.
func TestIsolationInGroups(t *testing.T) {
	t.Parallel()
	databasetest.RunIsolation(t, func(t *testing.T) databasetest.Isolation {
		url := localpgtest.NewDatabase(t)
		db, err := database.Open(database.Config{URL: url, MaxOpenConns: 2 * databasetest.MaxOpenConns, TenantGroups: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		createTenants(t, db, url)
		tenants := db.Tenants()
		return databasetest.Isolation{
			DB: db, A: tenantA, B: tenantB,
			Write: func(ctx context.Context, marker string) error {
				_, err := tenants.NewInsert().Model(&projectRow{Slug: marker, CreatedBy: "user_1"}).Exec(ctx)
				return err
			},
			Read: func(ctx context.Context, marker string) (bool, error) {
				return tenants.NewSelect().Model((*projectRow)(nil)).Where("slug = ?", marker).Exists(ctx)
			},
			List: func(ctx context.Context) (slugs []string, err error) {
				err = tenants.NewSelect().Model((*projectRow)(nil)).Column("slug").Scan(ctx, &slugs)
				return slugs, err
			},
		}
	})
}
