package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/migrate/plan"
)

// The commands of whoever migrates many tenants and looks after them.

// fleet is all tenants of a database, with what works on them.
type fleet struct {
	surroundings

	engine *migrate.Engine
	// direct leads to PostgreSQL without a pooler, if the operator did as told.
	direct string
}

// withFleet gives a command the fleet. What the engine refuses as a mistake of
// the command line is one.
func withFleet(ctx context.Context, s surroundings, work func(f *fleet) error) error {
	err := withOperator(ctx, s, func(o operator) error {
		return work(&fleet{surroundings: s, engine: o.engine, direct: o.direct})
	})
	if refused, ok := errors.AsType[*fault.Error](err); ok && refused.Kind == fault.Invalid {
		var mistakes []string
		for _, field := range refused.Fields {
			mistakes = append(mistakes, "--"+field.Name+": "+field.Message)
		}
		return usageError("%s", strings.Join(mistakes, " "))
	}
	return err
}

// resultLine is the result of a run for programs.
type resultLine struct {
	Run      int64         `json:"run"`
	Public   []string      `json:"public"`
	Migrated int           `json:"migrated"`
	Skipped  int           `json:"skipped"`
	Left     int           `json:"left"`
	Failed   int           `json:"failed"`
	Paused   string        `json:"paused"`
	Failures []failureLine `json:"failures"`
}

type failureLine struct {
	Tenant string `json:"tenant_id"`
	Schema string `json:"schema_name"`
	From   string `json:"from"`
	Error  string `json:"error"`
}

func failureLines(failures []migrate.Failure) []failureLine {
	lines := make([]failureLine, len(failures))
	for i, failure := range failures {
		lines[i] = failureLine{Tenant: failure.TenantID, Schema: failure.Schema, From: failure.From, Error: failure.Err.Error()}
	}
	return lines
}

func (f *fleet) print(value any) error { return json.NewEncoder(f.stdout).Encode(value) }

// work runs a command that migrates tenants and turns its result into an exit
// code.
func (f *fleet) work(ctx context.Context, cmd *cli.Command, options migrate.Options, do func(context.Context, migrate.Options) (migrate.Result, error)) error {
	result, err := migrateBy(ctx, f.stderr, options, do)
	if cmd.Bool("json") {
		line := resultLine{
			Run: result.Run, Public: append([]string{}, result.Public...), Migrated: result.Migrated, Skipped: result.Skipped,
			Left: result.Left, Failed: result.Failed, Paused: result.Paused, Failures: failureLines(result.Failures),
		}
		if err := f.print(line); err != nil {
			return err
		}
	}
	stopped := fmt.Sprintf("run %d stopped (%s), with %s left; `tenon migrate resume` goes on", result.Run, result.Paused, count(result.Left))
	switch {
	case err != nil && ctx.Err() != nil && result.Run != 0:
		return cli.Exit(stopped, exitPaused)
	case errors.Is(err, migrate.ErrTakenOver):
		return cli.Exit(fmt.Sprintf("run %d: %v", result.Run, err), exitPaused)
	case err != nil:
		return err
	case result.Paused != "" && len(result.Failures) > 0:
		return cli.Exit(stopped, exitFailed)
	case result.Paused != "":
		return cli.Exit(stopped, exitPaused)
	case result.Failed > 0:
		return cli.Exit(fmt.Sprintf("%s failed, none of them half migrated; mend the cause and run `tenon migrate retry-failed`", count(result.Failed)), exitFailed)
	case result.IsZero() && cmd.Bool("exit-code"):
		return cli.Exit("", exitNothingDone)
	}
	return nil
}

