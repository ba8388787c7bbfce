package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/tenonhq/tenon/modules"
	"github.com/tenonhq/tenon/modules/identity"
	identityweb "github.com/tenonhq/tenon/modules/identity/adapters/web"
	"github.com/tenonhq/tenon/modules/identity/identityfx"
	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/idempotency"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/web"
)

const webhookPath = identityfx.WebhookPath

// application is everything that serves, put together.
type application struct {
	fx        *fx.App
	config    config.Config
	logger    *slog.Logger
	router    *httpserver.Router
	readiness *httpserver.Readiness
	engine    *migrate.Engine
}

// newApplication builds the application without starting anything. Nothing
// listens and nothing is connected until [application.serve].
func newApplication(c config.Config, logger *slog.Logger, options ...fx.Option) (*application, error) {
	app := &application{config: c, logger: logger}
	app.fx = fx.New(
		fx.WithLogger(func() fxevent.Logger { return wiringLogger(logger) }),
		fx.Supply(c, logger),
		fx.Provide(newDatabase, newApplicationEngine, newErrorWriter, newReadiness, newIdempotencyStore,
			fx.Annotate(newRouter, fx.ParamTags("", "", "", "", "", `group:"mounts"`))),
		modules.All,
		fx.Options(options...),
		fx.Populate(&app.router, &app.readiness, &app.engine),
		fx.StartTimeout(c.RequestTimeout),
		fx.StopTimeout(c.ShutdownTimeout),
	)
	if err := app.fx.Err(); err != nil {
		return nil, errors.Join(err, app.close())
	}
	return app, nil
}

// wiringLogger shows at debug level what fx does.
func wiringLogger(logger *slog.Logger) fxevent.Logger {
	wiring := &fxevent.SlogLogger{Logger: logger}
	wiring.UseLogLevel(slog.LevelDebug)
	return wiring
}

// serve answers requests on listeners by handler, which has the application's
// router inside, until ctx ends; then it finishes what runs and stops the rest.
func (a *application) serve(ctx context.Context, handler http.Handler, listeners ...net.Listener) error {
	if err := a.fx.Start(ctx); err != nil {
		for _, listener := range listeners {
			err = errors.Join(err, listener.Close())
		}
		return errors.Join(err, a.close())
	}
	err := httpserver.Serve(ctx, handler, httpserver.ServeConfig{
		RequestTimeout:  a.config.RequestTimeout,
		DrainDelay:      a.config.ShutdownDelay,
		ShutdownTimeout: a.config.ShutdownTimeout,
		Readiness:       a.readiness,
		Logger:          a.logger,
	}, listeners...)
	return errors.Join(err, a.close())
}

// close stops what was started and gives back what was opened.
func (a *application) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), a.config.ShutdownTimeout)
	defer cancel()
	return a.fx.Stop(ctx)
}

func newDatabase(lifecycle fx.Lifecycle, c config.Config, logger *slog.Logger) (*database.DB, error) {
	db, err := database.Open(database.Config{
		URL:             string(c.DatabaseURL),
		MaxOpenConns:    c.DatabaseMaxConns,
		MaxConnLifetime: c.DatabaseConnLifetime,
		ApplicationName: "tenon",
		Logger:          logger,
	})
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.StopHook(db.Close))
	return db, nil
}

func newApplicationEngine(db *database.DB, c config.Config) (*migrate.Engine, error) {
	return newEngine(db, migrate.WithDirectURL(string(c.DatabaseURL)))
}

func newErrorWriter(logger *slog.Logger) *httpserver.ErrorWriter {
	return &httpserver.ErrorWriter{Logger: logger, Page: web.ErrorPage}
}

// newReadiness is what /readyz asks: whether the database answers, and whether
// it is migrated.
func newReadiness(db *database.DB, engine *migrate.Engine) *httpserver.Readiness {
	return &httpserver.Readiness{Checks: []httpserver.Check{
		{Name: "database", Run: db.Ping},
		{Name: "migrations", Run: engine.Check},
	}}
}

// newIdempotencyStore returns the store of idempotency keys, and deletes the
// expired ones for as long as the application runs.
func newIdempotencyStore(lifecycle fx.Lifecycle, db *database.DB, logger *slog.Logger) *idempotency.Store {
	store := idempotency.NewStore(db)
	sweeper := background.New(func(ctx context.Context) { store.RunSweeper(ctx, logger) })
	lifecycle.Append(fx.StartStopHook(sweeper.Start, sweeper.Stop))
	return store
}

// callerOf returns who was let in, and where.
func callerOf(ctx context.Context) httpserver.Caller {
	session, _ := identity.SessionFromContext(ctx)
	access, _ := identity.AccessFromContext(ctx)
	return httpserver.Caller{Account: session.AccountID, Tenant: access.Tenant.ID}
}

func newRouter(c config.Config, errors *httpserver.ErrorWriter, readiness *httpserver.Readiness, gate *identityweb.Gate, keys *idempotency.Store, mounts []httpserver.Mount) (*httpserver.Router, error) {
	shell := gate.Shell(modules.Navigation())
	return httpserver.New(httpserver.Config{
		PublicURL:             c.PublicURL,
		TrustedProxies:        c.TrustedProxies,
		RequestTimeout:        c.RequestTimeout,
		Errors:                errors,
		ContentSecurityPolicy: web.ContentSecurityPolicy(),
		CSRFBypass:            []string{"POST " + webhookPath},
		Readiness:             readiness,
		API: huma.Info{
			Title:       "Tenon",
			Version:     "1",
			Description: "Everything a tenant can do, for programs. Sign requests with a session token: `Authorization: Bearer …`.",
		},
		SignedIn: func(next http.Handler) http.Handler { return gate.Authenticate(gate.RequireSession(shell(next))) },
		Tenant:   func(next http.Handler) http.Handler { return gate.Enter(shell(next)) },
		Caller:   callerOf,
		Limits: httpserver.Limits{
			Address: c.RateLimitAddress, SignIn: c.RateLimitSignIn, Webhook: c.RateLimitWebhook, Person: c.RateLimitPerson, Tenant: c.RateLimitTenant,
		},
		Idempotency: keys,
	}, append(mounts, httpserver.Mount{Surface: httpserver.Public, Routes: mountWeb})...)
}

// mountWeb adds what every page needs.
func mountWeb(r chi.Router) {
	r.Method(http.MethodGet, "/assets/*", web.Assets())
	r.Method(http.MethodPost, "/theme", web.ThemeHandler())
}
