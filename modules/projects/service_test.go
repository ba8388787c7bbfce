package projects_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

var (
	owner  = projectstest.Actor("user_Owner", identity.RoleOwner)
	admin  = projectstest.Actor("user_Admin", identity.RoleAdmin)
	ada    = projectstest.Actor(projectstest.Ada, identity.RoleMember)
	bob    = projectstest.Actor(projectstest.Bob, identity.RoleMember)
	viewer = projectstest.Actor("user_Viewer", identity.RoleViewer)
	// exMember made a project and was made a viewer afterwards.
	exMember = projectstest.Actor(projectstest.Ada, identity.RoleViewer)
	nobody   = projectstest.Actor("user_Nobody", "superuser")
)

func newService(t *testing.T) (context.Context, *projects.Service) {
	t.Helper()
	return tenant.NewContext(t.Context(), tenant.MustParse("tenant_a")), projects.NewService(memory.NewRepository())
}

func create(t *testing.T, ctx context.Context, service *projects.Service, actor identity.Actor, draft projects.Draft) projects.Project {
	t.Helper()
	project, err := service.Create(ctx, actor, draft)
	if err != nil {
		t.Fatalf("create %q: %v", draft.Name, err)
	}
	return project
}

// outcome is what an actor gets: the error, or nil.
func expect(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestPermissions holds every use case on one project against the table of
// roles.
func TestPermissions(t *testing.T) {
	t.Parallel()
	var allowed error
	unseen, forbidden := projects.ErrNotFound, identity.ErrForbidden
	for _, test := range []struct {
		name         string
		actor        identity.Actor
		public       bool
		view, change error
	}{
		{"owner, private", owner, false, allowed, allowed},
		{"owner, public", owner, true, allowed, allowed},
		{"admin, private", admin, false, allowed, allowed},
		{"admin, public", admin, true, allowed, allowed},
		{"author, private", ada, false, allowed, allowed},
		{"author, public", ada, true, allowed, allowed},
		{"other member, private", bob, false, unseen, unseen},
		{"other member, public", bob, true, allowed, forbidden},
		{"viewer, private", viewer, false, unseen, unseen},
		{"viewer, public", viewer, true, allowed, forbidden},
		{"author who became a viewer, private", exMember, false, unseen, unseen},
		{"author who became a viewer, public", exMember, true, allowed, forbidden},
		{"unknown role, public", nobody, true, unseen, unseen},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, service := newService(t)
			slug := create(t, ctx, service, ada, projects.Draft{Name: "Apollo", Public: test.public}).Slug.String()

			_, err := service.Get(ctx, test.actor, slug)
			expect(t, "get", err, test.view)
			for action, want := range map[projects.Action]error{
				projects.ActionView: test.view, projects.ActionEdit: test.change, projects.ActionDelete: test.change,
			} {
				_, err = service.Authorize(ctx, test.actor, slug, action)
				expect(t, "authorize "+string(action), err, want)
			}
			page, err := service.List(ctx, test.actor, projects.Listing{})
			if listed := len(page.Projects) == 1; listed != (test.view == nil) {
				t.Errorf("listed %v (%v), want as get", listed, err)
			}
			summary, err := service.Summary(ctx, test.actor)
			if counted := summary.All == 1 && len(summary.Recent) == 1; err != nil || counted != (test.view == nil) {
				t.Errorf("counted %v (%v), want as get", counted, err)
			}
			_, err = service.Update(ctx, test.actor, slug, nil, projects.Change{Description: new("x")})
			expect(t, "update", err, test.change)
			_, err = service.Update(ctx, test.actor, slug, nil, projects.Change{})
			expect(t, "update nothing", err, test.change)
			if _, err = service.Update(ctx, test.actor, slug, nil, projects.Change{Name: new("")}); test.change != nil {
				expect(t, "update with a mistake", err, test.change)
			} else if !fault.Is(err, fault.Invalid) {
				t.Errorf("update with a mistake: %v, want invalid", err)
			}
			_, err = service.Delete(ctx, test.actor, slug, nil)
			expect(t, "delete", err, test.change)
		})
	}
}

func TestWhoMayCreate(t *testing.T) {
	t.Parallel()
	for actor, want := range map[identity.Actor]error{
		owner: nil, admin: nil, ada: nil, viewer: identity.ErrForbidden, nobody: identity.ErrForbidden,
	} {
		ctx, service := newService(t)
		project, err := service.Create(ctx, actor, projects.Draft{Name: "Apollo"})
		expect(t, string(actor.Role), err, want)
		if err == nil && project.CreatedBy != actor.AccountID {
			t.Errorf("%s: made by %q", actor.Role, project.CreatedBy)
		}
		_, err = service.Create(ctx, actor, projects.Draft{})
		if want == nil && !fault.Is(err, fault.Invalid) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: an invalid draft gives %v", actor.Role, err)
		}
	}
	ctx, service := newService(t)
	_, err := service.List(ctx, nobody, projects.Listing{Limit: -1})
	expect(t, "a role without any permission lists", err, identity.ErrForbidden)
}

