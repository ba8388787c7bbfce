package search_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	identitymemory "github.com/tenonhq/tenon/modules/identity/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/modules/search"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

func newService(t *testing.T) (context.Context, *search.Service) {
	t.Helper()
	ctx := tenant.NewContext(t.Context(), tenant.MustParse("tenant_a"))
	service := projects.NewService(memory.NewRepository())
	ada := projectstest.Actor(projectstest.Ada, identity.RoleMember)
	for _, draft := range []projects.Draft{{Name: "Apollo"}, {Name: "Open Apollo", Public: true}, {Name: "Gemini"}} {
		if _, err := service.Create(ctx, ada, draft); err != nil {
			t.Fatal(err)
		}
	}
	members := identitymemory.NewMembers()
	people := []identity.Member{
		{ID: "user_1", FirstName: "Paula", LastName: "Apollonia", Email: "paula@acme.example", Role: identity.RoleViewer, IsActive: true},
		{ID: "user_2", FirstName: "Apollo", LastName: "Gone", Role: identity.RoleViewer},
	}
	if err := members.Put(ctx, people); err != nil {
		t.Fatal(err)
	}
	return ctx, search.NewService(service, identity.NewRoster(nil, nil, members, nil, nil, nil))
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		actor     identity.Actor
		text      string
		wantSlugs string
		members   int
	}{
		{projectstest.Actor("user_o", identity.RoleOwner), "apollo", "open-apollo apollo", 1},
		{projectstest.Actor("user_o", identity.RoleOwner), " APOLLO ", "open-apollo apollo", 1},
		{projectstest.Actor("user_o", identity.RoleOwner), "paula@", "", 1},
		{projectstest.Actor("user_o", identity.RoleOwner), "", "gemini open-apollo apollo", 0},
		{projectstest.Actor(projectstest.Bob, identity.RoleMember), "apollo", "open-apollo", 1},
		{projectstest.Actor("user_v", identity.RoleViewer), "", "open-apollo", 0},
		{projectstest.Actor("user_v", identity.RoleViewer), "apollo", "open-apollo", 1},
		{projectstest.Actor("user_v", "superuser"), "apollo", "", 0},
		{identity.Actor{}, "", "", 0},
		// A key that may see public projects alone finds nobody.
		{identity.Actor{AccountID: "user_o", Role: identity.RoleOwner, Key: &identity.Key{Permissions: []identity.Permission{identity.ProjectsViewPublic}}}, "apollo", "open-apollo", 0},
		{projectstest.Actor("user_o", identity.RoleOwner), "%", "", 0},
		{projectstest.Actor("user_o", identity.RoleOwner), "<script>", "", 0},
	} {
		ctx, service := newService(t)
		results, err := service.Find(ctx, test.actor, test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		if got := strings.Join(projectstest.Slugs(results.Projects), " "); got != test.wantSlugs || len(results.Members) != test.members {
			t.Errorf("%s finds by %q: %q and %d members, want %q and %d", test.actor.Role, test.text, got, len(results.Members), test.wantSlugs, test.members)
		}
	}
}

func TestWhatCannotBeSearchedFor(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	for _, text := range []string{strings.Repeat("ä", 121), "a\x00b", "\xff"} {
		_, err := service.Find(ctx, projectstest.Actor("user_o", identity.RoleOwner), text)
		if !fault.Is(err, fault.Invalid) || fault.As(err).Fields[0].Name != "q" {
			t.Errorf("%.5q: %v", text, err)
		}
	}
	if _, err := service.Find(t.Context(), projectstest.Actor("user_o", identity.RoleOwner), "a"); err == nil {
		t.Error("something is found without a tenant")
	}
}
