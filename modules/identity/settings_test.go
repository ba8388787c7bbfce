package identity_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
)

func TestSettingsAreTheProviders(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	ctx, access := in(t, w, "user_ada")
	schema := access.Tenant.Schema
	changed, err := w.Settings.Change(ctx, access, nil, identity.SettingsChange{Name: new("  Acme <Sons> "), Slug: new("acme-sons")})
	if err != nil || changed.Name != "Acme <Sons>" || changed.Slug.String() != "acme-sons" || changed.Schema != schema {
		t.Fatalf("got %+v, %v", changed, err)
	}
	there, err := w.Provider.ObserveOrganization(t.Context(), "org_acme")
	if err != nil || there.Name != "Acme <Sons>" || there.Slug != "acme-sons" {
		t.Errorf("the provider has %+v, %v", there, err)
	}
	if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_ada", ""), "acme-sons"); err != nil {
		t.Errorf("at the new address: %v", err)
	}
	if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_ada", ""), "acme"); !fault.Is(err, fault.NotFound) {
		t.Errorf("at the old address: %v", err)
	}
	var moved *identity.MovedError
	if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_ada", ""), "acme"); !errors.As(err, &moved) || moved.Slug != changed.Slug {
		t.Errorf("who is a member is not led on: %v", err)
	}
	foreign := identity.Session{AccountID: "user_ada", Key: &identity.Key{TenantID: "org_other", Permissions: identity.Permissions()}}
	for _, session := range []identity.Session{sessionOf("user_eve", ""), sessionOf("user_none", ""), foreign} {
		if _, _, err := w.Service.Enter(t.Context(), session, "acme"); errors.As(err, &moved) || !errors.Is(err, tenancy.ErrNotFound) {
			t.Errorf("%s is told %v", session.AccountID, err)
		}
	}
	access.Tenant = changed
	same, err := w.Settings.Change(ctx, access, nil, identity.SettingsChange{Name: new("Acme <Sons>"), Slug: new("acme-sons")})
	if err != nil || same != changed {
		t.Errorf("the same again: %+v, %v", same, err)
	}
}