func TestProjectsThatAreNotThere(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	for _, slug := range []string{"apollo", "new", "", ".", "..", "Apollo", "a b", "a/b", "ä", "a\x00", "%00", strings.Repeat("a", 64), "'; --"} {
		_, err := service.Get(ctx, owner, slug)
		expect(t, fmt.Sprintf("get %q", slug), err, projects.ErrNotFound)
		_, err = service.Update(ctx, owner, slug, nil, projects.Change{Name: new("x")})
		expect(t, fmt.Sprintf("update %q", slug), err, projects.ErrNotFound)
		_, err = service.Update(ctx, owner, slug, nil, projects.Change{Name: new("")})
		expect(t, fmt.Sprintf("update %q with a mistake", slug), err, projects.ErrNotFound)
		_, err = service.Delete(ctx, owner, slug, nil)
		expect(t, fmt.Sprintf("delete %q", slug), err, projects.ErrNotFound)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, input string
		want        string // "" when it is refused
	}{
		{"plain", "Apollo", "Apollo"},
		{"trimmed", " \t Apollo 11\u00a0\n", "Apollo 11"},
		{"inner spaces stay", "a   b", "a   b"},
		{"accents are composed", "Cafe\u0301", "Café"},
		{"Chinese", "项目一", "项目一"},
		{"right to left", "פרויקט", "פרויקט"},
		{"right-to-left mark", "a\u200fb", "a\u200fb"},
		{"emoji with joiners", "👩‍👩‍👧 plan", "👩‍👩‍👧 plan"},
		{"markup", "<script>alert(1)</script>", "<script>alert(1)</script>"},
		{"longest", strings.Repeat("ü", 120), strings.Repeat("ü", 120)},
		{"too long", strings.Repeat("ü", 121), ""},
		{"10,000 characters", strings.Repeat("界", 10_000), ""},
		{"empty", "", ""},
		{"only spaces", " \u00a0\u2003\t", ""},
		{"nothing to see", "\u200b\u200d", ""},
		{"nul", "a\x00b", ""},
		{"line break", "a\nb", ""},
		{"line separator", "a\u2028b", ""},
		{"escape", "a\x1b[31m", ""},
		{"bidirectional override", "a\u202eb", ""},
		{"bidirectional isolate", "a\u2066b", ""},
		{"not UTF-8", "a\xffb", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, service := newService(t)
			project, err := service.Create(ctx, ada, projects.Draft{Name: test.input})
			apollo := create(t, ctx, service, ada, projects.Draft{Name: "x"})
			changed, changeErr := service.Update(ctx, ada, apollo.Slug.String(), nil, projects.Change{Name: &test.input})
			if test.want == "" {
				expectField(t, err, "name", test.input)
				expectField(t, changeErr, "name", test.input)
				return
			}
			if err != nil || project.Name != test.want {
				t.Errorf("create: %q, %v; want %q", project.Name, err, test.want)
			}
			if changeErr != nil || changed.Name != test.want {
				t.Errorf("update: %q, %v; want %q", changed.Name, changeErr, test.want)
			}
		})
	}
}

// expectField fails the test unless err is about field alone and does not
// repeat what was submitted.
func expectField(t *testing.T, err error, field, submitted string) {
	t.Helper()
	refused := fault.As(err)
	if refused == nil || refused.Kind != fault.Invalid || len(refused.Fields) != 1 || refused.Fields[0].Name != field {
		t.Errorf("error %v, want one invalid %s", err, field)
		return
	}
	if len(submitted) > 8 && strings.Contains(err.Error(), submitted) {
		t.Error("the error repeats what was submitted")
	}
}

func TestOtherFields(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	long := strings.Repeat("界", 5000)
	project := create(t, ctx, service, ada, projects.Draft{Name: "Apollo", Description: " a\r\nb\tc " + long[3*6:], Status: "archived", Public: true})
	if project.Description != "a\nb\tc "+long[3*6:] || project.Status != projects.StatusArchived || !project.Public {
		t.Errorf("got %+v", project)
	}
	for field, change := range map[string]projects.Change{
		"description": {Description: new(long + "x")},
		"status":      {Status: new("deleted")},
		"slug":        {Slug: new("")},
	} {
		_, err := service.Update(ctx, ada, "apollo", nil, change)
		expectField(t, err, field, "")
	}
	_, err := service.Update(ctx, ada, "apollo", nil, projects.Change{Description: new("a\x00"), Name: new(""), Slug: new("A"), Status: new("")})
	if fields := fault.As(err).Fields; len(fields) != 4 {
		t.Errorf("got %v, want every field at once", fields)
	}
	if now, err := service.Get(ctx, ada, "apollo"); err != nil || now != project {
		t.Errorf("a refused change left %+v, %v", now, err)
	}
}

