package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/telemetry"
)

func devCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "dev",
		Usage: "run everything on this machine, without any configuration",
		Description: "Starts PostgreSQL, an emulator of Clerk and the application, seeds two demo organizations, and prints where\n" +
			"to go and whom to sign in as. Everything listens on this machine alone, and Ctrl-C stops all of it.\n" +
			"What you do is kept in a folder of your own until --reset.\n\n" +
			"With DATABASE_URL set, that server is used instead of one of its own. LOG_LEVEL and the other optional\n" +
			"variables of `tenon serve` work here too.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Value: "localhost:3000", Usage: "loopback `HOST:PORT` to serve on; port 0 picks a free one"},
			&cli.StringFlag{Name: "data", Usage: "keep PostgreSQL's data in `DIR` instead of the cache folder", TakesFile: true},
			&cli.BoolFlag{Name: "reset", Usage: "delete the data first and start over"},
			&cli.BoolFlag{Name: "no-seed", Usage: "start without the demo organizations"},
			&cli.StringFlag{Name: "clerk-js", Usage: "show ClerkJS' components of the node_modules folder `DIR` instead of the emulator's own forms", TakesFile: true},
			&cli.BoolFlag{Name: "json", Usage: "print one line of JSON on standard output once ready, for programs"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			ctx, cancel := withParent(ctx)
			defer cancel()
			return runDev(ctx, s, devOptions{
				addr:  cmd.String("addr"),
				data:  cmd.String("data"),
				reset: cmd.Bool("reset"),
				seed:  !cmd.Bool("no-seed"),
				json:  cmd.Bool("json"),

				clerkJS: cmd.String("clerk-js"),
			})
		},
	}
}

type devOptions struct {
	addr, data        string
	reset, seed, json bool
	clerkJS           string // node_modules with ClerkJS; "" for the emulator's forms
}

// readyLine is what --json prints.
type readyLine struct {
	URL            string `json:"url"`
	ClerkAPIURL    string `json:"clerk_api_url"`
	ClerkSecretKey string `json:"clerk_secret_key"`
	WebhookURL     string `json:"webhook_url"`
	WebhookSecret  string `json:"webhook_secret"`
	DatabaseURL    string `json:"database_url"`
	MetricsURL     string `json:"metrics_url"`
}

func runDev(ctx context.Context, s surroundings, options devOptions) (err error) {
	began := time.Now()
	logger, err := devLogger(s)
	if err != nil {
		return err
	}
	listeners, err := listenLoopback(options.addr)
	if err != nil {
		return err
	}
	publicURL := &url.URL{Scheme: "http", Host: publicHost(options.addr, listeners[0])}
	defer func() {
		for _, listener := range listeners {
			_ = listener.Close() // closed already after serving
		}
	}()

	database, err := openDevDatabase(ctx, s, options, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop()) }()

	// Browsers know every name below localhost, and the system's resolver few.
	reached := *publicURL
	if strings.HasSuffix(publicURL.Hostname(), ".localhost") {
		reached.Host = listeners[0].Addr().String()
	}
	webhookURL := reached.JoinPath(webhookPath).String()
	emulator, err := clerkdev.New(clerkdev.Config{
		PublicURL: publicURL.String(), TenantDomain: variable(s.environ, "TENANT_DOMAIN"), WebhookURL: webhookURL, StateFile: database.stateFile, Scripts: options.clerkJS, Logger: logger,
		Roles: []clerkdev.Role{viewerRole},
	})
	if err != nil {
		return err
	}
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready := readyLine{
		URL:            publicURL.String(),
		ClerkAPIURL:    "http://" + backend.Addr().String(),
		ClerkSecretKey: emulator.SecretKey(),
		WebhookURL:     webhookURL,
		WebhookSecret:  emulator.WebhookSecret(),
		DatabaseURL:    database.url,
	}
	scripts := ""
	if options.clerkJS != "" {
		scripts = emulator.Issuer() + "/npm"
	}
	c, err := config.Load(devEnvironment(s.environ, ready, emulator, scripts))
	if err != nil {
		return errors.Join(cli.Exit(err.Error(), exitUsage), backend.Close())
	}

	app, err := newApplication(c, logger)
	if err != nil {
		return errors.Join(err, backend.Close())
	}
	if err := app.listenInternal(); err != nil {
		return errors.Join(err, app.close(), backend.Close())
	}
	ready.MetricsURL = "http://" + app.internal.Addr().String() + "/metrics"
	if err := app.migrate(ctx, s.stderr); err != nil {
		return errors.Join(err, app.close(), backend.Close(), app.internal.Close())
	}

	// The application is served from its own origin and the emulator's pages
	// from the same one, so that cookies are first-party, as with Clerk's proxy.
	handler := http.NewServeMux()
	handler.Handle("/__clerk/", emulator.Frontend())
	handler.Handle("/", app.router)

	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error {
		return httpserver.Serve(ctx, emulator.Backend(), httpserver.ServeConfig{ShutdownTimeout: devShutdown, Logger: logger}, backend)
	})
	running.Go(func() error { return emulator.Run(ctx) })
	running.Go(func() error { return app.serve(ctx, handler, listeners...) })
	running.Go(func() error {
		if options.seed {
			demo := ready
			demo.URL = reached.String()
			if err := seedDemo(ctx, demo); err != nil {
				return fmt.Errorf("seed the demo organizations: %w", err)
			}
		}
		return announce(s, options, ready, time.Since(began))
	})
	if err := running.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // being told to stop is no failure, whatever was under way
}

