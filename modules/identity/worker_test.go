package identity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// decode reads payloads that are an organization's id or the name of a mishap.
func decode(eventType string, payload []byte) (identity.Observation, error) {
	if eventType != "organization.created" {
		return identity.Observation{}, nil
	}
	switch text := string(payload); text {
	case "malformed":
		return identity.Observation{}, fault.New(fault.Invalid, "The event's data is not valid.")
	case "panic":
		panic("no such field")
	default:
		return identity.Observation{Organizations: []identity.Organization{{
			ID: text, Name: text, Slug: text, CreatedBy: "user_1", CreatedAt: founded, UpdatedAt: founded,
		}}}, nil
	}
}

var founded = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newWorker returns a worker on a world, and its log.
func newWorker(w *identitytest.World) (*identity.Worker, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return identity.NewWorker(w.Inbox, w.Tx, w.Sync, decode, slog.New(slog.NewTextHandler(log, nil))), log
}

func receive(t *testing.T, w *identitytest.World, id, eventType, payload string) {
	t.Helper()
	event := identity.InboxEvent{ID: id, Type: eventType, Payload: []byte(payload), OccurredAt: time.Now(), ReceivedAt: time.Now()}
	if _, err := w.Inbox.Add(t.Context(), event); err != nil {
		t.Fatal(err)
	}
}

func (s states) expect(t *testing.T, w *identitytest.World) {
	t.Helper()
	for id, want := range s {
		if state, reason, ok := w.Inbox.State(id); state != want || !ok {
			t.Errorf("%s is %q (%.80s), want %q", id, state, reason, want)
		}
	}
}

type states map[string]identity.InboxState

func TestDrainAppliesWhatIsDue(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	worker, _ := newWorker(w)
	receive(t, w, "msg_1", "organization.created", "acme")
	receive(t, w, "msg_2", "session.created", "{}")
	receive(t, w, "msg_3", "organization.created", "malformed")
	receive(t, w, "msg_4", "organization.created", "panic")
	receive(t, w, "msg_5", "organization.created", "beta")
	done, err := worker.Drain(t.Context())
	if err != nil || done != 3 {
		t.Errorf("%d done, %v", done, err)
	}
	states{
		"msg_1": identity.InboxApplied, "msg_2": identity.InboxIgnored, "msg_3": identity.InboxDead,
		"msg_4": identity.InboxPending, "msg_5": identity.InboxApplied,
	}.expect(t, w)
	state, err := w.State(t.Context())
	if err != nil || len(state) != 2 {
		t.Errorf("tenants %v, %v", state, err)
	}
}

// TestAFailureIsTriedAgain fails a number of times in the middle of
// provisioning, and leaves nothing behind each time.
func TestAFailureIsTriedAgain(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]identity.InboxState{
		0: identity.InboxApplied, 1: identity.InboxApplied, identity.MaxAttempts - 1: identity.InboxApplied,
		identity.MaxAttempts: identity.InboxDead, 1000: identity.InboxDead,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := identitytest.NewWorld()
			worker, log := newWorker(w)
			attempts := 0
			w.Schemas.Fail = func(tenant.Schema) error {
				if attempts++; attempts <= failures {
					return errors.New("the disk is full")
				}
				return nil
			}
			receive(t, w, "msg_1", "organization.created", "acme")
			for range 3 * 24 * 60 {
				if _, err := worker.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				state, err := w.State(t.Context())
				if got, _, _ := w.Inbox.State("msg_1"); err != nil || (len(state) == 1) != (got == identity.InboxApplied) {
					t.Fatalf("the event is %s with the tenants %v, %v", got, state, err)
				}
				time.Sleep(time.Minute)
			}
			states{"msg_1": want}.expect(t, w)
			if wantAttempts := min(failures+1, identity.MaxAttempts); attempts != wantAttempts {
				t.Errorf("%d failures: %d attempts, want %d", failures, attempts, wantAttempts)
			}
			if dead := strings.Contains(log.String(), "level=ERROR"); dead != (want == identity.InboxDead) {
				t.Errorf("%d failures: an error in the log %v", failures, dead)
			}
		})
	}
}

func TestAPoisonousEventStopsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := identitytest.NewWorld()
		worker, log := newWorker(w)
		receive(t, w, "msg_1", "organization.created", "panic")
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			worker.Run(ctx)
		}()
		time.Sleep(time.Second)
		receive(t, w, "msg_2", "organization.created", "acme")
		time.Sleep(48 * time.Hour)
		cancel()
		<-stopped
		states{"msg_1": identity.InboxDead, "msg_2": identity.InboxApplied}.expect(t, w)
		if _, reason, _ := w.Inbox.State("msg_1"); !strings.Contains(reason, "no such field") || !strings.Contains(log.String(), "worker_test.go") {
			t.Errorf("nobody learns what happened: %s", reason)
		}
	})
}

func TestRunNoticesEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := identitytest.NewWorld()
		worker, _ := newWorker(w)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			worker.Run(ctx)
		}()
		synctest.Wait()
		for i, wake := range []bool{true, false, true} {
			id, start := fmt.Sprint("msg_", i), time.Now()
			receive(t, w, id, "organization.created", fmt.Sprint("acme-", i))
			if wake {
				worker.Wake()
				worker.Wake() // never blocks
				synctest.Wait()
			} else {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			states{id: identity.InboxApplied}.expect(t, w)
			if waited := time.Since(start); wake && waited != 0 {
				t.Errorf("%s waited %v", id, waited)
			}
		}
		cancel()
		<-stopped
	})
}

// TestRunForgetsWhatWasDoneLongAgo: payloads are personal data, and no less so once
// the account they are about was deleted.
func TestRunForgetsWhatWasDoneLongAgo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := identitytest.NewWorld()
		worker, _ := newWorker(w)
		const events = 1200 // more than are deleted at once
		for n := range events {
			receive(t, w, fmt.Sprint("msg_", n), "session.created", "{}")
		}
		receive(t, w, "msg_dead", "organization.created", "malformed")
		if _, err := worker.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(identity.InboxKept - 5*time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			worker.Run(ctx)
		}()
		for _, want := range []int{events + 1, 1} {
			synctest.Wait()
			if records, err := w.Inbox.List(ctx, identity.InboxListing{Limit: 2 * events}); err != nil || len(records) != want {
				t.Errorf("%d are left, want %d: %v", len(records), want, err)
			}
			time.Sleep(2 * time.Hour)
		}
		states{"msg_dead": identity.InboxDead}.expect(t, w)
		cancel()
		<-stopped
	})
}

// TestRunOutlivesAnOutage: that the inbox cannot be read is logged and tried
// again.
func TestRunOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := identitytest.NewWorld()
		away := &outage{Inbox: w.Inbox}
		away.lasts.Store(true)
		var log bytes.Buffer
		worker := identity.NewWorker(away, w.Tx, w.Sync, decode, slog.New(slog.NewTextHandler(&log, nil)))
		receive(t, w, "msg_1", "organization.created", "acme")
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			worker.Run(ctx)
		}()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		states{"msg_1": identity.InboxPending}.expect(t, w)
		away.lasts.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		cancel()
		<-stopped
		states{"msg_1": identity.InboxApplied}.expect(t, w)
		if n := strings.Count(log.String(), "level=ERROR"); n < 5 || n > 12 {
			t.Errorf("%d errors in the log: %s", n, log.String())
		}
	})
}

// outage is an inbox that cannot be read for a while.
type outage struct {
	identity.Inbox

	lasts atomic.Bool
}

func (o *outage) Next(ctx context.Context, now time.Time) (identity.InboxEvent, bool, error) {
	if o.lasts.Load() {
		return identity.InboxEvent{}, false, errors.New("connection refused")
	}
	return o.Inbox.Next(ctx, now)
}
