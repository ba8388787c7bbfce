package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// acme is an organization that Ada founded and Bob joined; Eve has nothing to do
// with it.
func acme() identity.Observation {
	return identity.Observation{
		Accounts: []identity.Account{person("user_ada", "Ada"), person("user_bob", "Bob"), person("user_eve", "Eve")},
		Organizations: []identity.Organization{
			{ID: "org_acme", Name: "Acme", Slug: "acme", CreatedBy: "user_ada", CreatedAt: founded, UpdatedAt: founded},
		},
		Memberships: []identity.Membership{
			{ID: "orgmem_1", OrganizationID: "org_acme", AccountID: "user_ada", ProviderRole: "org:admin", CreatedAt: founded, UpdatedAt: founded},
			{ID: "orgmem_2", OrganizationID: "org_acme", AccountID: "user_bob", ProviderRole: "org:member", CreatedAt: founded, UpdatedAt: founded},
		},
	}
}

func person(id, name string) identity.Account {
	return identity.Account{ID: id, FirstName: name, Email: id + "@example.com", CreatedAt: founded, UpdatedAt: founded}
}

// sessionOf is that of somebody with an active organization, "" for none.
func sessionOf(account, organization string) identity.Session {
	session := identity.Session{ID: "sess_1", AccountID: account}
	if organization != "" {
		session.ActiveOrganization = identity.OrganizationClaim{ID: "org_" + organization, Slug: organization, Role: "org:admin"}
	}
	return session
}

