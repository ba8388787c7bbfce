// Package tenancytest holds what every implementation of tenancy's ports has
// to pass.
package tenancytest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// NewTenant returns a live tenant with the given slug whose other values are
// derived from it.
func NewTenant(slug string) tenancy.Tenant {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return tenancy.Tenant{
		ID:            "org_" + slug,
		Name:          "The " + slug,
		Slug:          tenancy.MustParseSlug(slug),
		RequestedSlug: slug,
		Schema:        tenancy.SchemaName("org_"+slug, slug),
		ImageURL:      "https://images.example/" + slug,
		Active:        true,
		CreatedAt:     created,
		UpdatedAt:     created,
	}
}

func given(t testing.TB, text string) tenancy.Slug {
	t.Helper()
	slug, err := tenancy.ParseGivenSlug(text)
	if err != nil {
		t.Fatal(err)
	}
	return slug
}

// Equal compares tenants by value: times by the moment they mean.
func Equal(t testing.TB, what string, got, want any) {
	t.Helper()
	comparers := cmp.Options{
		cmp.Comparer(func(a, b tenancy.Slug) bool { return a == b }),
		cmp.Comparer(func(a, b tenant.Schema) bool { return a == b }),
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	}
	if diff := cmp.Diff(want, got, comparers); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// RunRegistry is the contract of [tenancy.Registry]. newRegistry returns an
// empty one for each test.
func RunRegistry(t *testing.T, newRegistry func(t *testing.T) tenancy.Registry) {
	t.Helper()
	insert := func(t *testing.T, registry tenancy.Registry, tenants ...tenancy.Tenant) {
		t.Helper()
		for _, each := range tenants {
			if err := registry.Insert(t.Context(), each); err != nil {
				t.Fatalf("insert %s: %v", each.ID, err)
			}
		}
	}
	for name, test := range map[string]func(t *testing.T, registry tenancy.Registry){
		"what was inserted is found": func(t *testing.T, registry tenancy.Registry) {
			acme := NewTenant("acme")
			insert(t, registry, acme, NewTenant("other"))
			byID, err := registry.ByID(t.Context(), acme.ID)
			Equal(t, "by id", byID, acme)
			bySlug, err2 := registry.BySlug(t.Context(), acme.Slug)
			Equal(t, "by slug", bySlug, acme)
			if err != nil || err2 != nil {
				t.Errorf("errors: %v, %v", err, err2)
			}
		},
		"a word that was reserved later is a slug like any other": func(t *testing.T, registry tenancy.Registry) {
			acme := NewTenant("acme")
			acme.Slug, acme.RequestedSlug = given(t, "clerk"), "clerk"
			insert(t, registry, acme, NewTenant("other"))
			bySlug, err := registry.BySlug(t.Context(), acme.Slug)
			Equal(t, "by slug", bySlug, acme)
			listed, err2 := registry.List(t.Context(), tenancy.Slug{}, 10)
			Equal(t, "listed", listed, []tenancy.Tenant{acme, NewTenant("other")})
			moved := acme
			moved.Slug = tenancy.MustParseSlug("clerk-1")
			err3 := registry.Update(t.Context(), moved)
			former, err4 := registry.ByFormerSlug(t.Context(), acme.Slug)
			Equal(t, "by its former slug", former, moved)
			if err := errors.Join(err, err2, err3, err4); err != nil {
				t.Error(err)
			}
		},
		"ids are case-sensitive": func(t *testing.T, registry tenancy.Registry) {
			insert(t, registry, NewTenant("acme"))
			if _, err := registry.ByID(t.Context(), "ORG_ACME"); !fault.Is(err, fault.NotFound) {
				t.Errorf("got %v, want not found", err)
			}
		},
		"what is not there is not found": func(t *testing.T, registry tenancy.Registry) {
			_, err1 := registry.ByID(t.Context(), "org_none")
			_, err2 := registry.BySlug(t.Context(), tenancy.MustParseSlug("none"))
			_, err3 := registry.Waiting(t.Context(), "none")
			err4 := registry.Update(t.Context(), NewTenant("none"))
			for i, err := range []error{err1, err2, err3, err4} {
				if !fault.Is(err, fault.NotFound) {
					t.Errorf("%d: got %v, want not found", i, err)
				}
			}
		},
		"an id, a slug and a schema exist once": func(t *testing.T, registry tenancy.Registry) {
			acme := NewTenant("acme")
			insert(t, registry, acme)
			sameID, sameSlug, sameSchema := NewTenant("b-one"), NewTenant("b-two"), NewTenant("b-three")
			sameID.ID, sameSlug.Slug, sameSchema.Schema = acme.ID, acme.Slug, acme.Schema
			for name, each := range map[string]tenancy.Tenant{"id": sameID, "slug": sameSlug, "schema": sameSchema} {
				if err := registry.Insert(t.Context(), each); !fault.Is(err, fault.Conflict) {
					t.Errorf("the same %s: got %v, want a conflict", name, err)
				}
			}
			other := NewTenant("other")
			insert(t, registry, other)
			other.Slug = acme.Slug
			if err := registry.Update(t.Context(), other); !fault.Is(err, fault.Conflict) {
				t.Errorf("an update to a taken slug: got %v, want a conflict", err)
			}
		},
		"an update writes everything but id, schema and creation": func(t *testing.T, registry tenancy.Registry) {
			acme := NewTenant("acme")
			insert(t, registry, acme)
			later := acme.UpdatedAt.Add(time.Hour)
			changed := tenancy.Tenant{
				ID: acme.ID, Name: "Näme", Slug: tenancy.MustParseSlug("acme-x"), RequestedSlug: "x", ImageURL: "i", ProjectsPublic: true,
				Schema: tenant.MustParse("tenant_other"), CreatedAt: later, UpdatedAt: later, SuspendedAt: later, DeletedAt: later,
			}
			if err := registry.Update(t.Context(), changed); err != nil {
				t.Fatal(err)
			}
			got, err := registry.ByID(t.Context(), acme.ID)
			if err != nil {
				t.Fatal(err)
			}
			changed.Schema, changed.CreatedAt = acme.Schema, acme.CreatedAt
			Equal(t, "after the update", got, changed)
		},
		"several by id come by name": func(t *testing.T, registry tenancy.Registry) {
			a, b, c := NewTenant("aa"), NewTenant("bb"), NewTenant("cc")
			a.Name, b.Name, c.Name = "Zed", "alpha", "Beta"
			insert(t, registry, a, b, c)
			got, err := registry.ByIDs(t.Context(), []string{a.ID, b.ID, c.ID, "org_none"})
			if err != nil {
				t.Fatal(err)
			}
			Equal(t, "by ids", got, []tenancy.Tenant{c, a, b})
		},
		"a list goes on after a slug": func(t *testing.T, registry tenancy.Registry) {
			a, b, c := NewTenant("aa"), NewTenant("bb"), NewTenant("cc")
			insert(t, registry, c, a, b)
			first, err := registry.List(t.Context(), tenancy.Slug{}, 2)
			if err != nil {
				t.Fatal(err)
			}
			rest, err := registry.List(t.Context(), b.Slug, 2)
			if err != nil {
				t.Fatal(err)
			}
			Equal(t, "first page", first, []tenancy.Tenant{a, b})
			Equal(t, "second page", rest, []tenancy.Tenant{c})
		},
		"the longest-standing live tenant waits first": func(t *testing.T, registry tenancy.Registry) {
			holder, late, early, gone := NewTenant("acme"), NewTenant("acme-late"), NewTenant("acme-early"), NewTenant("acme-gone")
			for _, each := range []*tenancy.Tenant{&late, &early, &gone} {
				each.RequestedSlug = "acme"
			}
			late.CreatedAt = early.CreatedAt.Add(time.Second)
			gone.CreatedAt, gone.DeletedAt = early.CreatedAt.Add(-time.Hour), early.CreatedAt
			insert(t, registry, holder, late, early, gone)
			got, err := registry.Waiting(t.Context(), "acme")
			if err != nil {
				t.Fatal(err)
			}
			Equal(t, "waiting", got, early)
		},
		"what expired is found, the longest gone first, and can be forgotten": func(t *testing.T, registry tenancy.Registry) {
			live, fresh, old, older := NewTenant("live"), NewTenant("fresh"), NewTenant("old"), NewTenant("older")
			now := live.CreatedAt
			fresh.DeletedAt, old.DeletedAt, older.DeletedAt = now, now.Add(-time.Hour), now.Add(-2*time.Hour)
			insert(t, registry, live, fresh, old, older)
			for limit, want := range map[int][]tenancy.Tenant{1: {older}, 10: {older, old}} {
				got, err := registry.Expired(t.Context(), now, limit)
				if err != nil {
					t.Fatal(err)
				}
				Equal(t, "expired", got, want)
			}
			if err := registry.Delete(t.Context(), older.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := registry.ByID(t.Context(), older.ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("a forgotten tenant: %v", err)
			}
			if err := registry.Delete(t.Context(), older.ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("forgotten twice: %v", err)
			}
		},
		"a slug that was given up leads to the tenant until another takes it": func(t *testing.T, registry tenancy.Registry) {
			acme, other := NewTenant("acme"), NewTenant("other")
			insert(t, registry, acme, other)
			former := func(slug, id string) {
				t.Helper()
				got, err := registry.ByFormerSlug(t.Context(), tenancy.MustParseSlug(slug))
				if id == "" && !fault.Is(err, fault.NotFound) || id != "" && (err != nil || got.ID != id) {
					t.Errorf("%s was %q's (%v), want %q", slug, got.ID, err, id)
				}
			}
			move := func(moved *tenancy.Tenant, slug string) {
				t.Helper()
				moved.Slug, moved.UpdatedAt = tenancy.MustParseSlug(slug), moved.UpdatedAt.Add(time.Second)
				if err := registry.Update(t.Context(), *moved); err != nil {
					t.Fatal(err)
				}
			}
			former("acme", "")
			move(&acme, "acme") // which it has
			former("acme", "")
			move(&acme, "acme-two")
			former("acme", acme.ID)
			former("acme-two", "")
			move(&other, "acme") // now it is the other's, and none's former one
			former("acme", "")
			former("other", other.ID)
			move(&other, "other-two")
			former("acme", other.ID) // who had it last
			move(&acme, "acme")
			former("acme", "")
			former("acme-two", acme.ID)
			late := NewTenant("acme-two")
			late.ID = "org_late"
			insert(t, registry, late)
			former("acme-two", "")
			if err := registry.Delete(t.Context(), other.ID); err != nil {
				t.Fatal(err)
			}
			former("other", "")
		},
		"a tenant keeps its latest former slugs": func(t *testing.T, registry tenancy.Registry) {
			acme := NewTenant("acme")
			insert(t, registry, acme)
			for n := range tenancy.MaxFormerSlugs + 2 {
				acme.Slug, acme.UpdatedAt = tenancy.MustParseSlug(fmt.Sprintf("acme-%d", n)), acme.UpdatedAt.Add(time.Second)
				if err := registry.Update(t.Context(), acme); err != nil {
					t.Fatal(err)
				}
			}
			for slug, kept := range map[string]bool{"acme": false, "acme-0": false, "acme-1": true, "acme-10": true, "acme-11": false} {
				if _, err := registry.ByFormerSlug(t.Context(), tenancy.MustParseSlug(slug)); (err == nil) != kept {
					t.Errorf("%s: %v", slug, err)
				}
			}
		},
		"a cancelled context changes nothing": func(t *testing.T, registry tenancy.Registry) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := registry.Insert(ctx, NewTenant("acme")); err == nil {
				t.Error("the insert went through")
			}
			if _, err := registry.ByID(t.Context(), "org_acme"); !fault.Is(err, fault.NotFound) {
				t.Errorf("got %v, want not found", err)
			}
		},
		"hostile text stays text": func(t *testing.T, registry tenancy.Registry) {
			acme := NewTenant("acme")
			acme.ID, acme.Name = `org_'"; DROP TABLE tenants; --?0 ??`, "'; DROP SCHEMA public CASCADE; -- ☃ \\"
			insert(t, registry, acme)
			got, err := registry.ByID(t.Context(), acme.ID)
			if err != nil {
				t.Fatal(err)
			}
			Equal(t, "hostile", got, acme)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newRegistry(t))
		})
	}
}
