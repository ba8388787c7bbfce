package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenonhq/tenon/platform/localpg/internal/process"
)

const (
	// superuser is the cluster's one login role.
	superuser = "tenon"
	// startTimeout bounds a start, crash recovery and a first initdb included.
	startTimeout = time.Minute
	pollInterval = 5 * time.Millisecond
	// portAttempts bounds the races for a free port that a start may lose.
	portAttempts = 5
)

// Config says which server to run. The zero value is a development server on
// the default data folder and a free port.
type Config struct {
	// DataDir is the data folder: one that does not exist, is empty, or was
	// made by an earlier Start. Empty means a folder in the user's cache folder,
	// keyed by PostgreSQL's major version.
	DataDir string
	// Instance tells default data folders apart. It has no effect on a DataDir.
	Instance string
	// Port on 127.0.0.1; 0 picks a free one. A server that runs already keeps
	// its own.
	Port int
	// Exclusive makes a server that runs already on the folder [ErrInUse]
	// instead of joining it.
	Exclusive bool
	// Settings are server parameters that take precedence over the
	// development settings.
	Settings map[string]string
	// Logger hears what is started, joined, downloaded. Nil means silence.
	Logger *slog.Logger
}

func (cfg Config) logger() *slog.Logger {
	if cfg.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return cfg.Logger
}

// developmentSettings differ from PostgreSQL's own. The package comment says
// what synchronous_commit costs.
var developmentSettings = map[string]string{
	"listen_addresses":          "127.0.0.1",
	"unix_socket_directories":   "",
	"password_encryption":       "scram-sha-256",
	"logging_collector":         "off",
	"log_timezone":              "UTC",
	"timezone":                  "UTC",
	"synchronous_commit":        "off",
	"max_connections":           "100",
	"max_locks_per_transaction": "256", // a transaction may touch a few thousand tenants' tables
	"jit":                       "off", // compiling costs more than it saves on small tables
	"wal_level":                 "minimal",
	"max_wal_senders":           "0",
}

// Server is a PostgreSQL server that accepts connections.
type Server struct {
	folder   folder
	port     int
	password string
	version  string
	process  *process.Process // nil when another program started the server
}

// Start makes the data folder when there is none and returns once its server
// accepts connections: a server that another program runs on the same folder, or
// one of its own. The server does not end with ctx, which bounds the start
// alone, but with [Server.Stop] or this program.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	server, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start local PostgreSQL: %w", err)
	}
	return server, nil
}