// dryRun prints what would be sent.
func (f *fleet) dryRun(ctx context.Context, options migrate.Options) error {
	preview, err := f.engine.Preview(ctx, options)
	if err != nil {
		return err
	}
	if preview.Public == "" && len(preview.Groups) == 0 {
		fmt.Fprintln(f.stderr, "Everything is at the latest version.")
	}
	if preview.Public != "" {
		fmt.Fprintf(f.stdout, "-- public\n%s\n", preview.Public)
	}
	for _, group := range preview.Groups {
		fmt.Fprintf(f.stdout, "-- %s from %s to %s; here for %s\n", count(group.Tenants), orNone(group.From), group.To, group.Schema)
		for _, file := range group.Apart {
			fmt.Fprintf(f.stdout, "-- %s runs outside of transactions, a statement at a time\n", file)
		}
		if group.Err != nil {
			fmt.Fprintf(f.stdout, "-- nothing would be sent: %v\n", group.Err)
		}
		fmt.Fprintln(f.stdout, group.SQL)
	}
	return nil
}

// count is a number of tenants.
func count(n int) string {
	if n == 1 {
		return "1 tenant"
	}
	return fmt.Sprintf("%d tenants", n)
}

func orNone(version string) string {
	if version == "" {
		return "nothing"
	}
	return version
}

// rehearse says who would fail.
func (f *fleet) rehearse(ctx context.Context, options migrate.Options, asJSON bool) error {
	report := newProgress(f.stderr)
	options.Observe = report.observe
	rehearsal, err := f.engine.Rehearse(ctx, options)
	report.finish()
	if err != nil {
		return err
	}
	if asJSON {
		err := f.print(struct {
			Tenants  int           `json:"tenants"`
			Failures []failureLine `json:"failures"`
			Longest  float64       `json:"longest_lock_seconds"`
			Slowest  string        `json:"slowest_schema_name"`
			Total    float64       `json:"total_lock_seconds"`
			LeftOut  []string      `json:"left_out"`
		}{rehearsal.Tenants, failureLines(rehearsal.Failures), rehearsal.Longest.Seconds(), rehearsal.Slowest, rehearsal.Total.Seconds(), append([]string{}, rehearsal.LeftOut...)})
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(f.stderr, "This was a rehearsal: it took real locks, and rolled everything back.")
	for _, file := range rehearsal.LeftOut {
		fmt.Fprintf(f.stderr, "%s was left out: it runs outside of transactions.\n", file)
	}
	for _, failure := range rehearsal.Failures {
		fmt.Fprintf(f.stderr, "%s (%s): would fail: %v\n", failure.Schema, failure.TenantID, failure.Err)
	}
	fmt.Fprintf(f.stderr, "%s tried, %d would fail.", count(rehearsal.Tenants), len(rehearsal.Failures))
	if rehearsal.Slowest != "" {
		fmt.Fprintf(f.stderr, " Locks were held for %v at most (%s), %v in all.", rehearsal.Longest.Round(time.Microsecond), rehearsal.Slowest, rehearsal.Total.Round(time.Millisecond))
	}
	fmt.Fprintln(f.stderr)
	if len(rehearsal.Failures) > 0 {
		return cli.Exit("", exitFailed)
	}
	return nil
}

// runFlag names a run in the ledger.
func runFlag(usage string) cli.Flag {
	return &cli.Int64Flag{Name: "run", Usage: usage, Validator: func(id int64) error {
		if id < 1 {
			return errors.New("want a run's number, see `tenon migrate history`")
		}
		return nil
	}}
}

func resumeCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "resume",
		Usage: "go on with a run that was paused or interrupted",
		Description: "Nobody is migrated twice. A process that still works on the run stops: it is safe to say this too early.\n\n" +
			migrateExitCodes,
		Flags:        append(workFlags(), runFlag("go on with run `ID` instead of the newest one that is not finished")),
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s.forWorkers(cmd.Int("workers")), func(f *fleet) error {
				return f.work(ctx, cmd, workOptions(cmd), func(ctx context.Context, options migrate.Options) (migrate.Result, error) {
					return f.engine.Resume(ctx, cmd.Int64("run"), options)
				})
			})
		},
	}
}

func retryFailedCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:         "retry-failed",
		Usage:        "try those tenants again that failed",
		Description:  "What was left of the run is done as well.\n\n" + migrateExitCodes,
		Flags:        append(workFlags(), runFlag("those of run `ID` instead of the newest one in which a tenant failed")),
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s.forWorkers(cmd.Int("workers")), func(f *fleet) error {
				return f.work(ctx, cmd, workOptions(cmd), func(ctx context.Context, options migrate.Options) (migrate.Result, error) {
					return f.engine.RetryFailed(ctx, cmd.Int64("run"), options)
				})
			})
		},
	}
}

func pauseCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:         "pause",
		Usage:        "ask the process that works on a run to stop",
		Description:  "Tenants that it has begun are finished first. `tenon migrate resume` goes on.",
		Flags:        []cli.Flag{runFlag("run `ID` instead of the newest one")},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s, func(f *fleet) error {
				id, err := f.engine.Pause(ctx, cmd.Int64("run"))
				if err != nil {
					return err
				}
				fmt.Fprintf(s.stderr, "Run %d pauses once the tenants under way are done.\n", id)
				return nil
			})
		},
	}
}

func downCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "down",
		Usage: "take tenants back to an older version",
		Description: "By the reverse statements beside the migrations, which are tried on a schema of its own before any tenant is touched.\n" +
			"With --run, exactly those tenants go back that the run moved, each to where it came from, or to --to.\n\n" +
			migrateExitCodes,
		Flags: append(workFlags(),
			&cli.StringFlag{Name: "to", Usage: "go back to `VERSION`, which stays applied"},
			&cli.StringFlag{Name: "tenant", Usage: "take the `TENANTS` back (slugs, ids or schemas, separated by commas)"},
			runFlag("take those back that run `ID` moved"),
			&cli.BoolFlag{Name: "allow-destructive", Usage: "lose the tables, columns and rows that go with it"},
			&cli.BoolFlag{Name: "exit-code", Usage: "exit with 3 when there was nothing to do"},
		),
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s.forWorkers(cmd.Int("workers")), func(f *fleet) error {
				options := migrate.DownOptions{
					Options: workOptions(cmd), To: cmd.String("to"), Run: cmd.Int64("run"), AllowDestructive: cmd.Bool("allow-destructive"),
				}
				options.Only = names(cmd, "tenant")
				err := f.work(ctx, cmd, options.Options, func(ctx context.Context, o migrate.Options) (migrate.Result, error) {
					options.Options = o
					return f.engine.Down(ctx, options)
				})
				if destructive, ok := errors.AsType[*migrate.DestructiveError](err); ok {
					return cli.Exit(destructive.Error()+"; nothing was done, say --allow-destructive to do it", exitFailed)
				}
				return err
			})
		},
	}
}

// runLine is a run for programs.
type runLine struct {
	ID          int64      `json:"id"`
	Kind        string     `json:"kind"`
	Target      string     `json:"target"`
	Arguments   string     `json:"arguments"`
	State       string     `json:"state"`
	Interrupted bool       `json:"interrupted"`
	Reason      string     `json:"reason"`
	Worker      string     `json:"worker"`
	StartedAt   time.Time  `json:"started_at"`
	HeartbeatAt time.Time  `json:"heartbeat_at"`
	FinishedAt  *time.Time `json:"finished_at"`
	Pending     int        `json:"pending"`
	Applied     int        `json:"applied"`
	Failed      int        `json:"failed"`
	Skipped     int        `json:"skipped"`
}

func lineOfRun(r migrate.Run) runLine {
	return runLine{
		ID: r.ID, Kind: r.Kind, Target: r.Target, Arguments: r.Arguments, State: string(r.State), Interrupted: r.Interrupted, Reason: r.Reason, Worker: r.Worker,
		StartedAt: r.StartedAt.UTC(), HeartbeatAt: r.HeartbeatAt.UTC(), FinishedAt: r.FinishedAt, Pending: r.Pending, Applied: r.Applied, Failed: r.Failed, Skipped: r.Skipped,
	}
}

