// Package projectsfx wires the projects module.
package projectsfx

import (
	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/projects/adapters/rest"
	"github.com/tenonhq/tenon/modules/projects/adapters/web"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// Module provides *projects.Service, and the module's routes to the group
// "mounts". The repository stays inside, so that nobody gets at it but through
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
