package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenonhq/tenon/platform/localpg"
)

// devDatabase is the database of `tenon dev`, and where the emulator keeps what
// belongs to it.
type devDatabase struct {
	url       string
	stateFile string
	stop      func() error
}

// The database's name on a server of our own, and the login that owns it: as in
// production, one that may make roles and is no superuser.
const (
	localDatabase = "tenon"
	localLogin    = "tenon_app"
)

// stopTimeout bounds PostgreSQL's clean shutdown, which takes a tenth of a second, and
// several on a machine with much else to do; it recovers from any other.
const stopTimeout = 5 * time.Second

func openDevDatabase(ctx context.Context, s surroundings, options devOptions, logger *slog.Logger) (*devDatabase, error) {
	given := variable(s.environ, "DATABASE_URL")
	switch {
	case given != "" && options.reset:
		return nil, usageError("--reset: DATABASE_URL is set, and a database of yours is never deleted from here; unset it, or empty the database yourself")
	case given != "" && options.data != "":
		return nil, usageError("--data: DATABASE_URL is set, so there is no data folder; give one or the other")
	case given != "":
		return givenDatabase(given)
	}
	cfg := localpg.Config{DataDir: options.data, Exclusive: true, Logger: logger}
	if options.reset {
		if err := localpg.Reset(cfg); err != nil {
			return nil, explainInUse(err)
		}
	}
	server, err := startLocal(ctx, cfg)
	if err != nil {
		return nil, explainInUse(err)
	}
	database := &devDatabase{
		stateFile: filepath.Join(server.DataDir(), "clerk.json"),
		stop: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			defer cancel()
			return server.Stop(ctx)
		},
	}
	if options.reset {
		if err := os.Remove(database.stateFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, database.stop())
		}
	}
	if database.url, err = createDatabase(ctx, server); err != nil {
		return nil, errors.Join(err, database.stop())
	}
	return database, nil
}

// givenDatabase is the server that DATABASE_URL names. The emulator's state is
// kept apart for each of them, and for no longer than the cache folder is.
func givenDatabase(databaseURL string) (*devDatabase, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no cache folder to keep the emulator's state in: %w", err)
	}
	folder := filepath.Join(cache, "tenon")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(databaseURL))
	return &devDatabase{
		url:       databaseURL,
		stateFile: filepath.Join(folder, "clerk-"+hex.EncodeToString(digest[:6])+".json"),
		stop:      func() error { return nil },
	}, nil
}

// startLocal starts the server, and waits for one whose program was killed a
// moment ago to be gone.
func startLocal(ctx context.Context, cfg localpg.Config) (*localpg.Server, error) {
	const patience = 5 * time.Second
	deadline := time.Now().Add(patience)
	for {
		server, err := localpg.Start(ctx, cfg)
		if !errors.Is(err, localpg.ErrInUse) || time.Now().After(deadline) {
			return server, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func explainInUse(err error) error {
	if errors.Is(err, localpg.ErrInUse) {
		return fmt.Errorf("%w: another `tenon dev` runs; stop it, or give this one a folder of its own by --data", err)
	}
	return err
}

// createDatabase makes the application's database and login on a server of our own
// when they are not there yet, and returns the URL.
func createDatabase(ctx context.Context, server *localpg.Server) (string, error) {
	address, err := url.Parse(server.URL(localDatabase))
	if err != nil {
		return "", err
	}
	password, _ := address.User.Password()
	if err := makeDatabase(ctx, server, password); err != nil {
		return "", fmt.Errorf("create the database on local PostgreSQL: %w", err)
	}
	address.User = url.UserPassword(localLogin, password)
	return address.String(), nil
}

func makeDatabase(ctx context.Context, server *localpg.Server, password string) error {
	if err := localpg.CreateDatabase(ctx, server.URL("postgres"), localDatabase, localLogin, password); err != nil {
		return err
	}
	conn, err := pgconn.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.Exec(ctx, "SELECT datdba = '"+localLogin+"'::regrole FROM pg_database WHERE datname = '"+localDatabase+"'").ReadAll()
	if err != nil || string(results[0].Rows[0][0]) == "t" {
		return err
	}
	// The superuser made it, before there was a login for the application.
	if err := handOver(ctx, server.URL(localDatabase)); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+localDatabase+" OWNER TO "+localLogin).ReadAll()
	return err
}

// handOver makes the application's login the owner of everything in the database.
func handOver(ctx context.Context, databaseURL string) error {
	conn, err := pgconn.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, `DO $$ DECLARE statement text; BEGIN
		FOR statement IN
			SELECT format('ALTER SCHEMA %I OWNER TO `+localLogin+`', nspname) FROM pg_namespace WHERE nspname LIKE 'tenant\_%'
			UNION ALL
			SELECT format('ALTER TABLE %I.%I OWNER TO `+localLogin+`', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE (n.nspname = 'public' OR n.nspname LIKE 'tenant\_%') AND c.relkind IN ('r', 'p', 'v', 'm')
			UNION ALL
			SELECT format('ALTER ROUTINE %s OWNER TO `+localLogin+`', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
			WHERE n.nspname = 'public' OR n.nspname LIKE 'tenant\_%'
		LOOP EXECUTE statement; END LOOP;
	END $$`).ReadAll()
	return err
}

// isAddressInUse reports whether another program listens already.
func isAddressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