// runTenantLine is what a run did with a tenant, for programs.
type runTenantLine struct {
	Slug     string  `json:"slug"`
	Schema   string  `json:"schema_name"`
	Wave     int     `json:"wave"`
	From     string  `json:"from"`
	To       string  `json:"to"`
	State    string  `json:"state"`
	Attempts int     `json:"attempts"`
	Seconds  float64 `json:"seconds"`
	Error    string  `json:"error"`
}

func lineOfRunTenant(t migrate.RunTenant) runTenantLine {
	return runTenantLine{
		Slug: t.Slug, Schema: t.Schema, Wave: t.Wave, From: t.From, To: t.To, State: t.State, Attempts: t.Attempts, Seconds: t.Duration.Seconds(), Error: t.Error,
	}
}

// printRuns is a table of runs.
func (f *fleet) printRuns(runs []migrate.Run) error {
	table := tabwriter.NewWriter(f.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tKIND\tTO\tSTATE\tAPPLIED\tFAILED\tSKIPPED\tPENDING\tSTARTED\tARGUMENTS\tREASON")
	for _, r := range runs {
		state := string(r.State)
		if r.Interrupted {
			state = "interrupted"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", r.ID, r.Kind, r.Target, state, r.Applied, r.Failed, r.Skipped, r.Pending,
			r.StartedAt.UTC().Format(time.DateTime), printable(r.Arguments), printable(r.Reason))
	}
	return table.Flush()
}

func statusCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:         "status",
		Usage:        "show the fleet by version, what failed, and what is under way",
		Description:  "Exit code: 1 when public or a tenant is behind, or a tenant failed.",
		Flags:        []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON, for programs"}},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s, func(f *fleet) error {
				status, err := f.engine.Status(ctx)
				if err != nil {
					return err
				}
				if cmd.Bool("json") {
					err = f.printStatus(status)
				} else {
					err = f.showStatus(status)
				}
				current := status.PublicErr == nil && len(status.Failed) == 0
				for _, v := range status.Versions {
					current = current && v.Version == status.Latest
				}
				if err == nil && !current {
					return cli.Exit("", exitFailed)
				}
				return err
			})
		},
	}
}

func (f *fleet) printStatus(status migrate.Status) error {
	type versionLine struct {
		Version string `json:"version"`
		Tenants int    `json:"tenants"`
		Known   bool   `json:"known"`
	}
	type failedLine struct {
		Run     int64  `json:"run"`
		Version string `json:"version"`
		runTenantLine
	}
	line := struct {
		Public   string        `json:"public"`
		Latest   string        `json:"latest"`
		Versions []versionLine `json:"versions"`
		Failed   []failedLine  `json:"failed"`
		Runs     []runLine     `json:"runs"`
	}{Public: "current", Latest: status.Latest, Versions: []versionLine{}, Failed: []failedLine{}, Runs: []runLine{}}
	if status.PublicErr != nil {
		line.Public = status.PublicErr.Error()
	}
	for _, v := range status.Versions {
		line.Versions = append(line.Versions, versionLine(v))
	}
	for _, t := range status.Failed {
		line.Failed = append(line.Failed, failedLine{t.Run, t.Version, lineOfRunTenant(t.RunTenant)})
	}
	for _, r := range status.Runs {
		line.Runs = append(line.Runs, lineOfRun(r))
	}
	return f.print(line)
}

