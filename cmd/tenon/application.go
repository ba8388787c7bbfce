package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v3"
	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/tenonhq/tenon/modules"
	"github.com/tenonhq/tenon/modules/apikeys/apikeysfx"
	"github.com/tenonhq/tenon/modules/identity"
	identityweb "github.com/tenonhq/tenon/modules/identity/adapters/web"
	"github.com/tenonhq/tenon/modules/identity/identityfx"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/idempotency"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/ratelimit"
	"github.com/tenonhq/tenon/platform/telemetry"
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
	metrics   *telemetry.Metrics
	internal  net.Listener // of the metrics; nil for none
}

// newApplication builds the application without starting anything. Nothing
// listens and nothing is connected until [application.serve].
func newApplication(c config.Config, logger *slog.Logger) (*application, error) {
	app := &application{config: c, logger: logger}
	app.fx = fx.New(
		fx.WithLogger(func() fxevent.Logger { return wiringLogger(logger) }),
		fx.Supply(c, logger),
		fx.Provide(newTracing, newMetrics, newDatabase, newApplicationEngine, newErrorWriter, newReadiness, newIdempotencyStore, newSharedLimits, newTenantHosts,
			fx.Annotate(newRouter, fx.ParamTags("", "", "", "", "", "", "", "", "", "", `group:"mounts"`))),
		fx.Provide(newTenantRoles),
		fx.Invoke(fx.Annotate(measure, fx.ParamTags("", "", "", "", `group:"probes"`))),
		modules.All,
		fx.Populate(&app.router, &app.readiness, &app.engine, &app.metrics),
		fx.StartTimeout(c.RequestTimeout),
		fx.StopTimeout(c.ShutdownTimeout),
	)
	if err := app.fx.Err(); err != nil {
		// What went wrong is for the reader; who asked whom for it is not.
		return nil, errors.Join(dig.RootCause(err), app.close())
	}
	return app, nil
}

// wiringLogger shows at debug level what fx does. Its errors come back to whoever
// asked, who tells them once.
func wiringLogger(logger *slog.Logger) fxevent.Logger {
	wiring := &fxevent.SlogLogger{Logger: logger}
	wiring.UseLogLevel(slog.LevelDebug)
	wiring.UseErrorLevel(slog.LevelDebug)
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
	stopInternal := a.serveInternal()
	err := httpserver.Serve(ctx, handler, httpserver.ServeConfig{
		RequestTimeout:  a.config.RequestTimeout,
		DrainDelay:      a.config.ShutdownDelay,
		ShutdownTimeout: a.config.ShutdownTimeout,
		Readiness:       a.readiness,
		Logger:          a.logger,
	}, listeners...)
	return errors.Join(err, a.close(), stopInternal())
}

// listenInternal opens what METRICS_ADDR names, if it names something.
func (a *application) listenInternal() (err error) {
	if a.config.MetricsAddr == "" {
		return nil
	}
	if a.internal, err = net.Listen("tcp", a.config.MetricsAddr); err != nil {
		return cli.Exit(fmt.Sprintf("METRICS_ADDR: %v", err), exitUsage)
	}
	return nil
}

// serveInternal serves metrics until stop, which comes last: a shutdown is
// something to watch.
func (a *application) serveInternal() (stop func() error) {
	if a.internal == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- httpserver.Serve(ctx, a.metrics.Handler(), httpserver.ServeConfig{
			RequestTimeout: profileTimeout, ShutdownTimeout: a.config.ShutdownTimeout, Logger: a.logger,
		}, a.internal)
	}()
	return func() error {
		cancel()
		return <-served
	}
}

// profileTimeout leaves time for a profile of half a minute, which is the default
// of Go's tool.
const profileTimeout = time.Minute

// close stops what was started and gives back what was opened.
func (a *application) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), a.config.ShutdownTimeout)
	defer cancel()
	return a.fx.Stop(ctx)
}

func newTracing(lifecycle fx.Lifecycle) (telemetry.Tracing, error) {
	tracing, err := telemetry.NewTracing(context.Background(), os.Environ(), version())
	if err != nil {
		return telemetry.Tracing{}, err
	}
	tracing.Install()
	lifecycle.Append(fx.StopHook(tracing.Stop))
	return tracing, nil
}

func newMetrics(c config.Config, logger *slog.Logger) *telemetry.Metrics {
	return telemetry.NewMetrics(logger, c.SlowStatement, prometheus.Labels{"version": version(), "go": runtime.Version()})
}

// measure adds what modules and the database tell when they are asked.
func measure(metrics *telemetry.Metrics, c config.Config, db *database.DB, engine *migrate.Engine, probes []telemetry.Probe) {
	metrics.Pool(db)
	for _, probe := range append(probes, fleetProbe(c, db, engine)) {
		metrics.Probe(probe)
	}
}

