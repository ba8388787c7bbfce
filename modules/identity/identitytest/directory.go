package identitytest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
)

// RunDirectory runs the contract of [identity.Directory].
func RunDirectory(t *testing.T, newStores func(t *testing.T) Stores) {
	t.Helper()
	run(t, newStores, map[string]func(s Stores, t *testing.T){
		"what was put is found":               directoryFinds,
		"put writes over what was":            directoryReplaces,
		"organizations of accounts":           directoryOrganizationsOf,
		"live ids are listed by page":         directoryLive,
		"a view has all of one organization":  directoryView,
		"ownership is recorded and changed":   directoryOwn,
		"it agrees with the projection":       directoryAgrees,
		"locks make others wait":              directoryLocks,
		"a cancelled context changes nothing": directoryCancelled,
	})
}

// everything has one of each, alive and deleted, with every field set.
func everything() identity.Observation {
	return identity.Observation{
		Accounts: []identity.Account{
			{
				ID: "user_1", Email: hostile, FirstName: hostile, LastName: "Löve", AvatarURL: "https://img.example/1", Phone: "+1 555", TwoFactor: true,
				Stub: true, CreatedAt: at(1), UpdatedAt: at(2),
			},
			{ID: "user_2", CreatedAt: at(3), UpdatedAt: at(3), DeletedAt: at(3)},
		},
		Organizations: []identity.Organization{
			{ID: "org_1", Name: hostile, Slug: "Ünï " + hostile, ImageURL: "https://img.example/2", CreatedBy: "user_1", CreatedAt: at(4), UpdatedAt: at(5)},
			{ID: "org_2", CreatedAt: at(6), UpdatedAt: at(6), DeletedAt: at(6)},
		},
		Memberships: []identity.Membership{
			{ID: "orgmem_1", OrganizationID: "org_1", AccountID: "user_1", ProviderRole: hostile, CreatedAt: at(7), UpdatedAt: at(8)},
			{ID: "orgmem_2", OrganizationID: "org_1", AccountID: "user_2", CreatedAt: at(9), UpdatedAt: at(9), DeletedAt: at(9)},
			{ID: "orgmem_3", CreatedAt: at(9), UpdatedAt: at(9), DeletedAt: at(9)},
		},
	}
}

func (s Stores) put(t *testing.T, o identity.Observation) {
	t.Helper()
	must(t, s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error { return s.Directory.Put(ctx, o) }))
}

// found returns what the directory has of everything's ids.
func (s Stores) found(t *testing.T) identity.Observation {
	t.Helper()
	accounts, err := s.Directory.Accounts(t.Context(), []string{"user_2", "user_1", "user_none", ""})
	must(t, err)
	organizations, err := s.Directory.Organizations(t.Context(), []string{"org_2", "org_1", "org_none", hostile})
	must(t, err)
	memberships, err := s.Directory.Memberships(t.Context(), []string{"orgmem_3", "orgmem_1", "orgmem_2", "ORGMEM_1"})
	must(t, err)
	return identity.Observation{
		Accounts: sorted(accounts, accountID), Organizations: sorted(organizations, organizationID), Memberships: sorted(memberships, membershipID),
	}
}

func directoryFinds(s Stores, t *testing.T) {
	if got := s.found(t); !got.IsZero() {
		t.Errorf("an empty directory knows %+v", got)
	}
	s.put(t, identity.Observation{})
	s.put(t, everything())
	same(t, "found", s.found(t), everything())
	accounts, err1 := s.Directory.Accounts(t.Context(), nil)
	organizations, err2 := s.Directory.Organizations(t.Context(), nil)
	memberships, err3 := s.Directory.Memberships(t.Context(), nil)
	if len(accounts)+len(organizations)+len(memberships) > 0 || err1 != nil || err2 != nil || err3 != nil {
		t.Errorf("nothing was asked for: %v %v %v, %v %v %v", accounts, organizations, memberships, err1, err2, err3)
	}
}

