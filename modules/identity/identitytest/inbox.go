package identitytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
)

// RunInbox runs the contract of [identity.Inbox].
func RunInbox(t *testing.T, newStores func(t *testing.T) Stores) {
	t.Helper()
	run(t, newStores, map[string]func(s Stores, t *testing.T){
		"an event is kept as it came":                inboxKeeps,
		"a repetition changes nothing":               inboxRepeats,
		"the longest-waiting event that is due":      inboxOrders,
		"an event whose clock was ahead":             inboxHeals,
		"what is finished is not tried again":        inboxFinishes,
		"what failed is tried again, or is dead":     inboxFails,
		"an undone transaction gives the event back": inboxGivesBack,
		"one of many gets an event":                  inboxRaces,
		"an event is added while another is held":    inboxAddsWhileHeld,
		"a cancelled context changes nothing":        inboxCancelled,
		"records are listed, the newest first":       inboxLists,
		"an event is replayed":                       inboxReplays,
		"what is not done is counted":                inboxCounts,
		"what was done with long ago is forgotten":   inboxForgets,
	})
}

func newEvent(id string, received time.Time) identity.InboxEvent {
	return identity.InboxEvent{ID: id, Type: "user.created", Payload: []byte(`{"type":"user.created"}`), OccurredAt: received.Add(-time.Second), ReceivedAt: received}
}

func (s Stores) add(t *testing.T, events ...identity.InboxEvent) {
	t.Helper()
	for _, event := range events {
		if added, err := s.Inbox.Add(t.Context(), event); err != nil || !added {
			t.Fatalf("add %s: %v, %v", event.ID, added, err)
		}
	}
}

// next returns the id of the event that is next at a moment, "" without one.
func (s Stores) next(t *testing.T, now time.Time) (event identity.InboxEvent) {
	t.Helper()
	must(t, s.Tx.InSystemTx(t.Context(), func(ctx context.Context) (err error) {
		next, ok, err := s.Inbox.Next(ctx, now)
		if ok != (next.ID != "") {
			t.Errorf("next is %+v, and there is one: %v", next, ok)
		}
		event = next
		return err
	}))
	return event
}

func inboxKeeps(s Stores, t *testing.T) {
	if got := s.next(t, at(1000)); got.ID != "" {
		t.Errorf("an empty inbox has %+v", got)
	}
	event := newEvent("msg_1", at(0))
	// To the byte: order, spaces, numbers and escapes too.
	event.Payload = []byte(`{ "type" : "x","b":1, "a" : 1.0e2 ,"a":"☃ \u2603 ` + `'); DROP TABLE x; -- ?0"}`)
	event.Type = hostile
	s.add(t, event)
	same(t, "next", s.next(t, at(0)), event)
}

func inboxRepeats(s Stores, t *testing.T) {
	event := newEvent("msg_1", at(0))
	s.add(t, event)
	again := newEvent("msg_1", at(50))
	again.Type, again.Payload = "other", []byte("[]")
	for range 3 {
		if added, err := s.Inbox.Add(t.Context(), again); err != nil || added {
			t.Errorf("added %v, %v", added, err)
		}
	}
	same(t, "next", s.next(t, at(100)), event)
	must(t, s.Inbox.Finish(t.Context(), "msg_1", identity.InboxApplied))
	if added, err := s.Inbox.Add(t.Context(), again); err != nil || added {
		t.Errorf("once applied: added %v, %v", added, err)
	}
	if got := s.next(t, at(100)); got.ID != "" {
		t.Errorf("a repetition of what was applied is %+v", got)
	}
}

func inboxOrders(s Stores, t *testing.T) {
	s.add(t, newEvent("msg_late", at(30)), newEvent("msg_early", at(10)), newEvent("msg_middle", at(20)))
	if got := s.next(t, at(9)); got.ID != "" {
		t.Errorf("%s is due too early", got.ID)
	}
	must(t, s.Inbox.Fail(t.Context(), "msg_early", "x", at(25)))
	for _, want := range []string{"msg_middle", "msg_early", "msg_late", ""} {
		got := s.next(t, at(100))
		if got.ID != want {
			t.Errorf("next is %q, want %q", got.ID, want)
		}
		must(t, s.Inbox.Finish(t.Context(), got.ID, identity.InboxApplied))
	}
}

