package identity_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/tenant"
)

var (
	histories     = flag.Int("histories", 12, "how many histories TestHistoriesConverge delivers; `task soak` has 100")
	historyEvents = flag.Int("history-events", 300, "how many events each of them has; `task soak` has 10000")
)

// TestHistoriesConverge delivers the same history in many ways and expects the
// same tenants and users at the end.
func TestHistoriesConverge(t *testing.T) {
	t.Parallel()
	for seed := range uint64(*histories) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			history := identitytest.History(seed, *historyEvents)
			want := run(t, history, nil)
			if len(want) == 0 {
				t.Fatal("the history leaves no tenant: it proves nothing")
			}
			random := rand.New(rand.NewPCG(seed, 1))
			for name, delivery := range deliveries(random, history) {
				if diff := cmp.Diff(want, run(t, delivery, nil)); diff != "" {
					t.Fatalf("%s (-in order +so):\n%s", name, diff)
				}
			}
			disturbed := history[:min(len(history), maxDisturbed)]
			if diff := cmp.Diff(run(t, disturbed, nil), run(t, shuffled(random, disturbed), random)); diff != "" {
				t.Fatalf("with failures in between (-in order +so):\n%s", diff)
			}
		})
	}
}

// maxDisturbed bounds the part of a history in which attempts fail: undoing
// takes as long as there is history before.
const maxDisturbed = 1000

func deliveries(random *rand.Rand, history []identity.Observation) map[string][]identity.Observation {
	late := slices.Clone(history)
	gap := late[len(late)/4 : len(late)/2]
	late = append(slices.Concat(late[:len(late)/4], late[len(late)/2:]), gap...)
	backwards := slices.Clone(history)
	slices.Reverse(backwards)
	return map[string][]identity.Observation{
		"shuffled":               shuffled(random, history),
		"backwards":              backwards,
		"each event twice":       shuffled(random, slices.Concat(history, history)),
		"twice from the start":   slices.Concat(history, history),
		"with a gap filled last": late,
	}
}

func shuffled(random *rand.Rand, history []identity.Observation) []identity.Observation {
	result := slices.Clone(history)
	random.Shuffle(len(result), func(i, j int) { result[i], result[j] = result[j], result[i] })
	return result
}

// run applies a delivery and returns what it leads to. With random, every
// third attempt at making a schema fails, and the event is tried again.
func run(t *testing.T, delivery []identity.Observation, random *rand.Rand) identitytest.State {
	t.Helper()
	w := identitytest.NewSteadyWorld()
	failure := errors.New("injected")
	if random != nil {
		w = identitytest.NewWorld()
		w.Schemas.Fail = func(tenant.Schema) error {
			if random.IntN(3) == 0 {
				return failure
			}
			return nil
		}
	}
	for i, o := range delivery {
		for err := failure; errors.Is(err, failure); {
			if err = w.Sync.Apply(t.Context(), o); err != nil && !errors.Is(err, failure) {
				t.Fatalf("event %d: %v", i, err)
			}
		}
	}
	state, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// TestMergesAreASemilattice holds on states that histories contain: merging is
// commutative, associative and idempotent.
func TestMergesAreASemilattice(t *testing.T) {
	t.Parallel()
	var all identity.Observation
	for _, o := range identitytest.History(7, 400) {
		all.Accounts = append(all.Accounts, o.Accounts...)
		all.Organizations = append(all.Organizations, o.Organizations...)
		all.Memberships = append(all.Memberships, o.Memberships...)
	}
	laws(t, all.Accounts, func(a identity.Account) string { return a.ID }, identity.Account.Merge)
	laws(t, all.Organizations, func(o identity.Organization) string { return o.ID }, identity.Organization.Merge)
	laws(t, all.Memberships, func(m identity.Membership) string { return m.ID }, identity.Membership.Merge)
}

func laws[T comparable](t *testing.T, states []T, id func(T) string, merge func(T, T) T) {
	t.Helper()
	byID := map[string][]T{}
	for _, state := range states {
		byID[id(state)] = append(byID[id(state)], state)
	}
	checked := 0
	for _, same := range byID {
		for _, a := range same {
			for _, b := range same {
				if merge(a, b) != merge(b, a) {
					t.Fatalf("not commutative:\n%+v\n%+v", a, b)
				}
				if ab := merge(a, b); merge(ab, a) != ab || merge(ab, ab) != ab {
					t.Fatalf("not idempotent:\n%+v\n%+v", a, b)
				}
				for _, c := range same {
					checked++
					if merge(merge(a, b), c) != merge(a, merge(b, c)) {
						t.Fatalf("not associative:\n%+v\n%+v\n%+v", a, b, c)
					}
				}
			}
		}
	}
	if checked < 1000 {
		t.Fatalf("only %d triples: this proves nothing", checked)
	}
}
