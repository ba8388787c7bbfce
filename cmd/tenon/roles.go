package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/platform/background"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/migrate"
)

// tenantRoles decides, and decides again, whether statements are run by tenants'
// own roles.
type tenantRoles struct {
	mode   migrate.Roles
	db     *database.DB
	engine *migrate.Engine
	logger *slog.Logger

	settled atomic.Bool // what the mode asks for was there once

	mu     sync.Mutex
	logged string // what was said last
}

const (
	// rolesFirst bounds the decision that the start waits for.
	rolesFirst = 2 * time.Second
	// rolesRetry is the wait for a database that does not answer or is not migrated.
	rolesRetry = time.Second
	// rolesInterval is how often it is decided again.
	rolesInterval = time.Minute
)

// newTenantRoles makes the decision when the application starts, and keeps it
// current while it runs.
func newTenantRoles(lifecycle fx.Lifecycle, c config.Config, db *database.DB, engine *migrate.Engine, logger *slog.Logger) *tenantRoles {
	r := &tenantRoles{mode: migrate.Roles(c.TenantRoles), db: db, engine: engine, logger: logger}
	// No statement runs with more rights for want of an answer.
	db.UseRoles(r.mode == migrate.RolesOn)
	task := background.New(logger, r.run)
	lifecycle.Append(fx.StartStopHook(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, rolesFirst)
		defer cancel()
		if err := r.decide(ctx); err != nil {
			logger.DebugContext(ctx, "tenant roles are decided later", "error", err)
		}
		task.Start()
	}, task.Stop))
	return r
}

