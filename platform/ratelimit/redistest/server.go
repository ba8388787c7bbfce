// Package redistest starts a Redis for tests.
package redistest

import (
	"context"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenonhq/tenon/platform/testtool"
)

// Server is a Redis that keeps nothing and ends with its test.
type Server struct {
	// Address is its host and port; it stays the same over restarts.
	Address string

	t      testing.TB
	path   string
	kill   func()
	folder string
}

// portAttempts is how often another program may be faster on a port that was free.
const portAttempts = 5

// Start starts a server on a port that is free. Without the program,
// [testtool.Path] decides.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, path: testtool.Path(t, "redis-server", "valkey-server"), folder: t.TempDir(), kill: func() {}}
	t.Cleanup(s.Stop)
	for range portAttempts {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Address = listener.Addr().String()
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		if s.start() {
			return s
		}
	}
	t.Fatal("Redis does not start")
	return nil
}

// URL is the server's for clients. They wait for it longer than they otherwise
// would: tests share their machine.
func (s *Server) URL() string { return "redis://" + s.Address + "?read_timeout=10s" }

// Stop kills the server, and returns when it has gone.
func (s *Server) Stop() {
	s.kill()
	s.kill = func() {}
}

// Restart starts a server that was stopped; it knows nothing of before.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.start() {
		s.t.Fatalf("Redis does not come back at %s", s.Address)
	}
}

// start reports whether the server runs and answers.
func (s *Server) start() bool {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	command := exec.Command(s.path, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", s.folder)
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // by a signal, which is an error
		close(ended)
	}()
	s.kill = func() {
		_ = command.Process.Kill() // fails when it has ended by itself
		<-ended
	}
	client := redis.NewClient(&redis.Options{Addr: s.Address, MaxRetries: -1, DisableIdentity: true})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for client.Ping(ctx).Err() != nil {
		select {
		case <-ctx.Done():
			s.t.Fatal("Redis does not answer")
		case <-ended:
			return false
		case <-ticker.C:
		}
	}
	return true
}