// TestWhatNewProjectsAre is about the setting that the provider knows nothing of.
func TestWhatNewProjectsAre(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	ctx, access := in(t, w, "user_ada")
	seen := w.Settings.Version(access.Tenant)
	changed, err := w.Settings.Change(ctx, access, []string{seen}, identity.SettingsChange{Name: new("Acme & Sons"), ProjectsPublic: new(true)})
	if err != nil || !changed.ProjectsPublic || changed.Name != "Acme & Sons" {
		t.Fatalf("with the name: %+v, %v", changed, err)
	}
	access.Tenant = changed
	if back, err := w.Settings.Change(ctx, access, nil, identity.SettingsChange{ProjectsPublic: new(false)}); err != nil || back.ProjectsPublic || w.Settings.Version(back) == w.Settings.Version(changed) {
		t.Errorf("by itself: %+v, %v", back, err)
	}
	if _, err := w.Settings.Change(ctx, access, nil, identity.SettingsChange{Slug: new("<script>"), ProjectsPublic: new(true)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("beside what is wrong: %v", err)
	}
	if stored, err := w.Tenants.Get(t.Context(), "org_acme"); err != nil || stored.ProjectsPublic {
		t.Errorf("stored: %+v, %v", stored, err)
	}
}

func TestSettingsOverwriteNothingUnseen(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	ctx, access := in(t, w, "user_ada")
	seen := w.Settings.Version(access.Tenant)
	changed, err := w.Settings.Change(ctx, access, []string{"another", seen}, identity.SettingsChange{Name: new("One")})
	if err != nil || w.Settings.Version(changed) == seen {
		t.Fatalf("%+v, %v", changed, err)
	}
	// The access was granted before the change.
	for _, versions := range [][]string{{seen}, {}, {""}} {
		for _, change := range []identity.SettingsChange{{Name: new("Two")}, {}} {
			if _, err := w.Settings.Change(ctx, access, versions, change); !fault.Is(err, fault.PreconditionFailed) {
				t.Errorf("%q: %v", versions, err)
			}
		}
	}
	if _, err := w.Settings.Change(ctx, access, []string{seen}, identity.SettingsChange{Name: new("")}); !fault.Is(err, fault.Invalid) {
		t.Errorf("what is wrong with the input comes first: %v", err)
	}
	if again, err := w.Tenants.Get(t.Context(), "org_acme"); err != nil || again.Name != "One" {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	other := acme()
	other.Organizations[0].ID, other.Organizations[0].Slug = "org_other", "other"
	other.Memberships = nil
	apply(t, w, other)
	ctx, access := in(t, w, "user_ada")
	for name, test := range map[string]struct {
		change identity.SettingsChange
		kind   fault.Kind
		fields string
	}{
		"empty":         {identity.SettingsChange{Name: new(" "), Slug: new("")}, fault.Invalid, "name slug"},
		"too long":      {identity.SettingsChange{Name: new(strings.Repeat("ü", 101)), Slug: new(strings.Repeat("a", 64))}, fault.Invalid, "name slug"},
		"right to left": {identity.SettingsChange{Name: new("Acme\u202eemcA")}, fault.Invalid, "name"},
		"hostile":       {identity.SettingsChange{Slug: new("<script>")}, fault.Invalid, "slug"},
		"a script":      {identity.SettingsChange{Slug: new("javascript:alert(1)")}, fault.Invalid, "slug"},
		"reserved":      {identity.SettingsChange{Slug: new("admin")}, fault.Invalid, "slug"},
		"taken":         {identity.SettingsChange{Name: new("Renamed"), Slug: new("other")}, fault.Conflict, "slug"},
	} {
		_, err := w.Settings.Change(ctx, access, nil, test.change)
		var fields []string
		for _, field := range fault.As(err).Fields {
			fields = append(fields, field.Name)
		}
		if !fault.Is(err, test.kind) || strings.Join(fields, " ") != test.fields {
			t.Errorf("%s: %v with %v", name, err, fields)
		}
	}
	if there, err := w.Provider.ObserveOrganization(t.Context(), "org_acme"); err != nil || there.Name != access.Tenant.Name || there.Slug != "acme" {
		t.Errorf("the provider has %+v, %v", there, err)
	}
}

func TestSettingsAreTheOwners(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	for _, account := range []string{"user_cleo", "user_bob", "user_vic"} {
		ctx, access := in(t, w, account)
		_, err := w.Settings.Change(ctx, access, nil, identity.SettingsChange{Name: new("")})
		for _, err := range []error{err, w.Settings.Delete(ctx, access, "acme")} {
			if !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s: %v", account, err)
			}
		}
	}
	ctx, access := in(t, w, "user_ada")
	access.Session.Key = &identity.Key{Permissions: identity.Permissions()}
	if err := w.Settings.Delete(ctx, access, "acme"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("an API key: %v", err)
	}
	if got := roles(t, w); !strings.Contains(got, "ada:owner") {
		t.Errorf("members are %s", got)
	}
}

func TestAnOrganizationIsDeletedOnceItIsNamed(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	ctx, access := in(t, w, "user_ada")
	for _, typed := range []string{"", "Acme", "acm", "other"} {
		if err := w.Settings.Delete(ctx, access, typed); !fault.Is(err, fault.Invalid) || fault.As(err).Fields[0].Name != "confirmation" {
			t.Errorf("%q: %v", typed, err)
		}
	}
	w.Provider.Fail(fault.New(fault.Unavailable, "Away."))
	if err := w.Settings.Delete(ctx, access, "acme"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a provider: %v", err)
	}
	w.Provider.Fail(nil)
	in(t, w, "user_ada") // still gets in
	for range 2 {        // the second time it is gone at the provider
		if err := w.Settings.Delete(ctx, access, " acme "); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_ada", ""), "acme"); err == nil {
		t.Error("its owner still gets in")
	}
	if there, err := w.Tenants.Get(t.Context(), "org_acme"); err != nil || !there.Deleted() || there.Active {
		t.Errorf("the tenant is %+v, %v", there, err)
	}
	// What the provider said before does not bring it back.
	apply(t, w, acme())
	if there, err := w.Tenants.Get(t.Context(), "org_acme"); err != nil || !there.Deleted() {
		t.Errorf("afterwards the tenant is %+v, %v", there, err)
	}
}