func directoryReplaces(s Stores, t *testing.T) {
	s.put(t, everything())
	changed := everything()
	changed.Accounts[0] = identity.Account{ID: "user_1", CreatedAt: at(20), UpdatedAt: at(21), DeletedAt: at(22)}
	changed.Accounts[1] = identity.Account{ID: "user_2", FirstName: "Back", CreatedAt: at(20), UpdatedAt: at(21)}
	changed.Organizations[0] = identity.Organization{ID: "org_1", CreatedAt: at(20), UpdatedAt: at(21), DeletedAt: at(22)}
	changed.Organizations[1] = identity.Organization{ID: "org_2", Name: "Back", CreatedAt: at(20), UpdatedAt: at(21)}
	changed.Memberships[0] = identity.Membership{ID: "orgmem_1", OrganizationID: "org_2", AccountID: "user_2", CreatedAt: at(20), UpdatedAt: at(21), DeletedAt: at(22)}
	changed.Memberships[2] = identity.Membership{ID: "orgmem_3", OrganizationID: "org_2", AccountID: "user_2", ProviderRole: "org:admin", CreatedAt: at(20), UpdatedAt: at(21)}
	s.put(t, changed)
	same(t, "replaced", s.found(t), changed)
}

func directoryOrganizationsOf(s Stores, t *testing.T) {
	s.put(t, everything())
	s.put(t, identity.Observation{
		Organizations: []identity.Organization{{ID: "org_3", CreatedBy: "user_3", CreatedAt: at(0), UpdatedAt: at(0)}},
		Memberships: []identity.Membership{
			{ID: "orgmem_4", OrganizationID: "org_unheard", AccountID: "user_3", CreatedAt: at(0), UpdatedAt: at(0)},
			{ID: "orgmem_5", OrganizationID: "org_3", AccountID: "user_3", CreatedAt: at(0), UpdatedAt: at(0)},
		},
	})
	for _, test := range []struct{ accounts, want []string }{
		{nil, nil},
		{[]string{"user_none"}, nil},
		{[]string{"user_1"}, []string{"org_1"}},
		{[]string{"user_2"}, []string{"org_1"}},
		{[]string{"user_3"}, []string{"org_3", "org_unheard"}},
		{[]string{"user_3", "user_1", "user_2"}, []string{"org_1", "org_3", "org_unheard"}},
	} {
		got, err := s.Directory.OrganizationsOf(t.Context(), test.accounts)
		must(t, err)
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("of %q: %q, want %q", test.accounts, got, test.want)
		}
	}
}

func directoryLive(s Stores, t *testing.T) {
	s.put(t, everything())
	var more identity.Observation
	for _, id := range []string{"b", "a_1", "a1", "B", "a"} { // most collations order these otherwise than their bytes
		more.Accounts = append(more.Accounts, identity.Account{ID: id, CreatedAt: at(0), UpdatedAt: at(0)})
		more.Organizations = append(more.Organizations, identity.Organization{ID: id, CreatedAt: at(0), UpdatedAt: at(0)})
	}
	s.put(t, more)
	for what, list := range map[string]struct {
		of   func(ctx context.Context, after string, limit int) ([]string, error)
		last string
	}{"organizations": {s.Directory.LiveOrganizations, "org_1"}, "accounts": {s.Directory.LiveAccounts, "user_1"}} {
		for _, test := range []struct {
			after string
			limit int
			want  []string
		}{
			{"", 10, []string{"B", "a", "a1", "a_1", "b", list.last}},
			{"", 2, []string{"B", "a"}},
			{"a", 2, []string{"a1", "a_1"}},
			{list.last, 2, nil},
		} {
			got, err := list.of(t.Context(), test.after, test.limit)
			must(t, err)
			same(t, what+" after "+test.after, got, test.want)
		}
	}
}