func (f *fleet) showStatus(status migrate.Status) error {
	if status.PublicErr != nil {
		fmt.Fprintf(f.stdout, "public: %v\n", status.PublicErr)
	} else {
		fmt.Fprintln(f.stdout, "public: current")
	}
	table := tabwriter.NewWriter(f.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tTENANTS\t")
	for _, v := range status.Versions {
		what := ""
		switch {
		case v.Version == status.Latest:
			what = "latest"
		case !v.Known:
			what = "not in this binary"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", orNone(v.Version), v.Tenants, what)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(status.Failed) > 0 {
		fmt.Fprintf(f.stdout, "\nFailed: %s\n", count(len(status.Failed)))
	}
	for _, t := range status.Failed {
		fmt.Fprintf(f.stdout, "%s (%s), at %s, run %d, %d attempts: %s\n", t.Slug, t.Schema, orNone(t.Version), t.Run, t.Attempts, printable(t.Error))
	}
	if len(status.Runs) > 0 {
		fmt.Fprintln(f.stdout, "\nNot finished:")
		return f.printRuns(status.Runs)
	}
	return nil
}

// historyPage is how many tenants of a run are read at once.
const historyPage = 500

func historyCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "history",
		Usage: "list the runs there were, or what one of them did",
		Flags: []cli.Flag{
			runFlag("show what run `ID` did with each tenant"),
			&cli.IntFlag{Name: "limit", Value: 20, Usage: "show the newest `N` runs", Validator: atLeastOne},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line, for programs"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s, func(f *fleet) error {
				if cmd.IsSet("run") {
					return f.showRun(ctx, cmd.Int64("run"), cmd.Bool("json"))
				}
				runs, err := f.engine.History(ctx, cmd.Int("limit"))
				if err != nil {
					return err
				}
				if !cmd.Bool("json") {
					return f.printRuns(runs)
				}
				for _, r := range runs {
					if err := f.print(lineOfRun(r)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (f *fleet) showRun(ctx context.Context, id int64, asJSON bool) error {
	run, err := f.engine.Run(ctx, id)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(f.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		if err := f.printRuns([]migrate.Run{run}); err != nil {
			return err
		}
		fmt.Fprintln(table, "\nSLUG\tSCHEMA\tWAVE\tFROM\tTO\tSTATE\tATTEMPTS\tTIME\tERROR")
	}
	for after := ""; ; {
		tenants, err := f.engine.RunTenants(ctx, id, after, historyPage)
		if err != nil {
			return err
		}
		for _, t := range tenants {
			after = t.Schema
			if asJSON {
				if err := f.print(lineOfRunTenant(t)); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%d\t%v\t%s\n", t.Slug, t.Schema, t.Wave, orNone(t.From), t.To, t.State, t.Attempts, t.Duration.Round(100*time.Microsecond), printable(t.Error))
		}
		if len(tenants) < historyPage {
			return table.Flush()
		}
	}
}

func driftCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "drift",
		Usage: "find schemas that are not what their migrations build",
		Description: "Compares columns, defaults, constraints, indexes, views, functions, triggers, sequences and the rest, of every tenant.\n" +
			"In public, what its migrations build has to be there, and more may be.\n" +
			"--fix-plan adds the statements that would mend tenants' tables, planned by Atlas on a scratch database of this\n" +
			"machine's PostgreSQL; nothing is executed. Exit code: 1 when there is drift.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "only", Usage: "look at the `TENANTS` alone (slugs, ids or schemas, separated by commas)"},
			&cli.BoolFlag{Name: "fix-plan", Usage: "show the SQL that would mend it"},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line, for programs"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s, func(f *fleet) error {
				drifts, looked, err := f.engine.Drift(ctx, migrate.Options{Only: names(cmd, "only")})
				if err != nil {
					return err
				}
				fixes := make([]string, len(drifts))
				if cmd.Bool("fix-plan") && len(drifts) > 0 {
					if err := withScratch(ctx, s, migrations.PublicSchema, func(scratch *plan.Scratch) error { return f.planFixes(ctx, scratch, drifts, fixes) }); err != nil {
						return err
					}
				}
				for i, d := range drifts {
					if err := f.showDrift(d, fixes[i], cmd.Bool("json")); err != nil {
						return err
					}
				}
				fmt.Fprintf(s.stderr, "Looked at %s; different from what their migrations build: %d.\n", count(looked), len(drifts))
				if len(drifts) > 0 {
					return cli.Exit("", exitFailed)
				}
				return nil
			})
		},
	}
}

// planFixes fills in the statements for those that can be mended.
func (f *fleet) planFixes(ctx context.Context, scratch *plan.Scratch, drifts []migrate.Drift, fixes []string) error {
	tenants, err := migrate.Load(migrations.Tenant)
	if err != nil {
		return err
	}
	for i, d := range drifts {
		should, known := tenants.Script(d.Version)
		if d.Missing || !known || d.Schema == "public" {
			continue
		}
		if fixes[i], err = plan.Repair(ctx, scratch, f.direct, d.Schema, should); err != nil {
			return fmt.Errorf("%s: %w", d.Schema, err)
		}
	}
	return nil
}

func (f *fleet) showDrift(d migrate.Drift, fix string, asJSON bool) error {
	if asJSON {
		return f.print(struct {
			Slug    string   `json:"slug"`
			Schema  string   `json:"schema_name"`
			Version string   `json:"version"`
			Missing bool     `json:"missing"`
			Unknown bool     `json:"unknown_version"`
			Lines   []string `json:"differences"`
			Fix     string   `json:"fix"`
		}{d.Slug, d.Schema, d.Version, d.Missing, d.Unknown, append([]string{}, d.Lines...), fix})
	}
	what := ""
	switch {
	case d.Missing:
		what = ": its schema is gone from the database"
	case d.Unknown:
		what = ": it was altered since it was migrated, to a version that this binary does not have"
	}
	name := d.Schema
	if d.Slug != "" {
		name = fmt.Sprintf("%s (%s)", d.Slug, d.Schema)
	}
	fmt.Fprintf(f.stdout, "%s, at %s%s\n", name, orNone(d.Version), what)
	for _, line := range d.Lines {
		fmt.Fprintln(f.stdout, "  "+printable(line))
	}
	if fix != "" {
		fmt.Fprintf(f.stdout, "-- to mend it: SET search_path TO %q;\n%s", d.Schema, fix)
	}
	return nil
}

func verifyFleetCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "hold the registry against what is in the database",
		Description: "Every schema that the registry names is there, and no other; each one's table of applied migrations says what its\n" +
			"version says; and its tables are what they were when it was last migrated. Exit code: 1 when something is not so.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "only", Usage: "look at the `TENANTS` alone (slugs, ids or schemas, separated by commas)"},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line, for programs"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s, func(f *fleet) error {
				if err := f.engine.Check(ctx); err != nil {
					return err
				}
				mismatches, looked, err := f.engine.Audit(ctx, migrate.Options{Only: names(cmd, "only")})
				if err != nil {
					return err
				}
				for _, m := range mismatches {
					if cmd.Bool("json") {
						err := f.print(struct {
							Slug    string `json:"slug"`
							Schema  string `json:"schema_name"`
							Problem string `json:"problem"`
						}{m.Slug, m.Schema, m.Problem})
						if err != nil {
							return err
						}
						continue
					}
					fmt.Fprintf(s.stdout, "%s: %s\n", strings.TrimSpace(m.Slug+" "+m.Schema), m.Problem)
				}
				fmt.Fprintf(s.stderr, "Looked at %s; not as the registry says: %d.\n", count(looked), len(mismatches))
				if len(mismatches) > 0 {
					return cli.Exit("", exitFailed)
				}
				return nil
			})
		},
	}
}

func adoptCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "adopt",
		Usage: "let the registry learn what a tenant's restored schema is",
		Description: "After a schema was restored from a backup, its version is the backup's and the registry has another. This sets\n" +
			"the registry to what the schema's own table of applied migrations says; `tenon migrate up --only` brings it on from there.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "only", Usage: "the `TENANTS` that were restored (slugs, ids or schemas, separated by commas)"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withFleet(ctx, s, func(f *fleet) error {
				adopted, err := f.engine.Adopt(ctx, names(cmd, "only"))
				if err != nil {
					return err
				}
				for _, a := range adopted {
					fmt.Fprintf(s.stdout, "%s %s: the registry said %s, the schema says %s\n", a.Slug, a.Schema, a.From, a.To)
				}
				return nil
			})
		},
	}
}
