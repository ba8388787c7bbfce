package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	identitymemory "github.com/tenonhq/tenon/modules/identity/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/modules/search"
	"github.com/tenonhq/tenon/modules/search/adapters/web"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/tenant"
	platformweb "github.com/tenonhq/tenon/platform/web"
)

func newServer(t *testing.T) http.Handler {
	t.Helper()
	ctx := tenant.NewContext(t.Context(), projectstest.Acme.Schema)
	service := projects.NewService(memory.NewRepository())
	for _, draft := range []projects.Draft{{Name: "Apollo"}, {Name: "<b>bold</b> plan", Public: true}} {
		if _, err := service.Create(ctx, projectstest.Actor(projectstest.Ada, identity.RoleMember), draft); err != nil {
			t.Fatal(err)
		}
	}
	members := identitymemory.NewMembers()
	if err := members.Put(ctx, []identity.Member{projectstest.MemberOf(projectstest.AdaToken)}); err != nil {
		t.Fatal(err)
	}
	pages := web.NewPages(search.NewService(service, identity.NewRoster(nil, nil, members, nil, nil, nil)), projectstest.Errors)
	withNavigation := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shell := *platformweb.FromContext(r.Context())
			shell.Navigation = []platformweb.NavigationItem{
				{Label: "Projects", Icon: "folder", Path: "/projects", Keys: "g p"},
				{Kind: platformweb.SearchItem, Label: "Search", Icon: "search", Path: "/search"},
				{Kind: platformweb.ActionItem, Label: "New project", Icon: "plus", Path: "/projects/new", Keys: "n"},
			}
			next.ServeHTTP(w, r.WithContext(platformweb.NewContext(r.Context(), &shell)))
		})
	}
	return projectstest.NewRouter(t, []httpserver.Mount{{Surface: httpserver.TenantPages, Routes: func(r chi.Router) {
		r.Group(func(r chi.Router) {
			r.Use(withNavigation)
			pages.Mount(r)
		})
	}}})
}

func get(t *testing.T, server http.Handler, as, text string, headers ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/acme/search?q="+url.QueryEscape(text), nil)
	r.AddCookie(&http.Cookie{Name: "__session", Value: as})
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	_, main, isDocument := strings.Cut(w.Body.String(), `<main`)
	if main, _, _ = strings.Cut(main, `</main>`); !isDocument {
		main = w.Body.String()
	}
	return w.Code, main
}

// TestPageAndPalette holds that the palette shows what the page does.
func TestPageAndPalette(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for _, test := range []struct {
		as, text string
		status   int
		has      []string
		lacks    []string
	}{
		{projectstest.Owner, "", 200, []string{"Recent projects", "/acme/projects/apollo", "/acme/projects\"", "/acme/projects/new", "Pages", "Actions"}, []string{"Members", "href=\"/acme/search"}},
		{projectstest.Owner, "apollo", 200, []string{"Projects", "/acme/projects/apollo"}, []string{"Recent", "/acme/projects/new"}},
		{projectstest.Owner, "PROJ", 200, []string{"/acme/projects\"", "/acme/projects/new"}, []string{"apollo"}},
		{projectstest.Owner, "ada", 200, []string{"/acme/members/" + projectstest.Ada, "ada@acme.example"}, []string{"apollo"}},
		{projectstest.Owner, "<b>", 200, []string{"&lt;b&gt;bold", "/acme/projects/b-bold-b-plan"}, []string{"<b>"}},
		{projectstest.Owner, "nothing has this", 200, []string{"Nothing was found"}, []string{"href=\"/acme/projects"}},
		{projectstest.Viewer, "", 200, []string{"/acme/projects/b-bold-b-plan"}, []string{"apollo"}},
		{projectstest.Viewer, "apollo", 200, []string{"Nothing was found"}, nil},
		{projectstest.Owner, strings.Repeat("x", 121), 422, []string{"120 characters"}, []string{"/acme/projects/apollo"}},
		{projectstest.Stranger, "apollo", 404, nil, []string{"/acme/projects/apollo"}},
	} {
		for name, headers := range map[string][]string{"page": nil, "palette": {"HX-Request", "true", "HX-Target", "palette-results"}} {
			status, text := get(t, server, test.as, test.text, headers...)
			if status != test.status {
				t.Errorf("%s of %q for %s: %d, want %d", name, test.text, test.as, status, test.status)
			}
			for _, want := range test.has {
				if !strings.Contains(text, want) {
					t.Errorf("%s of %q for %s lacks %q", name, test.text, test.as, want)
				}
			}
			for _, unwanted := range test.lacks {
				if strings.Contains(text, unwanted) {
					t.Errorf("%s of %q for %s has %q", name, test.text, test.as, unwanted)
				}
			}
			if isList := strings.Contains(text, `role="option"`); isList && name == "page" || strings.Contains(text, "<title>") && name == "palette" && status == 200 {
				t.Errorf("%s of %q is the other one", name, test.text)
			}
		}
	}
}
