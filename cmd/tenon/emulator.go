package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/httpserver"
)

func emulatorCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "clerk-emulator",
		Usage: "run the emulator of Clerk alone, for an application of any kind",
		Description: "Serves Clerk's Frontend API, its forms and a console at /__clerk of --addr, and everything else there from --app, so\n" +
			"that cookies are the application's own as with Clerk's proxy. The Backend API has an address of its own. What an\n" +
			"application has to be configured with is printed. It listens on this machine alone, since anybody can sign in as anybody.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Value: "localhost:4000", Usage: "loopback `HOST:PORT` that browsers open; port 0 picks a free one"},
			&cli.StringFlag{Name: "api-addr", Value: "127.0.0.1:0", Usage: "loopback `HOST:PORT` of the Backend API"},
			&cli.StringFlag{Name: "app", Usage: "`URL` of the application on this machine, such as http://localhost:3000"},
			&cli.StringFlag{Name: "webhook", Usage: "`URL` of the application's webhook endpoint on this machine; without one events are only recorded"},
			&cli.StringFlag{Name: "state", Usage: "keep everything in `FILE` over restarts, keys included", TakesFile: true},
			&cli.StringSliceFlag{Name: "role", Usage: "have a role `KEY` such as org:editor beside org:admin and org:member; may be repeated"},
			&cli.StringFlag{Name: "clerk-js", Usage: "serve ClerkJS from the node_modules folder `DIR`", TakesFile: true},
			&cli.BoolFlag{Name: "development", Usage: "be a development instance: keys start with pk_test_"},
			&cli.BoolFlag{Name: "json", Usage: "print one line of JSON on standard output once ready, for programs"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			ctx, cancel := withParent(ctx)
			defer cancel()
			return runEmulator(ctx, s, cmd)
		},
	}
}

// emulatorLine is what --json prints.
type emulatorLine struct {
	URL            string `json:"url"`
	APIURL         string `json:"clerk_api_url"`
	ProxyURL       string `json:"clerk_proxy_url"`
	PublishableKey string `json:"clerk_publishable_key"`
	SecretKey      string `json:"clerk_secret_key"`
	WebhookURL     string `json:"webhook_url"`
	WebhookSecret  string `json:"webhook_secret"`
}

func runEmulator(ctx context.Context, s surroundings, cmd *cli.Command) (err error) {
	logger, err := devLogger(s)
	if err != nil {
		return err
	}
	application, err := applicationProxy(cmd.String("app"))
	if err != nil {
		return err
	}
	listeners, err := listenLoopback(cmd.String("addr"))
	if err != nil {
		return err
	}
	backends, err := listenLoopback(cmd.String("api-addr"))
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	publicURL := &url.URL{Scheme: "http", Host: publicHost(cmd.String("addr"), listeners[0])}
	var roles []clerkdev.Role
	for _, key := range cmd.StringSlice("role") {
		roles = append(roles, clerkdev.Role{Key: key, Name: strings.TrimPrefix(key, "org:")})
	}
	emulator, err := clerkdev.New(clerkdev.Config{
		PublicURL: publicURL.String(), WebhookURL: cmd.String("webhook"), StateFile: cmd.String("state"), Roles: roles,
		Development: cmd.Bool("development"), Scripts: cmd.String("clerk-js"), Logger: logger,
	})
	if err != nil {
		return errors.Join(cli.Exit(err.Error(), exitUsage), closeAll(listeners), closeAll(backends))
	}
	ready := emulatorLine{
		URL: publicURL.String(), APIURL: "http://" + publicHost(cmd.String("api-addr"), backends[0]), ProxyURL: emulator.Issuer(),
		PublishableKey: emulator.PublishableKey(), SecretKey: emulator.SecretKey(),
		WebhookURL: cmd.String("webhook"), WebhookSecret: emulator.WebhookSecret(),
	}
	handler := http.NewServeMux()
	handler.Handle("/__clerk/", emulator.Frontend())
	handler.Handle("/", application)

	running, ctx := errgroup.WithContext(ctx)
	serveConfig := httpserver.ServeConfig{ShutdownTimeout: devShutdown, Logger: logger}
	running.Go(func() error { return httpserver.Serve(ctx, emulator.Backend(), serveConfig, backends...) })
	running.Go(func() error { return httpserver.Serve(ctx, handler, serveConfig, listeners...) })
	running.Go(func() error { return emulator.Run(ctx) })
	running.Go(func() error { return ready.print(s, cmd.Bool("json")) })
	if err := running.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func closeAll(listeners []net.Listener) (err error) {
	for _, listener := range listeners {
		err = errors.Join(err, listener.Close())
	}
	return err
}

// applicationProxy forwards to the application as the browser's request came, Host
// included; without one it leads to the emulator's own pages.
func applicationProxy(app string) (http.Handler, error) {
	if app == "" {
		return http.RedirectHandler("/__clerk/", http.StatusSeeOther), nil
	}
	target, err := url.Parse(app)
	if err != nil || target.Scheme != "http" || !isLoopbackHost(target.Hostname()) || target.Path != "" && target.Path != "/" || target.RawQuery != "" {
		return nil, usageError("--app: want the origin of an application on this machine, such as http://localhost:3000")
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}, nil
}

func isLoopbackHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// print says what to configure an application with.
func (l emulatorLine) print(s surroundings, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(s.stdout).Encode(l)
	}
	webhook := l.WebhookURL
	if webhook == "" {
		webhook = "nowhere; --webhook names an endpoint"
	}
	_, err := fmt.Fprintf(s.stdout, `
  The emulator of Clerk is ready

  Open       %s
  Console    %s/

  CLERK_API_URL=%s
  CLERK_PROXY_URL=%s
  CLERK_PUBLISHABLE_KEY=%s
  CLERK_SECRET_KEY=%s
  CLERK_WEBHOOK_SECRET=%s

  Webhooks go to %s. Ctrl-C stops it.

`, l.URL, l.ProxyURL, l.APIURL, l.ProxyURL, l.PublishableKey, l.SecretKey, l.WebhookSecret, webhook)
	return err
}