func (r *tenantRoles) run(ctx context.Context) {
	for {
		wait := rolesInterval
		if !r.settled.Load() {
			wait = rolesRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err := r.decide(ctx); err != nil {
			r.logger.DebugContext(ctx, "tenant roles are decided later", "error", err)
		}
	}
}

// decide looks at what there is. It says what comes out when that has changed.
func (r *tenantRoles) decide(ctx context.Context) error {
	report, err := r.engine.Roles(ctx)
	if err != nil {
		return err
	}
	use, reason := report.Use(r.mode)
	r.db.UseRoles(use)
	if r.mode != migrate.RolesOn || report.Missing == 0 && report.CanCreate {
		r.settled.Store(true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	said := fmt.Sprint(use, reason, report.Superuser, report.CanCreate, report.Missing > 0)
	if said == r.logged {
		return nil
	}
	r.logged = said
	if report.Superuser {
		r.logger.WarnContext(ctx, "the database login is a superuser, whom nothing confines; use one with CREATEROLE that owns the database", "login", report.Login)
	}
	switch {
	case use && !report.CanCreate:
		r.logger.ErrorContext(ctx, "TENANT_ROLES is on, and the login may not make roles: new organizations get no tenant", "login", report.Login)
	case use && report.Missing > 0:
		r.logger.ErrorContext(ctx, "tenants without a role are not served; run tenon tenants roles create", "tenants", report.Tenants, "missing", report.Missing)
	case use:
		r.logger.InfoContext(ctx, "each tenant's statements run by a role of its own", "tenants", report.Tenants)
	default:
		r.logger.InfoContext(ctx, "statements run with the login's rights", "reason", reason)
	}
	return nil
}

// check fails until every tenant could be served once. A tenant that comes to lack
// its role later is that tenant's trouble, and no reason to take everybody down.
func (r *tenantRoles) check(ctx context.Context) error {
	if r.settled.Load() {
		return nil
	}
	if err := r.decide(ctx); err != nil {
		return err
	}
	if !r.settled.Load() {
		return errors.New("tenants lack their role, or the login may not make roles: see tenon tenants roles status")
	}
	return nil
}

func rolesCommand(s surroundings) *cli.Command {
	jsonFlag := &cli.BoolFlag{Name: "json", Usage: "print JSON, for programs"}
	return &cli.Command{
		Name:  "roles",
		Usage: "see, make and drop the database roles by which tenants are kept apart",
		Description: "With a role of its own a tenant's statements can reach its schema alone, whatever they say: PostgreSQL refuses the\n" +
			"rest. New tenants get one as TENANT_ROLES says; create is for those that are there already. The login has to own the\n" +
			"schemas and to have CREATEROLE.",
		Commands: []*cli.Command{
			{
				Name: "status", Usage: "say who has a role, and what TENANT_ROLES comes to here",
				Flags: []cli.Flag{jsonFlag}, Before: withoutArguments, OnUsageError: onUsageError,
				Action: func(ctx context.Context, cmd *cli.Command) error {
					return withRoles(ctx, s, func(engine *migrate.Engine, mode migrate.Roles) error {
						report, err := engine.Roles(ctx)
						if err != nil {
							return err
						}
						use, reason := report.Use(mode)
						if cmd.Bool("json") {
							return json.NewEncoder(s.stdout).Encode(map[string]any{
								"database": report.Database, "login": report.Login, "superuser": report.Superuser, "can_create": report.CanCreate,
								"server_version": report.ServerVersion, "tenants": report.Tenants, "missing": report.Missing, "mode": mode, "used": use, "reason": reason,
							})
						}
						fmt.Fprintf(s.stdout, "%d of %d tenants have a role. PostgreSQL %d, login %s%s.\n",
							report.Tenants-report.Missing, report.Tenants, report.ServerVersion/10000, report.Login, map[bool]string{true: ", a superuser"}[report.Superuser])
						if use {
							fmt.Fprintf(s.stdout, "TENANT_ROLES=%s: statements run by tenants' roles.\n", mode)
						} else {
							fmt.Fprintf(s.stdout, "TENANT_ROLES=%s: statements run with the login's rights: %s.\n", mode, reason)
						}
						return nil
					})
				},
			},
			{
				Name: "create", Usage: "give a role to each tenant that has none",
				Description: "What is interrupted goes on with the next call. Servers under TENANT_ROLES=auto notice within a minute.",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "repair", Usage: "give those their rights again that have a role already, as after a restore"},
				},
				Before: withoutArguments, OnUsageError: onUsageError,
				Action: func(ctx context.Context, cmd *cli.Command) error {
					return withRoles(ctx, s, func(engine *migrate.Engine, _ migrate.Roles) error {
						report := newProgress(s.stderr)
						result, err := engine.CreateRoles(ctx, migrate.RolesOptions{Repair: cmd.Bool("repair"), Observe: report.observe})
						report.finish()
						return s.finishRoles(result, "have their role", err)
					})
				},
			},
			{
				Name: "drop", Usage: "take the roles away again",
				Description: "For TENANT_ROLES=off: while a server uses roles, it does not serve a tenant that has lost its own.",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "yes", Usage: "do it; without this flag nothing is dropped"},
				},
				Before: withoutArguments, OnUsageError: onUsageError,
				Action: func(ctx context.Context, cmd *cli.Command) error {
					if !cmd.Bool("yes") {
						return usageError("tenon tenants roles drop takes a layer of protection away; say --yes to do it")
					}
					return withRoles(ctx, s, func(engine *migrate.Engine, _ migrate.Roles) error {
						report := newProgress(s.stderr)
						result, err := engine.DropRoles(ctx, report.observe)
						report.finish()
						return s.finishRoles(result, "have no role any more", err)
					})
				},
			},
		},
		OnUsageError: onUsageError,
		Action:       chooseCommand,
	}
}

// withRoles gives a command the engine that knows roles.
func withRoles(ctx context.Context, s surroundings, work func(engine *migrate.Engine, mode migrate.Roles) error) error {
	return withOperator(ctx, s, func(o operator) error { return work(o.engine, rolesMode(s)) })
}

func (s surroundings) finishRoles(result migrate.RolesResult, outcome string, err error) error {
	for _, failure := range result.Failures {
		fmt.Fprintf(s.stderr, "%s: %v\n", failure.Schema, failure.Err)
	}
	fmt.Fprintf(s.stderr, "%s %s", count(result.Done), outcome)
	if len(result.Failures) > 0 {
		fmt.Fprintf(s.stderr, ", %d failed", len(result.Failures))
	}
	fmt.Fprintln(s.stderr, ".")
	if err == nil && len(result.Failures) > 0 {
		return cli.Exit("", exitFailed)
	}
	return err
}
