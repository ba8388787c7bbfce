package clerk_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"

	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/testtool"
)

var withNextJS = flag.Bool("nextjs", false, "run @clerk/nextjs, whose packages take half a minute and 250 MB; `task soak` does")

// TestClerksNextJS runs the server side of @clerk/nextjs, unchanged: its middleware,
// its client and its verification of webhooks.
func TestClerksNextJS(t *testing.T) {
	t.Parallel()
	if !*withNextJS {
		t.Skip("without -nextjs; task soak runs it")
	}
	runClerksClient(t, "testdata/nextjs", "server.cjs")
}

// TestClerksClient runs Clerk's own JavaScript client, unchanged, against the
// emulator that every other test takes for Clerk: if it is content, so is
// whatever else is built on it.
func TestClerksClient(t *testing.T) {
	t.Parallel()
	runClerksClient(t, "testdata/backend", "client.mjs")
}

// runClerksClient runs a script of a folder beside an emulator, whose webhooks it
// finds at an address of their own.
func runClerksClient(t *testing.T, folder, script string) {
	t.Helper()
	node := testtool.Node(t, folder)
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
	command := exec.CommandContext(t.Context(), node, script, string(settings))
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
