// Package identityfx wires the identity module.
package identityfx

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"

	clerksdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/identity/adapters/cached"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/modules/identity/adapters/rest"
	"github.com/tenonhq/tenon/modules/identity/adapters/svix"
	"github.com/tenonhq/tenon/modules/identity/adapters/web"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/telemetry"
)

// WebhookPath is where Clerk's webhooks are received. They prove where they
// come from by their signature.
const WebhookPath = "/api/webhooks/clerk"

// Module provides *identity.Service, *identity.Roster, *identity.Settings, *identity.Events, the gate
// in front of everything that needs a session or a tenant, the module's routes to
// the group "mounts" and what it measures to "probes". From start to stop its worker applies webhooks, ended
// sessions are noticed, and what webhooks did not bring is looked for every night. What it stores stays inside.
var Module = fx.Module("identity",
	fx.Provide(
		fx.Private,
		fx.Annotate(bunrepo.NewDirectory, fx.As(new(identity.Directory))),
		fx.Annotate(bunrepo.NewMembers, fx.As(new(identity.Members))),
		fx.Annotate(bunrepo.NewInbox, fx.As(new(identity.Inbox))),
		fx.Annotate(bunrepo.NewReconciliations, fx.As(new(identity.Reconciliations))),
		fx.Annotate(clerk.NewProvider, fx.As(new(identity.Provider))),
		func(db *database.DB) identity.Transactor { return db },
		identity.NewSync,
		newWorker,
		newEndedSessions,
		newBackend,
		newInstance,
		newBrowserAuth,
		newWebhookHandler,
		web.NewPages,
		web.NewMemberPages,
		web.NewSettingsPages,
		web.NewFoundingPages,
	),
	fx.Provide(
		newService,
		identity.NewRoster,
		identity.NewSettings,
		fx.Annotate(identity.NewFounding, fx.ParamTags("", "", "", "", "", `optional:"true"`)),
		newEvents,
		web.NewGate,
		fx.Annotate(newPagesMounts, fx.ResultTags(`group:"mounts,flatten"`)),
		fx.Annotate(newOperationsMount, fx.ResultTags(`group:"mounts"`)),
		fx.Annotate(newWebhookMount, fx.ResultTags(`group:"mounts"`)),
		fx.Annotate(newBacklogProbe, fx.ResultTags(`group:"probes"`)),
	),
	fx.Invoke(runWorker, runEndedSessions, runNightly),
)

// newService returns the use cases with a cache that hears of changes, if one is
// wanted.
func newService(lifecycle fx.Lifecycle, c config.Config, db *database.DB, metrics *telemetry.Metrics, tenants *tenancy.Service, directory identity.Directory, members identity.Members, provider identity.Provider, sync *identity.Sync, logger *slog.Logger) *identity.Service {
	service := identity.NewService(tenants, directory, members, provider, sync, logger)
	if c.AccessCacheSize == 0 {
		return service
	}
	admissions := cached.NewAdmissions(c.AccessCacheSize, c.AccessCacheTTL)
	db.Changes().Subscribe(database.Subscriber{Changing: admissions.Hold, Listening: admissions.Switch})
	metrics.Cache("access", admissions.Stats)
	lifecycle.Append(fx.StopHook(admissions.Stop))
	service.Remember(admissions)
	return service
}

// clerkTimeout bounds one call of Clerk's Backend API.
const clerkTimeout = 10 * time.Second

func newBackend(c config.Config, tracing telemetry.Tracing) clerksdk.Backend {
	return clerksdk.NewBackend(&clerksdk.BackendConfig{
		HTTPClient: &http.Client{Timeout: clerkTimeout, Transport: tracing.Client(http.DefaultTransport)},
		URL:        clerksdk.String(c.ClerkAPIURL.JoinPath("v1").String()),
		Key:        clerksdk.String(string(c.ClerkSecretKey)),
	})
}

func newInstance(c config.Config, hosts *httpserver.TenantHosts) (*clerk.Instance, error) {
	scripts := ""
	if c.ClerkJSURL != nil {
		scripts = c.ClerkJSURL.String()
	}
	return clerk.NewInstance(clerk.InstanceConfig{
		Scripts:        scripts,
		PublishableKey: c.ClerkPublishableKey,
		FrontendAPI:    c.ClerkFrontendAPI().String(),
		PublicURL:      c.PublicURL.String(),
		IsTenantHost:   hosts.Has,
	})
}

func newBrowserAuth(c config.Config, backend clerksdk.Backend, instance *clerk.Instance, logger *slog.Logger) *clerk.BrowserAuth {
	return clerk.NewBrowserAuth(clerk.BrowserAuthConfig{
		Instance: instance,
		Verifier: clerk.NewVerifier(clerk.VerifierConfig{
			Backend: backend, Issuer: instance.FrontendAPI(), AuthorizedParties: c.ClerkAuthorizedParties,
		}),
		Backend: backend,
		Logger:  logger,
	})
}