func apply(t *testing.T, w *identitytest.World, observations ...identity.Observation) {
	t.Helper()
	for _, o := range observations {
		if err := w.Sync.Apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func tell(t *testing.T, w *identitytest.World, o identity.Observation) {
	t.Helper()
	if err := w.Provider.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func TestEnter(t *testing.T) {
	t.Parallel()
	left := identity.Observation{Memberships: []identity.Membership{{ID: "orgmem_2", DeletedAt: founded.Add(time.Hour)}}}
	for name, test := range map[string]struct {
		account, slug string
		suspended     bool
		left          bool
		role          identity.Role
		kind          fault.Kind
	}{
		"the founder":                    {account: "user_ada", slug: "acme", role: identity.RoleOwner},
		"a member":                       {account: "user_bob", slug: "acme", role: identity.RoleMember},
		"a stranger":                     {account: "user_eve", slug: "acme", kind: fault.NotFound},
		"nobody known":                   {account: "user_new", slug: "acme", kind: fault.NotFound},
		"an unknown tenant":              {account: "user_ada", slug: "other", kind: fault.NotFound},
		"no slug":                        {account: "user_ada", slug: "", kind: fault.NotFound},
		"a slug that cannot be":          {account: "user_ada", slug: "Acme'; --", kind: fault.NotFound},
		"a member who left":              {account: "user_bob", slug: "acme", left: true, kind: fault.NotFound},
		"a member of a suspended tenant": {account: "user_bob", slug: "acme", suspended: true, kind: fault.Suspended},
		"a stranger to a suspended one":  {account: "user_eve", slug: "acme", suspended: true, kind: fault.NotFound},
		"who left a suspended one":       {account: "user_bob", slug: "acme", suspended: true, left: true, kind: fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := identitytest.NewWorld()
			apply(t, w, acme())
			if test.left {
				apply(t, w, left)
			}
			if test.suspended {
				if _, err := w.Tenants.Suspend(t.Context(), "org_acme"); err != nil {
					t.Fatal(err)
				}
			}
			ctx, access, err := w.Service.Enter(t.Context(), sessionOf(test.account, ""), test.slug)
			schema, inTenant := tenant.FromContext(ctx)
			granted, hasAccess := identity.AccessFromContext(ctx)
			if test.kind != fault.Internal {
				if !fault.Is(err, test.kind) || inTenant || hasAccess || access != (identity.Access{}) {
					t.Errorf("got %+v, %v", access, err)
				}
				if test.kind == fault.NotFound && fault.As(err).Message != tenancy.ErrNotFound.Message {
					t.Errorf("the refusal tells more than that: %v", err)
				}
				return
			}
			if err != nil || access.Member.Role != test.role || access.Member.ID != test.account || access.Tenant.ID != "org_acme" {
				t.Errorf("got %+v, %v", access, err)
			}
			if !inTenant || schema != access.Tenant.Schema || !hasAccess || granted != access {
				t.Errorf("the context is of %v with %+v", schema, granted)
			}
			if actor := access.Actor(); actor.AccountID != test.account || actor.Role != test.role {
				t.Errorf("acts as %+v", actor)
			}
		})
	}
}

// TestTheTokensRoleGrantsNothing: a session says "admin" of somebody who is a
// viewer here.
func TestTheTokensRoleGrantsNothing(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	o := acme()
	o.Memberships[1].ProviderRole = "org:invented"
	apply(t, w, o)
	_, access, err := w.Service.Enter(t.Context(), sessionOf("user_bob", "acme"), "acme")
	if err != nil || access.Member.Role != identity.RoleViewer {
		t.Errorf("got %q, %v", access.Member.Role, err)
	}
}

// TestEnterDoesNotWaitForWebhooks has a provider that knows what no webhook has
// told yet.
func TestEnterDoesNotWaitForWebhooks(t *testing.T) {
	t.Parallel()
	t.Run("of an organization", func(t *testing.T) {
		t.Parallel()
		w := identitytest.NewWorld()
		tell(t, w, acme())
		_, access, err := w.Service.Enter(t.Context(), sessionOf("user_ada", "acme"), "acme")
		if err != nil || access.Member.Role != identity.RoleOwner {
			t.Fatalf("got %+v, %v", access, err)
		}
		if !w.Schemas.Has(access.Tenant.Schema) {
			t.Error("the tenant was not provisioned")
		}
		// The webhooks come afterwards, and change nothing.
		before, err := w.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o := acme()
		apply(t, w, identity.Observation{Organizations: o.Organizations}, identity.Observation{Memberships: o.Memberships[:1]})
		after, err := w.State(t.Context())
		if err != nil || len(after) != len(before) || after["org_acme"].Slug != before["org_acme"].Slug {
			t.Errorf("got %+v, %v", after, err)
		}
	})
	t.Run("of a membership", func(t *testing.T) {
		t.Parallel()
		w := identitytest.NewWorld()
		o := acme()
		tell(t, w, o)
		o.Memberships = o.Memberships[:1]
		apply(t, w, o)
		_, access, err := w.Service.Enter(t.Context(), sessionOf("user_bob", "acme"), "acme")
		if err != nil || access.Member.Role != identity.RoleMember {
			t.Errorf("got %+v, %v", access, err)
		}
	})
	t.Run("under the slug that the organization got here", func(t *testing.T) {
		t.Parallel()
		w := identitytest.NewWorld()
		o := acme()
		o.Organizations[0].Slug = "api" // reserved here
		tell(t, w, o)
		o.Memberships = o.Memberships[:1]
		apply(t, w, o)
		got, err := w.Tenants.Get(t.Context(), "org_acme")
		if err != nil {
			t.Fatal(err)
		}
		session := sessionOf("user_bob", "acme")
		session.ActiveOrganization.Slug = "api"
		if _, _, err := w.Service.Enter(t.Context(), session, got.Slug.String()); err != nil {
			t.Errorf("got %v", err)
		}
	})
	t.Run("and learns that there is none", func(t *testing.T) {
		t.Parallel()
		w := identitytest.NewWorld()
		apply(t, w, acme())
		tell(t, w, identity.Observation{Accounts: []identity.Account{person("user_eve", "Eve")}})
		if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_eve", "acme"), "acme"); !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("and the provider is away", func(t *testing.T) {
		t.Parallel()
		w := identitytest.NewWorld()
		w.Provider.Fail(fault.New(fault.Unavailable, "The identity provider cannot be reached."))
		if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_ada", "acme"), "acme"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want what says to try again instead of a 404", err)
		}
	})
}

// TestNobodyMakesUsAskAboutOthers: the provider is asked about a session's own
// organization alone, and not again about who is known.
func TestNobodyMakesUsAskAboutOthers(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	apply(t, w, acme(), identity.Observation{Memberships: []identity.Membership{{ID: "orgmem_2", DeletedAt: founded.Add(time.Hour)}}})
	w.Provider.Fail(fault.New(fault.Unavailable, "was asked"))
	for name, test := range map[string]struct {
		session identity.Session
		slug    string
	}{
		"no active organization":       {sessionOf("user_eve", ""), "acme"},
		"another tenant":               {sessionOf("user_eve", "evil"), "acme"},
		"a tenant that does not exist": {sessionOf("user_eve", "evil"), "nowhere"},
		"somebody who left":            {sessionOf("user_bob", "acme"), "acme"},
	} {
		if _, _, err := w.Service.Enter(t.Context(), test.session, test.slug); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEnterRecordsWhenSomebodyWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := identitytest.NewWorld()
		apply(t, w, acme())
		enter := func() time.Time {
			ctx, access, err := w.Service.Enter(t.Context(), sessionOf("user_bob", ""), "acme")
			if err != nil {
				t.Fatal(err)
			}
			member, err := w.Members.ByID(ctx, access.Member.ID)
			if err != nil {
				t.Fatal(err)
			}
			return member.LastSeenAt
		}
		first := enter()
		if !first.Equal(time.Now()) {
			t.Errorf("seen at %v, it is %v", first, time.Now())
		}
		time.Sleep(4 * time.Minute)
		if again := enter(); !again.Equal(first) {
			t.Errorf("written again after four minutes: %v", again)
		}
		time.Sleep(2 * time.Minute)
		if later := enter(); !later.Equal(time.Now()) {
			t.Errorf("not written after six minutes: %v", later)
		}
	})
}

