package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// runAlone runs `tenon clerk-emulator --json` until stop is called, or the test
// ends.
func runAlone(t *testing.T, args ...string) (line emulatorLine, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	output, input := io.Pipe()
	log, exit := new(syncBuffer), make(chan int, 1)
	go func() {
		exit <- run(ctx, append([]string{"tenon", "clerk-emulator", "--json", "--addr", "localhost:0"}, args...), surroundings{stdout: input, stderr: log})
		_ = input.Close() // never fails
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if code := <-exit; code != 0 {
			t.Errorf("it exits with %d:\n%s", code, log)
		}
	}
	t.Cleanup(stop)
	if err := json.NewDecoder(output).Decode(&line); err != nil {
		t.Fatalf("it does not get ready: %v\n%s", err, log)
	}
	return line, stop
}

func TestEmulatorAlone(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+r.URL.Path)
	}))
	t.Cleanup(app.Close)
	state := filepath.Join(t.TempDir(), "clerk.json")
	first, stop := runAlone(t, "--state", state, "--app", app.URL)
	get := func(url, key string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	host := strings.TrimPrefix(first.URL, "http://")
	if status, body := get(first.URL+"/acme", ""); status != http.StatusOK || body != host+"/acme" {
		t.Errorf("the application answers %d %q", status, body)
	}
	if status, _ := get(first.ProxyURL+"/v1/environment", ""); status != http.StatusOK {
		t.Errorf("the Frontend API answers %d", status)
	}
	if status, _ := get(first.APIURL+"/v1/users", first.SecretKey); status != http.StatusOK {
		t.Errorf("the Backend API answers %d", status)
	}
	if status, _ := get(first.APIURL+"/v1/users", ""); status != http.StatusUnauthorized {
		t.Errorf("the Backend API answers strangers %d", status)
	}
	stop()
	second, _ := runAlone(t, "--state", state)
	if second.SecretKey != first.SecretKey || second.WebhookSecret != first.WebhookSecret {
		t.Error("the secrets are others after a restart")
	}
}

func TestEmulatorAloneRefuses(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"an address for everybody":    {"--addr", "0.0.0.0:0"},
		"a Backend API for everybody": {"--api-addr", ":0"},
		"an application elsewhere":    {"--app", "http://example.com"},
		"an application by path":      {"--app", "http://localhost:3000/x"},
		"a webhook elsewhere":         {"--webhook", "https://example.com/hook"},
		"scripts that are not there":  {"--clerk-js", filepath.Join(t.TempDir(), "missing")},
		"an argument":                 {"x"},
	} {
		stderr := new(syncBuffer)
		code := run(t.Context(), append([]string{"tenon", "clerk-emulator", "--addr", "localhost:0"}, args...), surroundings{stdout: io.Discard, stderr: stderr})
		if code != exitUsage || stderr.String() == "" {
			t.Errorf("%s: exit %d, %q", name, code, stderr)
		}
	}
}
