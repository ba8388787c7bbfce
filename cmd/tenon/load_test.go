package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v3/jwt"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tenonhq/tenon/platform/config"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

var (
	loadTenants  = flag.String("load", "1,10", "the numbers of tenants that BenchmarkLoad spreads its requests over, the largest last")
	loadRequests = flag.Int("load-requests", 1000, "how many requests BenchmarkLoad makes for each line of its table")
	loadDatabase = flag.String("load-database", "", "the URL of a database that was migrated and seeded with as many tenants before, of 20 projects and 5 people each, instead of one that is made for the run: for a server with memory of production's size")
	loadSettings = flag.String("load-settings", "", "settings of the instance, as NAME=value separated by spaces, to measure what they cost")
)

// loadWorkers ask at the same time, each on a connection of its own.
const loadWorkers = 8

// BenchmarkLoad spreads reads and writes over tenants, in turn and as unevenly as
// real ones (Zipf), through the whole product and through a bare net/http handler
// with pgx and prepared statements that sends and answers the same. It writes a
// table; ratios are of one run: throughput above 1 is faster than bare, latency
// below 1.
//
// Run it by `task load`; the numbers of requests are its own, not -benchtime's.
func BenchmarkLoad(b *testing.B) {
	l := newLoadBench(b, numbers(b, "load", *loadTenants))
	l.product = l.serve()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\ntenants\tspread\twhat\trequests/s\tp50\tp99\tallocations\tbare requests/s\tbare p99\tthroughput ÷ bare\tp99 ÷ bare\t")
	for _, n := range l.sizes {
		for _, write := range []bool{false, true} {
			ours := l.measure(l.product, n, write)
			bare := l.measure(l.bare, n, write)
			l.barePool.Reset() // what its connections know of the tenants has no room beside what the product's learn next
			what := "read"
			if write {
				what = "write"
			}
			for i, spread := range loadSpreads(n) {
				ours, bare := ours[i], bare[i]
				fmt.Fprintf(table, "%d\t%s\t%s\t%.0f\t%.2f ms\t%.2f ms\t%d\t%.0f\t%.2f ms\t%.2f\t%.2f\t\n", n, spread.name, what,
					ours.rate, ms(ours.p50), ms(ours.p99), ours.allocations, bare.rate, ms(bare.p99), bare.took.Seconds()/ours.took.Seconds(), ms(ours.p99)/ms(bare.p99))
			}
		}
	}
	_ = table.Flush() // standard output of a benchmark
}

// BenchmarkMemory asks once for every tenant, and says what the product keeps of each:
// what is alive, and what a process and PostgreSQL's take from the system for it, garbage
// that was not collected yet included.
func BenchmarkMemory(b *testing.B) {
	l := newLoadBench(b, numbers(b, "load", *loadTenants))
	l.product = l.serve()
	inTurn := loadSpreads(len(l.slugs))[0].choose
	l.requests(l.product, loadWorkers, inTurn, false)
	before := alive()
	l.requests(l.product, len(l.slugs), inTurn, false)
	fmt.Printf("\nalive, %d tenants: %.2f KiB a tenant that was asked for a moment ago\n", len(l.slugs), float64(alive()-before)/1024/float64(len(l.slugs)))
	l.process(b)
}

// alive is the heap in bytes that is in use, garbage excluded.
func alive() int64 {
	runtime.GC()
	runtime.GC() // finalizers of the first
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

type loadBench struct {
	b       *testing.B
	sizes   []int
	environ []string
	url     string

	product, bare string // addresses
	barePool      *pgxpool.Pool
	slugs         []string
	schemas       []string
	tokens        []string
	client        *http.Client
	serial        atomic.Int64
}

// newLoadBench fills a database with as many tenants as the largest of sizes, and
// serves them by the bare handler.
func newLoadBench(b *testing.B, sizes []int) *loadBench {
	b.Helper()
	l := &loadBench{b: b, sizes: sizes, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadWorkers, DisableCompression: true}}}
	most := slices.Max(l.sizes)
	l.url = *loadDatabase
	if l.url == "" {
		l.url = localpgtest.NewDatabase(b)
		for _, args := range [][]string{{"migrate", "up"}, {"seed", "--tenants", fmt.Sprint(most), "--projects", "20", "--users", "5"}} {
			if code, _, stderr := execute(b, []string{"DATABASE_URL=" + l.url}, args...); code != 0 {
				b.Fatalf("%v: %s", args, stderr)
			}
		}
	}
	l.registry(most)
	if len(l.slugs) != most {
		b.Fatalf("%d tenants are there, %d are asked for", len(l.slugs), most)
	}

	clerk, sign := newSigner(b)
	for n := range most {
		l.tokens = append(l.tokens, sign(seedUser(1, n, 0)))
	}
	l.environ = append([]string{
		"PUBLIC_URL=http://localhost", "LOG_LEVEL=warn", "DATABASE_MAX_CONNS=" + fmt.Sprint(loadWorkers),
		"CLERK_SECRET_KEY=sk_test_load", "CLERK_PUBLISHABLE_KEY=pk_test_Y2xlcmsuZXhhbXBsZS5jb20k", "CLERK_WEBHOOK_SECRET=whsec_bG9hZA==",
		"CLERK_API_URL=" + clerk, "CLERK_PROXY_URL=" + loadIssuer,
		"RATE_LIMIT_ADDRESS=0", "RATE_LIMIT_PERSON=1000000", "RATE_LIMIT_TENANT=1000000",
	}, "DATABASE_URL="+l.url)
	l.environ = append(l.environ, strings.Fields(*loadSettings)...)

	pool, err := pgxpool.New(b.Context(), l.url+"&pool_max_conns="+fmt.Sprint(loadWorkers))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	l.barePool = pool
	server := httptest.NewServer(l.bareHandler(pool))
	b.Cleanup(server.Close)
	l.bare = server.URL
	return l
}

