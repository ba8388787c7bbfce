package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/operations"
	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// Accounts returns what is known of an account; [identity.Service.Account] is
// one.
type Accounts func(ctx context.Context, id string) (identity.Account, error)

// Pages are the operators' pages.
type Pages struct {
	operators operations.Operators
	accounts  Accounts
	engine    *migrate.Engine
	events    *identity.Events
	work      *background.Group
	errors    *httpserver.ErrorWriter
	log       *slog.Logger
}

// NewPages returns the pages. What they begin and do not wait for runs in work.
func NewPages(operators operations.Operators, accounts Accounts, engine *migrate.Engine, events *identity.Events, work *background.Group, errors *httpserver.ErrorWriter, log *slog.Logger) *Pages {
	return &Pages{operators: operators, accounts: accounts, engine: engine, events: events, work: work, errors: errors, log: log}
}

const (
	fleetPath = "/admin/fleet"
	driftPath = fleetPath + "/drift"
	runPath   = fleetPath + "/runs/{run}"

	shownRuns     = 20
	shownFailures = 100
)

// Mount adds the pages to a router whose requests are signed in.
func (p *Pages) Mount(r chi.Router) {
	for _, page := range []struct {
		method, pattern string
		handle          func(http.ResponseWriter, *http.Request) error
	}{
		{http.MethodGet, fleetPath, p.fleet},
		{http.MethodGet, driftPath, p.drift},
		{http.MethodGet, runPath, p.run},
		{http.MethodPost, runPath + "/pause", p.pause},
		{http.MethodPost, runPath + "/resume", p.resume},
		{http.MethodPost, runPath + "/retry", p.retry},
		{http.MethodGet, eventsPath, p.listEvents},
		{http.MethodGet, eventPath, p.event},
		{http.MethodPost, eventPath + "/replay", p.replay},
	} {
		r.Method(page.method, page.pattern, p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
			if err := p.admit(r.Context()); err != nil {
				return err
			}
			return page.handle(w, r)
		}))
	}
}

// admit lets operators pass.
func (p *Pages) admit(ctx context.Context) error {
	session, ok := identity.SessionFromContext(ctx)
	if !ok {
		return operations.ErrNotFound
	}
	account, err := p.accounts(ctx, session.AccountID)
	if err != nil {
		return err
	}
	if account.ID == "" {
		account.ID = session.AccountID // verified, and all that is known yet
	}
	if !p.operators.Include(account) {
		return operations.ErrNotFound
	}
	return nil
}

func (p *Pages) fleet(w http.ResponseWriter, r *http.Request) error {
	status, err := p.engine.Status(r.Context())
	if err != nil {
		return fault.Wrap("read the fleet's status", err)
	}
	history, err := p.engine.History(r.Context(), shownRuns)
	if err != nil {
		return fault.Wrap("read the fleet's history", err)
	}
	return web.Render(w, r, http.StatusOK, "Fleet", fleetPage(status, history))
}

// drift holds every tenant's schema against its version, which takes about a
// second for some thousand tenants.
func (p *Pages) drift(w http.ResponseWriter, r *http.Request) error {
	drifts, looked, err := p.engine.Drift(r.Context(), migrate.Options{})
	if err != nil {
		return fault.Wrap("look for drift", err)
	}
	return web.Render(w, r, http.StatusOK, "Drift", driftPage(drifts, looked))
}

// runOf returns the run that the path names.
func (p *Pages) runOf(r *http.Request) (migrate.Run, error) {
	id, err := strconv.ParseInt(httpserver.PathParam(r, "run"), 10, 64)
	if err != nil || id < 1 {
		return migrate.Run{}, operations.ErrNotFound
	}
	run, err := p.engine.Run(r.Context(), id)
	if fault.Is(err, fault.NotFound) {
		err = operations.ErrNotFound
	}
	return run, err
}

func (p *Pages) run(w http.ResponseWriter, r *http.Request) error {
	run, err := p.runOf(r)
	if err != nil {
		return err
	}
	failures, err := p.engine.RunTenants(r.Context(), run.ID, "", shownFailures, "failed")
	if err != nil {
		return fault.Wrap("read a run's failures", err)
	}
	return web.Render(w, r, http.StatusOK, fmt.Sprintf("Run %d", run.ID), runPage(run, failures))
}

// back leads to a run's page and says what was done.
func back(w http.ResponseWriter, r *http.Request, run migrate.Run, kind ui.Kind, message string) error {
	web.Redirect(w, r, fmt.Sprintf("%s/runs/%d", fleetPath, run.ID), &web.Flash{Kind: kind, Message: message})
	return nil
}

func (p *Pages) pause(w http.ResponseWriter, r *http.Request) error {
	run, err := p.runOf(r)
	if err != nil {
		return err
	}
	switch _, err := p.engine.Pause(r.Context(), run.ID); {
	case fault.Is(err, fault.NotFound):
		return back(w, r, run, ui.Error, "The run cannot be paused: it is not running.")
	case err != nil:
		return err
	}
	return back(w, r, run, ui.Success, "The run stops as soon as the tenants that it has begun are finished.")
}

func (p *Pages) resume(w http.ResponseWriter, r *http.Request) error {
	return p.goOn(w, r, canResume, "The run goes on.", p.engine.Resume)
}

func (p *Pages) retry(w http.ResponseWriter, r *http.Request) error {
	return p.goOn(w, r, canRetry, "The tenants that failed are tried again.", p.engine.RetryFailed)
}

// isUnderWay, canResume and canRetry say what a run's page offers, and what is done
// for a page that was loaded when the run was in another state.

func isUnderWay(run migrate.Run) bool { return run.State == migrate.Running && !run.Interrupted }

func canResume(run migrate.Run) bool { return run.State == migrate.Paused || run.Interrupted }

// canRetry leaves out a run of which a later one took over what was left.
func canRetry(run migrate.Run) bool {
	return run.Failed > 0 && run.State != migrate.Superseded && !isUnderWay(run)
}

// goOn works on a run in this process, beside its requests. Whoever asked sees
// on the run's page how far it is, and the ledger survives this process.
func (p *Pages) goOn(w http.ResponseWriter, r *http.Request, can func(migrate.Run) bool, said string, work func(context.Context, int64, migrate.Options) (migrate.Result, error)) error {
	run, err := p.runOf(r)
	if err != nil {
		return err
	}
	switch {
	case isUnderWay(run):
		return back(w, r, run, ui.Info, "A process works on this run already.")
	case !can(run):
		return back(w, r, run, ui.Info, "The run is in another state by now; this is no longer to be done.")
	}
	p.work.Go(func(ctx context.Context) {
		result, err := work(ctx, run.ID, migrate.Options{})
		if err != nil {
			p.log.ErrorContext(ctx, "a run stopped", "run", run.ID, "error", err)
			return
		}
		p.log.InfoContext(ctx, "a run was worked on", "run", run.ID, "migrated", result.Migrated, "failed", len(result.Failures), "left", result.Left)
	})
	return back(w, r, run, ui.Success, said)
}
