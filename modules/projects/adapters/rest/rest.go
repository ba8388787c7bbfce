// Package rest is the projects module's part of the REST API.
//
// Every operation is authorized by a middleware, before any of its input is
// looked at: 404 for a project that one may not see, 403 for one that one may
// see and no more, and only then what is wrong with the input.
package rest

import (
	"context"
	"net/http"

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
		summary: "List projects", description: "Lists the projects that you may see, the newest first.",
	}, api.list)
	register(to, operation{
		id: "create-project", method: http.MethodPost, path: collectionPath, authorize: may(service.AuthorizeCreate),
		summary: "Create a project", description: "Needs a name alone. The project is yours.",
		status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, api.create)
	register(to, operation{
		id: "get-project", method: http.MethodGet, path: projectPath, authorize: api.mayDo(projects.ActionView),
		summary: "Get a project",
	}, api.get)
	register(to, operation{
		id: "update-project", method: http.MethodPatch, path: projectPath, authorize: api.mayDo(projects.ActionEdit),
		summary:     "Change a project",
		description: "Takes a JSON merge patch (RFC 7396): what is missing stays as it is. A null empties the description and makes the project private; the rest cannot be taken away.",
		errors:      []int{http.StatusConflict},
	}, api.update)
	register(to, operation{
		id: "delete-project", method: http.MethodDelete, path: projectPath, authorize: api.mayDo(projects.ActionDelete),
		summary: "Delete a project", description: "The project is gone for good.", status: http.StatusNoContent,
	}, api.delete)
}

// operation is what sets one of this module's operations apart.
type operation struct {
	id, method, path, summary, description string
	// authorize decides whether the request may go on, before its input is
	// looked at.
	authorize func(huma.Context, func(huma.Context))
	status    int   // of success; 0 is 200
	errors    []int // beyond those that every operation has
}

func register[I, O any](to huma.API, o operation, handler func(context.Context, *I) (*O, error)) {
	httpserver.Register(to, huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description,
		Tags: []string{"Projects"}, DefaultStatus: o.status, Middlewares: huma.Middlewares{o.authorize},
		Errors: append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity}, o.errors...),
	}, handler)
}

// may returns a middleware that lets those pass whom check allows.
func may(check func(identity.Actor) error) func(huma.Context, func(huma.Context)) {
	return httpserver.Guard(func(ctx context.Context) error { return check(actorOf(ctx)) })
}

// mayDo returns a middleware that lets those pass who may do action to the
// project in the path, and hands the project on.
func (a *api) mayDo(action projects.Action) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		httpserver.Guard(func(c context.Context) error {
			project, err := a.service.Authorize(c, actorOf(c), ctx.Param(projectParam), action)
			if err == nil {
				ctx = huma.WithValue(ctx, projectKey{}, project)
			}
			return err
		})(ctx, func(huma.Context) { next(ctx) })
	}
}

type projectKey struct{}

// actorOf returns who is asking. Outside of a tenant that is nobody, who may do
// nothing.
func actorOf(ctx context.Context) identity.Actor {
	access, _ := identity.AccessFromContext(ctx)
	return access.Actor()
}

type listInput struct {
	Search    string `query:"q" maxLength:"120" doc:"Found in the name, the slug or the description, whatever the case."`
	Status    string `query:"status" enum:"active,archived"`
	CreatedBy string `query:"created_by" doc:"The id of the user who made them."`
	Limit     int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	After     string `query:"after" doc:"The next of the page before. What is in it may change."`
}

type listOutput struct{ Body ProjectList }

func (a *api) list(ctx context.Context, in *listInput) (*listOutput, error) {
	after, err := projects.ParseCursor(in.After)
	if err != nil {
		return nil, err
	}
	page, err := a.service.List(ctx, actorOf(ctx), projects.Listing{
		Filter: projects.Filter{Search: in.Search, Status: projects.Status(in.Status), CreatedBy: in.CreatedBy},
		After:  after,
		Limit:  in.Limit,
	})
	if err != nil {
		return nil, err
	}
	return &listOutput{Body: listOf(page)}, nil
}

type createInput struct{ Body ProjectDraft }

type createOutput struct {
	Location string `header:"Location" doc:"Where the project is."`
	Body     Project
}

func (a *api) create(ctx context.Context, in *createInput) (*createOutput, error) {
	access, _ := identity.AccessFromContext(ctx)
	project, err := a.service.Create(ctx, access.Actor(), in.Body.draft())
	if err != nil {
		return nil, err
	}
	return &createOutput{
		// Neither slug has a character that a path would have to escape.
		Location: "/api/tenants/" + access.Tenant.Slug.String() + collectionPath + "/" + project.Slug.String(),
		Body:     resourceOf(project),
	}, nil
}

type projectInput struct {
	Project string `path:"project" doc:"The project's slug." example:"website-relaunch"`
}

type projectOutput struct{ Body Project }

func (a *api) get(ctx context.Context, _ *projectInput) (*projectOutput, error) {
	project, _ := ctx.Value(projectKey{}).(projects.Project)
	return &projectOutput{Body: resourceOf(project)}, nil
}

type updateInput struct {
	Project string `path:"project" doc:"The project's slug." example:"website-relaunch"`
	Body    ProjectPatch
}

func (a *api) update(ctx context.Context, in *updateInput) (*projectOutput, error) {
	project, err := a.service.Update(ctx, actorOf(ctx), in.Project, in.Body.change())
	if err != nil {
		return nil, err
	}
	return &projectOutput{Body: resourceOf(project)}, nil
}

func (a *api) delete(ctx context.Context, in *projectInput) (*struct{}, error) {
	_, err := a.service.Delete(ctx, actorOf(ctx), in.Project)
	return nil, err
}
