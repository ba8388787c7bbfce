package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServeConfig is how [Serve] starts and stops.
type ServeConfig struct {
	// RequestTimeout is the router's; connections that outlast it are closed.
	// 0 is 30 seconds.
	RequestTimeout time.Duration
	// DrainDelay is how long to go on accepting after /readyz has turned
	// unready, for load balancers to notice. 0 is none.
	DrainDelay time.Duration
	// ShutdownTimeout bounds the wait for running requests; 0 is 10 seconds.
	ShutdownTimeout time.Duration
	// Readiness is drained first; may be nil.
	Readiness *Readiness
	// Logger takes what net/http reports of broken connections; nil is
	// slog.Default.
	Logger *slog.Logger
}

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// writeGrace is what a connection gets beyond the request's timeout to
	// take the answer that says so.
	writeGrace = 5 * time.Second
	// maxSilence is how long a stopping server waits for the first request of
	// a connection that was opened before.
	maxSilence = time.Second
)

// Serve answers requests on listeners until ctx ends, then stops: readiness
// off, no new connections, running requests finished, the rest closed at
// ShutdownTimeout. It returns nil after a clean stop, an error when requests
// had to be cut off or a listener failed. All listeners are closed when it
// returns.
func Serve(ctx context.Context, handler http.Handler, config ServeConfig, listeners ...net.Listener) error {
	if config.RequestTimeout == 0 {
		config.RequestTimeout = 30 * time.Second
	}
	if config.ShutdownTimeout == 0 {
		config.ShutdownTimeout = 10 * time.Second
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.Default()
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       config.RequestTimeout,
		WriteTimeout:      config.RequestTimeout + writeGrace,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	var silent silentConns
	server.ConnState = silent.track
	failed := make(chan error, len(listeners))
	for _, listener := range listeners {
		go func() { failed <- server.Serve(listener) }()
	}
	var serveErr error
	running := len(listeners)
	select {
	case serveErr = <-failed:
		running--
	case <-ctx.Done():
	}
	if config.Readiness != nil {
		config.Readiness.Drain()
	}
	if serveErr == nil && config.DrainDelay > 0 {
		time.Sleep(config.DrainDelay)
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.ShutdownTimeout)
	defer cancel()
	hangUp := time.AfterFunc(min(config.ShutdownTimeout/4, maxSilence), silent.close)
	defer hangUp.Stop()
	err := server.Shutdown(shutdown)
	if err != nil {
		err = fmt.Errorf("httpserver: cut off requests still running after %v: %w", config.ShutdownTimeout, errors.Join(err, server.Close()))
	}
	for range running {
		<-failed //nolint:errcheck // ErrServerClosed, or what Shutdown has reported
	}
	if serveErr != nil {
		err = errors.Join(fmt.Errorf("httpserver: %w", serveErr), err)
	}
	return err
}

// silentConns are the connections that have not sent a request yet. Clients
// open such ones ahead of need (browsers, and Go's own transport when another
// connection comes free first); http.Server.Shutdown takes each for a running
// request until it is five seconds old.
type silentConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// track is an http.Server's ConnState.
func (s *silentConns) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != http.StateNew {
		delete(s.conns, conn)
		return
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]struct{})
	}
	s.conns[conn] = struct{}{}
}

// close hangs up on those that are still silent.
func (s *silentConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close() // what is left of a connection nobody used
	}
}