func newWorker(inbox identity.Inbox, tx identity.Transactor, sync *identity.Sync, tracing telemetry.Tracing, logger *slog.Logger) *identity.Worker {
	worker := identity.NewWorker(inbox, tx, sync, clerk.Decode, logger)
	worker.Wrap(func(ctx context.Context, event identity.InboxEvent, apply func(context.Context) error) error {
		return tracing.Job(ctx, "webhook "+event.Type, apply)
	})
	return worker
}

// newBacklogProbe tells how many webhooks wait and for how long.
func newBacklogProbe(events *identity.Events) telemetry.Probe {
	return telemetry.Probe{Name: "webhooks", Read: func(ctx context.Context) ([]telemetry.Reading, error) {
		backlog, err := events.Backlog(ctx)
		if err != nil {
			return nil, err
		}
		lag := 0.0
		if !backlog.Oldest.IsZero() {
			lag = time.Since(backlog.Oldest).Seconds()
		}
		const depth, help = "tenon_webhook_inbox_events", "Webhooks that are not done, by state."
		return []telemetry.Reading{
			{Name: depth, Help: help, Label: "state", LabelValue: string(identity.InboxPending), Value: float64(backlog.Pending)},
			{Name: depth, Help: help, Label: "state", LabelValue: string(identity.InboxDead), Value: float64(backlog.Dead)},
			{Name: "tenon_webhook_lag_seconds", Help: "How long the longest-waiting webhook has waited.", Value: lag},
		}, nil
	}}
}

// runWorker runs the worker for as long as the application does.
func runWorker(lifecycle fx.Lifecycle, worker *identity.Worker, logger *slog.Logger) {
	task := background.New(logger, worker.Run)
	lifecycle.Append(fx.StartStopHook(task.Start, task.Stop))
}

// runNightly reconciles every night for as long as the application runs, at a rate
// that leaves the requests of people their share.
func runNightly(lifecycle fx.Lifecycle, c config.Config, backend clerksdk.Backend, directory identity.Directory, sync *identity.Sync, ledger identity.Reconciliations, logger *slog.Logger) {
	if c.ReconcileHour < 0 {
		return
	}
	provider := clerk.NewProvider(clerk.Pace(backend, clerk.DefaultRate))
	reconciler := identity.NewReconciler(directory, provider, sync, ledger, rand.Text(), logger)
	task := background.New(logger, identity.NewNightly(reconciler, ledger, c.ReconcileHour, logger).Run)
	lifecycle.Append(fx.StartStopHook(task.Start, task.Stop))
}

func newEvents(inbox identity.Inbox, worker *identity.Worker) *identity.Events {
	return identity.NewEvents(inbox, worker.Wake)
}

func newEndedSessions(inbox identity.Inbox, logger *slog.Logger) *identity.EndedSessions {
	return identity.NewEndedSessions(inbox, clerk.SessionEndTypes, clerk.EndedSession, logger)
}

// runEndedSessions keeps up with them for as long as the application runs.
func runEndedSessions(lifecycle fx.Lifecycle, ended *identity.EndedSessions, logger *slog.Logger) {
	task := background.New(logger, ended.Run)
	lifecycle.Append(fx.StartStopHook(task.Start, task.Stop))
}

func newWebhookHandler(c config.Config, inbox identity.Inbox, worker *identity.Worker, errors *httpserver.ErrorWriter, logger *slog.Logger) (*svix.WebhookHandler, error) {
	secrets := []string{string(c.ClerkWebhookSecret)}
	if previous := string(c.ClerkWebhookSecretPrevious); previous != "" {
		secrets = append(secrets, previous)
	}
	return svix.NewWebhookHandler(svix.Config{Secrets: secrets, Inbox: inbox, Wake: worker.Wake, Errors: errors, Logger: logger})
}

func newPagesMounts(pages *web.Pages, members *web.MemberPages, settings *web.SettingsPages, founding *web.FoundingPages) []httpserver.Mount {
	return []httpserver.Mount{
		{Surface: httpserver.Public, Routes: pages.Public},
		{Surface: httpserver.SignedIn, Routes: pages.SignedIn},
		{Surface: httpserver.SignedIn, Routes: founding.SignedIn},
		{Surface: httpserver.TenantPages, Routes: pages.Tenant},
		{Surface: httpserver.TenantPages, Routes: members.Mount},
		{Surface: httpserver.TenantPages, Routes: settings.Mount},
	}
}

func newOperationsMount(service *identity.Service, roster *identity.Roster, settings *identity.Settings) httpserver.Mount {
	return httpserver.Mount{
		Surface:    httpserver.TenantAPI,
		Operations: func(api huma.API) { rest.Register(api, service, roster, settings) },
	}
}

func newWebhookMount(handler *svix.WebhookHandler) httpserver.Mount {
	return httpserver.Mount{
		Surface: httpserver.Public,
		Routes:  func(r chi.Router) { r.Method(http.MethodPost, WebhookPath, handler) },
	}
}
