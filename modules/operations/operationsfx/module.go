// Package operationsfx wires the operations module.
package operationsfx

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/operations"
	"github.com/tenonhq/tenon/modules/operations/adapters/web"
	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/migrate"
)

// Module provides the operators' pages to the group "mounts". What they begin
// ends with the application.
var Module = fx.Module("operations",
	fx.Provide(fx.Private, newGroup, newPages),
	fx.Provide(fx.Annotate(newPagesMount, fx.ResultTags(`group:"mounts"`))),
)

func newGroup(lifecycle fx.Lifecycle, logger *slog.Logger) *background.Group {
	group := background.NewGroup(logger)
	lifecycle.Append(fx.StopHook(group.Stop))
	return group
}

func newPages(c config.Config, people *identity.Service, engine *migrate.Engine, events *identity.Events, work *background.Group, errors *httpserver.ErrorWriter, logger *slog.Logger) *web.Pages {
	return web.NewPages(operations.NewOperators(c.Operators), people.Account, engine, events, work, errors, logger)
}

func newPagesMount(pages *web.Pages) httpserver.Mount {
	return httpserver.Mount{Surface: httpserver.SignedIn, Routes: pages.Mount}
}
