// Package rest is the projects module's part of the REST API.
//
// Every operation is authorized by a middleware, before any of its input is
// looked at: 404 for a project that one may not see, 403 for one that one may
// see and no more, and only then what is wrong with the input.
package rest

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/httpserver"
)

const (
	collectionPath = "/projects"
	projectParam   = "project"
	projectPath    = collectionPath + "/{" + projectParam + "}"
)

// api holds the operations' handlers.
type api struct{ service *projects.Service }

// Register adds the module's operations to an API whose requests were let into
// a tenant.
func Register(to huma.API, service *projects.Service) {
	api := &api{service: service}
	register(to, operation{
		id: "list-projects", method: http.MethodGet, path: collectionPath, authorize: may(service.AuthorizeList),
		summary: "List projects", description: "Lists the projects that you may see, in pages. The Link header leads to the first page and the next one.",
	}, api.list)
	register(to, operation{
		id: "create-project", method: http.MethodPost, path: collectionPath, authorize: may(service.AuthorizeCreate),
		summary: "Create a project", description: "Needs a name alone. The project is yours.",
		status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, api.create)
	register(to, operation{
		id: "get-project", method: http.MethodGet, path: projectPath, authorize: api.mayDo(projects.ActionView),
		summary: "Get a project", description: "Its ETag names the version you got, for If-None-Match and If-Match.",
	}, api.get)
	register(to, operation{
		id: "update-project", method: http.MethodPatch, path: projectPath, authorize: api.mayDo(projects.ActionEdit),
		summary:     "Change a project",
		description: "Takes a JSON merge patch (RFC 7396): what is missing stays as it is. A null empties the description and makes the project private; the rest cannot be taken away. With If-Match, it is changed only while it is as you know it.",
		errors:      []int{http.StatusConflict, http.StatusPreconditionFailed},
	}, api.update)
	register(to, operation{
		id: "delete-project", method: http.MethodDelete, path: projectPath, authorize: api.mayDo(projects.ActionDelete),
		summary: "Delete a project", description: "The project is gone for good. With If-Match, it is deleted only while it is as you know it.",
		status: http.StatusNoContent, errors: []int{http.StatusPreconditionFailed},
	}, api.delete)
}

// operation is what sets one of this module's operations apart.
type operation struct {
	id, method, path, summary, description string
	// authorize decides whether the request may go on, before its input is
	// looked at.
	authorize func(huma.Context, func(huma.Context))
	status    int   // of success; 0 is 200
	errors    []int // beyond those that every operation of a tenant has
}

func register[I, O any](to huma.API, o operation, handler func(context.Context, *I) (*O, error)) {
	httpserver.Register(to, huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description,
		Tags: []string{"Projects"}, DefaultStatus: o.status, Middlewares: huma.Middlewares{o.authorize},
		Errors: o.errors,
	}, handler)
}

// may returns a middleware that lets those pass whom check allows.
func may(check func(identity.Actor) error) func(huma.Context, func(huma.Context)) {
	return httpserver.Guard(func(ctx context.Context) error { return check(identity.AccessOf(ctx).Actor()) })
}

// mayDo returns a middleware that lets those pass who may do action to the
// project in the path, and hands the project on.
func (a *api) mayDo(action projects.Action) func(huma.Context, func(huma.Context)) {
	return httpserver.GuardValue(projectKey{}, func(ctx context.Context, param func(string) string) (projects.Project, error) {
		return a.service.Authorize(ctx, identity.AccessOf(ctx).Actor(), param(projectParam), action)
	})
}

type projectKey struct{}

// optionalParam is a query parameter whose zero value means something else than
// its absence.
type optionalParam[T any] struct {
	parsed T
	value  *T // nil when it was not sent
}

// Schema implements [huma.SchemaProvider]: the document shows T.
func (optionalParam[T]) Schema(registry huma.Registry) *huma.Schema {
	return huma.SchemaFromType(registry, reflect.TypeFor[T]())
}

// Receiver implements [huma.ParamWrapper].
func (p *optionalParam[T]) Receiver() reflect.Value { return reflect.ValueOf(&p.parsed).Elem() }

// OnParamSet implements [huma.ParamReactor].
func (p *optionalParam[T]) OnParamSet(isSet bool, _ any) {
	if isSet {
		p.value = &p.parsed
	}
}

type listInput struct {
	Search    string              `query:"q" maxLength:"120" doc:"Found in the name, the slug or the description, whatever the case."`
	Status    string              `query:"status" enum:"active,archived"`
	IsPublic  optionalParam[bool] `query:"is_public" doc:"Leaves out private projects, or with false public ones."`
	CreatedBy string              `query:"created_by" doc:"The id of the user who made them."`
	Sort      string              `query:"sort" enum:"-created_at,created_at,-updated_at,updated_at,name,-name" default:"-created_at" doc:"The field to sort by, with a hyphen in front for descending."`
	Limit     int                 `query:"limit" minimum:"1" maximum:"100" default:"20"`
	After     string              `query:"after" doc:"The next of the page before, which has to be sorted the same way. What is in it may change."`
}

