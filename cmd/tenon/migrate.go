package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/bunrepo"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/localpg"
	"github.com/tenonhq/tenon/platform/migrate"
)

// Exit codes of the commands that migrate.
const (
	exitNothingDone = 3 // there was nothing to do, and --exit-code asked
	exitPaused      = 4 // it stopped with tenants left, and nothing failed
)

const migrateExitCodes = "Exit code: 0 everything that was pending is applied, 1 some of it failed, 2 the command line or the configuration\n" +
	"is wrong, 3 (with --exit-code) there was nothing to do, 4 it was stopped: `tenon migrate resume` goes on."

func migrateCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "bring the database to this binary's version",
		Description: "Works on DATABASE_URL; without it, on the database of `tenon dev`. Where that leads through a pooler and a migration is\n" +
			"marked `-- atlas:txmode none`, DATABASE_DIRECT_URL has to lead to PostgreSQL itself.",
		Commands: []*cli.Command{
			upCommand(s), resumeCommand(s), retryFailedCommand(s), pauseCommand(s), downCommand(s),
			statusCommand(s), historyCommand(s), driftCommand(s), verifyFleetCommand(s), adoptCommand(s),
			diffCommand(s), newMigrationCommand(s), hashCommand(s), lintCommand(s), validateCommand(s),
		},
		OnUsageError: onUsageError,
		Action:       chooseCommand,
	}
}

// workFlags are those of every command that migrates tenants.
func workFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "workers", Value: 2 * runtime.NumCPU(), Usage: "migrate `N` tenants at once, each over a connection of its own", Validator: atLeastOne},
		&cli.DurationFlag{Name: "lock-timeout", Value: migrate.DefaultLockTimeout, Usage: "give up an attempt after waiting `DURATION` for a lock"},
		&cli.IntFlag{Name: "attempts", Value: migrate.DefaultAttempts, Usage: "try a tenant whose locks others hold `N` times", Validator: atLeastOne},
		&cli.IntFlag{Name: "max-failures", Value: -1, HideDefault: true, Usage: "pause once more than `N` tenants failed; by default 0 with a canary or waves, and no limit otherwise"},
		&cli.BoolFlag{Name: "json", Usage: "print the result as JSON, for programs"},
	}
}

// workOptions are what workFlags say.
func workOptions(cmd *cli.Command) migrate.Options {
	options := migrate.Options{
		Workers: cmd.Int("workers"), LockTimeout: cmd.Duration("lock-timeout"), Attempts: cmd.Int("attempts"),
	}
	if cmd.IsSet("max-failures") {
		options.StopAfter = -1
		if n := cmd.Int("max-failures"); n >= 0 {
			options.StopAfter = n + 1
		}
	}
	return options
}

func upCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "migrate public, then every tenant",
		Description: "Each tenant is migrated in a transaction of its own: wholly or not at all. One that fails holds up nobody else.\n" +
			"What happens is written into a ledger: Ctrl-C pauses the run, `tenon migrate resume` goes on with it, also after a\n" +
			"crash, and `tenon migrate retry-failed` tries those again that failed.\n\n" +
			"--rehearse migrates every tenant and rolls it back. It takes real locks for as long as the migration would, waits\n" +
			"for one only shortly, and leaves out files marked txmode none.\n\n" + migrateExitCodes,
		Flags: append(workFlags(),
			&cli.StringFlag{Name: "canary", Usage: "migrate the `TENANTS` first (slugs, ids or schemas, separated by commas), and go on if none fails"},
			&cli.StringFlag{Name: "waves", Usage: "wait for everybody so far at these `PERCENTAGES`, such as 1%,10%,100%"},
			&cli.StringFlag{Name: "only", Usage: "migrate the `TENANTS` alone"},
			&cli.StringFlag{Name: "except", Usage: "leave the `TENANTS` as they are"},
			&cli.BoolFlag{Name: "dry-run", Usage: "print the SQL and change nothing"},
			&cli.BoolFlag{Name: "rehearse", Usage: "migrate every tenant, roll it back, and report who would fail and for how long locks were held"},
			&cli.BoolFlag{Name: "exit-code", Usage: "exit with 3 when there was nothing to do"},
		),
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			options := workOptions(cmd)
			options.Canary, options.Only, options.Except = names(cmd, "canary"), names(cmd, "only"), names(cmd, "except")
			var err error
			if options.Waves, err = parseWaves(cmd.String("waves")); err != nil {
				return err
			}
			if cmd.Bool("dry-run") && cmd.Bool("rehearse") {
				return usageError("--dry-run and --rehearse: one or the other")
			}
			return withFleet(ctx, s.forWorkers(options.Workers), func(f *fleet) error {
				switch {
				case cmd.Bool("dry-run"):
					return f.dryRun(ctx, options)
				case cmd.Bool("rehearse"):
					if !cmd.IsSet("lock-timeout") {
						options.LockTimeout = 0 // a rehearsal has its own
					}
					return f.rehearse(ctx, options, cmd.Bool("json"))
				}
				return f.work(ctx, cmd, options, f.engine.Up)
			})
		},
	}
}

