//go:build clockjump

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// TestClockJumps sets the clock of a server forth and back by seconds, hours and days
// under load, as a machine does whose clock was wrong or that slept. Its monotonic
// clock goes on, and so do the database's and the identity provider's. Sessions live
// for a minute and are refused while the clock says that they are over or to come;
// nothing else is refused, nothing acknowledged is lost, and afterwards everything is as
// before.
//
// The server is built with a package time that can be set, which takes minutes; so
// the test has a tag, and `task soak` runs it.
func TestClockJumps(t *testing.T) {
	path := buildWithClock(t)
	database := localpgtest.NewDatabase(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := startCommand(t, []string{"DATABASE_URL=" + database}, "--no-seed")
	ada := p.newUser(t, "Ada")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	eventually(t, "the tenant", func() bool {
		return p.call(t, http.MethodGet, "/api/tenants/acme/projects", p.token(t, ada, acme), nil).status == http.StatusOK
	})
	server := clockedServer(t, p, path, database)
	key := p.newKey(t, p.token(t, ada, acme), "acme", identity.ProjectsViewAll, identity.ProjectsCreate).Key

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &load{acknowledged: map[string]bool{}}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { l.work(ctx, server.url, func() string { return key }) })
	}
	there := *p
	there.URL = server.url
	for n, jump := range []struct {
		by   time.Duration
		want int
	}{
		{2 * time.Second, http.StatusOK}, // within what clocks may differ by
		{-2 * time.Second, http.StatusOK},
		{time.Hour, http.StatusUnauthorized},
		{0, http.StatusOK},
		{-time.Hour, http.StatusUnauthorized},
		{0, http.StatusOK},
		{25 * time.Hour, http.StatusUnauthorized},
		{-25 * time.Hour, http.StatusUnauthorized},
		{0, http.StatusOK},
	} {
		server.jump(t, jump.by)
		if got := there.call(t, http.MethodGet, "/api/tenants/acme/projects", p.token(t, ada, acme), nil).status; got != jump.want {
			t.Errorf("%d: a session gets %d while the clock is wrong by %s, want %d", n, got, jump.by, jump.want)
		}
		before := l.kept()
		eventually(t, "acknowledged writes", func() bool { return l.kept() >= before+10 })
		// What the provider tells meanwhile is there soon, whoever works on it.
		slug := fmt.Sprint("made-", n)
		made := p.newOrganization(t, "Made", slug, ada)
		eventuallyWithin(t, 20*time.Second, "the tenant "+slug, func() bool {
			return p.call(t, http.MethodGet, "/api/tenants/"+slug+"/projects", p.token(t, ada, made), nil).status == http.StatusOK
		})
	}
	cancel()
	group.Wait()
	for _, refusal := range l.refused {
		t.Errorf("with a key that is good: %s", refusal)
	}
	eventually(t, "the webhooks", func() bool { return strings.Contains(p.scrape(t), `tenon_webhook_inbox_events{state="pending"} 0`) })
	l.checkKept(t, p, p.owner(t, "acme"))
	for _, check := range [][]string{{"migrate", "verify"}, {"audit", "verify"}} {
		if code, stdout, stderr := execute(t, []string{"DATABASE_URL=" + database}, check...); code != 0 {
			t.Errorf("%v: exit %d: %s%s", check, code, stdout, stderr)
		}
	}
}

// buildWithClock builds the program with a clock that a signal sets.
func buildWithClock(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const read = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), read) != 1 {
		t.Fatalf("%s reads the clock in another way than the test knows", source)
	}
	changed := strings.Replace(string(text), read, read+"\tsec += jump.Load()\n", 1)
	changed = strings.Replace(changed, "import (", "import (\n\t\"sync/atomic\"", 1)
	changed += "\nvar jump atomic.Int64\n\n// Jump sets how many seconds the clock is ahead.\nfunc Jump(seconds int64) { jump.Store(seconds) }\n"
	const signalled = `package main

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func init() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			text, _ := os.ReadFile(os.Getenv("TENON_TEST_CLOCK"))
			seconds, _ := strconv.ParseInt(string(text), 10, 64)
			time.Jump(seconds)
		}
	}()
}
`
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[string]string{}
	for name, file := range map[string]struct{ at, text string }{
		"time.go":  {source, changed},
		"clock.go": {filepath.Join(here, "clock.go"), signalled},
	} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(file.text), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[file.at] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "tenon")
	if output, err := exec.Command("go", "build", "-overlay", filepath.Join(folder, "overlay.json"), "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return path
}

// clocked is a server whose clock can be set.
type clocked struct {
	url, file string
	command   *exec.Cmd
}

func clockedServer(t *testing.T, p *product, path, database string) *clocked {
	t.Helper()
	c := &clocked{url: "http://" + freeAddress(t), file: filepath.Join(t.TempDir(), "clock")}
	c.command = exec.Command(path, "serve")
	c.command.Env = append(instanceEnvironment(p), "LISTEN_ADDR="+strings.TrimPrefix(c.url, "http://"), "DATABASE_URL="+database,
		"RATE_LIMIT_KEY=1000000", "RATE_LIMIT_TENANT=1000000", "LOG_LEVEL=error", "TENON_TEST_CLOCK="+c.file)
	c.command.Stderr = os.Stderr
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.command.Process.Signal(syscall.SIGTERM)
		if err := c.command.Wait(); err != nil {
			t.Errorf("the server does not stop cleanly: %v", err)
		}
	})
	eventually(t, "the server", (&instance{url: c.url}).ready)
	return c
}

// jump sets the clock, and waits until what the server sends is of the new time.
func (c *clocked) jump(t *testing.T, by time.Duration) {
	t.Helper()
	if err := os.WriteFile(c.file, fmt.Append(nil, int64(by.Seconds())), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.command.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new time", func() bool {
		response, err := http.Get(c.url + "/healthz")
		if err != nil {
			return false
		}
		response.Body.Close()
		says, err := http.ParseTime(response.Header.Get("Date"))
		return err == nil && (time.Until(says)-by).Abs() < 1500*time.Millisecond
	})
}
