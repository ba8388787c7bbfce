package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/telemetry"
)

func serveCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the application on configuration from the environment",
		Description: "Every variable is listed in .env.example and in the README. Whatever is missing or malformed is named at\n" +
			"once, before anything starts. Run `tenon migrate up` first: until the database is migrated, /readyz says no.",
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, _ *cli.Command) error {
			c, logger, err := configure(s)
			if err != nil {
				return err
			}
			listener, err := net.Listen("tcp", c.ListenAddr)
			if err != nil {
				return cli.Exit(fmt.Sprintf("LISTEN_ADDR: %v", err), exitUsage)
			}
			app, err := newApplication(c, logger)
			if err != nil {
				return errors.Join(err, listener.Close())
			}
			if err := app.listenInternal(); err != nil {
				return errors.Join(err, app.close(), listener.Close())
			}
			logger.InfoContext(ctx, "serving", "addr", listener.Addr().String(), "public_url", c.PublicURL.String(), "version", version())
			return app.serve(ctx, app.router, listener)
		},
	}
}

// configure reads the environment and makes the logger that it asks for.
func configure(s surroundings) (config.Config, *slog.Logger, error) {
	c, err := config.Load(s.environ)
	if err != nil {
		return config.Config{}, nil, cli.Exit(err.Error(), exitUsage)
	}
	logger, err := telemetry.NewLogger(s.stderr, c.LogFormat, c.LogLevel, httpserver.LogAttrs)
	if err != nil {
		return config.Config{}, nil, err
	}
	return c, logger, nil
}