func start(ctx context.Context, cfg Config) (*Server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	if cfg.Port < 0 || cfg.Port > 65535 {
		return nil, fmt.Errorf("%d is not a port", cfg.Port)
	}
	programs, err := findBinaries(ctx, cfg.logger())
	if err != nil {
		return nil, err
	}
	path, err := cfg.dataDir(programs.major)
	if err != nil {
		return nil, err
	}
	f, err := openFolder(path)
	if err != nil {
		return nil, explain(err)
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		lock, err := f.tryLock()
		switch {
		case err == nil:
			// The server inherits the lock; this program's part in it ends here.
			defer lock.Close()
			return f.run(ctx, cfg, programs, lock)
		case !errors.Is(err, ErrInUse) || cfg.Exclusive:
			return nil, explain(err)
		}
		if server, ok := f.join(ctx); ok {
			cfg.logger().InfoContext(ctx, "joined a running PostgreSQL", "version", server.version, "port", server.port, "data", f.path)
			return server, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w, but does not answer: %w", err, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// join connects to the server that holds the folder's lock, if it is ready.
func (f folder) join(ctx context.Context) (*Server, bool) {
	status, err := f.readStatus()
	if err != nil || !status.ready {
		return nil, false
	}
	password, err := f.readPassword()
	if err != nil {
		return nil, false
	}
	server := &Server{folder: f, port: status.port, password: password}
	// The file may be what a server that crashed has left, and the port another
	// server's by now.
	if err := server.identify(ctx); err != nil {
		return nil, false
	}
	return server, true
}

// run makes the cluster when there is none and starts its server. The caller
// holds the lock.
func (f folder) run(ctx context.Context, cfg Config, programs binaries, lock *os.File) (*Server, error) {
	if err := f.account.Reaches(programs.dir); err != nil {
		return nil, err
	}
	major, err := f.clusterMajor()
	if err != nil {
		return nil, err
	}
	switch major {
	case programs.major:
	case 0:
		cfg.logger().InfoContext(ctx, "making a PostgreSQL cluster", "version", programs.version, "data", f.path)
		if err := f.initialize(ctx, programs, lock); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("the data folder %s was made by PostgreSQL %d, and %s holds PostgreSQL %d: set TENON_POSTGRES_BIN to the folder of version %d, name another data folder, or reset this one", f.path, major, programs.dir, programs.major, major)
	}
	password, err := f.readPassword()
	if err != nil {
		return nil, err
	}
	if err := f.removeStaleStatus(); err != nil {
		return nil, err
	}
	server := &Server{folder: f, password: password}
	for attempt := 1; ; attempt++ {
		if server.port = cfg.Port; server.port == 0 {
			if server.port, err = freePort(); err != nil {
				return nil, err
			}
		}
		err = server.launch(ctx, cfg, programs, lock)
		if errors.Is(err, errPortTaken) && cfg.Port == 0 && attempt < portAttempts {
			continue
		}
		if err != nil {
			return nil, err
		}
		cfg.logger().InfoContext(ctx, "started PostgreSQL", "version", server.version, "port", server.port, "data", f.path)
		return server, nil
	}
}

// launch starts the server and waits until it accepts connections.
func (s *Server) launch(ctx context.Context, cfg Config, programs binaries, lock *os.File) error {
	settings := maps.Clone(developmentSettings)
	maps.Copy(settings, cfg.Settings)
	args := []string{"-D", s.folder.cluster(), "-p", strconv.Itoa(s.port)}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	log, err := os.OpenFile(s.folder.log(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return explain(fmt.Errorf("open the server's log: %w", err))
	}
	defer log.Close()
	cmd := process.Command(s.folder.account, programs.postgres(), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	if s.process, err = process.Start(cmd); err != nil {
		return fmt.Errorf("run %s: %w", programs.postgres(), err)
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if status, err := s.folder.readStatus(); err == nil && status.ready && status.port == s.port {
			if err := s.identify(ctx); err != nil {
				return errors.Join(err, s.kill())
			}
			return nil
		}
		select {
		case <-s.process.Done():
			return s.folder.failure()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), s.kill())
		case <-ticker.C:
		}
	}
}

// identify makes sure that the server on the port is this folder's and lets us
// in, and notes its version.
func (s *Server) identify(ctx context.Context) error {
	conn, err := pgconn.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the started server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	s.version = conn.ParameterStatus("server_version")
	result := conn.ExecParams(ctx, "SELECT current_setting('data_directory')", nil, nil, nil, nil).Read()
	if result.Err != nil {
		return fmt.Errorf("ask the server for its data folder: %w", result.Err)
	}
	if got := string(result.Rows[0][0]); got != s.folder.cluster() {
		return fmt.Errorf("the server on port %d is another one, on %s", s.port, got)
	}
	return nil
}

// URL returns the address of a database of the server, for its superuser. It
// contains the password.
func (s *Server) URL(database string) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}

// Version is the server's version as it reports it, such as "17.5".
func (s *Server) Version() string { return s.version }

// DataDir is the folder that the server's data, log and password lie in.
func (s *Server) DataDir() string { return s.folder.path }

// Stop shuts the server down, ending every connection, and returns when it has
// exited. When ctx ends first the server is made to quit at once; the next start
// recovers. A server that was joined is left alone, one that has stopped is no
// error.
func (s *Server) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Signal(os.Interrupt); err != nil { // fast shutdown
		return fmt.Errorf("stop local PostgreSQL: %w", err)
	}
	select {
	case <-s.process.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop local PostgreSQL cleanly: %w", errors.Join(context.Cause(ctx), s.kill()))
	}
}
