package tenancy_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
)

func TestPurgerWaitsForTheGracePeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		gone := organization("org_A", "acme")
		w.slugs(t, gone, tenancy.Organization{ID: gone.ID, DeletedAt: time.Now()})
		before, err := w.Get(t.Context(), gone.ID)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			tenancy.NewPurger(w.Service, 24*time.Hour, slog.New(slog.DiscardHandler)).Run(ctx)
			close(done)
		}()
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if !w.schemas.Has(before.Schema) {
			t.Error("purged before its time")
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if _, err := w.Get(t.Context(), gone.ID); err == nil || w.schemas.Has(before.Schema) {
			t.Errorf("not purged: %v", err)
		}
		cancel()
		<-done
	})
}
