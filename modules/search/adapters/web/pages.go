package web

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/search"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
)

// Pages are the module's pages.
type Pages struct {
	service *search.Service
	errors  *httpserver.ErrorWriter
}

// NewPages returns the pages. What they cannot answer is answered by errors.
func NewPages(service *search.Service, errors *httpserver.ErrorWriter) *Pages {
	return &Pages{service: service, errors: errors}
}

// Mount adds the page to a router whose requests were let into a tenant.
func (p *Pages) Mount(r chi.Router) {
	r.Method(http.MethodGet, "/search", p.errors.Handle(p.find))
}

func (p *Pages) find(w http.ResponseWriter, r *http.Request) error {
	access := identity.AccessOf(r.Context())
	text := r.URL.Query().Get("q")
	results, err := p.service.Find(r.Context(), access.Actor(), text)
	status, refused := http.StatusOK, fault.As(err)
	switch {
	case fault.Is(err, fault.Invalid):
		status = http.StatusUnprocessableEntity
	case err != nil:
		return err
	}
	found := view{text: text, refused: refused}
	if refused == nil {
		found.groups = groupsOf(web.FromContext(r.Context()), text, results)
	}
	if web.IsFragmentRequest(r) && r.Header.Get("HX-Target") == web.PaletteTarget {
		return web.RenderFragment(w, r, status, palette(found))
	}
	return web.Render(w, r, status, "Search", page(found))
}

// view is what a text leads to.
type view struct {
	text    string
	groups  []group
	refused *fault.Error // nil when text can be searched for
}

// group is what was found of one kind.
type group struct {
	name    string
	entries []entry
}

// entry is one thing that was found.
type entry struct {
	icon, name, hint string
	href             templ.SafeURL
}

// groupsOf returns what was found, pages and actions of the navigation among it,
// without empty groups.
func groupsOf(shell *web.Shell, text string, results search.Results) []group {
	pages, actions := group{name: "Pages"}, group{name: "Actions"}
	for _, item := range shell.Navigation {
		if !strings.Contains(strings.ToLower(item.Label), strings.ToLower(strings.TrimSpace(text))) {
			continue
		}
		entry := entry{icon: item.Icon, name: item.Label, hint: item.Keys, href: shell.Link(item.Path)}
		switch item.Kind {
		case web.PageItem:
			pages.entries = append(pages.entries, entry)
		case web.ActionItem:
			actions.entries = append(actions.entries, entry)
		}
	}
	projects, members := group{name: "Projects"}, group{name: "Members"}
	if text == "" {
		projects.name = "Recent projects"
	}
	for _, project := range results.Projects {
		projects.entries = append(projects.entries, entry{
			icon: "folder", name: project.Name, hint: project.Slug.String(), href: shell.Link("/projects/%s", project.Slug),
		})
	}
	for _, member := range results.Members {
		members.entries = append(members.entries, entry{
			icon: "user", name: member.Name(), hint: member.Email, href: shell.Link("/members/%s", member.ID),
		})
	}
	var found []group
	for _, group := range []group{projects, members, pages, actions} {
		if len(group.entries) > 0 {
			found = append(found, group)
		}
	}
	return found
}