func TestHome(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	o := acme()
	for _, id := range []string{"zeta", "beta"} {
		o.Organizations = append(o.Organizations, identity.Organization{
			ID: "org_" + id, Name: strings.ToUpper(id), Slug: id, CreatedBy: "user_bob", CreatedAt: founded, UpdatedAt: founded,
		})
	}
	apply(t, w, o)
	fresh := identity.Observation{
		Accounts: o.Accounts[2:],
		Organizations: []identity.Organization{
			{ID: "org_new", Name: "New", Slug: "new-one", CreatedBy: "user_eve", CreatedAt: founded, UpdatedAt: founded},
		},
		Memberships: []identity.Membership{
			{ID: "orgmem_9", OrganizationID: "org_new", AccountID: "user_eve", ProviderRole: "org:admin", CreatedAt: founded, UpdatedAt: founded},
		},
	}
	tell(t, w, fresh)
	for name, test := range map[string]struct {
		session identity.Session
		want    string // "" is not found
	}{
		"the active one":            {sessionOf("user_bob", "zeta"), "org_zeta"},
		"the first by name":         {sessionOf("user_bob", ""), "org_acme"},
		"not one of theirs":         {sessionOf("user_ada", "zeta"), "org_acme"},
		"one that just came to be":  {sessionOf("user_eve", "new"), "org_new"},
		"none":                      {sessionOf("user_nobody", ""), ""},
		"none, whatever is claimed": {sessionOf("user_nobody", "acme"), ""},
	} {
		got, err := w.Service.Home(t.Context(), test.session)
		if got.ID != test.want || (err != nil) != (test.want == "") || err != nil && !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %s, %v, want %s", name, got.ID, err, test.want)
		}
	}
	// Eve's membership ends; her session does not know yet, and is not told to wait.
	gone, err := w.Provider.RemoveMember(t.Context(), "org_new", "user_eve")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, w, gone)
	if _, err := w.Service.Home(t.Context(), sessionOf("user_eve", "new")); !errors.Is(err, identity.ErrLeft) {
		t.Errorf("of somebody who left: %v", err)
	}
	var slugs []string
	tenants, err := w.Service.Tenants(t.Context(), "user_bob")
	for _, each := range tenants {
		slugs = append(slugs, each.Slug.String())
	}
	if got := strings.Join(slugs, " "); err != nil || got != "acme beta zeta" {
		t.Errorf("the tenants of Bob are %s, %v", got, err)
	}
}

func TestMembersByID(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	apply(t, w, acme())
	ctx, _, err := w.Service.Enter(t.Context(), sessionOf("user_ada", ""), "acme")
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Service.Members(ctx, "user_bob", "user_none", "", "user_bob", "user_ada")
	if err != nil || len(got) != 2 || got["user_bob"].FirstName != "Bob" || got["user_ada"].FirstName != "Ada" {
		t.Errorf("got %+v, %v", got, err)
	}
	if none, err := w.Service.Members(context.Background()); err != nil || len(none) != 0 {
		t.Errorf("got %+v, %v", none, err)
	}
	if account, err := w.Service.Account(t.Context(), "user_eve"); err != nil || account.FirstName != "Eve" {
		t.Errorf("got %+v, %v", account, err)
	}
	if account, err := w.Service.Account(t.Context(), "user_none"); err != nil || account != (identity.Account{}) {
		t.Errorf("got %+v, %v", account, err)
	}
}

