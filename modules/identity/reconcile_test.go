package identity_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

var lossyHistories = flag.Int("lossy-histories", 4, "how many histories TestReconciliationMakesUpForLostEvents loses parts of; `task soak` has 100")

// TestReconciliationMakesUpForLostEvents delivers a part of a history, in some
// order, and expects of the reconciliation what all of it would have led to.
func TestReconciliationMakesUpForLostEvents(t *testing.T) {
	t.Parallel()
	const events = 250
	for seed := range uint64(*lossyHistories) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			history := identitytest.History(seed, events)
			if last := history[len(history)-1]; len(last.Organizations) == 1 && len(last.Memberships) == 0 {
				history = history[:len(history)-1] // it may be a founding whose membership was to come
			}
			want := current(run(t, history, nil))
			random := rand.New(rand.NewPCG(seed, 2))
			for _, lost := range []int{1, 6, 10} { // of ten
				w := identitytest.NewWorld()
				happen(t, w, history)
				for _, o := range shuffled(random, history) {
					if random.IntN(10) < lost {
						continue
					}
					if err := w.Sync.Apply(t.Context(), o); err != nil {
						t.Fatal(err)
					}
				}
				dry, err := w.Reconciler.All(t.Context(), identity.ReconcileOptions{DryRun: true, AllowDeletions: true})
				if err != nil || dry.Left == 0 || dry.Repaired != 0 {
					t.Fatalf("%d of 10 lost: a dry run: %+v, %v", lost, dry, err)
				}
				var left []identity.Drift
				done, err := w.Reconciler.All(t.Context(), identity.ReconcileOptions{AllowDeletions: true, Found: func(d identity.Drift) {
					if !d.Repaired {
						left = append(left, d)
					}
				}})
				if err != nil || len(left) != 0 || done.Repaired == 0 {
					t.Fatalf("%d of 10 lost: %+v, %v, left %+v", lost, done, err, left)
				}
				got, err := w.State(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, current(got)); diff != "" {
					t.Fatalf("%d of 10 lost (-delivered +reconciled):\n%s", lost, diff)
				}
				again, err := w.Reconciler.All(t.Context(), identity.ReconcileOptions{})
				if err != nil || again.Repaired+again.Left != 0 {
					t.Fatalf("%d of 10 lost: again: %+v, %v", lost, again, err)
				}
				// What was lost may still come, and changes nothing.
				for _, o := range shuffled(random, history) {
					if err := w.Sync.Apply(t.Context(), o); err != nil {
						t.Fatal(err)
					}
				}
				if got, err = w.State(t.Context()); err != nil || !cmp.Equal(want, current(got)) {
					t.Fatalf("%d of 10 lost, and came late: %v\n%s", lost, err, cmp.Diff(want, current(got)))
				}
			}
		})
	}
}