// inboxHeals has a clock that was ahead say when an event is due, and be set back.
func inboxHeals(s Stores, t *testing.T) {
	s.add(t, newEvent("msg_1", at(0)))
	retry := at(0).Add(5 * time.Hour)
	must(t, s.Inbox.Fail(t.Context(), "msg_1", "x", retry))
	for behind, want := range map[time.Duration]string{
		0: "msg_1", time.Second: "", time.Minute: "", 2 * time.Minute: "msg_1", 1000 * time.Hour: "msg_1",
	} {
		if got := s.next(t, retry.Add(-behind)); got.ID != want {
			t.Errorf("%v before it is due next is %q, want %q", behind, got.ID, want)
		}
	}
}

func inboxFinishes(s Stores, t *testing.T) {
	for i, state := range []identity.InboxState{identity.InboxApplied, identity.InboxIgnored} {
		id := fmt.Sprint("msg_", i)
		s.add(t, newEvent(id, at(0)))
		must(t, s.Inbox.Finish(t.Context(), id, state))
		must(t, s.Inbox.Fail(t.Context(), id, "too late", at(1)))
		if got := s.next(t, at(1000)); got.ID != "" {
			t.Errorf("%s is tried again after %s", got.ID, state)
		}
	}
	must(t, s.Inbox.Finish(t.Context(), "msg_none", identity.InboxApplied))
}

func inboxFails(s Stores, t *testing.T) {
	s.add(t, newEvent("msg_1", at(0)))
	for attempt := range 3 {
		got := s.next(t, at(attempt*10))
		if got.ID != "msg_1" || got.Attempts != attempt {
			t.Errorf("attempt %d: %+v", attempt, got)
		}
		must(t, s.Inbox.Fail(t.Context(), "msg_1", hostile, at(attempt*10+10)))
		if early := s.next(t, at(attempt*10+9)); early.ID != "" {
			t.Errorf("attempt %d is due too early", attempt+1)
		}
	}
	must(t, s.Inbox.Fail(t.Context(), "msg_1", "dead", time.Time{}))
	must(t, s.Inbox.Finish(t.Context(), "msg_1", identity.InboxApplied))
	must(t, s.Inbox.Fail(t.Context(), "msg_1", "again", at(0)))
	if got := s.next(t, at(10_000)); got.ID != "" {
		t.Errorf("a dead event is %+v", got)
	}
	must(t, s.Inbox.Fail(t.Context(), "msg_none", "x", at(0)))
}

func inboxGivesBack(s Stores, t *testing.T) {
	event := newEvent("msg_1", at(0))
	s.add(t, event)
	err := s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
		next, _, err := s.Inbox.Next(ctx, at(1))
		must(t, err)
		must(t, s.Inbox.Finish(ctx, next.ID, identity.InboxApplied))
		return errUndo
	})
	if err != errUndo {
		t.Fatal(err)
	}
	same(t, "given back", s.next(t, at(1)), event)
}

func inboxRaces(s Stores, t *testing.T) {
	const events, workers = 40, 8
	for i := range events {
		s.add(t, newEvent(fmt.Sprintf("msg_%02d", i), at(i)))
	}
	var mu sync.Mutex
	taken := map[string]int{}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				var id string
				err := s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
					next, ok, err := s.Inbox.Next(ctx, at(1000))
					if err != nil || !ok {
						return err
					}
					id = next.ID
					return s.Inbox.Finish(ctx, id, identity.InboxApplied)
				})
				if err != nil {
					t.Error(err)
				}
				if err != nil || id == "" {
					return
				}
				mu.Lock()
				taken[id]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(taken) != events {
		t.Errorf("%d events were taken, want %d", len(taken), events)
	}
	for id, n := range taken {
		if n != 1 {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
}

func inboxAddsWhileHeld(s Stores, t *testing.T) {
	s.add(t, newEvent("msg_1", at(0)))
	err := s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
		_, _, err := s.Inbox.Next(ctx, at(1))
		must(t, err)
		s.add(t, newEvent("msg_2", at(1))) // outside of the transaction
		return errUndo
	})
	if err != errUndo {
		t.Fatal(err)
	}
	must(t, s.Inbox.Finish(t.Context(), "msg_1", identity.InboxApplied))
	if got := s.next(t, at(2)); got.ID != "msg_2" {
		t.Errorf("next is %q", got.ID)
	}
}