func directoryView(s Stores, t *testing.T) {
	s.put(t, everything())
	founder := identity.Account{ID: "user_founder", CreatedAt: at(0), UpdatedAt: at(0)}
	s.put(t, identity.Observation{
		Accounts: []identity.Account{founder, {ID: "user_elsewhere", CreatedAt: at(0), UpdatedAt: at(0)}},
		Organizations: []identity.Organization{
			{ID: "org_3", CreatedBy: founder.ID, CreatedAt: at(0), UpdatedAt: at(0)},
		},
		Memberships: []identity.Membership{
			{ID: "orgmem_9", OrganizationID: "org_unheard", AccountID: "user_unheard", CreatedAt: at(0), UpdatedAt: at(0)},
		},
	})
	all := everything()
	for id, want := range map[string]identity.View{
		"org_1":       {Organization: all.Organizations[0], Memberships: all.Memberships[:2], Accounts: all.Accounts},
		"org_2":       {Organization: all.Organizations[1]},
		"org_3":       {Organization: identity.Organization{ID: "org_3", CreatedBy: founder.ID, CreatedAt: at(0), UpdatedAt: at(0)}, Accounts: []identity.Account{founder}},
		"org_unheard": {Memberships: []identity.Membership{{ID: "orgmem_9", OrganizationID: "org_unheard", AccountID: "user_unheard", CreatedAt: at(0), UpdatedAt: at(0)}}},
		"org_none":    {},
		hostile:       {},
	} {
		got, err := s.Directory.View(t.Context(), id)
		must(t, err)
		same(t, "the organization "+id, got.Organization, want.Organization)
		same(t, "the memberships of "+id, sorted(got.Memberships, membershipID), sorted(want.Memberships, membershipID))
		same(t, "the accounts of "+id, sorted(got.Accounts, accountID), sorted(want.Accounts, accountID))
		if len(got.Ownerships) != 0 {
			t.Errorf("%s has owners %v", id, got.Ownerships)
		}
	}
}

func directoryOwn(s Stores, t *testing.T) {
	for _, step := range []struct {
		organization, account string
		decision              identity.Ownership
	}{
		{"org_1", "user_1", identity.Ownership{Owner: true}},
		{"org_1", "user_2", identity.Ownership{Owner: true, MembershipID: "orgmem_2"}},
		{"org_2", "user_1", identity.Ownership{Owner: true}},
		{"org_1", "user_2", identity.Ownership{MembershipID: hostile}},
		{"org_1", "user_1", identity.Ownership{Owner: true, MembershipID: "orgmem_1"}},
	} {
		must(t, s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
			return s.Directory.Own(ctx, step.organization, step.account, step.decision)
		}))
	}
	for id, want := range map[string]map[string]identity.Ownership{
		"org_1": {"user_1": {Owner: true, MembershipID: "orgmem_1"}, "user_2": {MembershipID: hostile}}, "org_2": {"user_1": {Owner: true}}, "org_3": {},
	} {
		view, err := s.Directory.View(t.Context(), id)
		must(t, err)
		same(t, "the owners of "+id, view.Ownerships, want)
	}
}

