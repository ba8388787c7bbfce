package database_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// TestOneTenantLeavesConnectionsToOthers has one tenant want all connections in
// every way there is, and another be served all the same.
func TestOneTenantLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	db, err := database.Open(database.Config{URL: localpgtest.NewDatabase(t), MaxOpenConns: 4, MaxTenantConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	release := make(chan struct{})
	held := make(chan struct{}, 100)
	hold := func(ctx context.Context) error {
		held <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx := inA(t)
	var wg sync.WaitGroup
	for _, way := range []func() error{
		func() error { return db.InTenantTx(ctx, hold) },
		func() error {
			return db.Tenants().RunInTx(ctx, nil, func(ctx context.Context, _ bun.Tx) error { return hold(ctx) })
		},
		func() error {
			rows, err := db.Tenants().QueryContext(ctx, "SELECT generate_series(1, 2)")
			if err != nil {
				return err
			}
			return errors.Join(hold(ctx), rows.Close(), rows.Err())
		},
		func() error {
			tx, err := db.Tenants().BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return errors.Join(hold(ctx), tx.Rollback())
		},
	} {
		for range 5 {
			wg.Go(func() {
				if err := way(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	<-held
	<-held
	for range 10 {
		if _, err := db.Tenants().ExecContext(inB(t), oneQuery); err != nil {
			t.Error(err)
		}
	}
	if in := db.Stats().InUse; in != 2 {
		t.Errorf("the tenant holds %d connections", in)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	for name, err := range map[string]error{
		"Exec":     func() error { _, err := db.Tenants().ExecContext(short, oneQuery); return err }(),
		"QueryRow": db.Tenants().QueryRowContext(short, oneQuery).Scan(new(int)),
		"a model":  db.Tenants().NewSelect().Model(new(userRow)).Scan(short),
		"a transaction": db.InTenantTx(short, func(context.Context) error {
			t.Error("it ran")
			return nil
		}),
	} {
		if !errors.Is(err, context.DeadlineExceeded) || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s in front of a full share: %v", name, err)
		}
	}
	close(release)
	wg.Wait()
	for range 10 { // errors give their part back as well
		_, _ = db.Tenants().ExecContext(ctx, "SELECT 1/0")
		_ = db.Tenants().QueryRowContext(ctx, "SELECT 1/0").Scan(new(int))
		_ = db.InTenantTx(ctx, func(context.Context) error { return errors.New("no") })
	}
	if n := database.SharesTaken(db); n != 0 {
		t.Errorf("%d tenants still hold a part of their share", n)
	}
}
