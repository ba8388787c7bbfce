// Command tenon is the whole product in one binary: the server, the
// development environment, the migrations. `tenon --help` lists what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/platform/origin"
)

// Exit codes of every command.
const (
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // the command line or the configuration is wrong; nothing was tried
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal finds the default action again and ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args, surroundings{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}))
}

// commandOrigin is whoever typed the command. What a server does for others says so
// itself.
func commandOrigin() origin.Origin {
	who, where := "unknown", "unknown"
	if current, err := user.Current(); err == nil {
		who = current.Username
	}
	if name, err := os.Hostname(); err == nil {
		where = name
	}
	return origin.Origin{Kind: origin.Command, Actor: who + "@" + where}
}

// surroundings are what a command is run in.
type surroundings struct {
	environ []string
	stdout  io.Writer // results, for pipes
	stderr  io.Writer // logs, progress and errors, for people
	workers int       // of the command, each of which has to find a connection; 0 for one without
}

// forWorkers are the surroundings of a command with n workers.
func (s surroundings) forWorkers(n int) surroundings {
	s.workers = n
	return s
}

// run executes a command line and returns the process's exit code.
func run(ctx context.Context, args []string, s surroundings) int {
	err := newCommand(s).Run(origin.NewContext(ctx, commandOrigin()), args)
	if err == nil {
		return 0
	}
	if message := err.Error(); message != "" {
		fmt.Fprintln(s.stderr, "tenon:", message)
	}
	if coded, ok := errors.AsType[cli.ExitCoder](err); ok {
		return coded.ExitCode()
	}
	return exitFailed
}

func newCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "tenon",
		Usage: "a multi-tenant SaaS backend where every tenant has a PostgreSQL schema of its own",
		Description: "Start with `tenon dev`: it needs no configuration and runs everything on this machine.\n" +
			"`tenon serve` is for production and takes its configuration from the environment.",
		Commands: []*cli.Command{
			devCommand(s),
			emulatorCommand(s),
			serveCommand(s),
			migrateCommand(s),
			tenantsCommand(s),
			seedCommand(s),
			eventsCommand(s),
			identityCommand(s),
			auditCommand(s),
			healthcheckCommand(s),
			versionCommand(s),
		},
		Writer:         s.stdout,
		ErrWriter:      s.stderr,
		Suggest:        true,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run decides
		OnUsageError:   onUsageError,
		Action:         chooseCommand,
	}
}

// chooseCommand answers a command that was given without one of its own: with
// its help, or a mistake when what was given is none.
func chooseCommand(_ context.Context, cmd *cli.Command) error {
	if cmd.Args().Present() {
		return usageError("there is no command %q; see `%s --help`", cmd.Args().First(), cmd.FullName())
	}
	return cli.ShowSubcommandHelp(cmd)
}

// usageError is a mistake on the command line.
func usageError(format string, args ...any) error {
	return cli.Exit(fmt.Sprintf(format, args...), exitUsage)
}

// onUsageError answers a mistake in one line, with the way to more.
func onUsageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	return usageError("%v; see `%s --help`", err, cmd.FullName())
}

// withoutArguments refuses what a command would otherwise ignore in silence.
func withoutArguments(ctx context.Context, cmd *cli.Command) (context.Context, error) {
	if cmd.Args().Present() {
		return ctx, usageError("%s takes no argument, and was given %q; see `%s --help`", cmd.FullName(), cmd.Args().First(), cmd.FullName())
	}
	return ctx, nil
}