// TestOnboarding goes through what a person may tell, one after the other.
func TestOnboarding(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	o := acme()
	o.Organizations = append(o.Organizations, identity.Organization{
		ID: "org_other", Name: "Other", Slug: "other", CreatedBy: "user_bob", CreatedAt: founded, UpdatedAt: founded,
	})
	apply(t, w, o)
	tell(t, w, o)
	for _, step := range []struct {
		profile                     identity.Profile
		first, last, phone, another string // another is the first name in the other tenant
	}{
		{identity.Profile{}, "Bob", "", "", "Bob"},
		{identity.Profile{Phone: " +1 (555) 01-00 "}, "Bob", "", "+1 (555) 01-00", "Bob"},
		{identity.Profile{LastName: "Bäumlin"}, "Bob", "Bäumlin", "+1 (555) 01-00", "Bob"},
		{identity.Profile{FirstName: " Robert ", LastName: "Bäumlin", Phone: "110"}, "Robert", "Bäumlin", "110", "Robert"},
		{identity.Profile{FirstName: "Robert", LastName: "Bäumlin", Phone: "110"}, "Robert", "Bäumlin", "110", "Robert"},
		{identity.Profile{FirstName: strings.Repeat("界", 100)}, strings.Repeat("界", 100), "Bäumlin", "110", strings.Repeat("界", 100)},
	} {
		ctx, access, err := w.Service.Enter(t.Context(), sessionOf("user_bob", ""), "acme")
		if err != nil {
			t.Fatal(err)
		}
		member, err := w.Service.CompleteOnboarding(ctx, access, step.profile)
		if err != nil {
			t.Fatalf("%.50v: %v", step.profile, err)
		}
		if !member.Metadata.OnboardingComplete || member.FirstName != step.first || member.LastName != step.last || member.Phone != step.phone {
			t.Errorf("%.50v: %+v", step.profile, member)
		}
		if member.Role != identity.RoleMember || member.Email != "user_bob@example.com" {
			t.Errorf("%.50v changed what is not theirs: %+v", step.profile, member)
		}
		_, elsewhere, err := w.Service.Enter(t.Context(), sessionOf("user_bob", ""), "other")
		if err != nil || elsewhere.Member.FirstName != step.another || elsewhere.Member.Metadata.OnboardingComplete || elsewhere.Member.Phone != "" {
			t.Errorf("%.50v: in the other tenant %+v, %v", step.profile, elsewhere.Member, err)
		}
	}
}

func TestOnboardingRefuses(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	apply(t, w, acme())
	tell(t, w, acme())
	ctx, access, err := w.Service.Enter(t.Context(), sessionOf("user_bob", ""), "acme")
	if err != nil {
		t.Fatal(err)
	}
	before, err := w.Members.ByID(ctx, "user_bob")
	if err != nil {
		t.Fatal(err)
	}
	for fields, profile := range map[string]identity.Profile{
		"first_name":                 {FirstName: strings.Repeat("x", 101)},
		"last_name":                  {LastName: strings.Repeat("界", 10_000), FirstName: "Robert"},
		"first_name last_name":       {FirstName: "a\nb", LastName: "a\u202eb"},
		"last_name phone":            {LastName: "\xff", Phone: "call me"},
		"phone":                      {Phone: "12"},
		"phone ":                     {Phone: strings.Repeat("1", 33)},
		"phone  ":                    {Phone: "+1 555\n0100"},
		"first_name last_name phone": {FirstName: "\x00", LastName: "\x7f", Phone: "☎ 123"},
	} {
		_, err := w.Service.CompleteOnboarding(ctx, access, profile)
		var got []string
		if fault.Is(err, fault.Invalid) {
			for _, field := range fault.As(err).Fields {
				got = append(got, field.Name)
			}
		}
		if strings.Join(got, " ") != strings.TrimSpace(fields) {
			t.Errorf("%.60q: fields %q, %v", profile, got, err)
		}
	}
	w.Provider.Fail(fault.New(fault.RateLimited, "Slow down.").WithRetryAfter(time.Second))
	if _, err := w.Service.CompleteOnboarding(ctx, access, identity.Profile{FirstName: "Robert", Phone: "110"}); !fault.Is(err, fault.RateLimited) {
		t.Errorf("got %v", err)
	}
	if after, err := w.Members.ByID(ctx, "user_bob"); err != nil || after != before {
		t.Errorf("something was kept: %+v, %v", after, err)
	}
}

