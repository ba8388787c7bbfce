package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/config"
)

// instance is the application as `tenon serve` runs it, beside a product that has
// the identity provider.
type instance struct {
	url  string
	stop func() error // waits for a clean end
}

// startInstance runs one more instance of p's application until it is stopped.
func startInstance(t *testing.T, p *product, overrides ...string) *instance {
	t.Helper()
	c, err := config.Load(append(instanceEnvironment(p), overrides...))
	if err != nil {
		t.Fatal(err)
	}
	app, err := newApplication(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- app.serve(ctx, app.router, listener) }()
	i := &instance{url: "http://" + listener.Addr().String()}
	i.stop = sync.OnceValue(func() error {
		cancel()
		return <-served
	})
	t.Cleanup(func() {
		if err := i.stop(); err != nil {
			t.Errorf("an instance does not stop cleanly: %v", err)
		}
	})
	return i
}

// instanceEnvironment is what another instance of p's application needs.
func instanceEnvironment(p *product) []string {
	return []string{
		"PUBLIC_URL=" + p.URL, "DATABASE_URL=" + p.DatabaseURL, "SHUTDOWN_TIMEOUT=5s",
		"CLERK_SECRET_KEY=" + p.ClerkSecretKey, "CLERK_PUBLISHABLE_KEY=pk_test_Y2xlcmsuZXhhbXBsZS5jb20k", "CLERK_WEBHOOK_SECRET=" + p.WebhookSecret,
		"CLERK_API_URL=" + p.ClerkAPIURL, "CLERK_PROXY_URL=" + p.URL + "/__clerk",
		"RATE_LIMIT_ADDRESS=0", "RATE_LIMIT_PERSON=0", "RATE_LIMIT_TENANT=0",
	}
}

func (i *instance) ready() bool {
	response, err := http.Get(i.url + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// balancer sends requests to the instances that say they are ready, as a load
// balancer does: it asks each of them now and then.
type balancer struct {
	mu        sync.Mutex
	instances []*instance
	ready     []*url.URL
	turn      atomic.Int64
}

func (b *balancer) replace(instances ...*instance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instances = instances
}

// watch asks until ctx ends.
func (b *balancer) watch(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		b.mu.Lock()
		instances := b.instances
		b.mu.Unlock()
		var ready []*url.URL
		for _, i := range instances {
			if i.ready() {
				address, _ := url.Parse(i.url) // made by startInstance
				ready = append(ready, address)
			}
		}
		b.mu.Lock()
		b.ready = ready
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func (b *balancer) has(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ready) == n
}

func (b *balancer) rewrite(r *httputil.ProxyRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) > 0 {
		r.SetURL(b.ready[int(b.turn.Add(1))%len(b.ready)])
	}
}

// load is people who read and write all the time.
type load struct {
	mu           sync.Mutex
	acknowledged map[string]bool // slugs of projects that were made, as far as anybody was told
	answered     int
	refused      []string // answers that are no success
}

// run asks at base with people's tokens until ctx ends.
func (l *load) run(ctx context.Context, t *testing.T, p *product, base string, people int) {
	ada := p.newUser(t, "Ada")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	var group sync.WaitGroup
	for range people {
		group.Go(func() { l.person(ctx, t, p, base, ada, acme) })
	}
	group.Wait()
}

func (l *load) person(ctx context.Context, t *testing.T, p *product, base string, who *clerk.User, where *clerk.Organization) {
	token, renew := "", time.Time{}
	l.work(ctx, base, func() string {
		if time.Now().After(renew) { // tokens live for a minute
			token, renew = p.token(t, who, where), time.Now().Add(20*time.Second)
		}
		return token
	})
}

// work writes and reads in turn until ctx ends, as whoever credential is of.
func (l *load) work(ctx context.Context, base string, credential func() string) {
	for n := 0; ctx.Err() == nil; n++ {
		token := credential()
		slug := fmt.Sprintf("p-%d-%d", serial.Add(1), n)
		body := fmt.Sprintf(`{"name":"Project","slug":%q}`, slug)
		if l.ask(ctx, base, http.MethodPost, token, body, slug) == http.StatusCreated {
			l.mu.Lock()
			l.acknowledged[slug] = true
			l.mu.Unlock()
		}
		l.ask(ctx, base, http.MethodGet, token, "", "")
	}
}

// ask sends one request and returns the status, 0 when there was no answer.
func (l *load) ask(ctx context.Context, base, method, token, body, key string) int {
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), method, base+"/api/tenants/acme/projects", strings.NewReader(body))
	if err != nil {
		panic(err) // of constants
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused = append(l.refused, err.Error())
		return 0
	}
	defer response.Body.Close()
	l.answered++
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		l.refused = append(l.refused, fmt.Sprintf("%s %d, Retry-After %q: %s %v", method, response.StatusCode, response.Header.Get("Retry-After"), text, err))
	}
	return response.StatusCode
}

