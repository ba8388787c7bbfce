package projectsfx_test

import (
	"log/slog"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects/projectsfx"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/tenant"
)

// outside is what the module needs from others.
func outside() fx.Option {
	return fx.Options(
		fx.Supply(projectstest.Errors, identity.NewService(nil, nil, nil, nil, nil, slog.New(slog.DiscardHandler))),
		fx.Provide(func() (*database.DB, error) {
			return database.Open(database.Config{URL: "postgres://nobody@localhost:1/none?sslmode=disable"})
		}),
	)
}

func TestModule(t *testing.T) {
	t.Parallel()
	var mounts struct {
		fx.In
		Mounts []httpserver.Mount `group:"mounts"`
	}
	app := fxtest.New(t, fx.NopLogger, outside(), projectsfx.Module, fx.Invoke(func(in struct {
		fx.In
		Mounts []httpserver.Mount `group:"mounts"`
	}) {
		mounts.Mounts = in.Mounts
	}))
	app.RequireStart().RequireStop()
	router := projectstest.NewRouter(t, mounts.Mounts)
	if len(mounts.Mounts) != 2 || len(router.OpenAPI().Paths) == 0 {
		t.Errorf("%d mounts with %d documented paths", len(mounts.Mounts), len(router.OpenAPI().Paths))
	}
}

// TestTheRepositoryStaysInside holds that nobody else gets at it, and that a
// whole-application test may still put another one in its place.
func TestTheRepositoryStaysInside(t *testing.T) {
	t.Parallel()
	app := fx.New(fx.NopLogger, outside(), projectsfx.Module, fx.Invoke(func(projects.Repository) {}))
	if app.Err() == nil {
		t.Error("the repository can be had from outside of the module")
	}
	var service *projects.Service
	replaced := fxtest.New(t, fx.NopLogger, outside(), projectsfx.Module, fx.Populate(&service),
		fx.Decorate(func() projects.Repository { return memory.NewRepository() }))
	replaced.RequireStart().RequireStop()
	ctx := tenant.NewContext(t.Context(), tenant.MustParse("tenant_a"))
	if _, err := service.List(ctx, projectstest.Actor(projectstest.Ada, identity.RoleMember), projects.Listing{}); err != nil {
		t.Errorf("the replacement is not in use: %v", err)
	}
}