// TestATenantOutsideOfTheServedVersions holds that its members are told to come
// back, that nobody else learns of it, and that what was observed meanwhile is
// not lost.
func TestATenantOutsideOfTheServedVersions(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	apply(t, w, acme())
	w.Schemas.Outdated = []string{""} // schemas in memory have no version
	for account, want := range map[string]fault.Kind{"user_ada": fault.Unavailable, "user_bob": fault.Unavailable, "user_eve": fault.NotFound} {
		_, _, err := w.Service.Enter(t.Context(), sessionOf(account, ""), "acme")
		if !fault.Is(err, want) {
			t.Errorf("%s: %v, want %v", account, err, want)
		}
		if want == fault.Unavailable && fault.As(err).RetryAfter <= 0 {
			t.Errorf("%s is not told when to come back", account)
		}
	}
	eve := identity.Observation{Memberships: []identity.Membership{
		{ID: "orgmem_3", OrganizationID: "org_acme", AccountID: "user_eve", ProviderRole: "org:member", CreatedAt: founded, UpdatedAt: founded},
	}}
	if err := w.Sync.Apply(t.Context(), eve); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an observation of it: %v", err)
	}
	w.Schemas.Outdated = nil
	apply(t, w, eve)
	if _, access, err := w.Service.Enter(t.Context(), sessionOf("user_eve", ""), "acme"); err != nil || access.Member.Role != identity.RoleMember {
		t.Errorf("after the upgrade: %+v, %v", access.Member, err)
	}
}

// TestSomebodyWhoIsAddedAgain does not wait for the webhook. Of the tokens from
// before they were removed nobody asks the provider.
func TestSomebodyWhoIsAddedAgain(t *testing.T) {
	t.Parallel()
	w := identitytest.NewWorld()
	tell(t, w, acme())
	apply(t, w, acme())
	removed := acme().Memberships[1]
	removed.DeletedAt = founded.Add(time.Hour)
	ended := identity.Observation{Memberships: []identity.Membership{removed}}
	tell(t, w, ended)
	apply(t, w, ended)
	again := acme().Memberships[1]
	again.ID, again.CreatedAt = "orgmem_again", founded.Add(2*time.Hour)
	tell(t, w, identity.Observation{Memberships: []identity.Membership{again}})

	session := sessionOf("user_bob", "acme")
	session.IssuedAt = time.Now().Add(-time.Minute)
	if _, _, err := w.Service.Enter(t.Context(), session, "acme"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("with a token from before: %v", err)
	}
	session.IssuedAt = time.Now().Add(time.Second)
	elsewhere := session
	elsewhere.ActiveOrganization = identity.OrganizationClaim{ID: "org_other", Slug: "other"}
	if _, _, err := w.Service.Enter(t.Context(), elsewhere, "acme"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("with another organization's token: %v", err)
	}
	if _, access, err := w.Service.Enter(t.Context(), session, "acme"); err != nil || access.Member.Role != identity.RoleMember {
		t.Errorf("with a new token: %+v, %v", access, err)
	}
	// Who is not added again stays out.
	gone := again
	gone.DeletedAt = founded.Add(3 * time.Hour)
	ended = identity.Observation{Memberships: []identity.Membership{gone}}
	tell(t, w, ended)
	apply(t, w, ended)
	session.IssuedAt = time.Now().Add(time.Second)
	if _, _, err := w.Service.Enter(t.Context(), session, "acme"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("after leaving: %v", err)
	}
}

// TestAnOwnerWhoIsAddedAgain at the provider is what it says, in whatever order
// that is heard of.
func TestAnOwnerWhoIsAddedAgain(t *testing.T) {
	t.Parallel()
	for name, decided := range map[string]bool{"who created it": false, "by decision": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			removed, again, promoted := acme().Memberships[0], acme().Memberships[0], acme().Memberships[1]
			removed.DeletedAt = founded.Add(time.Hour)
			again.ID, again.CreatedAt, again.UpdatedAt = "orgmem_again", founded.Add(2*time.Hour), founded.Add(2*time.Hour)
			promoted.ProviderRole, promoted.UpdatedAt = "org:admin", founded.Add(30*time.Minute)
			events := []identity.Observation{
				{Memberships: []identity.Membership{removed}}, {Memberships: []identity.Membership{again}}, {Memberships: []identity.Membership{promoted}},
			}
			for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
				w := identitytest.NewWorld()
				apply(t, w, acme())
				if decided {
					if err := w.Sync.Own(t.Context(), "org_acme", map[string]bool{"user_ada": true}); err != nil {
						t.Fatal(err)
					}
				}
				for _, i := range order {
					apply(t, w, events[i])
				}
				state, err := w.State(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				roles := map[string]identity.Role{}
				for _, user := range state["org_acme"].Users {
					roles[user.ID] = user.Role
				}
				if roles["user_ada"] != identity.RoleAdmin || roles["user_bob"] != identity.RoleOwner {
					t.Errorf("in the order %v: %v", order, roles)
				}
			}
		})
	}
}