func (l *load) count() (answered, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered, len(l.refused)
}

// checkRefused holds every refusal to what somebody gets who may try again later.
func (l *load) checkRefused(t *testing.T, why string) {
	t.Helper()
	for _, refusal := range l.refused {
		if !strings.Contains(refusal, ` 503, Retry-After "`) || strings.Contains(refusal, `Retry-After ""`) {
			t.Errorf("%s is told as %s", why, refusal)
		}
	}
}

// checkKept holds that what was acknowledged is there.
func (l *load) checkKept(t *testing.T, p *product, token string) {
	t.Helper()
	kept := map[string]bool{}
	for next := "/api/tenants/acme/projects?limit=100"; next != ""; {
		got := p.call(t, http.MethodGet, next, token, nil)
		var page struct {
			Items []struct{ Slug string }
			Next  *string
		}
		if got.status != http.StatusOK || json.Unmarshal([]byte(got.body), &page) != nil {
			t.Fatalf("%d %s", got.status, got.body)
		}
		for _, item := range page.Items {
			kept[item.Slug] = true
		}
		next = ""
		if page.Next != nil && *page.Next != "" {
			next = "/api/tenants/acme/projects?limit=100&after=" + url.QueryEscape(*page.Next)
		}
	}
	for slug := range l.acknowledged {
		if !kept[slug] {
			t.Errorf("%s was acknowledged and is gone", slug)
		}
	}
	t.Logf("%d acknowledged of %d answers, %d refused", len(l.acknowledged), l.answered, len(l.refused))
}

// TestRollingRestartFailsNobody replaces two instances one after the other, twice,
// under load: each stops being ready first, and goes on answering until it was
// noticed.
func TestRollingRestartFailsNobody(t *testing.T) {
	p := startProduct(t, "--no-seed")
	const drain = "SHUTDOWN_DELAY=300ms"
	first, second := startInstance(t, p, drain), startInstance(t, p, drain)
	b := new(balancer)
	b.replace(first, second)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go b.watch(ctx)
	front := http.Server{Handler: &httputil.ReverseProxy{Rewrite: b.rewrite}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = front.Serve(listener) }() // until it is closed
	defer front.Close()
	eventually(t, "two instances", func() bool { return b.has(2) })

	l := &load{acknowledged: map[string]bool{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx, t, p, "http://"+listener.Addr().String(), 4)
	}()
	progress := func(n int) {
		t.Helper()
		before, _ := l.count()
		eventually(t, "load", func() bool { after, _ := l.count(); return after >= before+n })
	}
	progress(20)
	for range 2 {
		for _, old := range []*instance{first, second} {
			fresh := startInstance(t, p, drain)
			if old == first {
				first = fresh
			} else {
				second = fresh
			}
			eventually(t, "the new instance", fresh.ready)
			b.replace(first, second, old)
			eventually(t, "three instances", func() bool { return b.has(3) })
			if err := old.stop(); err != nil {
				t.Errorf("the old instance: %v", err)
			}
			b.replace(first, second)
			progress(10)
		}
	}
	cancel()
	<-done
	if len(l.refused) > 0 {
		t.Errorf("%d requests failed, such as: %s", len(l.refused), l.refused[0])
	}
	l.checkKept(t, p, p.owner(t, "acme"))
}

// owner returns a token of whoever made an organization.
func (p *product) owner(t *testing.T, slug string) string {
	t.Helper()
	organization, err := p.organizations.Get(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	who, err := p.users.Get(t.Context(), organization.CreatedBy)
	if err != nil {
		t.Fatal(err)
	}
	return p.token(t, who, organization)
}

// cable is a TCP connection's way to a server, which can be cut.
type cable struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() {
		_ = listener.Close()
		c.set(true)
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go c.carry(conn)
		}
	}()
	return c
}

func (c *cable) carry(client net.Conn) {
	c.mu.Lock()
	target := c.target
	c.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil || !c.add(client, server) {
		reset(client)
		return
	}
	go func() {
		_, _ = io.Copy(server, client) // ends with either
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, client)
	delete(c.conns, server)
}

func (c *cable) add(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		c.conns[conn] = struct{}{}
	}
	return !c.cut
}

// set cuts every connection, and refuses those to come, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if !cut {
		return
	}
	for conn := range c.conns {
		reset(conn)
	}
	clear(c.conns)
}

