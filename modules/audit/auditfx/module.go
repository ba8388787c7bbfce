// Package auditfx wires the audit module.
package auditfx

import (
	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/audit/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/audit/adapters/rest"
	"github.com/tenonhq/tenon/modules/audit/adapters/web"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// Module provides *audit.Service, the journal of what no table has, and the module's
// routes to the group "mounts". The log itself stays inside.
var Module = fx.Module("audit",
	fx.Provide(
		fx.Private,
		fx.Annotate(bunrepo.NewLog, fx.As(new(audit.Log))),
		func(members *identity.Service) web.Members { return members.Members },
		web.NewPages,
	),
	fx.Provide(
		audit.NewService,
		func(log audit.Log) identity.Journal { return log },
		fx.Annotate(newPagesMount, fx.ResultTags(`group:"mounts"`)),
		fx.Annotate(newOperationsMount, fx.ResultTags(`group:"mounts"`)),
	),
)

func newPagesMount(pages *web.Pages) httpserver.Mount {
	return httpserver.Mount{Surface: httpserver.TenantPages, Routes: pages.Mount}
}

func newOperationsMount(service *audit.Service) httpserver.Mount {
	return httpserver.Mount{
		Surface:    httpserver.TenantAPI,
		Operations: func(api huma.API) { rest.Register(api, service) },
	}
}
