package identity_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
)

// newFounders is a staff of acme and Eve, who is in no organization.
func newFounders(t *testing.T) *identitytest.World {
	t.Helper()
	w := identitytest.NewWorld()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o := identity.Observation{
		Accounts:      []identity.Account{{ID: "user_ada", Email: "ada@example.com", CreatedAt: at, UpdatedAt: at}, {ID: "user_eve", Email: "eve@example.com", CreatedAt: at, UpdatedAt: at}},
		Organizations: []identity.Organization{{ID: "org_acme", Name: "Acme", Slug: "acme", CreatedBy: "user_ada", CreatedAt: at, UpdatedAt: at}},
		Memberships:   []identity.Membership{{ID: "orgmem_1", OrganizationID: "org_acme", AccountID: "user_ada", ProviderRole: "org:admin", CreatedAt: at, UpdatedAt: at}},
	}
	if err := w.Provider.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync.Apply(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return w
}

func made(t *testing.T, w *identitytest.World) (names []string) {
	t.Helper()
	all, err := w.Provider.ListOrganizations(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		names = append(names, o.Name+"@"+o.Slug)
	}
	return names
}

func TestFounding(t *testing.T) {
	t.Parallel()
	w := newFounders(t)
	eve := sessionOf("user_eve", "")
	got, err := w.Founding.Found(t.Context(), eve, identity.Foundation{Name: "  Größe & <Söhne> ", Project: " Move in "})
	if err != nil || got.Name != "Größe & <Söhne>" || got.Slug.String() != "grosse-sohne" && got.Slug.String() != "gro-e-sohne" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if want := []string{got.Schema.String() + ": user_eve: Move in"}; cmp.Diff(want, w.Projects.Made()) != "" {
		t.Errorf("made %q", w.Projects.Made())
	}
	_, access, err := w.Service.Enter(t.Context(), eve, got.Slug.String())
	if err != nil || access.Member.Role != identity.RoleOwner {
		t.Errorf("the founder is %+v, %v", access.Member, err)
	}
	chosen, err := w.Founding.Found(t.Context(), eve, identity.Foundation{Name: "Second", Slug: "other"})
	if err != nil || chosen.Slug.String() != "other" || len(w.Projects.Made()) != 1 {
		t.Errorf("got %+v, %v, %q", chosen, err, w.Projects.Made())
	}
	if _, err := w.Founding.Found(t.Context(), identity.Session{AccountID: "user_eve", Key: &identity.Key{}}, identity.Foundation{Name: "Third"}); err != identity.ErrPersonal {
		t.Errorf("a key: %v", err)
	}
}

func TestFoundingNamesWhatToMend(t *testing.T) {
	t.Parallel()
	w := newFounders(t)
	for name, test := range map[string]struct {
		entered identity.Foundation
		kind    fault.Kind
		fields  string
	}{
		"nothing":              {identity.Foundation{}, fault.Invalid, "name"},
		"everything":           {identity.Foundation{Name: " ", Slug: "-", Project: strings.Repeat("x", 121)}, fault.Invalid, "name slug project"},
		"a long name":          {identity.Foundation{Name: strings.Repeat("é", 101)}, fault.Invalid, "name"},
		"marks that reorder":   {identity.Foundation{Name: "Acme\u202eevil"}, fault.Invalid, "name"},
		"a name of no address": {identity.Foundation{Name: "東京"}, fault.Invalid, "slug"},
		"a reserved name":      {identity.Foundation{Name: "Admin"}, fault.Invalid, "slug"},
		"markup":               {identity.Foundation{Name: "Fine", Slug: "<script>"}, fault.Invalid, "slug"},
		"capitals":             {identity.Foundation{Name: "Fine", Slug: "Fine"}, fault.Invalid, "slug"},
		"a reserved address":   {identity.Foundation{Name: "Fine", Slug: "api"}, fault.Invalid, "slug"},
		"a taken address":      {identity.Foundation{Name: "Fine", Slug: "acme"}, fault.Conflict, "slug"},
		"a taken name":         {identity.Foundation{Name: "Acme"}, fault.Conflict, "slug"},
	} {
		_, err := w.Founding.Found(t.Context(), sessionOf("user_eve", ""), test.entered)
		var fields []string
		for _, field := range fault.As(err).Fields {
			fields = append(fields, field.Name)
		}
		if !fault.Is(err, test.kind) || strings.Join(fields, " ") != test.fields {
			t.Errorf("%s: %v, %q", name, err, fields)
		}
	}
	if got := made(t, w); len(got) != 1 {
		t.Errorf("there are %q", got)
	}
	w.Provider.Bar("user_eve")
	if _, err := w.Founding.Found(t.Context(), sessionOf("user_eve", ""), identity.Foundation{Name: "Fine"}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("who may not: %v", err)
	}
}

func TestAvailable(t *testing.T) {
	t.Parallel()
	w := newFounders(t)
	ctx, access := in(t, w, "user_ada")
	if _, err := w.Settings.Change(ctx, access, nil, identity.SettingsChange{Slug: new("acme-new")}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, slug, free, says string }{
		{"", "acme", "acme", ""}, // a former one
		{"", "acme-new", "", "“acme-new-2” is free"},
		{"Acme New", "", "", "is taken"},
		{"Brand New", "", "brand-new", ""},
		{"Brand New", " other ", "other", ""},
		{"", "admin", "", "reserved"},
		{"", "x", "", "2 to 63"},
		{"東京", "", "", "suggests no address"},
	} {
		free, err := w.Founding.Available(t.Context(), test.name, test.slug)
		says := ""
		if err != nil {
			says = fault.As(err).Fields[0].Message
		}
		if free != test.free || (test.says == "") != (err == nil) || !strings.Contains(says, test.says) {
			t.Errorf("%q, %q: %q, %v %q", test.name, test.slug, free, err, says)
		}
	}
}

// halfway is a provider that stops working once an organization was made.
type halfway struct {
	*identitytest.World
	broken *bool
}

func (h halfway) provider() identity.Provider { return halfProvider{h.Provider, h.broken} }

type halfProvider struct {
	identity.Provider
	broken *bool
}

func (p halfProvider) Observe(ctx context.Context, organizationID, accountID string) (identity.Observation, error) {
	if *p.broken {
		return identity.Observation{}, fault.New(fault.RateLimited, "slower")
	}
	return p.Provider.Observe(ctx, organizationID, accountID)
}

// TestFoundingGoesOn where it failed: at the provider, in the registry and at the
// project.
func TestFoundingGoesOn(t *testing.T) {
	t.Parallel()
	w, broken := newFounders(t), true
	founding := identity.NewFounding(w.Tenants, w.Directory, halfway{w, &broken}.provider(), w.Sync, w.Service, w.Projects)
	form, eve := identity.Foundation{Name: "Globex", Project: "First"}, sessionOf("user_eve", "")
	if _, err := founding.Found(t.Context(), eve, form); !fault.Is(err, fault.RateLimited) {
		t.Fatalf("halfway: %v", err)
	}
	if _, err := w.Founding.Found(t.Context(), sessionOf("user_ada", ""), form); !fault.Is(err, fault.Conflict) {
		t.Errorf("somebody else gets it: %v", err)
	}
	broken = false
	w.Projects.Fail(fault.New(fault.Unavailable, "away"))
	if _, err := founding.Found(t.Context(), eve, form); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("without a project: %v", err)
	}
	w.Projects.Fail(nil)
	got, err := founding.Found(t.Context(), eve, form)
	if err != nil || got.Slug.String() != "globex" || len(w.Projects.Made()) != 1 {
		t.Errorf("%+v, %v, %q", got, err, w.Projects.Made())
	}
	other := form
	other.Name, other.Slug = "Other", "globex"
	if _, err := founding.Found(t.Context(), eve, other); !fault.Is(err, fault.Conflict) {
		t.Errorf("another one at the address: %v", err)
	}
	if all := made(t, w); len(all) != 2 {
		t.Errorf("there are %q", all)
	}
}

func TestFoundingTwiceMakesOne(t *testing.T) {
	t.Parallel()
	w := newFounders(t)
	form, eve := identity.Foundation{Name: "Globex", Project: "First"}, sessionOf("user_eve", "")
	var group sync.WaitGroup
	tenants := make([]tenancy.Tenant, 8)
	for n := range tenants {
		group.Go(func() {
			var err error
			if tenants[n], err = w.Founding.Found(t.Context(), eve, form); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, got := range tenants {
		if got.ID != tenants[0].ID {
			t.Errorf("%s and %s", got.ID, tenants[0].ID)
		}
	}
	if all := made(t, w); len(all) != 2 || len(w.Projects.Made()) != 1 {
		t.Errorf("there are %q with %q", all, w.Projects.Made())
	}
}