// reset ends a connection without a farewell.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// startOnCable runs one more instance of p's application, whose way to the database
// can be cut.
func startOnCable(t *testing.T, p *product) (*instance, *cable) {
	t.Helper()
	database, err := url.Parse(p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCable(t, database.Host)
	database.Host = c.listener.Addr().String()
	i := startInstance(t, p, "DATABASE_URL="+database.String())
	eventually(t, "the instance", i.ready)
	return i, c
}

// TestDatabaseGoneAndBack cuts every connection to the database under load, leaves
// it away for a while, and mends it, several times.
func TestDatabaseGoneAndBack(t *testing.T) {
	p := startProduct(t, "--no-seed")
	i, c := startOnCable(t, p)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &load{acknowledged: map[string]bool{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx, t, p, i.url, 4)
	}()
	for range 3 {
		before, _ := l.count()
		eventually(t, "load", func() bool { after, _ := l.count(); return after >= before+20 })
		c.set(true)
		_, failed := l.count()
		eventually(t, "refusals", func() bool { _, now := l.count(); return now >= failed+10 })
		if i.ready() {
			t.Error("an instance without its database is ready")
		}
		if response, err := http.Get(i.url + "/healthz"); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("the process is well, whatever the database is: %v %v", response, err)
		}
		c.set(false)
		eventually(t, "recovery", i.ready)
	}
	before, _ := l.count()
	_, failed := l.count()
	eventually(t, "load", func() bool { after, _ := l.count(); return after >= before+20 })
	if _, now := l.count(); now > failed+4 { // those that were under way
		t.Errorf("%d requests failed after the database was back", now-failed)
	}
	cancel()
	<-done
	l.checkRefused(t, "an outage")
	l.checkKept(t, p, p.owner(t, "acme"))
	checkFullPool(t, p)
}

// checkFullPool has one tenant want more than its share of the connections, and then
// two of them more than there are: who waits for one is told within the deadline,
// the others are served, and all of it is over when the reason is.
func checkFullPool(t *testing.T, p *product) {
	t.Helper()
	const deadline, crowd = "REQUEST_TIMEOUT=1s", 20
	i := startInstance(t, p, "DATABASE_MAX_CONNS=3", "DATABASE_TENANT_CONNS=2", deadline)
	token := p.owner(t, "acme")
	who := subjectOf(t, token)
	p.newOrganization(t, "Calm", "calm", &clerk.User{ID: who})
	ask := func(tenant string) answer {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+"/api/tenants/"+tenant+"/projects", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return answer{body: err.Error()}
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return answer{response.StatusCode, response.Header, fmt.Sprint(string(text), err)}
	}
	served := func(tenant string) func() bool {
		return func() bool { return ask(tenant).status == http.StatusOK }
	}
	eventually(t, "both tenants", func() bool { return served("acme")() && served("calm")() })

	conn, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	one := func(query string, args ...any) (text string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), query, args...).Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	waiting := func() string {
		return one(`SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	}
	locked := []string{}
	for _, tenant := range []string{"acme", "calm"} {
		locked = append(locked, pgx.Identifier{one(`SELECT schema_name FROM public.tenants WHERE slug = $1`, tenant), "projects"}.Sanitize())
	}
	// refused has a crowd ask at once, of whom nobody gets through.
	refused := func(tenants ...string) {
		t.Helper()
		var group sync.WaitGroup
		began := time.Now()
		for n := range crowd {
			group.Go(func() {
				got := ask(tenants[n%len(tenants)])
				if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
					t.Errorf("somebody who waits is told %d %v %s", got.status, got.header, got.body)
				}
			})
		}
		group.Wait()
		if took := time.Since(began); took > 10*time.Second { // one after the other they would take as many seconds as there are
			t.Errorf("%d who wait are told after %v", crowd, took)
		}
	}

	hold, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Exec(t.Context(), "LOCK TABLE "+locked[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		refused("acme")
	}()
	eventually(t, "the tenant's share is in use", func() bool { return waiting() == "2" })
	for range crowd {
		if got := ask("calm"); got.status != http.StatusOK {
			t.Errorf("beside a tenant that waits: %d %s", got.status, got.body)
		}
	}
	<-done
	if _, err := hold.Exec(t.Context(), "LOCK TABLE "+locked[1]); err != nil {
		t.Fatal(err)
	}
	refused("acme", "calm")
	eventually(t, "nobody waits on", func() bool { return waiting() == "0" })
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"acme", "calm"} {
		for range crowd {
			if got := ask(tenant); got.status != http.StatusOK {
				t.Errorf("when there are connections again: %d %s", got.status, got.body)
			}
		}
	}
}
