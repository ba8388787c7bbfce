package clerk_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"

	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/testtool"
)

// TestClerksClient runs Clerk's own JavaScript client, unchanged, against the
// emulator that every other test takes for Clerk: if it is content, so is
// whatever else is built on it.
func TestClerksClient(t *testing.T) {
	t.Parallel()
	node := testtool.Node(t, "testdata/backend")
	type delivery struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	var mu sync.Mutex
	received := []delivery{}
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodGet {
			if err := json.NewEncoder(w).Encode(received); err != nil {
				t.Error(err)
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		event := delivery{Headers: map[string]string{}, Body: string(body)}
		for name := range r.Header {
			event.Headers[name] = r.Header.Get(name)
		}
		delete(event.Headers, "Content-Length")
		received = append(received, event)
	}))
	t.Cleanup(application.Close)
	const origin = "http://localhost:3000"
	emulator, err := clerkdev.New(clerkdev.Config{PublicURL: origin, WebhookURL: application.URL})
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(emulator.Backend())
	t.Cleanup(backend.Close)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- emulator.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	settings, err := json.Marshal(map[string]string{
		"apiUrl": backend.URL, "secretKey": emulator.SecretKey(), "publishableKey": emulator.PublishableKey(),
		"issuer": emulator.Issuer(), "origin": origin, "webhookSecret": emulator.WebhookSecret(), "received": application.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), node, "client.mjs", string(settings))
	command.Dir = "testdata/backend"
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