// viewerRole is the one that Tenon needs and no instance of Clerk brings along.
var viewerRole = clerkdev.Role{Key: "org:viewer", Name: "Viewer"}

// devShutdown is how long running requests may take after Ctrl-C.
const devShutdown = time.Second

// devEnvironment is environ with what the local parts decide, so that the
// configuration goes through the same door as in production.
func devEnvironment(environ []string, ready readyLine, emulator *clerkdev.Emulator, scripts string) []string {
	decided := map[string]string{
		"PUBLIC_URL":                    ready.URL,
		"DATABASE_URL":                  ready.DatabaseURL,
		"DATABASE_DIRECT_URL":           "",
		"CLERK_SECRET_KEY":              ready.ClerkSecretKey,
		"CLERK_PUBLISHABLE_KEY":         emulator.PublishableKey(),
		"CLERK_WEBHOOK_SECRET":          ready.WebhookSecret,
		"CLERK_WEBHOOK_SECRET_PREVIOUS": "",
		"CLERK_API_URL":                 ready.ClerkAPIURL,
		"CLERK_PROXY_URL":               emulator.Issuer(),
		"CLERK_JS_URL":                  scripts,
		"CLERK_AUTHORIZED_PARTIES":      "",
		"LISTEN_ADDR":                   "",
		"SHUTDOWN_DELAY":                "",
		"SHUTDOWN_TIMEOUT":              devShutdown.String(),
	}
	result := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := decided[name]
		return replaced
	})
	if variable(environ, "SERVER_TIMING") == "" {
		decided["SERVER_TIMING"] = "true"
	}
	if variable(environ, "METRICS_ADDR") == "" {
		decided["METRICS_ADDR"] = "127.0.0.1:0"
	}
	if variable(environ, "OPERATORS") == "" {
		decided["OPERATORS"] = demo[0].people[0].email
	}
	// Everybody here has one address, and tests are fast.
	for _, name := range []string{"RATE_LIMIT_ADDRESS", "RATE_LIMIT_SIGN_IN", "RATE_LIMIT_WEBHOOK", "RATE_LIMIT_PERSON", "RATE_LIMIT_KEY", "RATE_LIMIT_TENANT"} {
		if variable(environ, name) == "" {
			decided[name] = "0"
		}
	}
	for name, value := range decided {
		result = append(result, name+"="+value)
	}
	return result
}

