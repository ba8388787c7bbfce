package main

import (
	"context"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	projectsmemory "github.com/tenonhq/tenon/modules/projects/adapters/memory"
	projectsrest "github.com/tenonhq/tenon/modules/projects/adapters/rest"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/bunrepo"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/ratelimit/redistest"
	"github.com/tenonhq/tenon/platform/testtool"
)

// BenchmarkProvision compares a new tenant, registry row, revisions and
// fingerprint included, with psql sending the bare DDL: one session fed all of
// it, a transaction for each tenant. The metric x-psql is the ratio of the times
// of the same run; below 1 is faster than psql.
func BenchmarkProvision(b *testing.B) {
	psql := testtool.Path(b, "psql")
	tenants, err := migrate.Load(migrations.Tenant)
	if err != nil {
		b.Fatal(err)
	}
	var script strings.Builder
	script.WriteString(migrations.PublicSchema + "\n") // what the tenants' triggers call
	n := 0
	for b.Loop() {
		n++
	}
	for i := range n {
		fmt.Fprintf(&script, "BEGIN;\nCREATE SCHEMA tenant_psql_%d;\nSET LOCAL search_path TO tenant_psql_%d;\n", i, i)
		for _, migration := range tenants.Migrations() {
			for _, statement := range migration.Statements {
				script.WriteString(statement + ";\n")
			}
		}
		script.WriteString("COMMIT;\n")
	}
	baseline := localpgtest.NewDatabase(b)
	command := exec.Command(psql, "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", baseline)
	command.Stdin = strings.NewReader(script.String())
	began := time.Now()
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, output)
	}
	bare := time.Since(began)

	db := databasetest.New(b)
	engine, err := newEngine(db, migrate.RolesOff)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := engine.Up(b.Context(), migrate.Options{}); err != nil {
		b.Fatal(err)
	}
	service := tenancy.NewService(bunrepo.NewRegistry(db), engine, db)
	began = time.Now()
	for i := range n {
		_, err := service.Sync(b.Context(), tenancy.Organization{ID: fmt.Sprint("org_", i), Name: "Bench", Slug: fmt.Sprint("bench-", i), CreatedAt: began})
		if err != nil {
			b.Fatal(err)
		}
	}
	ours := time.Since(began)
	b.ReportMetric(float64(ours.Microseconds())/1000/float64(n), "ms/tenant")
	b.ReportMetric(ours.Seconds()/bare.Seconds(), "x-psql")
}

