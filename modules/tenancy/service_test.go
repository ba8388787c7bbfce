package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/memory"
	"github.com/tenonhq/tenon/modules/tenancy/tenancytest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type world struct {
	*tenancy.Service
	registry *memory.Registry
	schemas  *memory.Schemas
}

func newWorld() world {
	registry, schemas := memory.NewRegistry(), memory.NewSchemas()
	return world{tenancy.NewService(registry, schemas, memtx.New(registry, schemas)), registry, schemas}
}

func organization(id, slug string) tenancy.Organization {
	return tenancy.Organization{ID: id, Name: "Name of " + id, Slug: slug, CreatedAt: created}
}

func deleted(o tenancy.Organization) tenancy.Organization {
	return tenancy.Organization{ID: o.ID, DeletedAt: created.Add(time.Hour)}
}

// slugs runs a history and returns the slug that each tenant ends with.
func (w world) slugs(t *testing.T, history ...tenancy.Organization) map[string]string {
	t.Helper()
	for _, o := range history {
		if _, err := w.Sync(t.Context(), o); err != nil {
			t.Fatalf("sync %s: %v", o.ID, err)
		}
	}
	result := map[string]string{}
	tenants, err := w.List(t.Context(), tenancy.Slug{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range tenants {
		result[each.ID] = each.Slug.String()
	}
	return result
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	a, b, c := organization("org_A", "acme"), organization("org_B", "acme"), organization("org_C", "acme")
	renamed := organization("org_A", "beta")
	const plain = "acme"
	suffixed := func(text string) func(string) bool {
		return func(slug string) bool { return strings.HasPrefix(slug, text+"-") && len(slug) == len(text)+5 }
	}
	is := func(text string) func(string) bool { return func(slug string) bool { return slug == text } }
	for name, test := range map[string]struct {
		history []tenancy.Organization
		want    map[string]func(string) bool
	}{
		"a free slug is given":              {[]tenancy.Organization{a}, map[string]func(string) bool{"org_A": is(plain)}},
		"a repetition changes nothing":      {[]tenancy.Organization{a, a}, map[string]func(string) bool{"org_A": is(plain)}},
		"a taken slug is never taken over":  {[]tenancy.Organization{a, b}, map[string]func(string) bool{"org_A": is(plain), "org_B": suffixed(plain)}},
		"a reserved slug gets a suffix":     {[]tenancy.Organization{organization("org_A", "api")}, map[string]func(string) bool{"org_A": suffixed("api")}},
		"a missing slug is made":            {[]tenancy.Organization{organization("org_A", "")}, map[string]func(string) bool{"org_A": suffixed("org")}},
		"an unusable slug is made":          {[]tenancy.Organization{organization("org_A", "☃☃")}, map[string]func(string) bool{"org_A": suffixed("org")}},
		"a long slug is cut":                {[]tenancy.Organization{organization("org_A", strings.Repeat("a", 10_000))}, map[string]func(string) bool{"org_A": suffixed(strings.Repeat("a", 58))}},
		"a rename frees the slug":           {[]tenancy.Organization{a, renamed, b}, map[string]func(string) bool{"org_A": is("beta"), "org_B": is(plain)}},
		"a rename promotes who waits":       {[]tenancy.Organization{a, b, renamed}, map[string]func(string) bool{"org_A": is("beta"), "org_B": is(plain)}},
		"a rename to a taken slug":          {[]tenancy.Organization{a, organization("org_B", "beta"), renamed}, map[string]func(string) bool{"org_A": suffixed("beta"), "org_B": is("beta")}},
		"a deletion keeps the slug":         {[]tenancy.Organization{a, deleted(a)}, map[string]func(string) bool{"org_A": is(plain)}},
		"a deletion promotes who waits":     {[]tenancy.Organization{a, b, deleted(a)}, map[string]func(string) bool{"org_A": suffixed(plain), "org_B": is(plain)}},
		"a deleted tenant yields its slug":  {[]tenancy.Organization{a, deleted(a), b}, map[string]func(string) bool{"org_A": suffixed(plain), "org_B": is(plain)}},
		"the longest-standing is promoted":  {[]tenancy.Organization{a, c, b, deleted(a)}, map[string]func(string) bool{"org_A": suffixed(plain), "org_B": is(plain), "org_C": suffixed(plain)}},
		"deleted before it had a tenant":    {[]tenancy.Organization{deleted(a)}, map[string]func(string) bool{}},
		"renamed away and back in a circle": {[]tenancy.Organization{a, organization("org_B", "beta"), renamed, b}, map[string]func(string) bool{"org_A": is("beta"), "org_B": is(plain)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newWorld().slugs(t, test.history...)
			if len(got) != len(test.want) {
				t.Fatalf("got %v, want %d tenants", got, len(test.want))
			}
			for id, ok := range test.want {
				if !ok(got[id]) {
					t.Errorf("%s has the slug %q", id, got[id])
				}
			}
		})
	}
}

func TestASchemaOutlivesEveryRename(t *testing.T) {
	t.Parallel()
	w := newWorld()
	first, err := w.Sync(t.Context(), organization("org_A", "acme"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.Sync(t.Context(), organization("org_A", "beta"))
	if err != nil {
		t.Fatal(err)
	}
	if second.Schema != first.Schema || second.Slug.String() != "beta" {
		t.Errorf("renamed to %s in %s, was in %s", second.Slug, second.Schema, first.Schema)
	}
	if !w.schemas.Has(first.Schema) {
		t.Errorf("the schema %s was not made", first.Schema)
	}
}

func TestProvisioningIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	failure := errors.New("the disk is full")
	w.schemas.Fail = func(tenant.Schema) error { return failure }
	if _, err := w.Sync(t.Context(), organization("org_A", "acme")); !errors.Is(err, failure) {
		t.Fatalf("got %v, want the failure", err)
	}
	if _, err := w.Get(t.Context(), "org_A"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the registry has a tenant without a schema: %v", err)
	}
	if w.schemas.Has(tenancy.SchemaName("org_A", "acme")) {
		t.Error("a schema was left behind")
	}
	w.schemas.Fail = nil
	if _, err := w.Sync(t.Context(), organization("org_A", "acme")); err != nil {
		t.Errorf("the second attempt: %v", err)
	}
}

func TestSuspension(t *testing.T) {
	t.Parallel()
	w := newWorld()
	if _, err := w.Suspend(t.Context(), "org_A"); !fault.Is(err, fault.NotFound) {
		t.Errorf("suspending nothing: got %v", err)
	}
	if _, err := w.Sync(t.Context(), organization("org_A", "acme")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		suspended, err := w.Suspend(t.Context(), "org_A")
		if err != nil || suspended.Active || suspended.SuspendedAt.IsZero() {
			t.Errorf("suspend: %+v, %v", suspended, err)
		}
	}
	if still, err := w.Sync(t.Context(), organization("org_A", "acme")); err != nil || still.Active {
		t.Errorf("a webhook ended an operator's suspension: %+v, %v", still, err)
	}
	for range 2 {
		resumed, err := w.Resume(t.Context(), "org_A")
		if err != nil || !resumed.Active || !resumed.SuspendedAt.IsZero() {
			t.Errorf("resume: %+v, %v", resumed, err)
		}
	}
	gone, err := w.Sync(t.Context(), deleted(organization("org_A", "")))
	if err != nil || gone.Active || !gone.Deleted() {
		t.Fatalf("delete: %+v, %v", gone, err)
	}
	if _, err := w.Resume(t.Context(), "org_A"); !fault.Is(err, fault.Conflict) {
		t.Errorf("resuming a deleted tenant: got %v, want a conflict", err)
	}
}

func TestWhatNewProjectsAre(t *testing.T) {
	t.Parallel()
	w := newWorld()
	if _, err := w.SetProjectsPublic(t.Context(), "org_A", true); !fault.Is(err, fault.NotFound) {
		t.Errorf("of nothing: got %v", err)
	}
	before, err := w.Sync(t.Context(), organization("org_A", "acme"))
	if err != nil || before.ProjectsPublic {
		t.Fatalf("%+v, %v", before, err)
	}
	chosen, err := w.SetProjectsPublic(t.Context(), "org_A", true)
	if err != nil || !chosen.ProjectsPublic {
		t.Errorf("%+v, %v", chosen, err)
	}
	if again, err := w.SetProjectsPublic(t.Context(), "org_A", true); err != nil || again != chosen {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	renamed := organization("org_A", "acme-sons")
	if synced, err := w.Sync(t.Context(), renamed); err != nil || !synced.ProjectsPublic {
		t.Errorf("a webhook undid the tenant's choice: %+v, %v", synced, err)
	}
	stored, err := w.Get(t.Context(), "org_A")
	if err != nil || !stored.ProjectsPublic {
		t.Errorf("stored: %+v, %v", stored, err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	w := newWorld()
	want, err := w.Sync(t.Context(), organization("org_A", "acme"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Resolve(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	tenancytest.Equal(t, "resolved", got, want)
	for _, slug := range []string{"", "ACME", "acme ", "other", "api", "../acme", "acme\x00", "'; --", strings.Repeat("a", 10_000)} {
		if _, err := w.Resolve(t.Context(), slug); !fault.Is(err, fault.NotFound) {
			t.Errorf("resolving %.20q: got %v, want not found", slug, err)
		}
	}
}

// TestEach goes through more tenants than are read at once.
func TestEach(t *testing.T) {
	t.Parallel()
	w := newWorld()
	const all = 1001
	for n := range all {
		slug := fmt.Sprintf("tenant-%04d", n)
		if err := w.registry.Insert(t.Context(), tenancytest.NewTenant(slug)); err != nil {
			t.Fatal(err)
		}
	}
	n, stop := 0, errors.New("stop")
	for _, last := range []int{all, 700} {
		n = 0
		err := w.Each(t.Context(), func(each tenancy.Tenant) error {
			if want := fmt.Sprintf("tenant-%04d", n); each.Slug.String() != want {
				t.Fatalf("%s, want %s", each.Slug, want)
			}
			if n++; n == last && last < all {
				return stop
			}
			return nil
		})
		if n != last || (last < all) != errors.Is(err, stop) || last == all && err != nil {
			t.Errorf("%d tenants, %v", n, err)
		}
	}
}

func TestParseSlug(t *testing.T) {
	t.Parallel()
	for text, valid := range map[string]bool{
		"acme": true, "a1": true, "4u": true, "a-b": true, "a--b": true, strings.Repeat("a", 63): true,
		"": false, "a": false, "-a": false, "a-": false, "Acme": false, "a_b": false, "a b": false, "ä1": false,
		"api": false, "sign-in": false, "__clerk": false, "xn--a": false, strings.Repeat("a", 64): false, "acme\n": false,
	} {
		slug, err := tenancy.ParseSlug(text)
		if (err == nil) != valid {
			t.Errorf("%q: got %v", text, err)
		}
		if err == nil && slug.String() != text {
			t.Errorf("%q became %q", text, slug)
		}
		if err != nil && len(fault.As(err).Fields) != 1 {
			t.Errorf("%q: the error does not name the field: %v", text, err)
		}
	}
}

// TestAWordThatWasReservedLater is its tenant's until the organization changes, leads
// there afterwards, and is nobody else's.
func TestAWordThatWasReservedLater(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for id, slug := range map[string]string{"org_had": "clerk", "org_waits": "clerk-2"} {
		given, err := tenancy.ParseGivenSlug(slug)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.registry.Insert(t.Context(), tenancy.Tenant{
			ID: id, Slug: given, RequestedSlug: "clerk", Schema: tenancy.SchemaName(id, slug), Active: true, CreatedAt: created, UpdatedAt: created,
		}); err != nil {
			t.Fatal(err)
		}
	}
	resolves := func(resolve func(context.Context, string) (tenancy.Tenant, error), slug string) string {
		found, err := resolve(t.Context(), slug)
		if err != nil && !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		return found.ID
	}
	if id := resolves(w.Resolve, "clerk"); id != "org_had" {
		t.Errorf("before: %q", id)
	}
	moved, err := w.Sync(t.Context(), organization("org_had", "clerk"))
	if err != nil || moved.Slug.String() == "clerk" || !strings.HasPrefix(moved.Slug.String(), "clerk-") {
		t.Errorf("it moved to %q, %v", moved.Slug, err)
	}
	if now, former := resolves(w.Resolve, "clerk"), resolves(w.ResolveFormer, "clerk"); now != "" || former != "org_had" {
		t.Errorf("afterwards %q, formerly %q", now, former)
	}
	if again, err := w.Sync(t.Context(), organization("org_had", "clerk")); err != nil || again != moved {
		t.Errorf("and again to %q, %v", again.Slug, err)
	}
}

func TestSchemaName(t *testing.T) {
	t.Parallel()
	for name, test := range map[string][2][2]string{
		"slugs that reduce to the same": {{"org_1", "a-b"}, {"org_2", "a_b"}},
		"ids that differ in case":       {{"org_a", "acme"}, {"org_A", "acme"}},
		"long slugs":                    {{"org_1", strings.Repeat("a", 63)}, {"org_2", strings.Repeat("a", 63)}},
	} {
		first, second := tenancy.SchemaName(test[0][0], test[0][1]), tenancy.SchemaName(test[1][0], test[1][1])
		if first == second {
			t.Errorf("%s share the schema %s", name, first)
		}
	}
	if got := tenancy.SchemaName("org_1", `x"; DROP SCHEMA public; --`); strings.ContainsAny(got.String(), `"; `) {
		t.Errorf("hostile text reached the name: %s", got)
	}
}

func FuzzSlugify(f *testing.F) {
	for _, seed := range []string{"", "Acme Inc.", "Ünïcödé", "--", "日本", "ﬁne", "xn--x"} {
		f.Add("org_1", seed)
	}
	f.Fuzz(func(t *testing.T, id, text string) {
		slug := tenancy.Slugify(text)
		if len(slug) > tenancy.MaxSlugLength || strings.Trim(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q became %q", text, slug)
		}
		tenancy.SchemaName(id, text) // panics when the result is no schema name
		w := newWorld()
		got, err := w.Sync(t.Context(), tenancy.Organization{ID: id, Slug: text})
		if err != nil {
			t.Fatalf("%q cannot be provisioned: %v", text, err)
		}
		if _, err := tenancy.ParseSlug(got.Slug.String()); err != nil {
			t.Errorf("%q got the slug %q: %v", text, got.Slug, err)
		}
	})
}

func TestPurge(t *testing.T) {
	t.Parallel()
	w := newWorld()
	live, old, fresh, stuck := organization("org_live", "live"), organization("org_old", "old"), organization("org_fresh", "fresh"), organization("org_stuck", "stuck")
	later := fresh
	later.DeletedAt = created.Add(48 * time.Hour)
	w.slugs(t, live, old, fresh, stuck, deleted(old), deleted(stuck), tenancy.Organization{ID: fresh.ID, DeletedAt: later.DeletedAt})
	before, err := w.Get(t.Context(), old.ID)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := w.Get(t.Context(), stuck.ID)
	if err != nil {
		t.Fatal(err)
	}
	errStuck := errors.New("stuck")
	w.schemas.Fail = func(schema tenant.Schema) error {
		if schema == kept.Schema {
			return errStuck
		}
		return nil
	}
	purged, err := w.Purge(t.Context(), created.Add(24*time.Hour))
	if !errors.Is(err, errStuck) || len(purged) != 1 || purged[0].ID != old.ID {
		t.Errorf("purged %v, %v", purged, err)
	}
	if w.schemas.Has(before.Schema) || !w.schemas.Has(kept.Schema) {
		t.Error("the wrong schema is gone")
	}
	for id, want := range map[string]bool{live.ID: true, old.ID: false, fresh.ID: true, stuck.ID: true} {
		if _, err := w.Get(t.Context(), id); (err == nil) != want {
			t.Errorf("%s after the purge: %v", id, err)
		}
	}
	// What failed is finished by the next run.
	w.schemas.Fail = nil
	if purged, err := w.Purge(t.Context(), created.Add(24*time.Hour)); err != nil || len(purged) != 1 || purged[0].ID != stuck.ID {
		t.Errorf("purged %v, %v", purged, err)
	}
}