// devLogger logs as text unless LOG_FORMAT says otherwise.
func devLogger(s surroundings) (*slog.Logger, error) {
	format, level := variable(s.environ, "LOG_FORMAT"), slog.LevelWarn
	if text := variable(s.environ, "LOG_LEVEL"); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return nil, usageError("LOG_LEVEL is not valid; want debug, info, warn or error")
		}
	}
	logger, err := telemetry.NewLogger(s.stderr, cmp.Or(format, "text"), level, httpserver.LogAttrs)
	if err != nil {
		return nil, usageError("LOG_FORMAT is not valid; want json or text")
	}
	return logger, nil
}

// variable returns the value of an environment variable, "" when it is not set.
func variable(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// listenLoopback listens on a loopback address; "localhost" on all that this
// machine has, since a browser may try any of them first.
func listenLoopback(addr string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, usageError("--addr: want HOST:PORT, such as localhost:3000")
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return nil, usageError("--addr: the port is not valid; want 0 to 65535")
	}
	ip := net.ParseIP(host)
	isName := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if !isName && (ip == nil || !ip.IsLoopback()) {
		return nil, usageError("--addr: the development server lets anybody sign in as anybody, so it listens on a loopback address alone, such as localhost:3000")
	}
	if !isName {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, cli.Exit(fmt.Sprintf("--addr: %v", err), exitFailed)
		}
		return []net.Listener{listener}, nil
	}
	const attempts = 5 // a port that is free for IPv4 may be taken for IPv6
	for attempt := 1; ; attempt++ {
		listeners, err := listenBoth(port)
		if err == nil {
			return listeners, nil
		}
		if port != "0" || attempt == attempts || !isAddressInUse(err) {
			return nil, cli.Exit(fmt.Sprintf("--addr: %v", err), exitFailed)
		}
	}
}

// listenBoth listens on a port of 127.0.0.1 and, where the machine has IPv6, on
// the same of ::1.
func listenBoth(port string) ([]net.Listener, error) {
	first, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, err
	}
	_, port, err = net.SplitHostPort(first.Addr().String())
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	second, err := net.Listen("tcp6", net.JoinHostPort("::1", port))
	switch {
	case err == nil:
		return []net.Listener{first, second}, nil
	case isAddressInUse(err):
		return nil, errors.Join(err, first.Close())
	default: // no IPv6 here
		return []net.Listener{first}, nil
	}
}

// publicHost is the host that was asked for with the port that it became, as browsers
// spell it.
func publicHost(addr string, listener net.Listener) string {
	host, _, _ := net.SplitHostPort(addr)                     // checked by listenLoopback
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // made by net
	return strings.TrimSuffix(net.JoinHostPort(host, port), ":80")
}

// announce says that everything runs.
func announce(s surroundings, options devOptions, ready readyLine, took time.Duration) error {
	if options.json {
		return json.NewEncoder(s.stdout).Encode(ready)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n  Tenon is ready (%.1f s)\n\n  Open       %s\n", took.Seconds(), ready.URL)
	if options.seed {
		text.WriteString("  Sign in    as anybody below; the sign-in page lists them, and no password is asked\n\n")
		for _, organization := range demo {
			for _, person := range organization.people {
				fmt.Fprintf(&text, "             %-28s %-7s of %s\n", person.email, person.role, organization.name)
			}
		}
		fmt.Fprintf(&text, "\n  Operators  %s/admin/fleet, as %s\n", ready.URL, demo[0].people[0].email)
	}
	fmt.Fprintf(&text, "  Database   %s\n  Clerk      %s (emulated; secret key %s)\n  Metrics    %s\n\n  Ctrl-C stops everything. What you do is kept until `tenon dev --reset`.\n\n",
		ready.DatabaseURL, ready.ClerkAPIURL, ready.ClerkSecretKey, ready.MetricsURL)
	_, err := io.WriteString(s.stdout, text.String())
	return err
}

// withParent ends ctx when the program that `go run` was started as is gone:
// killed, `go run` leaves behind what it runs.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	executable, err := os.Executable()
	if err != nil || !strings.Contains(executable, string(filepath.Separator)+"go-build") {
		return ctx, cancel
	}
	parent := os.Getppid()
	go func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if os.Getppid() != parent {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}