func TestChosenSlugs(t *testing.T) {
	t.Parallel()
	for slug, valid := range map[string]bool{
		"a": true, "1": true, "a-b": true, "a--b": true, strings.Repeat("a", 63): true,
		strings.Repeat("a", 64): false, "-a": false, "a-": false, "A": false, "ä": false, "a b": false,
		"a_b": false, "a/b": false, ".": false, "..": false, "a.b": false, "a\n": false, "new": false, "search": false,
	} {
		ctx, service := newService(t)
		project, err := service.Create(ctx, ada, projects.Draft{Name: "x", Slug: slug})
		if !valid {
			expectField(t, err, "slug", slug)
		} else if err != nil || project.Slug.String() != slug {
			t.Errorf("%q: %q, %v", slug, project.Slug, err)
		}
	}

	ctx, service := newService(t)
	create(t, ctx, service, ada, projects.Draft{Name: "Apollo"})
	create(t, ctx, service, bob, projects.Draft{Name: "Gemini"})
	_, err := service.Create(ctx, bob, projects.Draft{Name: "x", Slug: "apollo"})
	expect(t, "create with a taken slug", err, projects.ErrSlugTaken)
	_, err = service.Update(ctx, bob, "gemini", nil, projects.Change{Slug: new("apollo")})
	expect(t, "change to a taken slug", err, projects.ErrSlugTaken)
	if refused := fault.As(err); refused.Kind != fault.Conflict || len(refused.Fields) != 1 || refused.Fields[0].Name != "slug" {
		t.Errorf("got %+v, want a conflict about the slug", refused)
	}
}

func TestDerivedSlugs(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	for _, test := range []struct{ name, want string }{
		{"Apollo", "apollo"},
		{"apollo", "apollo-2"},
		{"  APOLLO! ", "apollo-3"},
		{"Apollo 5", "apollo-5"},
		{"Apollo", "apollo-4"},
		{"Apollo", "apollo-6"},
		{"Über-Café №1", "uber-cafe-no1"},
		{"项目", "project"},
		{"🚀", "project-2"},
		{"New", "new-project"},
		{strings.Repeat("a", 120), strings.Repeat("a", 56)},
		{strings.Repeat("a", 119), strings.Repeat("a", 56) + "-2"},
		{strings.Repeat("b", 55) + " c", strings.Repeat("b", 55)},
	} {
		if got := create(t, ctx, service, ada, projects.Draft{Name: test.name}).Slug.String(); got != test.want {
			t.Errorf("%q: slug %q, want %q", test.name, got, test.want)
		}
	}
}

func TestManyAtOnceGetSlugsOfTheirOwn(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	const n = 200
	slugs := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			project, err := service.Create(ctx, ada, projects.Draft{Name: "Apollo"})
			if err != nil {
				t.Error(err)
			}
			slugs[i] = project.Slug.String()
		})
	}
	wg.Wait()
	slices.Sort(slugs)
	if distinct := len(slices.Compact(slugs)); distinct != n {
		t.Errorf("%d slugs for %d projects", distinct, n)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	for i := range 45 {
		create(t, ctx, service, ada, projects.Draft{Name: fmt.Sprintf("p%d", i)})
	}
	for limit, want := range map[int][]int{0: {20, 20, 5}, 1: nil, 15: {15, 15, 15}, 44: {44, 1}, 45: {45}, 100: {45}} {
		var sizes []int
		listing := projects.Listing{Limit: limit}
		for pages := 0; pages < 50; pages++ {
			page, err := service.List(ctx, ada, listing)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, len(page.Projects))
			if page.Next.IsZero() {
				break
			}
			// Clients carry the cursor as text.
			if listing.After, err = projects.ParseCursor(page.Next.String()); err != nil {
				t.Fatal(err)
			}
		}
		if want == nil {
			want = slices.Repeat([]int{1}, 45)
		}
		if !slices.Equal(sizes, want) {
			t.Errorf("limit %d: pages of %v, want %v", limit, sizes, want)
		}
	}
	for field, listing := range map[string]projects.Listing{
		"limit":      {Limit: 101},
		"q":          {Filter: projects.Filter{Search: strings.Repeat("x", 121)}},
		"status":     {Filter: projects.Filter{Status: "gone"}},
		"created_by": {Filter: projects.Filter{CreatedBy: "a\x00"}},
	} {
		_, err := service.List(ctx, ada, listing)
		expectField(t, err, field, "")
	}
	for _, search := range []string{"a\x00", "a\xff", "a\nb"} {
		_, err := service.List(ctx, ada, projects.Listing{Filter: projects.Filter{Search: search}})
		expectField(t, err, "q", "")
	}
	_, err := service.List(ctx, ada, projects.Listing{Limit: -1})
	expectField(t, err, "limit", "")
}