func inboxCancelled(s Stores, t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Inbox.Add(ctx, newEvent("msg_1", at(0))); !errors.Is(err, context.Canceled) {
		t.Errorf("add: %v", err)
	}
	s.add(t, newEvent("msg_1", at(0)))
	for i, err := range []error{s.Inbox.Finish(ctx, "msg_1", identity.InboxApplied), s.Inbox.Fail(ctx, "msg_1", "x", time.Time{})} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if got := s.next(t, at(1)); got.ID != "msg_1" {
		t.Errorf("next is %q", got.ID)
	}
}

func inboxLists(s Stores, t *testing.T) {
	for n, id := range []string{"msg_b", "msg_B", "msg_a", "msg_9", "msg_8"} {
		event := newEvent(id, at(n/2))
		if n%2 == 1 {
			event.Type = "session.ended"
		}
		s.add(t, event)
	}
	must(t, s.Inbox.Finish(t.Context(), "msg_9", identity.InboxApplied))
	must(t, s.Inbox.Fail(t.Context(), "msg_a", hostile, time.Time{}))
	list := func(listing identity.InboxListing) (ids []string) {
		t.Helper()
		records, err := s.Inbox.List(t.Context(), listing)
		must(t, err)
		for _, record := range records {
			ids = append(ids, record.ID)
		}
		return ids
	}
	all := []string{"msg_8", "msg_9", "msg_a", "msg_B", "msg_b"}
	for limit := 1; limit <= len(all)+1; limit++ {
		var got []string
		var after identity.InboxPosition
		for {
			records, err := s.Inbox.List(t.Context(), identity.InboxListing{After: after, Limit: limit})
			must(t, err)
			if len(records) == 0 {
				break
			}
			for _, record := range records {
				got = append(got, record.ID)
			}
			after = records[len(records)-1].Position()
		}
		same(t, "all pages", got, all)
	}
	same(t, "dead ones", list(identity.InboxListing{States: []identity.InboxState{identity.InboxDead}, Limit: 9}), []string{"msg_a"})
	same(t, "done ones", list(identity.InboxListing{States: []identity.InboxState{identity.InboxDead, identity.InboxApplied}, Limit: 9}), []string{"msg_9", "msg_a"})
	same(t, "of a type", list(identity.InboxListing{Types: []string{"session.ended", hostile}, Limit: 9}), []string{"msg_9", "msg_B"})
	same(t, "since", list(identity.InboxListing{Since: at(1), Limit: 9}), []string{"msg_8", "msg_9", "msg_a"})

	dead, err := s.Inbox.Get(t.Context(), "msg_a")
	must(t, err)
	if dead.State != identity.InboxDead || dead.LastError != hostile || dead.Attempts != 1 || dead.FinishedAt.IsZero() || len(dead.Payload) == 0 {
		t.Errorf("got %+v", dead)
	}
	if _, err := s.Inbox.Get(t.Context(), "msg_none"); !errors.Is(err, identity.ErrNoEvent) {
		t.Errorf("got %v", err)
	}
}

