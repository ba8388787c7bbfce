// Package searchfx wires the search module.
package searchfx

import (
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/search"
	"github.com/tenonhq/tenon/modules/search/adapters/web"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// Module provides the module's page to the group "mounts".
var Module = fx.Module("search",
	fx.Provide(fx.Private, search.NewService, web.NewPages),
	fx.Provide(fx.Annotate(newPagesMount, fx.ResultTags(`group:"mounts"`))),
)

func newPagesMount(pages *web.Pages) httpserver.Mount {
	return httpserver.Mount{Surface: httpserver.TenantPages, Routes: pages.Mount}
}
