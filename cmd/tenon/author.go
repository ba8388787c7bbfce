package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/platform/localpg"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/migrate/plan"
)

// The commands of whoever writes migrations. They work on the files of a
// checkout, and on scratch databases of the machine's own PostgreSQL: never on
// DATABASE_URL.

// authorFlags are those of every authoring command.
func authorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "dir", Value: "migrations", Usage: "the checkout's `DIR` of migrations", TakesFile: true},
	}
}

// authorTargets are the directories there are, in the order of application.
var authorTargets = []string{"public", "tenant"}

// authorTarget is one directory with its desired state.
type authorTarget struct {
	name, path, desiredPath string
	desired                 string
	dir                     *plan.Directory
}

func openTargets(root string, names ...string) ([]authorTarget, error) {
	var targets []authorTarget
	for _, name := range names {
		t := authorTarget{name: name, path: filepath.Join(root, name), desiredPath: filepath.Join(root, "schema", name+".sql")}
		desired, err := os.ReadFile(t.desiredPath)
		if err != nil {
			return nil, usageError("%v; run this in the checkout, or name the folder by --dir", err)
		}
		t.desired = string(desired)
		if t.dir, err = plan.OpenDirectory(t.path); err != nil {
			return nil, usageError("%v", err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// scratchURL makes a database of nobody's on the machine's own PostgreSQL, which
// is joined or started for it.
func scratchURL(ctx context.Context, s surroundings) (url string, drop func(), err error) {
	server, err := localpg.Start(ctx, localpg.Config{})
	if err != nil {
		return "", nil, fmt.Errorf("the scratch database: %w", err)
	}
	name := "tenon_scratch_" + strings.ToLower(rand.Text())
	execute := func(ctx context.Context, statement string) error {
		conn, err := pgconn.Connect(ctx, server.URL("postgres"))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement).ReadAll()
		return err
	}
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return server.Stop(ctx)
	}
	if err := execute(ctx, `CREATE DATABASE "`+name+`"`); err != nil {
		return "", nil, errors.Join(fmt.Errorf("the scratch database: %w", err), stop())
	}
	return server.URL(name), func() {
		// Ctrl-C has ended ctx, and the database goes all the same.
		err := localpg.DropDatabase(context.WithoutCancel(ctx), server.URL("postgres"), name)
		if err := errors.Join(err, stop()); err != nil {
			fmt.Fprintln(s.stderr, "tenon: drop the scratch database:", err)
		}
	}, nil
}

// withScratch runs work on a scratch database with that schema public.
func withScratch(ctx context.Context, s surroundings, public string, work func(*plan.Scratch) error) error {
	url, drop, err := scratchURL(ctx, s)
	if err != nil {
		return err
	}
	defer drop()
	scratch, err := plan.OpenScratch(ctx, url, public)
	if err != nil {
		return err
	}
	return errors.Join(work(scratch), scratch.Close())
}

// nameArgument is the one argument that names a migration.
func nameArgument(cmd *cli.Command) (string, error) {
	if cmd.Args().Len() != 1 {
		return "", usageError("%s wants the migration's name, such as add_phone; see `%s --help`", cmd.FullName(), cmd.FullName())
	}
	return cmd.Args().First(), nil
}

func diffCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "plan the migration that leads to migrations/schema/*.sql",
		ArgsUsage: "NAME",
		Description: "Change migrations/schema/tenant.sql or public.sql first. Atlas compares it with what the versioned migrations build,\n" +
			"writes what is missing as VERSION_NAME.up.sql with its reverse beside it, and brings atlas.sum up to date.\n" +
			"Atlas' library does not see views, functions and triggers; write those by hand, see `tenon migrate new`.",
		Flags:        authorFlags(),
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name, err := nameArgument(cmd)
			if err != nil {
				return err
			}
			targets, err := openTargets(cmd.String("dir"), authorTargets...)
			if err != nil {
				return err
			}
			return withScratch(ctx, s, targets[0].desired, func(scratch *plan.Scratch) error {
				written := 0
				for _, t := range targets {
					files, err := plan.Diff(ctx, scratch, t.dir, t.desired, name)
					if errors.Is(err, plan.ErrName) {
						return usageError("%v", err)
					}
					if err != nil {
						return fmt.Errorf("%s: %w", t.name, err)
					}
					for _, file := range files {
						fmt.Fprintln(s.stdout, filepath.Join(t.path, file))
					}
					written += len(files)
				}
				if written == 0 {
					fmt.Fprintln(s.stderr, "Nothing to plan: the migrations lead to the desired schemas already.")
				}
				return nil
			})
		},
	}
}

