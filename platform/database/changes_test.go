package database_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/tenant"
)

// hearer remembers what it was told.
type hearer struct {
	mu        sync.Mutex
	heard     map[tenant.Schema]int
	listening bool
}

func hear(db *database.DB) *hearer {
	h := &hearer{heard: map[tenant.Schema]int{}, listening: true}
	db.Changes().Subscribe(database.Subscriber{
		Changing: func(schema tenant.Schema) func() {
			return func() { h.mu.Lock(); defer h.mu.Unlock(); h.heard[schema]++ }
		},
		Listening: func(on bool) { h.mu.Lock(); defer h.mu.Unlock(); h.listening = on },
	})
	return h
}

func (h *hearer) count(schema tenant.Schema) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard[schema]
}

func (h *hearer) listens() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listening
}

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen", what)
		}
		time.Sleep(5 * time.Millisecond) // between looks at a condition
	}
}

func TestChangesAreHeardOnceCommitted(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	here, there := databasetest.Open(t, url), databasetest.Open(t, url)
	mine, others := hear(here), hear(there)
	if mine.listens() || others.listens() {
		t.Error("nobody listens yet")
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		there.Changes().Run(ctx, url, slog.New(slog.DiscardHandler))
	}()
	until(t, "listening", others.listens)

	a, b := tenantA, tenantB
	if err := here.Announce(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if mine.count(a) != 1 {
		t.Error("this process has not heard of it at once")
	}
	until(t, "the change of a", func() bool { return others.count(a) == 1 })

	for name, inTx := range map[string]func(context.Context, func(context.Context) error) error{
		"system": here.InSystemTx,
		"tenant": func(ctx context.Context, fn func(context.Context) error) error {
			return here.InTenantTx(tenant.NewContext(ctx, b), fn)
		},
	} {
		errUndone := errors.New("undone")
		before := mine.count(b)
		if err := inTx(t.Context(), func(ctx context.Context) error {
			if err := here.Announce(ctx, b); err != nil {
				t.Error(err)
			}
			return errUndone
		}); !errors.Is(err, errUndone) {
			t.Errorf("%s: %v", name, err)
		}
		if mine.count(b) != before {
			t.Errorf("%s: what was rolled back is announced", name)
		}
		if err := inTx(t.Context(), func(ctx context.Context) error {
			err := here.Announce(ctx, b)
			if mine.count(b) != before {
				t.Errorf("%s: announced before the commit", name)
			}
			return err
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if mine.count(b) != before+1 {
			t.Errorf("%s: heard %d times", name, mine.count(b)-before)
		}
	}
	until(t, "both changes of b", func() bool { return others.count(b) == 2 })

	// The connection is lost and made again.
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), `SELECT pg_notify('tenon_changes', 'not a schema''')`); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tenon changes' AND datname = current_database()`); err != nil {
		t.Fatal(err)
	}
	until(t, "the loss", func() bool { return !others.listens() })
	until(t, "listening again", others.listens)
	if err := here.Announce(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	until(t, "the next change", func() bool { return others.count(a) == 2 })
	cancel()
	<-stopped
	if others.listens() {
		t.Error("it listens after its end")
	}
}
