// Package projectsfx wires the projects module.
package projectsfx

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/projects/adapters/rest"
	"github.com/tenonhq/tenon/modules/projects/adapters/web"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// Module provides *projects.Service, and the module's routes to the group
// "mounts", and what puts a first project into a new tenant. The repository stays inside, so that nobody gets at it but through
// the use cases.
var Module = fx.Module("projects",
	fx.Provide(
		fx.Private,
		fx.Annotate(bunrepo.NewRepository, fx.As(new(projects.Repository))),
		func(members *identity.Service) web.Members { return members.Members },
		web.NewPages,
	),
	fx.Provide(
		projects.NewService,
		func(service *projects.Service) identity.FirstProject { return firstProject{service} },
		fx.Annotate(newPagesMount, fx.ResultTags(`group:"mounts"`)),
		fx.Annotate(newOperationsMount, fx.ResultTags(`group:"mounts"`)),
	),
)

func newPagesMount(pages *web.Pages) httpserver.Mount {
	return httpserver.Mount{Surface: httpserver.TenantPages, Routes: pages.Mount}
}

func newOperationsMount(service *projects.Service) httpserver.Mount {
	return httpserver.Mount{
		Surface:    httpserver.TenantAPI,
		Operations: func(api huma.API) { rest.Register(api, service) },
	}
}

// firstProject is [identity.FirstProject] by the module's use cases.
type firstProject struct{ service *projects.Service }

// Check implements [identity.FirstProject].
func (f firstProject) Check(name string) error {
	err := projects.CheckName(name)
	if err == nil {
		return nil
	}
	return fault.InvalidFields(fault.Field{Name: "project", Message: fault.As(err).Fields[0].Message})
}

// Create implements [identity.FirstProject].
func (f firstProject) Create(ctx context.Context, actor identity.Actor, name string) error {
	_, err := f.service.CreateOnce(ctx, actor, name)
	return err
}