// directoryAgrees compares who the directory says belongs where with what the
// projection of its own views says, over everybody in some histories.
func directoryAgrees(s Stores, t *testing.T) {
	checked := 0
	for seed := range uint64(4) {
		observation := mergeAll(History(seed, 250))
		prefix := strconv.FormatUint(seed, 10) + "-"
		for i := range observation.Accounts {
			observation.Accounts[i].ID = prefix + observation.Accounts[i].ID
		}
		for i := range observation.Organizations {
			observation.Organizations[i].ID = prefix + observation.Organizations[i].ID
			if creator := observation.Organizations[i].CreatedBy; creator != "" {
				observation.Organizations[i].CreatedBy = prefix + creator
			}
		}
		for i := range observation.Memberships {
			m := &observation.Memberships[i]
			m.ID, m.OrganizationID, m.AccountID = prefix+m.ID, prefix+m.OrganizationID, prefix+m.AccountID
		}
		// As if some events had not come yet.
		observation.Memberships = observation.Memberships[len(observation.Memberships)/5:]
		s.put(t, observation)
		for _, account := range observation.Accounts {
			var want []string
			for _, o := range observation.Organizations {
				view, err := s.Directory.View(t.Context(), o.ID)
				must(t, err)
				belongs := func(u identity.User) bool { return u.ID == account.ID && u.Active }
				if !o.Deleted() && slices.ContainsFunc(identity.Project(view), belongs) {
					want = append(want, o.ID)
				}
			}
			got, err := s.Directory.ActiveOrganizationsOf(t.Context(), account.ID)
			must(t, err)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s belongs to %q, by the projection to %q", account.ID, got, want)
			}
			checked += len(want)
		}
	}
	if checked < 50 {
		t.Errorf("only %d memberships: this proves nothing", checked)
	}
	if got, err := s.Directory.ActiveOrganizationsOf(t.Context(), hostile); err != nil || len(got) != 0 {
		t.Errorf("nobody belongs to %q, %v", got, err)
	}
}

// mergeAll returns what is known once all of the observations have come.
func mergeAll(observations []identity.Observation) identity.Observation {
	var all identity.Observation
	for _, o := range observations {
		all.Accounts = merge(all.Accounts, o.Accounts, accountID, identity.Account.Merge)
		all.Organizations = merge(all.Organizations, o.Organizations, organizationID, identity.Organization.Merge)
		all.Memberships = merge(all.Memberships, o.Memberships, membershipID, identity.Membership.Merge)
	}
	return all
}

func merge[T any](into, states []T, id func(T) string, join func(T, T) T) []T {
	for _, state := range states {
		if i := slices.IndexFunc(into, func(known T) bool { return id(known) == id(state) }); i >= 0 {
			into[i] = join(into[i], state)
		} else {
			into = append(into, state)
		}
	}
	return into
}

// directoryLocks counts in a way that loses counts without the lock.
func directoryLocks(s Stores, t *testing.T) {
	const counters = 40
	var wg sync.WaitGroup
	for range counters {
		wg.Go(func() {
			err := s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
				if err := s.Directory.Lock(ctx, "account:user_1", "account:"+hostile); err != nil {
					return err
				}
				counter := identity.Account{ID: "user_1", FirstName: "0", CreatedAt: at(0), UpdatedAt: at(0)}
				stored, err := s.Directory.Accounts(ctx, []string{counter.ID})
				if err != nil {
					return err
				}
				if len(stored) > 0 {
					counter = stored[0]
				}
				n, err := strconv.Atoi(counter.FirstName)
				if err != nil {
					return err
				}
				counter.FirstName = strconv.Itoa(n + 1)
				return s.Directory.Put(ctx, identity.Observation{Accounts: []identity.Account{counter}})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stored, err := s.Directory.Accounts(t.Context(), []string{"user_1"})
	must(t, err)
	if len(stored) != 1 || stored[0].FirstName != strconv.Itoa(counters) {
		t.Errorf("counted to %+v, want %d", stored, counters)
	}
}

func directoryCancelled(s Stores, t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	cancel()
	_, err1 := s.Directory.Accounts(ctx, []string{"user_1"})
	_, err2 := s.Directory.View(ctx, "org_1")
	_, err3 := s.Directory.OrganizationsOf(ctx, []string{"user_1"})
	_, err4 := s.Directory.ActiveOrganizationsOf(ctx, "user_1")
	for i, err := range []error{s.Directory.Put(ctx, everything()), s.Directory.Own(ctx, "org_1", "user_1", identity.Ownership{Owner: true}), s.Directory.Lock(ctx, "x"), err1, err2, err3, err4} {
		if err == nil {
			t.Errorf("%d went through", i)
		}
	}
	if got := s.found(t); !got.IsZero() {
		t.Errorf("the directory knows %+v", got)
	}
}