// names reads a flag that lists tenants.
func names(cmd *cli.Command, flag string) (list []string) {
	if !cmd.IsSet(flag) {
		return nil
	}
	for name := range strings.SplitSeq(cmd.String(flag), ",") {
		list = append(list, strings.TrimSpace(name))
	}
	return list
}

func parseWaves(text string) (waves []float64, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(part), "%"), 64)
		if err != nil {
			return nil, usageError("--waves: %q is no percentage; want such as 1%%,10%%,100%%", part)
		}
		waves = append(waves, percent)
	}
	return waves, nil
}

func atLeastOne(n int) error {
	if n < 1 {
		return fmt.Errorf("want 1 or more")
	}
	return nil
}

// newEngine is the engine over this binary's own migrations.
func newEngine(db *database.DB, roles migrate.Roles, options ...migrate.Option) (*migrate.Engine, error) {
	public, err := migrate.Load(migrations.Public)
	if err != nil {
		return nil, fmt.Errorf("public: %w", err)
	}
	tenants, err := migrate.Load(migrations.Tenant)
	if err != nil {
		return nil, fmt.Errorf("tenant: %w", err)
	}
	return migrate.New(db, public, tenants, append(options,
		migrate.WithOldest(migrations.OldestTenant), migrate.WithRoles(roles), migrate.WithReadOnly(migrations.ReadOnly...))...), nil
}

// newOperatorEngine is newEngine for a command, with what TENANT_ROLES says.
func newOperatorEngine(s surroundings, db *database.DB, options ...migrate.Option) (*migrate.Engine, error) {
	switch roles := rolesMode(s); roles {
	case migrate.RolesOff, migrate.RolesOn, migrate.RolesAuto:
		return newEngine(db, roles, options...)
	}
	return nil, usageError("TENANT_ROLES is not valid; want on, off or auto")
}

// operator is what operators' commands work with.
type operator struct {
	db     *database.DB
	engine *migrate.Engine
	// url leads to the database, direct to it without a pooler, if the operator
	// did as told.
	url, direct string
}

// withOperator gives a command the database and what migrates it.
func withOperator(ctx context.Context, s surroundings, work func(o operator) error) error {
	db, url, closeDB, err := openOperatorDatabase(ctx, s)
	if err != nil {
		return err
	}
	defer closeDB()
	direct := cmp.Or(variable(s.environ, "DATABASE_DIRECT_URL"), url)
	engine, err := newOperatorEngine(s, db, migrate.WithDirectURL(direct))
	if err != nil {
		return err
	}
	return work(operator{db: db, engine: engine, url: url, direct: direct})
}

// tenancy returns the tenants' use cases.
func (o operator) tenancy() *tenancy.Service {
	return tenancy.NewService(bunrepo.NewRegistry(o.db), o.engine, o.db)
}

// rolesMode is what TENANT_ROLES says to a command.
func rolesMode(s surroundings) migrate.Roles {
	return migrate.Roles(cmp.Or(variable(s.environ, "TENANT_ROLES"), string(migrate.RolesAuto)))
}

// operatorDatabase is the database that operators' commands work on: that of
// DATABASE_URL, or the one of `tenon dev`, which is joined or started for it.
func operatorDatabase(ctx context.Context, s surroundings) (*database.DB, func(), error) {
	db, _, closeDB, err := openOperatorDatabase(ctx, s)
	return db, closeDB, err
}

