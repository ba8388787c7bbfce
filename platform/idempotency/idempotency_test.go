package idempotency_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/idempotency"
	"github.com/tenonhq/tenon/platform/migrate/migratetest"
)

type store interface {
	Begin(ctx context.Context, r idempotency.Request, hold time.Duration) (idempotency.Claim, *idempotency.Answer, error)
	Finish(ctx context.Context, r idempotency.Request, claim idempotency.Claim, answer idempotency.Answer, keep time.Duration) error
	Release(ctx context.Context, r idempotency.Request, claim idempotency.Claim) error
}

func newStore(t *testing.T) *idempotency.Store {
	t.Helper()
	db := databasetest.New(t)
	migratetest.NewEngine(t, db)
	return idempotency.NewStore(db)
}

func TestStores(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) { t.Parallel(); runStore(t, idempotency.NewMemory()) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); runStore(t, newStore(t)) })
}

func requestOf(key, body string) idempotency.Request {
	return idempotency.Request{Tenant: "org_1", Account: "user_1", Key: key, Fingerprint: sha256.Sum256([]byte(body))}
}

func runStore(t *testing.T, s store) {
	ctx := t.Context()
	begin := func(r idempotency.Request, hold time.Duration, want error) (idempotency.Claim, *idempotency.Answer) {
		t.Helper()
		claim, answer, err := s.Begin(ctx, r, hold)
		if !errors.Is(err, want) || (want != nil) != (claim == "" && answer == nil) {
			t.Errorf("begin %s: %q, %v, %v; want %v", r.Key, claim, answer, err, want)
		}
		return claim, answer
	}
	given := idempotency.Answer{Status: 201, Header: http.Header{"Location": {"/x"}}, Body: []byte("\x00{\"a\": 'é'}?0\\")}

	// An answer is given again, and only to the same request.
	first := requestOf("a", "x")
	claim, answer := begin(first, time.Hour, nil)
	if claim == "" || answer != nil {
		t.Fatalf("a new key: %q, %v", claim, answer)
	}
	begin(first, time.Hour, idempotency.ErrInFlight)
	begin(requestOf("a", "y"), time.Hour, idempotency.ErrReused)
	if err := s.Finish(ctx, first, claim, given, time.Hour); err != nil {
		t.Fatal(err)
	}
	if again, answer := begin(first, time.Hour, nil); again != "" || answer == nil || !cmp.Equal(*answer, given) {
		t.Errorf("again: %q, %+v", again, answer)
	}
	begin(requestOf("a", "y"), time.Hour, idempotency.ErrReused)

	// One that leads somewhere has no body.
	led := requestOf("led", "x")
	claim, _ = begin(led, time.Hour, nil)
	if err := s.Finish(ctx, led, claim, idempotency.Answer{Status: 303, Header: http.Header{"Location": {"/y"}}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, answer := begin(led, time.Hour, nil); answer == nil || answer.Status != 303 || len(answer.Body) != 0 || answer.Header.Get("Location") != "/y" {
		t.Errorf("led: %+v", answer)
	}

	// The key is another one for others, in other tenants and in another case.
	for _, other := range []idempotency.Request{
		{Tenant: "org_2", Account: "user_1", Key: "a"}, {Tenant: "org_1", Account: "user_2", Key: "a"},
		{Tenant: "ORG_1", Account: "user_1", Key: "a"}, {Tenant: "", Account: "user_1", Key: "a"}, {Tenant: "org_1", Account: "user_1", Key: "A"},
		{Tenant: "org_1", Account: "user_1", Key: "'; DROP TABLE idempotency_keys; --"},
	} {
		if claim, answer := begin(other, time.Hour, nil); claim == "" || answer != nil {
			t.Errorf("%+v: %q, %v", other, claim, answer)
		}
	}

	// What was given back is free, for any request.
	claim, _ = begin(requestOf("b", "x"), time.Hour, nil)
	if err := s.Release(ctx, requestOf("b", "x"), claim); err != nil {
		t.Fatal(err)
	}
	if claim, _ = begin(requestOf("b", "y"), time.Hour, nil); claim == "" {
		t.Error("a key that was given back is not free")
	}

	// A claim lapses; who lost it can neither finish nor release the key.
	lapsed, _ := begin(requestOf("c", "x"), 0, nil)
	claim, _ = begin(requestOf("c", "x"), time.Hour, nil)
	if claim == "" || claim == lapsed {
		t.Errorf("claims %q, %q", lapsed, claim)
	}
	if err := errors.Join(s.Finish(ctx, requestOf("c", "x"), lapsed, given, time.Hour), s.Release(ctx, requestOf("c", "x"), lapsed)); err != nil {
		t.Error(err)
	}
	begin(requestOf("c", "x"), time.Hour, idempotency.ErrInFlight)

	// An answer expires.
	if err := s.Finish(ctx, requestOf("c", "x"), claim, given, 0); err != nil {
		t.Error(err)
	}
	if claim, answer := begin(requestOf("c", "y"), time.Hour, nil); claim == "" || answer != nil {
		t.Errorf("an expired key: %q, %v", claim, answer)
	}

	// One of many at once runs.
	var running atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			claim, _, err := s.Begin(ctx, requestOf("d", "x"), time.Hour)
			if claim != "" {
				running.Add(1)
			} else if !errors.Is(err, idempotency.ErrInFlight) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := running.Load(); n != 1 {
		t.Errorf("%d of 20 run", n)
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := s.Begin(cancelled, requestOf("e", "x"), time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSweepDeletesWhatHasExpired(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for key, hold := range map[string]time.Duration{"a": 0, "b": 0, "c": time.Hour} {
		if _, _, err := s.Begin(t.Context(), requestOf(key, "x"), hold); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Sweep(t.Context()); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, _, err := s.Begin(t.Context(), requestOf("c", "x"), time.Hour); !errors.Is(err, idempotency.ErrInFlight) {
		t.Errorf("a key that is in use was deleted: %v", err)
	}
}
