package identitytest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
)

// RunReconciliations runs the contract of [identity.Reconciliations].
func RunReconciliations(t *testing.T, newStores func(t *testing.T) Stores) {
	t.Helper()
	run(t, newStores, map[string]func(s Stores, t *testing.T){
		"one follows another":           ledgerFollows,
		"what was left is gone on with": ledgerGoesOn,
		"one process works at a time":   ledgerIsOnes,
	})
}

func (s Stores) begin(t *testing.T, worker string, now, before time.Time) identity.Reconciliation {
	t.Helper()
	r, err := s.Ledger.Begin(t.Context(), worker, now, before)
	must(t, err)
	return r
}

func (s Stores) latest(t *testing.T) identity.Reconciliation {
	t.Helper()
	r, ok, err := s.Ledger.Latest(t.Context())
	must(t, err)
	if !ok {
		t.Fatal("there is none")
	}
	return r
}

func ledgerFollows(s Stores, t *testing.T) {
	if _, ok, err := s.Ledger.Latest(t.Context()); ok || err != nil {
		t.Errorf("an empty ledger has one: %v", err)
	}
	first := s.begin(t, "a", at(1), at(0))
	same(t, "begun", first, identity.Reconciliation{ID: first.ID, Worker: "a", StartedAt: at(1), HeartbeatAt: at(1)})
	first.HeartbeatAt, first.FinishedAt, first.Cursor, first.Organizations, first.Repaired, first.Left = at(2), at(3), hostile, 4, 5, 6
	must(t, s.Ledger.Save(t.Context(), first))
	same(t, "saved", s.latest(t), first)
	second := s.begin(t, "b", at(4), at(4))
	if second.ID <= first.ID {
		t.Errorf("the second has the id %d after %d", second.ID, first.ID)
	}
	same(t, "the second", second, identity.Reconciliation{ID: second.ID, Worker: "b", StartedAt: at(4), HeartbeatAt: at(4)})
	if err := s.Ledger.Save(t.Context(), first); !errors.Is(err, identity.ErrReconciling) {
		t.Errorf("a finished one is saved: %v", err)
	}
}

func ledgerGoesOn(s Stores, t *testing.T) {
	left := s.begin(t, "a", at(1), at(0))
	left.Cursor, left.Organizations, left.HeartbeatAt = "org_7", 7, at(2)
	must(t, s.Ledger.Save(t.Context(), left))
	if _, err := s.Ledger.Begin(t.Context(), "b", at(3), at(2)); !errors.Is(err, identity.ErrReconciling) {
		t.Errorf("one that lives is taken over: %v", err)
	}
	got := s.begin(t, "b", at(4), at(3))
	want := left
	want.Worker, want.HeartbeatAt = "b", at(4)
	same(t, "taken over", got, want)
	if err := s.Ledger.Save(t.Context(), left); !errors.Is(err, identity.ErrReconciling) {
		t.Errorf("whoever lost it saves: %v", err)
	}
	got.HeartbeatAt = time.Time{} // stopped on purpose
	must(t, s.Ledger.Save(t.Context(), got))
	same(t, "after a stop", s.begin(t, "c", at(5), at(0)).Cursor, "org_7")
}

func ledgerIsOnes(s Stores, t *testing.T) {
	var began atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			switch _, err := s.Ledger.Begin(t.Context(), "one of many", at(1), at(0)); {
			case err == nil:
				began.Add(1)
			case !errors.Is(err, identity.ErrReconciling):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := began.Load(); n != 1 {
		t.Errorf("%d processes began", n)
	}
}
