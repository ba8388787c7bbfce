// Package tenancyfx wires the tenancy module.
package tenancyfx

import (
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/bunrepo"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/migrate"
)

// Module provides *tenancy.Service. The registry stays inside, so that nobody
// gets at it but through the use cases.
var Module = fx.Module("tenancy",
	fx.Provide(
		fx.Private,
		fx.Annotate(bunrepo.NewRegistry, fx.As(new(tenancy.Registry))),
		func(engine *migrate.Engine) tenancy.Provisioner { return engine },
		func(db *database.DB) tenancy.Transactor { return db },
	),
	fx.Provide(tenancy.NewService),
)