// fleetProbe tells where the tenants' schemas are, and how large the catalog has
// become for them.
func fleetProbe(c config.Config, db *database.DB, engine *migrate.Engine) telemetry.Probe {
	return telemetry.Probe{Name: "fleet", Read: func(ctx context.Context) ([]telemetry.Reading, error) {
		status, err := engine.Status(ctx)
		if err != nil {
			return nil, err
		}
		catalog, err := db.Catalog(ctx)
		if err != nil {
			return nil, err
		}
		public, tenants := 1.0, 0
		if status.PublicErr != nil {
			public = 0
		}
		const versions, versionsHelp = "tenon_tenants", "Tenants by the version of their schema."
		const bytes, bytesHelp = "tenon_catalog_bytes", "What the server's tables about tables occupy, indexes included."
		readings := []telemetry.Reading{
			{Name: "tenon_public_schema_current", Help: "1 when public is at this binary's version.", Value: public},
			{Name: "tenon_migration_failed_tenants", Help: "Tenants whose last migration failed.", Value: float64(len(status.Failed))},
			{Name: "tenon_migration_unfinished_runs", Help: "Runs of migrations that run or are paused.", Value: float64(len(status.Runs))},
			{Name: "tenon_catalog_relations", Help: "Tables, indexes, sequences and views of the database, as last estimated.", Value: catalog.Relations},
			{Name: bytes, Help: bytesHelp, Label: "table", LabelValue: "pg_class", Value: float64(catalog.ClassBytes)},
			{Name: bytes, Help: bytesHelp, Label: "table", LabelValue: "pg_attribute", Value: float64(catalog.AttributeBytes)},
		}
		for _, v := range status.Versions {
			tenants += v.Tenants
			readings = append(readings, telemetry.Reading{Name: versions, Help: versionsHelp, Label: "schema_version", LabelValue: v.Version, Value: float64(v.Tenants)})
		}
		return append(readings,
			telemetry.Reading{
				Name: "tenon_catalog_backend_bytes", Help: "Catalog cache of a server process that has touched every tenant of its group, estimated.",
				Value: float64(tenants) / float64(c.DatabaseTenantGroups) * database.CatalogBytesPerTenant,
			},
			telemetry.Reading{
				Name: "tenon_tenant_room", Help: "How many more tenants CATALOG_MEMORY has room for, about.",
				Value: float64(database.Room(int64(c.CatalogMemory)<<20, (c.DatabaseMaxConns+c.DatabaseTenantGroups-1)/c.DatabaseTenantGroups, tenants)),
			}), nil
	}}
}

func newDatabase(lifecycle fx.Lifecycle, c config.Config, metrics *telemetry.Metrics, logger *slog.Logger) (*database.DB, error) {
	for _, variable := range []struct {
		name string
		url  config.Secret
	}{{"DATABASE_URL", c.DatabaseURL}, {"DATABASE_DIRECT_URL", c.DatabaseDirectURL}} {
		if err := database.CheckURL(string(variable.url)); err != nil {
			return nil, cli.Exit(fmt.Sprintf("%s: %v", variable.name, err), exitUsage)
		}
	}
	db, err := database.Open(database.Config{
		URL:             string(c.DatabaseURL),
		MaxOpenConns:    c.DatabaseMaxConns,
		MaxTenantConns:  c.DatabaseTenantConns,
		TenantGroups:    c.DatabaseTenantGroups,
		MaxConnLifetime: c.DatabaseConnLifetime,
		ApplicationName: "tenon",
		Logger:          logger,
		Observe: func(ctx context.Context, message database.Message) {
			metrics.ObserveMessage(ctx, message)
			httpserver.ObserveMessage(ctx, message.Duration)
		},
	})
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.StopHook(db.Close))
	changes := background.New(logger, func(ctx context.Context) { db.Changes().Run(ctx, string(c.DatabaseDirectURL), logger) })
	lifecycle.Append(fx.StartStopHook(changes.Start, changes.Stop))
	return db, nil
}

func newApplicationEngine(db *database.DB, c config.Config) (*migrate.Engine, error) {
	return newEngine(db, migrate.Roles(c.TenantRoles), migrate.WithDirectURL(string(c.DatabaseDirectURL)))
}

func newErrorWriter(logger *slog.Logger) *httpserver.ErrorWriter {
	return &httpserver.ErrorWriter{Logger: logger, Page: web.ErrorPage}
}

// newReadiness is what /readyz asks: whether the database answers, whether it is
// migrated, and whether tenants have the roles that they are to have.
func newReadiness(db *database.DB, engine *migrate.Engine, roles *tenantRoles) *httpserver.Readiness {
	return &httpserver.Readiness{Checks: []httpserver.Check{
		{Name: "database", Run: db.Ping},
		{Name: "migrations", Run: func(ctx context.Context) error {
			// Migrations come first and programs after: those of before have to go on.
			if err := engine.Check(ctx); !errors.Is(err, migrate.ErrNewer) {
				return err
			}
			return nil
		}},
		{Name: "tenant roles", Run: roles.check},
	}}
}