func inboxReplays(s Stores, t *testing.T) {
	s.add(t, newEvent("msg_dead", at(0)), newEvent("msg_applied", at(1)))
	must(t, s.Inbox.Fail(t.Context(), "msg_dead", "x", time.Time{}))
	must(t, s.Inbox.Finish(t.Context(), "msg_applied", identity.InboxApplied))
	if got := s.next(t, at(100)); got.ID != "" {
		t.Fatalf("%s is pending", got.ID)
	}
	for _, id := range []string{"msg_dead", "msg_applied"} {
		must(t, s.Inbox.Replay(t.Context(), id, at(100)))
		if got := s.next(t, at(99)); got.ID != "" {
			t.Errorf("%s is due too early", got.ID)
		}
		record, err := s.Inbox.Get(t.Context(), id)
		must(t, err)
		if record.State != identity.InboxPending || record.LastError != "" || record.Attempts != 0 || !record.FinishedAt.IsZero() || !record.NextAttemptAt.Equal(at(100)) {
			t.Errorf("got %+v", record)
		}
		if got := s.next(t, at(100)); got.ID != id {
			t.Errorf("next is %q", got.ID)
		}
		must(t, s.Inbox.Finish(t.Context(), id, identity.InboxApplied))
	}
	if err := s.Inbox.Replay(t.Context(), "msg_none", at(0)); !errors.Is(err, identity.ErrNoEvent) {
		t.Errorf("got %v", err)
	}
}

func inboxCounts(s Stores, t *testing.T) {
	backlog := func(want identity.InboxBacklog) {
		t.Helper()
		got, err := s.Inbox.Backlog(t.Context())
		must(t, err)
		same(t, "backlog", got, want)
	}
	backlog(identity.InboxBacklog{})
	s.add(t, newEvent("msg_1", at(20)), newEvent("msg_2", at(10)), newEvent("msg_3", at(30)), newEvent("msg_4", at(5)))
	must(t, s.Inbox.Fail(t.Context(), "msg_2", "later", at(1000)))
	must(t, s.Inbox.Finish(t.Context(), "msg_3", identity.InboxIgnored))
	must(t, s.Inbox.Fail(t.Context(), "msg_4", "never", time.Time{}))
	backlog(identity.InboxBacklog{Pending: 2, Dead: 1, Oldest: at(10)})
}

func inboxForgets(s Stores, t *testing.T) {
	s.add(t, newEvent("msg_applied", at(0)), newEvent("msg_ignored", at(1)), newEvent("msg_later", at(2)),
		newEvent("msg_dead", at(0)), newEvent("msg_pending", at(0)), newEvent("msg_failed", at(0)))
	for id, state := range map[string]identity.InboxState{"msg_applied": identity.InboxApplied, "msg_ignored": identity.InboxIgnored, "msg_later": identity.InboxApplied} {
		must(t, s.Inbox.Finish(t.Context(), id, state))
	}
	must(t, s.Inbox.Fail(t.Context(), "msg_dead", "never", time.Time{}))
	must(t, s.Inbox.Fail(t.Context(), "msg_failed", "later", at(1000)))
	forget := func(before time.Time, limit int, want ...string) {
		t.Helper()
		n, err := s.Inbox.Forget(t.Context(), before, limit)
		must(t, err)
		records, err := s.Inbox.List(t.Context(), identity.InboxListing{Limit: 9})
		must(t, err)
		var left []string
		for _, record := range records {
			left = append(left, record.ID)
		}
		same(t, fmt.Sprintf("left after %d", n), left, want)
	}
	// They were received long ago, and done with just now.
	forget(time.Now().Add(-time.Hour), 9, "msg_later", "msg_ignored", "msg_applied", "msg_dead", "msg_failed", "msg_pending")
	soon := time.Now().Add(time.Hour)
	forget(soon, 2, "msg_later", "msg_dead", "msg_failed", "msg_pending")
	forget(at(2), 9, "msg_later", "msg_dead", "msg_failed", "msg_pending")
	forget(soon, 9, "msg_dead", "msg_failed", "msg_pending")
	forget(soon, 9, "msg_dead", "msg_failed", "msg_pending")
	if added, err := s.Inbox.Add(t.Context(), newEvent("msg_applied", at(3))); err != nil || !added {
		t.Errorf("what was forgotten may come again: %v, %v", added, err)
	}
}
