// Package apikeysfx wires the API keys module.
package apikeysfx

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/apikeys/adapters/bearer"
	"github.com/tenonhq/tenon/modules/apikeys/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/apikeys/adapters/rest"
	"github.com/tenonhq/tenon/modules/apikeys/adapters/web"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// Authenticate is the middleware that lets programs in by their keys; it stands in
// front of the gate of identity.
type Authenticate func(http.Handler) http.Handler

// Module provides [Authenticate], and the module's routes to the group "mounts".
// What it stores stays inside.
var Module = fx.Module("apikeys",
	fx.Provide(
		fx.Private,
		fx.Annotate(bunrepo.NewRepository, fx.As(new(apikeys.Repository))),
		fx.Annotate(bunrepo.NewIndex, fx.As(new(apikeys.Index))),
		func(db *database.DB) apikeys.Transactor { return db },
		func(members *identity.Service) web.Members { return members.Members },
		apikeys.NewService,
		web.NewPages,
	),
	fx.Provide(
		newAuthenticate,
		fx.Annotate(newPagesMount, fx.ResultTags(`group:"mounts"`)),
		fx.Annotate(newOperationsMount, fx.ResultTags(`group:"mounts"`)),
	),
)

func newAuthenticate(service *apikeys.Service, errors *httpserver.ErrorWriter) Authenticate {
	return bearer.Authenticate(service, errors)
}

func newPagesMount(pages *web.Pages) httpserver.Mount {
	return httpserver.Mount{Surface: httpserver.TenantPages, Routes: pages.Mount}
}

func newOperationsMount(service *apikeys.Service) httpserver.Mount {
	return httpserver.Mount{
		Surface:    httpserver.TenantAPI,
		Operations: func(api huma.API) { rest.Register(api, service) },
	}
}
