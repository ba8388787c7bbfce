package localpgtest

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg"
)

// childVariable makes TestChild another package's test for the tests here.
const childVariable = "LOCALPGTEST_TEST_CHILD"

func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("the tests here run this one in a process of its own")
	}
	os.Stdout.WriteString(NewDatabase(t) + "\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestProcessesDoNotShareAServer(t *testing.T) {
	t.Parallel()
	own, err := url.Parse(NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"=1", "TEST_DATABASE_URL=")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	output := bufio.NewReader(stdout)
	line, err := output.ReadString('\n')
	other, parseErr := url.Parse(strings.TrimSpace(line))
	if err != nil || parseErr != nil || other.Port() == "" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	if other.Host == own.Host {
		t.Errorf("two processes share the server on %s", own.Host)
	}
	conn, err := pgx.Connect(t.Context(), other.String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
}

func TestStartOn(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "localpgtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	serve := func() *localpg.Server {
		server, err := startOn(ctx, localpg.Config{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Stop(ctx) })
		return server
	}
	stop := func(server *localpg.Server) {
		if err := server.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	left := func(server *localpg.Server) (names []string) {
		conn, err := pgx.Connect(ctx, server.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		rows, err := conn.Query(ctx, `SELECT datname::text FROM pg_database WHERE datname LIKE 'left%'
			UNION ALL SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'left%'`)
		if err != nil {
			t.Fatal(err)
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return names
	}

	identifier := func(server *localpg.Server) (id string) {
		conn, err := pgx.Connect(ctx, server.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if err := conn.QueryRow(ctx, "SELECT system_identifier::text FROM pg_control_system()").Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}

	server := serve()
	postgres, err := url.Parse(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`CREATE ROLE "left""over"`, `CREATE DATABASE "left""over" OWNER "left""over"`} {
		if err := execute(ctx, postgres, statement); err != nil {
			t.Fatal(err)
		}
	}
	if names := left(server); len(names) != 2 {
		t.Fatalf("made %q", names)
	}
	stop(server)
	server = serve()
	if names := left(server); len(names) != 0 {
		t.Errorf("%q of killed tests are left", names)
	}

	postgres, err = url.Parse(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(ctx, postgres, fmt.Sprintf(`DO $$ BEGIN FOR n IN 0..%d LOOP EXECUTE 'CREATE ROLE left' || n; END LOOP; END $$`, mostSwept)); err != nil {
		t.Fatal(err)
	}
	swept := identifier(server)
	stop(server)
	server = serve()
	if names := left(server); len(names) != 0 || identifier(server) == swept {
		t.Errorf("%d names are left in the cluster that was there before", len(names))
	}
	stop(server)

	if err := os.WriteFile(filepath.Join(dir, "cluster", "global", "pg_control"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	left(serve())
}

func TestServerOfTheEnvironment(t *testing.T) {
	t.Setenv("TEST_DATABASE_URL", "postgres://u:p@db.example.com/app?sslmode=require")
	server, err := serverURL()
	if err != nil || server.Host != "db.example.com" || server.RawQuery != "sslmode=require" {
		t.Errorf("%v, %v", server, err)
	}
	for _, malformed := range []string{"host=localhost password=s3cr3t", "postgres://u:s3cr3t@%zz/"} {
		t.Setenv("TEST_DATABASE_URL", malformed)
		if server, err := serverURL(); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, %v", malformed, server, err)
		}
	}
}
