// Package tenancyfx wires the tenancy module.
package tenancyfx

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/bunrepo"
	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/migrate"
)

// Module provides *tenancy.Service, and purges deleted organizations from start
// to stop. The registry stays inside, so that nobody
// gets at it but through the use cases.
var Module = fx.Module("tenancy",
	fx.Provide(
		fx.Private,
		fx.Annotate(bunrepo.NewRegistry, fx.As(new(tenancy.Registry))),
		func(engine *migrate.Engine) tenancy.Provisioner { return engine },
		func(db *database.DB) tenancy.Transactor { return db },
	),
	fx.Provide(tenancy.NewService),
	fx.Invoke(runPurger),
)

// runPurger purges for as long as the application runs.
func runPurger(lifecycle fx.Lifecycle, service *tenancy.Service, c config.Config, logger *slog.Logger) {
	purger := background.New(logger, tenancy.NewPurger(service, c.TenantPurgeAfter, logger).Run)
	lifecycle.Append(fx.StartStopHook(purger.Start, purger.Stop))
}
