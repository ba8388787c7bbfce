package identity_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/fault"
)

// TestNightly runs two processes through some days. A bubble's time begins at
// midnight.
func TestNightly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := identitytest.NewWorld()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 2 {
			reconciler := identity.NewReconciler(w.Directory, w.Provider, w.Sync, w.Ledger, rand.Text(), slog.New(slog.DiscardHandler))
			nightly := identity.NewNightly(reconciler, w.Ledger, 3, slog.New(slog.DiscardHandler))
			group.Go(func() { nightly.Run(ctx) })
		}
		count := func(after time.Duration, want int64) identity.Reconciliation {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			latest, _, err := w.Ledger.Latest(t.Context())
			if err != nil || latest.ID != want {
				t.Errorf("at %v %d reconciliations, want %d, %v", time.Now(), latest.ID, want, err)
			}
			return latest
		}
		count(2*time.Hour+59*time.Minute, 0)
		if err := w.Provider.Put(t.Context(), acme()); err != nil {
			t.Fatal(err)
		}
		if latest := count(10*time.Minute, 1); latest.Repaired == 0 || latest.FinishedAt.IsZero() {
			t.Errorf("got %+v", latest)
		}
		count(23*time.Hour, 1)
		count(time.Hour, 2)

		// While the provider is away it is tried again and again.
		w.Provider.Fail(fault.New(fault.Unavailable, "away"))
		if latest := count(24*time.Hour, 3); !latest.FinishedAt.IsZero() {
			t.Errorf("got %+v", latest)
		}
		w.Provider.Fail(nil)
		if latest := count(10*time.Minute, 3); latest.FinishedAt.IsZero() {
			t.Errorf("got %+v", latest)
		}
		cancel()
		group.Wait()
	})
}
