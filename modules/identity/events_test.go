package identity_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/fault"
)

// TestADeadEventIsReplayed once what made it fail was mended.
func TestADeadEventIsReplayed(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	readable := false
	decode := func(string, []byte) (identity.Observation, error) {
		if !readable {
			return identity.Observation{}, fault.New(fault.Invalid, "cannot be read yet")
		}
		return acme(), nil
	}
	worker := identity.NewWorker(w.Inbox, w.Tx, w.Sync, decode, slog.New(slog.DiscardHandler))
	woken := 0
	events := identity.NewEvents(w.Inbox, func() { woken++ })
	event := identity.InboxEvent{ID: "msg_1", Type: "organization.created", Payload: []byte("{}"), ReceivedAt: time.Now()}
	if _, err := w.Inbox.Add(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	drain := func(want identity.InboxState) {
		t.Helper()
		if _, err := worker.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if record, err := events.Get(t.Context(), "msg_1"); err != nil || record.State != want {
			t.Errorf("got %+v, %v, want %s", record, err, want)
		}
	}
	drain(identity.InboxDead)
	dead, err := events.List(t.Context(), identity.InboxListing{States: []identity.InboxState{identity.InboxDead}, Limit: 10})
	if err != nil || len(dead) != 1 || dead[0].LastError == "" {
		t.Errorf("dead are %+v, %v", dead, err)
	}
	readable = true
	drain(identity.InboxDead) // nobody asked yet
	for range 2 {
		if err := events.Replay(t.Context(), "msg_1"); err != nil {
			t.Fatal(err)
		}
		drain(identity.InboxApplied)
	}
	if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_ada", ""), "acme"); err != nil || woken != 2 {
		t.Errorf("woken %d times, %v", woken, err)
	}
	_, getErr := events.Get(t.Context(), "msg_2")
	for _, err := range []error{getErr, events.Replay(t.Context(), "msg_2")} {
		if !errors.Is(err, identity.ErrNoEvent) {
			t.Errorf("got %v", err)
		}
	}
}

func TestEventListingsAreChecked(t *testing.T) {
	t.Parallel()
	events := identity.NewEvents(identitytest.NewWorld().Inbox, func() {})
	for _, listing := range []identity.InboxListing{{}, {Limit: -1}, {Limit: 501}, {States: []identity.InboxState{"lost"}, Limit: 1}} {
		if _, err := events.List(context.Background(), listing); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", listing, err)
		}
	}
}