// targetFlag chooses one of the two directories.
func targetFlag() cli.Flag {
	return &cli.StringFlag{Name: "target", Value: "tenant", Usage: "the schema that it is for, `public or tenant`", Validator: func(target string) error {
		for _, known := range authorTargets {
			if target == known {
				return nil
			}
		}
		return errors.New("want public or tenant")
	}}
}

func newMigrationCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:         "new",
		Usage:        "write an empty migration, to be filled by hand",
		ArgsUsage:    "NAME",
		Description:  "For what Atlas does not plan: views, functions, triggers, data. Fill both files, then run `tenon migrate hash`.",
		Flags:        append(authorFlags(), targetFlag()),
		OnUsageError: onUsageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			name, err := nameArgument(cmd)
			if err != nil {
				return err
			}
			targets, err := openTargets(cmd.String("dir"), cmd.String("target"))
			if err != nil {
				return err
			}
			paths, err := targets[0].dir.New(name)
			if errors.Is(err, plan.ErrName) {
				return usageError("%v", err)
			}
			for _, path := range paths {
				fmt.Fprintln(s.stdout, path)
			}
			return err
		},
	}
}

func hashCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "hash",
		Usage: "write atlas.sum anew, after migrations were written or edited by hand",
		Description: "A migration that was applied anywhere must stay as it is: databases remember its hash, and refuse another file\n" +
			"of the same name.",
		Flags:        authorFlags(),
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			targets, err := openTargets(cmd.String("dir"), authorTargets...)
			if err != nil {
				return err
			}
			for _, t := range targets {
				if err := t.dir.Hash(); err != nil {
					return err
				}
				fmt.Fprintln(s.stdout, filepath.Join(t.path, "atlas.sum"))
			}
			return nil
		},
	}
}

func lintCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "lint",
		Usage: "look for what migrations destroy, depend on or break",
		Description: "Reports what is destructive, what depends on the data it meets, and what breaks the application that is running\n" +
			"meanwhile, a finding a line. Exit code: 1 when there is any.",
		Flags: append(authorFlags(),
			&cli.IntFlag{Name: "latest", Value: 1, Usage: "look at the newest `N` files of each directory; 0 for all of them"},
			&cli.BoolFlag{Name: "concurrently", Usage: "report indexes on existing tables that are made without CONCURRENTLY"},
		),
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			targets, err := openTargets(cmd.String("dir"), authorTargets...)
			if err != nil {
				return err
			}
			return withScratch(ctx, s, targets[0].desired, func(scratch *plan.Scratch) error {
				found := 0
				for _, t := range targets {
					findings, err := plan.Lint(ctx, scratch, t.dir, plan.LintOptions{Latest: cmd.Int("latest"), Concurrently: cmd.Bool("concurrently")})
					if err != nil {
						return fmt.Errorf("%s: %w", t.name, err)
					}
					for _, finding := range findings {
						fmt.Fprintln(s.stdout, filepath.Join(t.path, finding.String()))
					}
					found += len(findings)
				}
				if found > 0 {
					return cli.Exit(fmt.Sprintf("%d findings", found), exitFailed)
				}
				fmt.Fprintln(s.stderr, "No findings.")
				return nil
			})
		},
	}
}

func validateCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "validate",
		Usage: "check that atlas.sum fits, and that the migrations lead to the desired schemas",
		Description: "What the migrations build is compared with what migrations/schema/*.sql builds by fingerprint, so views, functions\n" +
			"and triggers count as well.",
		Flags:        authorFlags(),
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			targets, err := openTargets(cmd.String("dir"), authorTargets...)
			if err != nil {
				return err
			}
			url, drop, err := scratchURL(ctx, s)
			if err != nil {
				return err
			}
			defer drop()
			db, err := openOperatorPool(url, 0)
			if err != nil {
				return err
			}
			defer db.Close()
			for _, t := range targets {
				loaded, err := migrate.Load(os.DirFS(t.path))
				if err == nil {
					err = migrate.Verify(ctx, db, loaded, t.desired)
				}
				if err == nil && t.name == "public" { // which the tenants' triggers call
					_, err = migrate.New(db, loaded, &migrate.Directory{}).Up(ctx, migrate.Options{})
				}
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				fmt.Fprintf(s.stderr, "%s: version %s is what %s says.\n", t.path, loaded.Latest(), t.desiredPath)
			}
			return nil
		},
	}
}
