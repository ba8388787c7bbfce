package localpgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg/internal/process"
	"github.com/tenonhq/tenon/platform/testtool"
)

const (
	bouncerTimeout = 20 * time.Second
	// bouncerPoolSize is far below what tests open at once, so that they share
	// server connections, which is what the pooler is in the test for.
	bouncerPoolSize = 8
)

// NewPgBouncer returns the URL that leads to the same database through a
// PgBouncer in transaction mode, with a pool of 8 server connections. The
// PgBouncer ends with the test. Without the program, [testtool.Path] decides.
func NewPgBouncer(t testing.TB, databaseURL string) string {
	t.Helper()
	program := testtool.Path(t, "pgbouncer")
	account, err := process.Unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir, which other accounts cannot pass through.
	dir, err := os.MkdirTemp("", "pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := account.Own(dir); err != nil {
		t.Fatal(err)
	}
	for range portAttempts {
		address, err := startBouncer(t, account, program, dir, databaseURL)
		if errors.Is(err, errExited) {
			continue // another program was faster on the port
		}
		if err != nil {
			t.Fatalf("start pgbouncer: %v", err)
		}
		return address
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("pgbouncer does not start: %s", log)
	return ""
}

const portAttempts = 5

var errExited = errors.New("exited")

func startBouncer(t testing.TB, account *process.Account, program, dir, databaseURL string) (string, error) {
	address, err := url.Parse(databaseURL)
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	config, err := bouncerConfig(address, port, dir)
	if err != nil {
		return "", err
	}
	password, _ := address.User.Password()
	for name, content := range map[string]string{
		"pgbouncer.ini": config,
		"users":         bouncerQuote(address.User.Username()) + " " + bouncerQuote(password) + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
		if err := account.Own(path); err != nil {
			return "", err
		}
	}
	bouncer, err := process.Start(process.Command(account, program, "--quiet", filepath.Join(dir, "pgbouncer.ini")))
	if err != nil {
		return "", err
	}
	t.Cleanup(func() {
		// SIGINT would wait for clients to finish; whoever still is one has leaked.
		if err := bouncer.Signal(os.Kill); err != nil {
			t.Errorf("stop pgbouncer: %v", err)
		}
		<-bouncer.Done()
	})
	address.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(t.Context(), bouncerTimeout)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, address.String())
		if err == nil {
			return address.String(), conn.Close(ctx)
		}
		select {
		case <-bouncer.Done():
			return "", errExited
		case <-ctx.Done():
			return "", err
		case <-ticker.C:
		}
	}
}

func bouncerConfig(server *url.URL, port int, dir string) (string, error) {
	serverPort := server.Port()
	if serverPort == "" {
		serverPort = "5432"
	}
	name := strings.TrimPrefix(server.Path, "/")
	if name == "" || strings.ContainsAny(name+server.Hostname(), "\"' =\n") {
		return "", fmt.Errorf("pgbouncer's configuration cannot name the database %q on %q", name, server.Hostname())
	}
	return fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=%[3]s dbname=%[1]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[4]d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %[5]s/users
logfile = %[5]s/log
pool_mode = transaction
default_pool_size = %[6]d
max_client_conn = 2000
server_tls_sslmode = prefer
ignore_startup_parameters = extra_float_digits
`, name, server.Hostname(), serverPort, port, dir, bouncerPoolSize), nil
}

// bouncerQuote quotes for auth_file, where only the quote itself is special.
func bouncerQuote(value string) string {
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}