// openOperatorDatabase is operatorDatabase with the URL of the database.
func openOperatorDatabase(ctx context.Context, s surroundings) (_ *database.DB, url string, closeDB func(), _ error) {
	url, stop := variable(s.environ, "DATABASE_URL"), func() {}
	if url == "" {
		server, err := localpg.Start(ctx, localpg.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, "", nil, fmt.Errorf("DATABASE_URL is not set, and the development database cannot be used: %w", err)
		}
		stop = func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			if err := server.Stop(ctx); err != nil {
				fmt.Fprintln(s.stderr, "tenon:", err)
			}
		}
		if url, err = createDatabase(ctx, server); err != nil {
			stop()
			return nil, "", nil, err
		}
	}
	db, err := openOperatorPool(url, s.workers)
	if err != nil {
		stop()
		return nil, "", nil, cli.Exit("DATABASE_URL: "+err.Error(), exitUsage)
	}
	return db, url, func() {
		if err := db.Close(); err != nil {
			fmt.Fprintln(s.stderr, "tenon:", err)
		}
		stop()
	}, nil
}

// operatorConnLifetime is that of a command's connections. Each keeps what it has
// seen of the catalog, and goes through all of it when others change theirs: the more
// tenants it has made or migrated, the longer the next one takes.
const operatorConnLifetime = 20 * time.Second

// operatorConns is how many connections a command opens at most, unless more of its
// workers need one each.
var operatorConns = 2*runtime.NumCPU() + 1

// openOperatorPool opens a pool for a command with as many workers, and for what says
// beside them that they live.
func openOperatorPool(url string, workers int) (*database.DB, error) {
	return database.Open(database.Config{
		URL: url, ApplicationName: "tenon migrate", MaxOpenConns: max(operatorConns, workers+1), MaxConnLifetime: operatorConnLifetime,
	})
}

// migrateBy migrates and says what is done: a bar on a terminal, lines
// otherwise.
func migrateBy(ctx context.Context, out io.Writer, options migrate.Options, do func(context.Context, migrate.Options) (migrate.Result, error)) (migrate.Result, error) {
	report := newProgress(out)
	options.Observe = report.observe
	result, err := do(ctx, options)
	report.finish()
	for _, file := range result.Public {
		fmt.Fprintf(out, "public: applied %s\n", file)
	}
	for _, failure := range result.Failures {
		fmt.Fprintf(out, "%s (%s): still at %s: %v\n", failure.Schema, failure.TenantID, orNone(failure.From), failure.Err)
	}
	switch {
	case result.IsZero() && err == nil:
		fmt.Fprintln(out, "Everything is at the latest version.")
	case result.Run != 0:
		fmt.Fprintf(out, "Run %d: %s migrated", result.Run, count(result.Migrated))
		for _, count := range []struct {
			n    int
			what string
		}{{len(result.Failures), "failed"}, {max(0, result.Failed-len(result.Failures)), "failed earlier"}, {result.Skipped, "there already"}, {result.Left, "left"}} {
			if count.n > 0 {
				fmt.Fprintf(out, ", %d %s", count.n, count.what)
			}
		}
		fmt.Fprintln(out, ".")
	}
	return result, err
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
	p.show(now.Done, now.Total, fmt.Sprintf("Run %d, wave %d, %d failed", now.Run, now.Wave, now.Failed), fmt.Sprintf("%d failed", now.Failed))
}

// show draws a bar where there is a terminal, and elsewhere writes a line now
// and then.
func (p *progress) show(done, total int, description, plain string) {
	if isTerminal(p.out) {
		if p.bar == nil {
			p.bar = progressbar.NewOptions(total,
				progressbar.OptionSetWriter(p.out), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("tenants"),
				progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
		}
		p.bar.ChangeMax(total) // tenants may come while it goes on
		p.bar.Describe(description)
		_ = p.bar.Set(done) // what cannot be drawn is not worth failing for
		return
	}
	if done%plainStep == 0 {
		fmt.Fprintf(p.out, "%d of %d tenants done, %s\n", done, total, plain)
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
	result, err := migrateBy(ctx, out, migrate.Options{}, a.engine.Up)
	if err != nil {
		return err
	}
	if len(result.Failures) > 0 {
		return fmt.Errorf("%s could not be migrated, the first of them %s: %w", count(len(result.Failures)), result.Failures[0].Schema, result.Failures[0].Err)
	}
	return nil
}