// BenchmarkFigures compares an authenticated list of 20 projects, and a write, with
// a bare net/http handler that sends the same query by pgx with prepared statements
// and encodes the same JSON, and tells what each part of the product costs. It writes
// a table; ways take turns, and ratios are of one run: throughput above 1 is faster.
//
// Its numbers of requests are its own (-load-requests), not -benchtime's.
func BenchmarkFigures(b *testing.B) {
	l := newLoadBench(b, []int{2})
	audited, unaudited := 0, 1
	l.dropTriggers(l.schemas[unaudited])
	const unlimited = "RATE_LIMIT_PERSON=0 RATE_LIMIT_TENANT=0 TENANT_ROLES=off"
	settings := func(more string) []string { return strings.Fields(unlimited + " " + more) }
	plain := l.serve(settings("")...)
	ways := []*figure{
		{name: "bare", base: l.bare},
		{name: "product", base: plain},
		{name: "product, a role for each tenant", base: l.serve(settings("TENANT_ROLES=on")...)},
		{name: "product, limits in memory", base: l.serve(settings("RATE_LIMIT_ADDRESS=1000000 RATE_LIMIT_PERSON=1000000 RATE_LIMIT_TENANT=1000000")...)},
		{name: "product, access not kept", base: l.serve(settings("ACCESS_CACHE_SIZE=0")...)},
		{name: "write: bare", base: l.bare, write: true},
		{name: "write: product", base: plain, write: true, tenant: audited},
		{name: "write: product, no triggers", base: plain, write: true, tenant: unaudited},
	}
	if _, err := exec.LookPath("redis-server"); err == nil {
		redis := redistest.Start(b)
		ways = slices.Insert(ways, 4, &figure{name: "product, limits in Redis", base: l.serve(settings("RATE_LIMIT_ADDRESS=1000000 RATE_LIMIT_PERSON=1000000 RATE_LIMIT_TENANT=1000000 REDIS_URL=" + redis.URL())...)})
	}
	const rounds = 5
	for round := range rounds + 1 {
		for _, way := range ways {
			way.measure(l, *loadRequests/rounds, round > 0) // the first is for connections, caches and plans
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\n\trequests/s\tp50\tp99\tallocations\tthroughput ÷ bare\tthroughput ÷ product\t")
	var bare, product *figure
	for _, way := range ways {
		switch way.name {
		case "bare", "write: bare":
			bare, product = way, nil
		case "product", "write: product":
			product = way
		}
		slices.Sort(way.latencies)
		n := len(way.latencies)
		fmt.Fprintf(table, "%s\t%.0f\t%.2f ms\t%.2f ms\t%d\t%.2f\t", way.name, float64(n)/way.took.Seconds(), ms(way.latencies[n/2]), ms(way.latencies[n*99/100]),
			way.allocations/uint64(n), bare.took.Seconds()/way.took.Seconds())
		if product != nil {
			fmt.Fprintf(table, "%.2f", product.took.Seconds()/way.took.Seconds())
		}
		fmt.Fprintln(table, "\t")
	}
	_ = table.Flush() // standard output of a benchmark
	humaShare(b, ways[1].took/time.Duration(len(ways[1].latencies)))
}

// figure is one way to ask, and how it went.
type figure struct {
	name, base string
	write      bool
	tenant     int

	took        time.Duration
	latencies   []time.Duration
	allocations uint64 // of driver and server together
}

func (f *figure) measure(l *loadBench, n int, counts bool) {
	before, began := mallocs(), time.Now()
	latencies := l.requests(f.base, n, func(int, *mathrand.Rand) int { return f.tenant }, f.write)
	if counts {
		f.took += time.Since(began)
		f.allocations += mallocs() - before
		f.latencies = append(f.latencies, latencies...)
	}
}

// dropTriggers leaves a tenant without its audit log.
func (l *loadBench) dropTriggers(schema string) {
	conn, err := pgx.Connect(l.b.Context(), l.url)
	if err != nil {
		l.b.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(l.b.Context(), `SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger
		JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND c.relnamespace = $1::regnamespace`, schema)
	if err != nil {
		l.b.Fatal(err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		l.b.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := conn.Exec(l.b.Context(), statement); err != nil {
			l.b.Fatal(err)
		}
	}
	l.b.Logf("%d triggers dropped in one tenant", len(statements))
}

// humaShare compares the list's operation, through huma, with a plain handler over
// the same use case, router and encoding, without a database and a network. whole is
// the time from one answer of the product's to the next.
func humaShare(b *testing.B, whole time.Duration) {
	service := projects.NewService(projectsmemory.NewRepository())
	router := projectstest.NewRouter(b, []httpserver.Mount{
		{Surface: httpserver.TenantAPI, Operations: func(api huma.API) { projectsrest.Register(api, service) }},
		{Surface: httpserver.TenantPages, Routes: func(r chi.Router) {
			r.Get("/plain", func(w http.ResponseWriter, r *http.Request) {
				access, _ := identity.AccessFromContext(r.Context())
				page, err := service.List(r.Context(), access.Actor(), projects.Listing{Order: projects.NewestFirst, Limit: 20})
				if err != nil {
					b.Error(err)
				}
				list := projectsrest.ProjectList{}
				for _, p := range page.Projects {
					list.Items = append(list.Items, projectsrest.Project{
						ID: p.ID, Name: p.Name, Slug: p.Slug.String(), Description: p.Description, CreatedBy: p.CreatedBy,
						IsPublic: p.Public, Status: string(p.Status), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
					})
				}
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(list) // to a recorder
			})
		}},
	})
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(method, path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+projectstest.AdaToken)
		request.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request)
		return w
	}
	for i := range 20 {
		if w := ask("POST", "/api/tenants/acme/projects", fmt.Sprintf(`{"name": "Project %d", "description": "What it is about."}`, i)); w.Code != http.StatusCreated {
			b.Fatal(w.Body)
		}
	}
	const rounds, batch = 20, 500
	var took [2]time.Duration
	var allocations [2]uint64
	for round := range rounds + 1 {
		for i, path := range []string{"/api/tenants/acme/projects", "/acme/plain"} {
			before, began := mallocs(), time.Now()
			for range batch {
				if w := ask("GET", path, ""); w.Code != http.StatusOK || w.Body.Len() < 1000 {
					b.Fatal(w.Code, w.Body)
				}
			}
			if round > 0 {
				took[i] += time.Since(began)
				allocations[i] += mallocs() - before
			}
		}
	}
	for i := range took {
		took[i], allocations[i] = took[i]/(rounds*batch), allocations[i]/(rounds*batch)
	}
	fmt.Printf("\nhuma: %v and %d allocations more than a plain handler's %v and %d; %.1f %% of the product's time from one answer to the next\n",
		took[0]-took[1], int64(allocations[0]-allocations[1]), took[1], allocations[1], 100*float64(took[0]-took[1])/float64(whole))
}

// bareList is what a list costs without a product around it.
func bareList(pool *pgxpool.Pool, schema string) http.Handler {
	query := `SELECT id, name, slug, description, created_by, is_public, status, created_at, updated_at FROM ` +
		pgx.Identifier{schema, "projects"}.Sanitize() + ` ORDER BY created_at DESC, id DESC LIMIT 21`
	type project struct {
		ID          int64     `json:"id"`
		Name        string    `json:"name"`
		Slug        string    `json:"slug"`
		Description string    `json:"description"`
		CreatedBy   string    `json:"created_by"`
		IsPublic    bool      `json:"is_public"`
		Status      string    `json:"status"`
		CreatedAt   time.Time `json:"created_at"`
		UpdatedAt   time.Time `json:"updated_at"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rows, err := pool.Query(context.WithoutCancel(r.Context()), query)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[project])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"items": list, "next": nil}) // a client that left
	})
}
