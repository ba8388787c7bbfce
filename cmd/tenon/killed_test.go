package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"

	"github.com/tenonhq/tenon/platform/localpg"
)

var killRounds = flag.Int("kill-rounds", 1, "how often TestKilledUnderLoad kills PostgreSQL; the server twice as often")

// TestKilledUnderLoad kills the server and its worker, as one process, and then
// PostgreSQL, with SIGKILL at random moments, while people write and organizations
// come into being. What was acknowledged is kept, every organization has a whole
// tenant, and the database is what the registry says.
func TestKilledUnderLoad(t *testing.T) {
	if _, err := binary(); err != nil { // before the folder of Go's cache is another
		t.Fatal(err)
	}
	data := dataDir(t)
	postgres, address := startPostgres(t, data)
	c := newCable(t, address.Host)
	address.Host = c.listener.Addr().String()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := startCommand(t, []string{"DATABASE_URL=" + address.String()}, "--no-seed")
	server := startServer(t, p, address.String())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &load{acknowledged: map[string]bool{}}
	ada := p.newUser(t, "Ada")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	eventually(t, "the tenant", func() bool {
		return p.call(t, http.MethodGet, "/api/tenants/acme/projects", p.token(t, ada, acme), nil).status == http.StatusOK
	})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { l.person(ctx, t, p, server.url, ada, acme) })
	}
	var made []*clerk.Organization
	group.Go(func() {
		for n := 0; ctx.Err() == nil && n < 20; n++ {
			name, slug := fmt.Sprint("Made ", n), fmt.Sprint("made-", n)
			// Clerk is not what is killed.
			o, err := p.organizations.Create(context.WithoutCancel(ctx), &organization.CreateParams{Name: &name, Slug: &slug, CreatedBy: &ada.ID})
			if err != nil {
				t.Error(err)
				return
			}
			made = append(made, o)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond): // spread over the kills
			}
		}
	})
	acknowledged := func(more int) {
		t.Helper()
		before := l.kept()
		eventually(t, "acknowledged writes", func() bool { return l.kept() >= before+more })
	}
	for range 2 * *killRounds {
		acknowledged(5)
		time.Sleep(rand.N(100 * time.Millisecond)) // a random moment is what it is about
		server.kill(t)
		server.start(t)
	}
	for range *killRounds {
		acknowledged(5)
		time.Sleep(rand.N(100 * time.Millisecond))
		killPostgres(t, postgres)
		c.set(true)
		var again *url.URL
		postgres, again = startPostgres(t, data)
		c.lead(again.Host)
		c.set(false)
	}
	acknowledged(5)
	cancel()
	group.Wait()

	for _, refusal := range l.refused {
		if !strings.Contains(refusal, "connection re") && !strings.Contains(refusal, "EOF") && !strings.Contains(refusal, ` 503, Retry-After "`) {
			t.Errorf("a kill is told as %s", refusal)
		}
	}
	eventually(t, "the webhooks", func() bool { return strings.Contains(p.scrape(t), `tenon_webhook_inbox_events{state="pending"} 0`) })
	l.checkKept(t, p, p.owner(t, "acme"))
	for _, o := range made {
		eventually(t, "the tenant of "+o.Slug, func() bool {
			got := p.call(t, http.MethodPost, "/api/tenants/"+o.Slug+"/projects", p.token(t, ada, o), map[string]string{"name": "First"})
			return got.status == http.StatusCreated
		})
	}
	if code, stdout, stderr := execute(t, []string{"DATABASE_URL=" + address.String()}, "migrate", "verify"); code != 0 {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

func (l *load) kept() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

// lead makes new connections go elsewhere.
func (c *cable) lead(target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = target
}

// startPostgres starts a server of the test's own on a folder, with a database.
func startPostgres(t *testing.T, data string) (server *localpg.Server, address *url.URL) {
	t.Helper()
	eventually(t, "PostgreSQL", func() bool { // one that was killed may hold on for a moment
		var err error
		server, err = localpg.Start(t.Context(), localpg.Config{
			DataDir: data,
			// Development's servers acknowledge what they have not written yet.
			Settings: map[string]string{"synchronous_commit": "on", "fsync": "on"},
		})
		return err == nil
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Stop(ctx) // was killed, but for the last one
	})
	var text string
	eventually(t, "its database", func() bool {
		var err error
		text, err = createDatabase(t.Context(), server)
		return err == nil
	})
	address, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return server, address
}

// killPostgres kills a server, and waits until it is gone.
func killPostgres(t *testing.T, server *localpg.Server) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(server.DataDir(), "cluster", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return syscall.Kill(pid, 0) != nil })
}

// serverProcess is `tenon serve` as a process of its own.
type serverProcess struct {
	url     string
	environ []string
	command *exec.Cmd
}

func startServer(t *testing.T, p *product, databaseURL string) *serverProcess {
	t.Helper()
	addr := freeAddress(t)
	s := &serverProcess{url: "http://" + addr, environ: append(instanceEnvironment(p), "LISTEN_ADDR="+addr, "DATABASE_URL="+databaseURL, "LOG_LEVEL=error")}
	s.start(t)
	t.Cleanup(func() { s.kill(t) })
	return s
}

// freeAddress returns an address that nobody listens at.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

func (s *serverProcess) start(t *testing.T) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s.command = exec.Command(path, "serve")
	s.command.Env = s.environ
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server", (&instance{url: s.url}).ready)
}

func (s *serverProcess) kill(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = s.command.Wait() // it was killed
}
