package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/localpg"
	"github.com/tenonhq/tenon/platform/migrate"
)

// exitNothingDone tells a script that `migrate up` had nothing to do.
const exitNothingDone = 3

func migrateCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "bring the database to this binary's version",
		Commands: []*cli.Command{{
			Name:  "up",
			Usage: "migrate public, then every tenant",
			Description: "Works on DATABASE_URL; without it, on the database of `tenon dev`.\n" +
				"Each tenant is migrated in a transaction of its own: wholly or not at all. One that fails holds up nobody else,\n" +
				"and is tried again by the next run.\n\n" +
				"Exit code: 0 everything that was pending is applied, 1 some of it failed, 2 the command line or the configuration\n" +
				"is wrong, 3 (with --exit-code) there was nothing to do.",
			Flags: []cli.Flag{
				&cli.IntFlag{Name: "workers", Value: 2 * runtime.NumCPU(), Usage: "migrate `N` tenants at once", Validator: atLeastOne},
				&cli.DurationFlag{Name: "lock-timeout", Value: migrate.DefaultLockTimeout, Usage: "give up an attempt after waiting `DURATION` for a lock"},
				&cli.IntFlag{Name: "attempts", Value: migrate.DefaultAttempts, Usage: "try a tenant whose locks others hold `N` times", Validator: atLeastOne},
				&cli.BoolFlag{Name: "exit-code", Usage: "exit with 3 when there was nothing to do"},
			},
			Before:       withoutArguments,
			OnUsageError: onUsageError,
			Action: func(ctx context.Context, cmd *cli.Command) error {
				db, closeDB, err := operatorDatabase(ctx, s)
				if err != nil {
					return err
				}
				defer closeDB()
				engine, err := newEngine(db)
				if err != nil {
					return err
				}
				result, err := migrateUp(ctx, engine, s.stderr, migrate.Options{
					Workers: cmd.Int("workers"), LockTimeout: cmd.Duration("lock-timeout"), Attempts: cmd.Int("attempts"),
				})
				if err != nil {
					return err
				}
				switch {
				case len(result.Failures) > 0:
					return cli.Exit(fmt.Sprintf("%d of %d tenants failed and are as they were; mend the cause and run it again", len(result.Failures), len(result.Failures)+result.Migrated), exitFailed)
				case result.IsZero() && cmd.Bool("exit-code"):
					return cli.Exit("", exitNothingDone)
				}
				return nil
			},
		}, diffCommand(s), newMigrationCommand(s), hashCommand(s), lintCommand(s), validateCommand(s)},
		OnUsageError: onUsageError,
		Action:       chooseCommand,
	}
}

func atLeastOne(n int) error {
	if n < 1 {
		return fmt.Errorf("want 1 or more")
	}
	return nil
}

// newEngine is the engine over this binary's own migrations.
func newEngine(db *database.DB) (*migrate.Engine, error) {
	public, err := migrate.Load(migrations.Public)
	if err != nil {
		return nil, fmt.Errorf("public: %w", err)
	}
	tenants, err := migrate.Load(migrations.Tenant)
	if err != nil {
		return nil, fmt.Errorf("tenant: %w", err)
	}
	return migrate.New(db, public, tenants, migrate.WithOldest(migrations.OldestTenant)), nil
}

// operatorDatabase is the database that operators' commands work on: that of
// DATABASE_URL, or the one of `tenon dev`, which is joined or started for it.
func operatorDatabase(ctx context.Context, s surroundings) (*database.DB, func(), error) {
	url, stop := variable(s.environ, "DATABASE_URL"), func() {}
	if url == "" {
		server, err := localpg.Start(ctx, localpg.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, nil, fmt.Errorf("DATABASE_URL is not set, and the development database cannot be used: %w", err)
		}
		stop = func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			if err := server.Stop(ctx); err != nil {
				fmt.Fprintln(s.stderr, "tenon:", err)
			}
		}
		if err := createDatabase(ctx, server); err != nil {
			stop()
			return nil, nil, err
		}
		url = server.URL(localDatabase)
	}
	db, err := openOperatorPool(url)
	if err != nil {
		stop()
		return nil, nil, cli.Exit("DATABASE_URL: "+err.Error(), exitUsage)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			fmt.Fprintln(s.stderr, "tenon:", err)
		}
		stop()
	}, nil
}

// openOperatorPool opens a pool for a command.
func openOperatorPool(url string) (*database.DB, error) {
	return database.Open(database.Config{URL: url, ApplicationName: "tenon migrate", MaxOpenConns: 2*runtime.NumCPU() + 1})
}

// migrateUp migrates and says what it does: a bar on a terminal, lines
// otherwise.
func migrateUp(ctx context.Context, engine *migrate.Engine, out io.Writer, options migrate.Options) (migrate.Result, error) {
	report := newProgress(out)
	options.Observe = report.observe
	result, err := engine.Up(ctx, options)
	report.finish()
	for _, file := range result.Public {
		fmt.Fprintf(out, "public: applied %s\n", file)
	}
	for _, failure := range result.Failures {
		fmt.Fprintf(out, "%s (%s): still at %s: %v\n", failure.Schema, failure.TenantID, failure.From, failure.Err)
	}
	switch {
	case err != nil:
		return result, err
	case result.IsZero():
		fmt.Fprintln(out, "Everything is at the latest version.")
	case result.Migrated > 0:
		fmt.Fprintf(out, "%d tenants migrated.\n", result.Migrated)
	}
	return result, nil
}

// progress shows how far a run is.
type progress struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newProgress(out io.Writer) *progress { return &progress{out: out} }

// plainStep is how many tenants a line stands for where there is no terminal.
const plainStep = 500

func (p *progress) observe(now migrate.Progress) {
	if isTerminal(p.out) {
		if p.bar == nil {
			p.bar = progressbar.NewOptions(now.Total,
				progressbar.OptionSetWriter(p.out), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("tenants"),
				progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
		}
		p.bar.Describe(fmt.Sprintf("Migrating tenants, %d failed", now.Failed))
		_ = p.bar.Set(now.Done) // what cannot be drawn is not worth failing for
		return
	}
	if now.Done%plainStep == 0 {
		fmt.Fprintf(p.out, "%d of %d tenants done, %d failed\n", now.Done, now.Total, now.Failed)
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish() // as above
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

// migrate brings the application's own database to its version. Nothing is said
// when there is nothing to do.
func (a *application) migrate(ctx context.Context, out io.Writer) error {
	if a.engine.Check(ctx) == nil {
		out = io.Discard
	}
	result, err := migrateUp(ctx, a.engine, out, migrate.Options{})
	if err != nil {
		return err
	}
	if len(result.Failures) > 0 {
		return fmt.Errorf("%d tenants could not be migrated, the first of them %s: %w", len(result.Failures), result.Failures[0].Schema, result.Failures[0].Err)
	}
	return nil
}