// newIdempotencyStore returns the store of idempotency keys, and deletes the
// expired ones for as long as the application runs.
func newIdempotencyStore(lifecycle fx.Lifecycle, db *database.DB, logger *slog.Logger) *idempotency.Store {
	store := idempotency.NewStore(db)
	sweeper := background.New(logger, func(ctx context.Context) { store.RunSweeper(ctx, logger) })
	lifecycle.Append(fx.StartStopHook(sweeper.Start, sweeper.Stop))
	return store
}

// newSharedLimits returns where processes count together, nil without REDIS_URL.
func newSharedLimits(lifecycle fx.Lifecycle, c config.Config, metrics *telemetry.Metrics, logger *slog.Logger) (*ratelimit.Redis, error) {
	if c.RedisURL == "" {
		return nil, nil
	}
	shared, err := ratelimit.OpenRedis(string(c.RedisURL), logger)
	if err != nil {
		return nil, cli.Exit("REDIS_URL: it is not valid", exitUsage)
	}
	metrics.RateLimits(shared)
	lifecycle.Append(fx.StopHook(shared.Close))
	return shared, nil
}

// newTenantHosts returns the hosts by which tenants can be named, nil for paths alone.
func newTenantHosts(c config.Config) *httpserver.TenantHosts {
	return httpserver.NewTenantHosts(c.PublicURL, c.TenantDomain, func(label string) bool {
		_, err := tenancy.ParseSlug(label)
		return err == nil
	})
}

// callerOf returns who was let in, and where.
func callerOf(ctx context.Context) httpserver.Caller {
	session, _ := identity.SessionFromContext(ctx)
	access := identity.AccessOf(ctx)
	caller := httpserver.Caller{Account: session.AccountID, Tenant: access.Tenant.ID}
	if session.Key != nil {
		caller.Key = session.Key.ID
	}
	return caller
}

func newRouter(c config.Config, hosts *httpserver.TenantHosts, errors *httpserver.ErrorWriter, readiness *httpserver.Readiness, gate *identityweb.Gate, byKey apikeysfx.Authenticate, keys *idempotency.Store, shared *ratelimit.Redis, metrics *telemetry.Metrics, tracing telemetry.Tracing, mounts []httpserver.Mount) (*httpserver.Router, error) {
	shell := gate.Shell(modules.Navigation())
	return httpserver.New(httpserver.Config{
		PublicURL:             c.PublicURL,
		TenantHosts:           hosts,
		TrustedProxies:        c.TrustedProxies,
		RequestTimeout:        c.RequestTimeout,
		Errors:                errors,
		ContentSecurityPolicy: web.ContentSecurityPolicy(hosts.Origins()...),
		CSRFBypass:            []string{"POST " + webhookPath},
		Readiness:             readiness,
		API: huma.Info{
			Title:       "Tenon",
			Version:     "1",
			Description: "Everything a tenant can do, for programs. Sign requests with an API key of the organization, `Authorization: Bearer tenon_…`, or with a session token in its place. Where a tenant was before it was renamed, those who get in are answered 308, which keeps method and body, until another tenant takes the slug.",
		},
		SignedIn: func(next http.Handler) http.Handler {
			return byKey(gate.Authenticate(gate.RequireSession(shell(next))))
		},
		Tenant: func(next http.Handler) http.Handler { return gate.Enter(shell(next)) },
		Caller: callerOf,
		Limits: httpserver.Limits{
			Address: c.RateLimitAddress, SignIn: c.RateLimitSignIn, Webhook: c.RateLimitWebhook, Person: c.RateLimitPerson, Key: c.RateLimitKey, Tenant: c.RateLimitTenant,
		},
		SharedLimits: shared,
		Observe:      metrics.ObserveRequest,
		ServerTiming: c.ServerTiming,
		Tracing:      tracing.Provider(),
		Idempotency:  keys,
	}, append(mounts, httpserver.Mount{Surface: httpserver.Public, Routes: mountWeb(gate), Everywhere: []string{"assets", "theme", "sidebar"}})...)
}

// mountWeb adds what every page needs.
func mountWeb(gate *identityweb.Gate) func(chi.Router) {
	return func(r chi.Router) {
		r.Method(http.MethodGet, "/assets/*", web.Assets())
		r.With(gate.PublicShell).Method(http.MethodPost, "/theme", web.ThemeHandler())
		r.With(gate.PublicShell).Method(http.MethodPost, "/sidebar", web.SidebarHandler())
	}
}
