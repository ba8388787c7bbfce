package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/urfave/cli/v3"
)

// healthTimeout is how long an instance may take to say that it is well.
const healthTimeout = 3 * time.Second

func healthcheckCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "healthcheck",
		Usage: "ask the instance on this machine whether it is well",
		Description: "Asks /healthz on LISTEN_ADDR, for containers that have no other program to ask with. With --ready it asks\n" +
			"/readyz, which also wants the database and its migrations, and prints the answer.",
		Flags:        []cli.Flag{&cli.BoolFlag{Name: "ready", Usage: "ask whether it can serve, rather than whether it runs"}},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			path := "/healthz"
			if cmd.Bool("ready") {
				path = "/readyz"
			}
			return checkHealth(ctx, s, path)
		},
	}
}

func checkHealth(ctx context.Context, s surroundings, path string) error {
	host, port, err := net.SplitHostPort(cmp.Or(variable(s.environ, "LISTEN_ADDR"), ":8080"))
	if err != nil {
		return usageError("LISTEN_ADDR is not valid; want host:port, or :port for every interface")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return usageError("LISTEN_ADDR is not valid; want host:port, or :port for every interface")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return cli.Exit(fmt.Sprintf("nobody answers: %v", err), exitFailed)
	}
	defer response.Body.Close()
	body := make([]byte, 1<<10)
	n, _ := response.Body.Read(body) // what came with the status is enough
	if response.StatusCode != http.StatusOK {
		return cli.Exit(fmt.Sprintf("%s: %d %s", path, response.StatusCode, body[:n]), exitFailed)
	}
	_, err = s.stdout.Write(body[:n])
	return err
}
