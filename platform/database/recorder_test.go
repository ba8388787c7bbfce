package database_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// recorder stands between the pool and the server and notes every message of
// the simple query protocol that passes.
type recorder struct {
	mu       sync.Mutex
	messages []string
}

// newRecorder returns the URL that leads through the recorder.
func newRecorder(t *testing.T, databaseURL string) (*recorder, string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	server := u.Host
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.pass(t, client, server) })
		}
	})
	u.Host = listener.Addr().String()
	return r, u.String()
}

func (r *recorder) pass(t *testing.T, client net.Conn, server string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		t.Error(err)
		return
	}
	defer upstream.Close()
	go func() {
		_, _ = io.Copy(client, upstream)
		client.Close()
	}()
	// The startup message has no type; every later one has.
	typed := false
	for {
		header := make([]byte, 4, 5)
		if typed {
			header = header[:5]
		}
		if _, err := io.ReadFull(client, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[len(header)-4:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if typed {
			r.mu.Lock()
			r.messages = append(r.messages, string(header[:1])+" "+string(body[:max(0, len(body)-1)]))
			r.mu.Unlock()
		}
		typed = true
		if _, err := upstream.Write(append(header, body...)); err != nil {
			return
		}
	}
}

// take returns what was recorded since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	messages := r.messages
	r.messages = nil
	return messages
}

func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := r.take(); !slices.Equal(got, want) {
		t.Errorf("sent %q,\nwant %q", got, want)
	}
}
