package web

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// Members returns those of the tenant's members that exist, by id: pages show
// who made a project. [identity.Service.Members] is one.
type Members func(ctx context.Context, ids ...string) (map[string]identity.Member, error)

// Pages are the module's pages.
type Pages struct {
	service *projects.Service
	members Members
	errors  *httpserver.ErrorWriter
}

// NewPages returns the pages. What they cannot answer is answered by errors.
func NewPages(service *projects.Service, members Members, errors *httpserver.ErrorWriter) *Pages {
	return &Pages{service: service, members: members, errors: errors}
}

// Mount adds the pages to a router whose requests were let into a tenant.
func (p *Pages) Mount(r chi.Router) {
	for _, page := range []struct {
		method, pattern string
		handle          func(http.ResponseWriter, *http.Request, identity.Access) error
	}{
		{http.MethodGet, "/dashboard", p.dashboard},
		{http.MethodGet, "/projects", p.list},
		{http.MethodGet, "/projects/new", p.showNew},
		{http.MethodPost, "/projects/new", p.create},
		{http.MethodGet, "/projects/bulk", p.confirmBulk},
		{http.MethodPost, "/projects/bulk", p.doBulk},
		{http.MethodGet, "/projects/{project}", p.show},
		{http.MethodGet, "/projects/{project}/edit", p.showEdit},
		{http.MethodPost, "/projects/{project}/edit", p.update},
		{http.MethodPost, "/projects/{project}/status", p.setStatus},
		{http.MethodPost, "/projects/{project}/visibility", p.setVisibility},
		{http.MethodGet, "/projects/{project}/delete", p.confirmDelete},
		{http.MethodPost, "/projects/{project}/delete", p.delete},
	} {
		r.Method(page.method, page.pattern, p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
			access := identity.AccessOf(r.Context())
			return page.handle(w, r, access)
		}))
	}
}

func slugOf(r *http.Request) string { return httpserver.PathParam(r, "project") }

// names returns what to call the members with ids, by their ids.
func (p *Pages) names(ctx context.Context, ids []string) (map[string]string, error) {
	members, err := p.members(ctx, ids...)
	if err != nil {
		return nil, fault.Wrap("name the makers of projects", err)
	}
	names := make(map[string]string, len(ids))
	for _, id := range ids {
		names[id] = members[id].Name()
	}
	return names, nil
}

// makersOf returns the ids of those who made the projects.
func makersOf(list []projects.Project) []string {
	ids := make([]string, len(list))
	for i, project := range list {
		ids[i] = project.CreatedBy
	}
	return ids
}

func (p *Pages) dashboard(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	summary, err := p.service.Summary(r.Context(), access.Actor())
	if err != nil {
		return err
	}
	names, err := p.names(r.Context(), makersOf(summary.Recent))
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Dashboard", dashboardPage(access, summary, names))
}

// redirect leads to a page of the tenant, which says message.
func redirect(w http.ResponseWriter, r *http.Request, message, format string, args ...any) error {
	target := web.FromContext(r.Context()).Link(format, args...)
	web.Redirect(w, r, string(target), &web.Flash{Kind: ui.Success, Message: message})
	return nil
}

// isTyped reports whether a text was typed into the field of a confirmation. Space
// around it comes from pasting.
func isTyped(r *http.Request, text string) bool {
	return strings.TrimSpace(r.PostForm.Get("confirmation")) == text
}

// may reports whether the person may do action to the project.
func may(access identity.Access, action projects.Action, project projects.Project) bool {
	return projects.ScopeOf(access.Actor(), action).Includes(project)
}

func mayCreate(access identity.Access) bool { return access.Actor().Allows(identity.ProjectsCreate) }

// greeting is how the dashboard calls the person.
func greeting(member identity.Member) string { return cmp.Or(member.FirstName, member.Name()) }

// isRenamed reports whether the tenant did not get the slug its organization
// asked for, and the person is one to be told.
func isRenamed(access identity.Access) bool {
	asked := access.Tenant.RequestedSlug
	return asked != "" && asked != access.Tenant.Slug.String() &&
		(access.Actor().Allows(identity.OrganizationManage) || access.Actor().Allows(identity.UsersManage))
}

// label is a closed set's name as a person reads it.
func label(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