// link returns the Link header of a page.
func (in *listInput) link(ctx context.Context, next projects.Cursor) string {
	public := ""
	if in.IsPublic.value != nil {
		public = strconv.FormatBool(*in.IsPublic.value)
	}
	return httpserver.PageLinks(pathOf(ctx), map[string]string{
		"q": in.Search, "status": in.Status, "created_by": in.CreatedBy, "is_public": public, "sort": in.Sort, "limit": strconv.Itoa(in.Limit),
	}, "after", next.String())
}

// pathOf returns the path of the tenant's projects.
func pathOf(ctx context.Context) string {
	return httpserver.TenantAPIPath(identity.AccessOf(ctx).Tenant.Slug.String(), collectionPath)
}

type listOutput struct {
	Link string `header:"Link" doc:"Where the first page is (rel=first) and the next one (rel=next), as RFC 8288 has it."`
	Body ProjectList
}

func (a *api) list(ctx context.Context, in *listInput) (*listOutput, error) {
	after, err := projects.ParseCursor(in.After)
	if err != nil {
		return nil, err
	}
	page, err := a.service.List(ctx, identity.AccessOf(ctx).Actor(), projects.Listing{
		Filter: projects.Filter{Search: in.Search, Status: projects.Status(in.Status), Public: in.IsPublic.value, CreatedBy: in.CreatedBy},
		Order:  projects.Order(in.Sort),
		After:  after,
		Limit:  in.Limit,
	})
	if err != nil {
		return nil, err
	}
	return &listOutput{Link: in.link(ctx, page.Next), Body: listOf(page)}, nil
}

type createInput struct{ Body ProjectDraft }

type createOutput struct {
	Location string `header:"Location" doc:"Where the project is."`
	ETag     string `header:"ETag" doc:"The project's version, for If-Match."`
	Body     Project
}

func (a *api) create(ctx context.Context, in *createInput) (*createOutput, error) {
	access := identity.AccessOf(ctx)
	project, err := a.service.Create(ctx, access.Actor(), in.Body.draft(access.Tenant))
	if err != nil {
		return nil, err
	}
	return &createOutput{
		Location: pathOf(ctx) + "/" + project.Slug.String(),
		ETag:     tagOf(project),
		Body:     resourceOf(project),
	}, nil
}

type projectInput struct {
	Project string `path:"project" doc:"The project's slug." example:"website-relaunch"`
}

type projectOutput struct {
	ETag string `header:"ETag" doc:"The project's version, for If-Match and If-None-Match."`
	Body Project
}

func outputOf(p projects.Project) *projectOutput {
	return &projectOutput{ETag: tagOf(p), Body: resourceOf(p)}
}

func tagOf(p projects.Project) string { return httpserver.EntityTag(projects.VersionOf(p).String()) }

func (a *api) get(ctx context.Context, _ *projectInput) (*projectOutput, error) {
	project, _ := ctx.Value(projectKey{}).(projects.Project)
	return outputOf(project), nil
}

// Precondition is the header of changes that are to overwrite nobody else's.
type Precondition struct {
	IfMatch string `header:"If-Match" doc:"The ETags of the versions that may be changed; 412 if the project is in another one by then." example:"\"1-hk2fm7u2mp\""`
}

func (p Precondition) versions() projects.Versions {
	tags := httpserver.IfMatch(p.IfMatch)
	if tags == nil {
		return nil
	}
	versions := projects.Versions{}
	for _, tag := range tags {
		if version, ok := projects.ParseVersion(tag); ok {
			versions = append(versions, version)
		}
	}
	return versions
}

type updateInput struct {
	Project string `path:"project" doc:"The project's slug." example:"website-relaunch"`
	Precondition
	Body ProjectPatch
}

func (a *api) update(ctx context.Context, in *updateInput) (*projectOutput, error) {
	project, err := a.service.Update(ctx, identity.AccessOf(ctx).Actor(), in.Project, in.versions(), in.Body.change())
	if err != nil {
		return nil, err
	}
	return outputOf(project), nil
}

type deleteInput struct {
	Project string `path:"project" doc:"The project's slug." example:"website-relaunch"`
	Precondition
}

func (a *api) delete(ctx context.Context, in *deleteInput) (*struct{}, error) {
	_, err := a.service.Delete(ctx, identity.AccessOf(ctx).Actor(), in.Project, in.versions())
	return nil, err
}