const loadIssuer = "https://clerk.example.com"

// newSigner is all of an identity provider that a session needs: keys, and tokens
// that outlive the benchmark.
func newSigner(b *testing.B) (url string, sign func(account string) string) {
	b.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "ins_load", Algorithm: string(jose.RS256), Use: "sig"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/jwks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(set) // to ourselves
	})
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "ins_load"}},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("cat", "cl_B7d4PD111AAA"))
	if err != nil {
		b.Fatal(err)
	}
	return server.URL, func(account string) string {
		now := time.Now()
		token, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": loadIssuer, "sub": account, "sid": "sess_" + account, "iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(),
			"exp": now.Add(6 * time.Hour).Unix(), "sts": "active", "v": 2, "fva": []int{0, -1}, "jti": account,
		}).CompactSerialize()
		if err != nil {
			b.Fatal(err)
		}
		return token
	}
}

// registry reads how the tenants are called.
func (l *loadBench) registry(n int) {
	conn, err := pgx.Connect(l.b.Context(), l.url)
	if err != nil {
		l.b.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(l.b.Context(), `SELECT slug, schema_name FROM tenants ORDER BY id LIMIT $1`, n)
	if err != nil {
		l.b.Fatal(err)
	}
	var slug, schema string
	if _, err := pgx.ForEachRow(rows, []any{&slug, &schema}, func() error {
		l.slugs, l.schemas = append(l.slugs, slug), append(l.schemas, schema)
		return nil
	}); err != nil {
		l.b.Fatal(err)
	}
	// What autovacuum would do in its own time.
	if _, err := conn.Exec(l.b.Context(), "VACUUM ANALYZE"); err != nil {
		l.b.Fatal(err)
	}
}

// serve runs the product in this process, as the bare handler is, with settings of
// its own.
func (l *loadBench) serve(settings ...string) string {
	c, err := config.Load(append(slices.Clone(l.environ), settings...))
	if err != nil {
		l.b.Fatal(err)
	}
	app, err := newApplication(c, slog.New(slog.DiscardHandler))
	if err != nil {
		l.b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- app.serve(ctx, app.router, listener) }()
	l.b.Cleanup(func() {
		l.client.CloseIdleConnections()
		cancel()
		if err := <-served; err != nil {
			l.b.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// bareHandler sends what the product sends, without a product: statements are
// prepared once for each schema and connection.
func (l *loadBench) bareHandler(pool *pgxpool.Pool) http.Handler {
	lists := map[string]http.Handler{}
	inserts := map[string]string{}
	for i, slug := range l.slugs {
		lists[slug] = bareList(pool, l.schemas[i])
		inserts[slug] = `INSERT INTO ` + pgx.Identifier{l.schemas[i], "projects"}.Sanitize() + ` (name, slug, created_by) VALUES ($1, $2, $3) RETURNING id`
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/tenants/{tenant}/projects", func(w http.ResponseWriter, r *http.Request) {
		lists[r.PathValue("tenant")].ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /api/tenants/{tenant}/projects", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Name, Slug, Owner string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var id int64
		if err := pool.QueryRow(r.Context(), inserts[r.PathValue("tenant")], body.Name, body.Slug, r.Header.Get("X-Owner")).Scan(&id); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "name": body.Name, "slug": body.Slug}) // a client that left
	})
	return mux
}

// loadResult is one half of a line.
type loadResult struct {
	took, p50, p99 time.Duration
	rate           float64
	allocations    uint64 // of driver and server together, a request
}

// loadSpread chooses the tenant of the i-th request.
type loadSpread struct {
	name   string
	choose func(i int, random *mathrand.Rand) int
}

// loadSpreads are how requests spread over n tenants.
func loadSpreads(n int) []loadSpread {
	spreads := []loadSpread{{"in turn", func(i int, _ *mathrand.Rand) int { return i % n }}}
	if n > 1 {
		spreads = append(spreads, loadSpread{"zipf", func(_ int, random *mathrand.Rand) int {
			return int(mathrand.NewZipf(random, 1.1, 1, uint64(n-1)).Uint64())
		}})
	}
	return spreads
}

// measure returns a result for each of the spreads over n tenants.
func (l *loadBench) measure(base string, n int, write bool) (results []loadResult) {
	for i, spread := range loadSpreads(n) {
		// Connections, caches and plans are there when it counts, as far as they fit: each
		// connection has met most tenants. How often a start meets them cold depends on
		// the connections' lifetime, not on what is measured here.
		warmUp := *loadRequests
		if i == 0 {
			warmUp = max(warmUp, 2*n*loadWorkers)
		}
		began := time.Now()
		l.requests(base, warmUp, spread.choose, write)
		fmt.Fprintf(os.Stderr, "%d tenants %s, write %t: warmed up by %d requests in %s\n", n, spread.name, write, warmUp, time.Since(began).Round(time.Second))
		before := mallocs()
		began = time.Now()
		latencies := l.requests(base, *loadRequests, spread.choose, write)
		took := time.Since(began)
		slices.Sort(latencies)
		results = append(results, loadResult{
			took: took, rate: float64(len(latencies)) / took.Seconds(),
			p50: latencies[len(latencies)/2], p99: latencies[len(latencies)*99/100],
			allocations: (mallocs() - before) / uint64(len(latencies)),
		})
	}
	return results
}

func (l *loadBench) requests(base string, n int, choose func(int, *mathrand.Rand) int, write bool) []time.Duration {
	latencies := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	for worker := range loadWorkers {
		group.Go(func() {
			random := mathrand.New(mathrand.NewPCG(1, uint64(worker)))
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				began := time.Now()
				l.ask(base, choose(i, random), write)
				latencies[i] = time.Since(began)
			}
		})
	}
	group.Wait()
	return latencies
}

func (l *loadBench) ask(base string, tenant int, write bool) {
	method, body, want := http.MethodGet, io.Reader(nil), http.StatusOK
	if write {
		method, want = http.MethodPost, http.StatusCreated
		body = bytes.NewReader(fmt.Appendf(nil, `{"name":"Load","slug":"load-%d"}`, l.serial.Add(1)))
	}
	request, err := http.NewRequestWithContext(l.b.Context(), method, base+"/api/tenants/"+l.slugs[tenant]+"/projects", body)
	if err != nil {
		l.b.Error(err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+l.tokens[tenant])
	request.Header.Set("X-Owner", seedUser(1, tenant, 0)) // which the product knows by itself
	if write {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := l.client.Do(request)
	if err != nil {
		l.b.Error(err)
		return
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != want {
		l.b.Errorf("%s %s: %d %s %v", method, request.URL, response.StatusCode, text, err)
	}
}

// process starts the product as a process, and asks once for every tenant.
func (l *loadBench) process(b *testing.B) {
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	addr := freeAddress(b)
	command := exec.Command(path, "serve")
	command.Env = append(slices.Clone(l.environ), "LISTEN_ADDR="+addr, "DATABASE_CONN_LIFETIME=1h")
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill() // what it leaves is rolled back
		_ = command.Wait()
	}()
	base := "http://" + addr
	eventually(b, "the process", func() bool { return (&instance{url: base}).ready() })
	inTurn := loadSpreads(len(l.slugs))[0].choose
	l.requests(base, loadWorkers, inTurn, false)
	server, backends := resident(b, command.Process.Pid), l.backends(b)
	l.requests(base, len(l.slugs), inTurn, false)
	serverAfter, backendsAfter := resident(b, command.Process.Pid), l.backends(b)
	l.requests(base, len(l.slugs), inTurn, false)
	fmt.Printf("\nmemory, %d tenants: server %d → %d KiB (%.2f KiB a tenant), again over all of them %d KiB; PostgreSQL's processes %d → %d KiB private, %d of them\n",
		len(l.slugs), server, serverAfter, float64(serverAfter-server)/float64(len(l.slugs)), resident(b, command.Process.Pid), sum(backends), sum(backendsAfter), len(backendsAfter))
}

func sum(values []int) (total int) {
	for _, v := range values {
		total += v
	}
	return total
}

// backends is the private memory of the database's processes, each in KiB.
func (l *loadBench) backends(b *testing.B) (private []int) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), l.url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(b.Context(), `SELECT pid FROM pg_stat_activity WHERE application_name = 'tenon' AND datname = current_database()`)
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		private = append(private, proc(b, pid, "smaps_rollup", "Pss_Anon")) // without the buffers that they share
	}
	return private
}

// resident is the memory of a process in KiB.
func resident(b *testing.B, pid int) int { return proc(b, pid, "status", "VmRSS") }

// proc reads a figure of /proc in KiB; 0 where there is no /proc.
func proc(b *testing.B, pid int, file, field string) int {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		return 0
	}
	match := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+) kB`).FindSubmatch(text)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(match[1])) // digits
	return n
}

// mallocs is how often this process has allocated.
func mallocs() uint64 {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.Mallocs
}
