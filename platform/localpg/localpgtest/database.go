package localpgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg"
)

const (
	prefix = "tenon_test_"
	// maxServers bounds the test processes of one user at one time.
	maxServers = 64
)

// settings give durability up: nothing in a test's database is to be kept.
var settings = map[string]string{
	"fsync":              "off",
	"full_page_writes":   "off",
	"synchronous_commit": "off",
	"max_connections":    "300",
	"shared_buffers":     "64MB",
	"checkpoint_timeout": "1d",
	"max_wal_size":       "512MB",
}

// NewDatabase returns the URL of an empty database that no other test sees. The
// URL's user owns it and may create roles and databases, and is no superuser, as
// in production. The database is dropped, every connection to it closed, and the
// user with the roles it made is gone, when the test ends.
func NewDatabase(t testing.TB) string {
	t.Helper()
	server, err := sharedServer()
	if err != nil {
		t.Fatal(err)
	}
	name, password := prefix+strings.ToLower(rand.Text()), rand.Text()
	identifier := pgx.Identifier{name}.Sanitize()
	if err := localpg.CreateDatabase(t.Context(), server.String(), name, name, password); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := errors.Join(localpg.DropDatabase(ctx, server.String(), name), execute(ctx, server,
			`DO $$ DECLARE made name; BEGIN
				FOR made IN SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = '`+name+`'::regrole LOOP
					EXECUTE format('DROP ROLE IF EXISTS %I', made);
				END LOOP;
			END $$`,
			"DROP ROLE "+identifier))
		if err != nil {
			t.Errorf("drop a test database: %v", err)
		}
	})
	address := *server
	address.User, address.Path = url.UserPassword(name, password), "/"+name
	return address.String()
}

// Superuser returns the URL of a database that [NewDatabase] made, for the server's
// superuser.
func Superuser(t testing.TB, databaseURL string) string {
	t.Helper()
	address, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	server, err := sharedServer()
	if err != nil {
		t.Fatal(err)
	}
	address.User = server.User
	return address.String()
}

var sharedServer = sync.OnceValues(serverURL)

// serverURL returns the URL of the server that the environment names, or else of
// one that it starts.
func serverURL() (*url.URL, error) {
	if address := os.Getenv("TEST_DATABASE_URL"); address != "" {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Host == "" {
			return nil, errors.New("TEST_DATABASE_URL is not a URL like postgres://user:password@host:port/database")
		}
		return parsed, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	return url.Parse(server.URL("postgres"))
}

// startServer starts a server on the first cluster that no other process uses.
func startServer(ctx context.Context) (*localpg.Server, error) {
	for n := range maxServers {
		server, err := startOn(ctx, localpg.Config{Instance: fmt.Sprintf("test-%02d", n)})
		if !errors.Is(err, localpg.ErrInUse) {
			return server, err
		}
	}
	return nil, fmt.Errorf("%d test servers run already", maxServers)
}

// startOn starts a server on a cluster of earlier tests, or on a new one in its
// place when it does not serve, or holds so much that making one is faster than
// sweeping: without fsync a crash of the machine may have damaged it, and a killed
// benchmark leaves a role for each of its ten thousand tenants.
func startOn(ctx context.Context, cfg localpg.Config) (*localpg.Server, error) {
	cfg.Exclusive, cfg.Settings = true, settings
	server, err := localpg.Start(ctx, cfg)
	if err == nil {
		if err = sweep(ctx, server); err == nil {
			return server, nil
		}
		err = errors.Join(err, server.Stop(ctx))
	}
	if errors.Is(err, localpg.ErrInUse) || ctx.Err() != nil {
		return nil, err
	}
	if resetErr := localpg.Reset(cfg); resetErr != nil {
		return nil, errors.Join(err, resetErr)
	}
	return localpg.Start(ctx, cfg)
}

// mostSwept databases, or roles, are dropped in about the time that making a cluster
// takes.
const mostSwept = 200

// sweep drops what the tests of a killed process have left.
func sweep(ctx context.Context, server *localpg.Server) error {
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, left := range []struct{ names, drop string }{
		{"SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')", "DROP DATABASE "},
		// Whom a login granted its memberships goes before the login.
		{"SELECT rolname FROM pg_roles WHERE rolname <> current_user AND rolname NOT LIKE 'pg\\_%' ORDER BY rolcanlogin", "DROP ROLE "},
	} {
		rows, err := conn.Query(ctx, left.names)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(names) > mostSwept {
			return fmt.Errorf("%d are left, of which at most %d are dropped one by one", len(names), mostSwept)
		}
		for _, name := range names {
			if _, err := conn.Exec(ctx, left.drop+pgx.Identifier{name}.Sanitize()); err != nil {
				return err
			}
		}
	}
	return nil
}

func execute(ctx context.Context, server *url.URL, statements ...string) error {
	conn, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
