// Package auditfx wires the audit module.
package auditfx

import (
	"log/slog"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/audit/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/audit/adapters/rest"
	"github.com/tenonhq/tenon/modules/audit/adapters/web"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// Module provides *audit.Service, the journal of what no table has, and the module's
// routes to the group "mounts". The log itself stays inside. From start to stop records
// are cut that are kept for a limited time.
var Module = fx.Module("audit",
	fx.Provide(
		fx.Private,
		fx.Annotate(bunrepo.NewLog, fx.As(new(audit.Log))),
		func(members *identity.Service) web.Members { return members.Members },
		web.NewPages,
	),
	fx.Invoke(runRetention),
	fx.Provide(
		audit.NewService,
		func(log audit.Log) identity.Journal { return log },
		fx.Annotate(newPagesMount, fx.ResultTags(`group:"mounts"`)),
		fx.Annotate(newOperationsMount, fx.ResultTags(`group:"mounts"`)),
	),
)

// runRetention cuts the records for as long as the application runs, if they are to be
// kept for a limited time.
func runRetention(lifecycle fx.Lifecycle, c config.Config, log audit.Log, tenants *tenancy.Service, logger *slog.Logger) error {
	if c.AuditRetention == 0 {
		return nil
	}
	key, err := audit.ParseKey(string(c.AuditSigningKey))
	if err != nil {
		return err
	}
	trusted, err := audit.ParsePublicKeys(c.AuditTrustedKeys)
	if err != nil {
		return err
	}
	task := background.New(logger, audit.NewRetention(audit.NewCutter(log, key, trusted...), tenants, c.AuditRetention, logger).Run)
	lifecycle.Append(fx.StartStopHook(task.Start, task.Stop))
	return nil
}

func newPagesMount(pages *web.Pages) httpserver.Mount {
	return httpserver.Mount{Surface: httpserver.TenantPages, Routes: pages.Mount}
}

func newOperationsMount(service *audit.Service) httpserver.Mount {
	return httpserver.Mount{
		Surface:    httpserver.TenantAPI,
		Operations: func(api huma.API) { rest.Register(api, service) },
	}
}
