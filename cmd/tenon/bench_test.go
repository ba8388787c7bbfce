package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/bunrepo"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
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

// BenchmarkListProjects compares an authenticated list of 20 projects through
// the whole product with a bare net/http handler that runs the same query by
// pgx with prepared statements and encodes the same JSON. The metric x-bare is
// the ratio of throughputs of the same run; 1 is as fast.
func BenchmarkListProjects(b *testing.B) {
	p := startProduct(b, "--no-seed")
	owner := p.newUser(b, "Ada")
	acme := p.newOrganization(b, "Acme", "acme", owner)
	token := p.token(b, owner, acme)
	for i := range 20 {
		if got := p.call(b, http.MethodPost, "/api/tenants/acme/projects", token, map[string]any{"name": fmt.Sprint("Project ", i), "description": "What it is about."}); got.status != http.StatusCreated {
			b.Fatalf("%d %s", got.status, got.body)
		}
	}
	pool, err := pgxpool.New(b.Context(), p.DatabaseURL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	var schema string
	if err := pool.QueryRow(b.Context(), `SELECT schema_name FROM public.tenants`).Scan(&schema); err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(bareList(pool, schema))
	b.Cleanup(bare.Close)

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	get := func(url string) {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		if err != nil {
			b.Error(err)
			return
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err != nil {
			b.Error(err)
			return
		}
		defer response.Body.Close()
		if n, err := io.Copy(io.Discard, response.Body); response.StatusCode != http.StatusOK || err != nil || n < 1000 {
			b.Errorf("%s: %s, %d bytes, %v", url, response.Status, n, err)
		}
	}
	measure := func(url string, n int) time.Duration {
		get(url) // connections and caches
		began := time.Now()
		work := make(chan struct{})
		done := make(chan struct{})
		const workers = 4
		for range workers {
			go func() {
				for range work {
					get(url)
				}
				done <- struct{}{}
			}()
		}
		for range n {
			work <- struct{}{}
		}
		close(work)
		for range workers {
			<-done
		}
		return time.Since(began)
	}
	n := 0
	for b.Loop() {
		n++
	}
	n = min(max(n, 500), 3000) // a token lives for a minute
	ours := measure(p.URL+"/api/tenants/acme/projects", n)
	theirs := measure(bare.URL, n)
	b.ReportMetric(float64(n)/ours.Seconds(), "requests/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-bare")
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
