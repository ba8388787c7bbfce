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
		{http.MethodGet, "/projects/{project}", p.show},
		{http.MethodGet, "/projects/{project}/edit", p.showEdit},
		{http.MethodPost, "/projects/{project}/edit", p.update},
		{http.MethodGet, "/projects/{project}/delete", p.confirmDelete},
		{http.MethodPost, "/projects/{project}/delete", p.delete},
	} {
		r.Method(page.method, page.pattern, p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
			access, _ := identity.AccessFromContext(r.Context()) // without it nobody asks, who may do nothing
			return page.handle(w, r, access)
		}))
	}
}

func slugOf(r *http.Request) string { return httpserver.PathParam(r, "project") }

// names returns what to call the makers of projects.
func (p *Pages) names(ctx context.Context, list ...projects.Project) (map[string]string, error) {
	ids := make([]string, len(list))
	for i, project := range list {
		ids[i] = project.CreatedBy
	}
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

func (p *Pages) dashboard(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	summary, err := p.service.Summary(r.Context(), access.Actor())
	if err != nil {
		return err
	}
	names, err := p.names(r.Context(), summary.Recent...)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Dashboard", dashboardPage(access, summary, names))
}

// The values of the list's filter for whose projects it shows.
const (
	madeByAnybody = ""
	madeByMe      = "me"
)

// listQuery is what the list's address says, as it was typed.
type listQuery struct{ search, status, madeBy, after string }

func listQueryOf(r *http.Request) listQuery {
	values := r.URL.Query()
	return listQuery{search: values.Get("q"), status: values.Get("status"), madeBy: values.Get("by"), after: values.Get("after")}
}

func (q listQuery) isFiltered() bool { return q.search != "" || q.status != "" || q.madeBy != "" }

func (q listQuery) listing(actor identity.Actor) (projects.Listing, error) {
	after, err := projects.ParseCursor(q.after)
	listing := projects.Listing{After: after, Filter: projects.Filter{Search: q.search, Status: projects.Status(q.status)}}
	if q.madeBy == madeByMe {
		listing.CreatedBy = actor.AccountID
	}
	return listing, err
}

func (p *Pages) list(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	query := listQueryOf(r)
	page, err := p.find(r.Context(), access.Actor(), query)
	status := http.StatusOK
	refused := fault.As(err)
	switch {
	case fault.Is(err, fault.Invalid): // the page says so beside its filter
		status = http.StatusUnprocessableEntity
	case err != nil:
		return err
	}
	names, err := p.names(r.Context(), page.Projects...)
	if err != nil {
		return err
	}
	return web.Render(w, r, status, "Projects", listPage(access, query, page, names, refused))
}

func (p *Pages) find(ctx context.Context, actor identity.Actor, query listQuery) (projects.Page, error) {
	listing, err := query.listing(actor)
	if err != nil {
		return projects.Page{}, err
	}
	return p.service.List(ctx, actor, listing)
}

// searchProblem says what is wrong with a value of the list's address. Nobody types
// a cursor, so that one is told in other words than a program gets.
func searchProblem(field fault.Field) string {
	if field.Name == "after" {
		return "This page of the list does not exist."
	}
	return field.Message
}

// form is a project as somebody entered it.
type form struct {
	name, slug, description, status string
	public                          bool
}

func formOf(project projects.Project) form {
	return form{
		name: project.Name, slug: project.Slug.String(), description: project.Description, status: string(project.Status), public: project.Public,
	}
}

func parseForm(r *http.Request) (form, error) {
	if err := httpserver.ParseForm(r); err != nil {
		return form{}, err
	}
	return form{
		name: r.PostForm.Get("name"), slug: r.PostForm.Get("slug"), description: r.PostForm.Get("description"),
		status: r.PostForm.Get("status"), public: r.PostForm.Get("is_public") != "",
	}, nil
}

// refusal returns err when a form has to be shown again because of it, and nil
// otherwise.
func refusal(err error) *fault.Error {
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		return fault.As(err)
	}
	return nil
}

func (p *Pages) showNew(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.AuthorizeCreate(access.Actor()); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "New project", newPage(form{}, nil))
}

func (p *Pages) create(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.AuthorizeCreate(access.Actor()); err != nil {
		return err
	}
	entered, err := parseForm(r)
	if err != nil {
		return err
	}
	project, err := p.service.Create(r.Context(), access.Actor(), projects.Draft{
		Name: entered.name, Slug: entered.slug, Description: entered.description, Public: entered.public,
	})
	if refused := refusal(err); refused != nil {
		return web.Render(w, r, http.StatusUnprocessableEntity, "New project", newPage(entered, refused))
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "Project “"+project.Name+"” was created.", "/projects/%s", project.Slug)
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Get(r.Context(), access.Actor(), slugOf(r))
	if err != nil {
		return err
	}
	names, err := p.names(r.Context(), project)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, project.Name, projectPage(access, project, names[project.CreatedBy]))
}

func (p *Pages) showEdit(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionEdit)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Edit "+project.Name, editPage(project, formOf(project), nil))
}

func (p *Pages) update(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionEdit)
	if err != nil {
		return err
	}
	entered, err := parseForm(r)
	if err != nil {
		return err
	}
	changed, err := p.service.Update(r.Context(), access.Actor(), slugOf(r), nil, projects.Change{
		Name: &entered.name, Slug: &entered.slug, Description: &entered.description, Public: &entered.public, Status: &entered.status,
	})
	if refused := refusal(err); refused != nil {
		return web.Render(w, r, http.StatusUnprocessableEntity, "Edit "+project.Name, editPage(project, entered, refused))
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "Your changes were saved.", "/projects/%s", changed.Slug)
}

func (p *Pages) confirmDelete(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionDelete)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Delete "+project.Name, ui.Confirm(deletion(web.FromContext(r.Context()), project)))
}

func (p *Pages) delete(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Delete(r.Context(), access.Actor(), slugOf(r), nil)
	if err != nil {
		return err
	}
	return redirect(w, r, "Project “"+project.Name+"” was deleted.", "/projects")
}

// redirect leads to a page of the tenant, which says message.
func redirect(w http.ResponseWriter, r *http.Request, message, format string, args ...any) error {
	target := web.FromContext(r.Context()).Link(format, args...)
	web.Redirect(w, r, string(target), &web.Flash{Kind: ui.Success, Message: message})
	return nil
}

// deletion is the question before a project is deleted.
func deletion(shell *web.Shell, project projects.Project) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "delete-project",
		Title:        "Delete “" + project.Name + "”?",
		Description:  "The project is gone for good, for everybody in the organization. Archive it instead to keep it.",
		Action:       shell.Link("/projects/%s/delete", project.Slug),
		ConfirmLabel: "Delete project",
		CancelHref:   shell.Link("/projects/%s", project.Slug),
	}
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