// happen brings a world's provider to the end of a history.
func happen(t *testing.T, w *identitytest.World, history []identity.Observation) {
	t.Helper()
	provider := identitytest.NewWorld()
	for _, o := range history {
		if err := provider.Sync.Apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	var all identity.Observation
	for _, o := range history {
		all.Accounts = append(all.Accounts, o.Accounts...)
		all.Organizations = append(all.Organizations, o.Organizations...)
		all.Memberships = append(all.Memberships, o.Memberships...)
	}
	var end identity.Observation
	var err1, err2, err3 error
	end.Accounts, err1 = provider.Directory.Accounts(t.Context(), ids(all.Accounts, func(a identity.Account) string { return a.ID }))
	end.Organizations, err2 = provider.Directory.Organizations(t.Context(), ids(all.Organizations, func(o identity.Organization) string { return o.ID }))
	end.Memberships, err3 = provider.Directory.Memberships(t.Context(), ids(all.Memberships, func(m identity.Membership) string { return m.ID }))
	if err := errors.Join(err1, err2, err3, w.Provider.Put(t.Context(), end)); err != nil {
		t.Fatal(err)
	}
}

func ids[T any](states []T, id func(T) string) []string {
	var all []string
	for _, state := range states {
		all = append(all, id(state))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// current leaves out those who are no members any more: of somebody who came and
// went unheard of, nobody can tell.
func current(state identitytest.State) identitytest.State {
	now := identitytest.State{}
	for id, t := range state {
		t.Users = slices.DeleteFunc(slices.Clone(t.Users), func(u identity.User) bool { return !u.Active })
		now[id] = t
	}
	return now
}

// newWorldOf returns a world that knows everything that its provider does, acme
// and beta.
func newWorldOf(t *testing.T, more ...identity.Observation) *identitytest.World {
	t.Helper()
	w := identitytest.NewWorld()
	for _, o := range append([]identity.Observation{acme(), beta()}, more...) {
		if err := errors.Join(w.Provider.Put(t.Context(), o), w.Sync.Apply(t.Context(), o)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func beta() identity.Observation {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	return identity.Observation{
		Accounts:      []identity.Account{{ID: "user_carl", Email: "carl@example.com", FirstName: "Carl", CreatedAt: at, UpdatedAt: at}},
		Organizations: []identity.Organization{{ID: "org_beta", Name: "Beta", Slug: "beta", CreatedBy: "user_carl", CreatedAt: at, UpdatedAt: at}},
		Memberships:   []identity.Membership{{ID: "orgmem_beta", OrganizationID: "org_beta", AccountID: "user_carl", ProviderRole: "org:admin", CreatedAt: at, UpdatedAt: at}},
	}
}

func reconcile(t *testing.T, w *identitytest.World, options identity.ReconcileOptions) (drifts []identity.Drift) {
	t.Helper()
	options.Found = func(d identity.Drift) { drifts = append(drifts, d) }
	if _, err := w.Reconciler.All(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	return drifts
}

// TestReconciliationOfAnotherInstance has the key of a Clerk where nothing that is
// known here is.
func TestReconciliationOfAnotherInstance(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t)
	before, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Provider.Directory = identitytest.NewWorld().Directory
	stranger := beta()
	stranger.Organizations[0].ID, stranger.Memberships[0].ID, stranger.Memberships[0].OrganizationID = "org_strange", "orgmem_strange", "org_strange"
	if err := w.Provider.Put(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	for _, d := range reconcile(t, w, identity.ReconcileOptions{}) {
		if d.Repaired || d.Kind != identity.DriftTenantDeleted || d.Reason == "" {
			t.Errorf("found %+v", d)
		}
	}
	after, err := w.State(t.Context())
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	reconcile(t, w, identity.ReconcileOptions{AllowDeletions: true})
	if after, err = w.State(t.Context()); err != nil || len(after) != 1 || after["org_strange"].Name != "Beta" {
		t.Errorf("when it is meant: %+v, %v", after, err)
	}
}

// TestReconciliationOfFewDeletions repairs them without being told to.
func TestReconciliationOfFewDeletions(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t)
	at := time.Now()
	gone := identity.Observation{
		Accounts:      []identity.Account{{ID: "user_carl", CreatedAt: at, UpdatedAt: at, DeletedAt: at}},
		Organizations: []identity.Organization{{ID: "org_beta", CreatedAt: at, UpdatedAt: at, DeletedAt: at}},
	}
	if err := w.Provider.Put(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	drifts := reconcile(t, w, identity.ReconcileOptions{})
	want := []identity.Drift{
		{Kind: identity.DriftTenantDeleted, OrganizationID: "org_beta", Repaired: true},
		{Kind: identity.DriftAccountDeleted, AccountID: "user_carl", Repaired: true},
	}
	if diff := cmp.Diff(want, drifts); diff != "" {
		t.Error(diff)
	}
	beta, err := w.Tenants.Get(t.Context(), "org_beta")
	if err != nil || !beta.Deleted() {
		t.Errorf("got %+v, %v", beta, err)
	}
	accounts, err := w.Directory.Accounts(t.Context(), []string{"user_carl"})
	if err != nil || len(accounts) != 1 || accounts[0].Email != "" {
		t.Errorf("got %+v, %v", accounts, err)
	}
}

// TestReconciliationKeepsWhatIsNewer: an answer may be older than a webhook, and
// what was deleted does not come back.
func TestReconciliationKeepsWhatIsNewer(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t)
	later := time.Now()
	newer := acme()
	newer.Organizations[0].Name, newer.Organizations[0].UpdatedAt = "Newer", later
	newer.Accounts[0].FirstName, newer.Accounts[0].UpdatedAt = "Newer", later
	newer.Memberships[0].ProviderRole, newer.Memberships[0].UpdatedAt = "org:member", later
	ended := beta().Memberships
	ended[0].DeletedAt = later
	newer.Memberships = append(newer.Memberships, ended...)
	if err := w.Sync.Apply(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	before, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[identity.DriftKind]int{}
	for _, d := range reconcile(t, w, identity.ReconcileOptions{}) {
		if d.Repaired || d.Reason == "" {
			t.Errorf("found %+v", d)
		}
		kinds[d.Kind]++
	}
	want := map[identity.DriftKind]int{
		identity.DriftTenantChanged: 1, identity.DriftAccountChanged: 1, identity.DriftMembershipRole: 1, identity.DriftMembershipMissing: 1,
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	after, err := w.State(t.Context())
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestReconciliationMendsTenantsRows: what the directory knows may have been
// undone in a tenant, for one by a restored backup.
func TestReconciliationMendsTenantsRows(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t)
	acme, err := w.Tenants.Get(t.Context(), "org_acme")
	if err != nil {
		t.Fatal(err)
	}
	ctx := tenant.NewContext(t.Context(), acme.Schema)
	ada, err := w.Members.ByID(ctx, "user_ada")
	if err != nil {
		t.Fatal(err)
	}
	broken := ada
	broken.Role, broken.IsActive, broken.FirstName = identity.RoleViewer, false, "Old"
	if err := w.Members.Put(ctx, []identity.Member{broken}); err != nil {
		t.Fatal(err)
	}
	want := []identity.Drift{{Kind: identity.DriftUsers, OrganizationID: "org_acme", AccountID: "user_ada", Repaired: true}}
	if diff := cmp.Diff(want, reconcile(t, w, identity.ReconcileOptions{})); diff != "" {
		t.Error(diff)
	}
	mended, err := w.Members.ByID(ctx, "user_ada")
	if mended.UpdatedAt = ada.UpdatedAt; err != nil || mended != ada {
		t.Errorf("got %+v, want %+v, %v", mended, ada, err)
	}
}

// flaky is a provider that fails from a call on.
type flaky struct {
	identity.Provider
	until func() error
}

func (f flaky) ObserveMembers(ctx context.Context, id string) (identity.Observation, error) {
	if err := f.until(); err != nil {
		return identity.Observation{}, err
	}
	return f.Provider.ObserveMembers(ctx, id)
}

// TestReconciliationGoesOn where it stopped, when the provider went away and when
// the process was killed.
func TestReconciliationGoesOn(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	for n := range 50 {
		o := beta()
		o.Organizations[0].ID = fmt.Sprintf("org_%02d", n)
		o.Organizations[0].Slug = fmt.Sprintf("slug-%d", n)
		o.Memberships[0].ID, o.Memberships[0].OrganizationID = fmt.Sprintf("orgmem_%02d", n), o.Organizations[0].ID
		if err := w.Provider.Put(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	var asked, allowed atomic.Int64
	provider := flaky{w.Provider, func() error {
		if asked.Add(1) > allowed.Load() {
			return fault.New(fault.Unavailable, "away")
		}
		return nil
	}}
	newReconciler := func() *identity.Reconciler {
		return identity.NewReconciler(w.Directory, provider, w.Sync, w.Ledger, fmt.Sprint(asked.Load()), slog.New(slog.DiscardHandler))
	}
	allowed.Store(45)
	stopped, err := newReconciler().All(t.Context(), identity.ReconcileOptions{})
	if !fault.Is(err, fault.Unavailable) || stopped.Organizations != 40 {
		t.Errorf("got %+v, %v", stopped, err)
	}
	// Another process begins and is killed: it says nothing more.
	killed, err := w.Ledger.Begin(t.Context(), "killed", time.Now(), time.Now().Add(-time.Minute))
	if err != nil || killed.Cursor != "org_39" {
		t.Fatalf("got %+v, %v", killed, err)
	}
	if _, err := newReconciler().All(t.Context(), identity.ReconcileOptions{}); !errors.Is(err, identity.ErrReconciling) {
		t.Errorf("two at once: %v", err)
	}
	killed.HeartbeatAt = time.Now().Add(-time.Hour)
	if err := w.Ledger.Save(t.Context(), killed); err != nil {
		t.Fatal(err)
	}
	asked.Store(0)
	allowed.Store(1000)
	var progress []int
	done, err := newReconciler().All(t.Context(), identity.ReconcileOptions{Observe: func(now identity.ReconcileProgress) {
		progress = append(progress, now.Done)
	}})
	if err != nil || done.Organizations != 50 || asked.Load() != 10 || !slices.Equal(progress, []int{40, 50}) {
		t.Errorf("got %+v after %d calls and %v, %v", done, asked.Load(), progress, err)
	}
	if state, err := w.State(t.Context()); err != nil || len(state) != 50 {
		t.Errorf("%d tenants, %v", len(state), err)
	}
}

// TestReconciliationOfOneThatFails goes on with the others.
func TestReconciliationOfOneThatFails(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	for _, o := range []identity.Observation{acme(), beta()} {
		if err := w.Provider.Put(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	w.Schemas.Fail = func(schema tenant.Schema) error {
		if strings.Contains(schema.String(), "acme") {
			return errors.New("no room")
		}
		return nil
	}
	drifts := reconcile(t, w, identity.ReconcileOptions{})
	left := slices.DeleteFunc(slices.Clone(drifts), func(d identity.Drift) bool { return d.Repaired })
	if len(left) != 1 || left[0].OrganizationID != "org_acme" || left[0].Kind != identity.DriftUnknown || left[0].Reason == "" {
		t.Errorf("left %+v", left)
	}
	if _, err := w.Tenants.Get(t.Context(), "org_beta"); err != nil {
		t.Errorf("the other: %v", err)
	}
	w.Schemas.Fail = nil
	reconcile(t, w, identity.ReconcileOptions{})
	if _, err := w.Tenants.Get(t.Context(), "org_acme"); err != nil {
		t.Errorf("the next time: %v", err)
	}
}
