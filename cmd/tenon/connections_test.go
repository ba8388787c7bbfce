package main

import (
	"cmp"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/tenant"
)

var (
	connectionTenants = flag.String("connections", "10,50", "the numbers of tenants that BenchmarkConnections has a connection touch, the largest last")
	connectionSizes   = flag.String("connections-pools", "4,8,16", "the pools' sizes that BenchmarkConnections compares")
)

// BenchmarkConnections measures what connections cost: the memory that a server
// process keeps for the tenants it has touched, what ending connections and
// dividing them among groups of tenants do to it, and what a pool's size does to
// throughput. It writes tables; ratios are of one run.
//
// Run it by `task bench:connections`; its sizes are its own, not -benchtime's.
func BenchmarkConnections(b *testing.B) {
	c := newConnectionBench(b)
	c.oneProcess()
	c.manyProcesses()
	c.sizes()
}

type connectionBench struct {
	b       *testing.B
	url     string
	counts  []int
	schemas []tenant.Schema
	serial  atomic.Int64
}

func newConnectionBench(b *testing.B) *connectionBench {
	b.Helper()
	c := &connectionBench{b: b, url: localpgtest.NewDatabase(b), counts: numbers(b, "connections", *connectionTenants)}
	environ := []string{"DATABASE_URL=" + c.url, "TENANT_ROLES=on"}
	for _, args := range [][]string{{"migrate", "up"}, {"seed", "--tenants", fmt.Sprint(slices.Max(c.counts)), "--projects", "20", "--users", "5"}} {
		if code, _, stderr := execute(b, environ, args...); code != 0 {
			b.Fatalf("%v: %s", args, stderr)
		}
	}
	db := c.open(database.Config{ApplicationName: "seed"})
	var names []string
	if err := db.Registry().NewRaw(`SELECT schema_name FROM tenants ORDER BY id`).Scan(b.Context(), &names); err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		c.schemas = append(c.schemas, tenant.MustParse(name))
	}
	// What autovacuum would do in its own time.
	if _, err := db.Registry().ExecContext(b.Context(), `ANALYZE`); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return c
}

// numbers reads a flag's list.
func numbers(b *testing.B, name, text string) (list []int) {
	b.Helper()
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			b.Fatalf("-%s: %q is no number", name, part)
		}
		list = append(list, n)
	}
	return list
}

// measuredConnections is what the server calls the connections that are measured.
const measuredConnections = "measured"

func (c *connectionBench) open(cfg database.Config) *database.DB {
	cfg.URL, cfg.ApplicationName = c.url, cmp.Or(cfg.ApplicationName, measuredConnections)
	db, err := database.Open(cfg)
	if err != nil {
		c.b.Fatal(err)
	}
	return db
}

// touch does what a request does in a tenant: it reads a page of projects with
// their makers, or adds one.
func (c *connectionBench) touch(db *database.DB, n int, write bool) {
	ctx := tenant.NewContext(c.b.Context(), c.schemas[n])
	var err error
	if write {
		slug := fmt.Sprint("touched-", c.serial.Add(1))
		_, err = db.Tenants().ExecContext(ctx, `INSERT INTO projects (name, slug, created_by) VALUES ('Touched', ?, (SELECT min(id) FROM users))`, slug)
	} else {
		var names []string
		err = db.Tenants().NewRaw(`SELECT p.name || u.first_name FROM projects AS p JOIN users AS u ON u.id = p.created_by ORDER BY p.created_at DESC, p.id DESC LIMIT 20`).Scan(ctx, &names)
	}
	if err != nil {
		c.b.Error(err)
	}
}

// oneProcess shows what a single server process keeps.
func (c *connectionBench) oneProcess() {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\none connection\ttenants touched\town KiB\tKiB a tenant\tfirst touch\tlater\t")
	for _, way := range []struct {
		name         string
		roles, write bool
	}{{"reads", false, false}, {"reads by roles", true, false}, {"writes", false, true}, {"writes by roles", true, true}} {
		db := c.open(database.Config{MaxOpenConns: 1, MaxConnLifetime: -1})
		db.UseRoles(way.roles)
		if err := db.Ping(c.b.Context()); err != nil {
			c.b.Fatal(err)
		}
		before, touched := 0, 0
		for _, n := range append([]int{0}, c.counts...) {
			began := time.Now()
			for fresh := touched; fresh < n; fresh++ {
				c.touch(db, fresh, way.write)
			}
			first := time.Since(began) / time.Duration(max(n-touched, 1))
			touched = n
			began = time.Now()
			for again := range min(n, 100) {
				c.touch(db, again, way.write)
			}
			later := time.Since(began) / time.Duration(max(min(n, 100), 1))
			own := c.memory()
			if n == 0 {
				before = own
			}
			fmt.Fprintf(table, "%s\t%d\t%d\t%.1f\t%v\t%v\t\n", way.name, n, own,
				float64(own-before)/float64(max(n, 1)), first.Round(time.Microsecond), later.Round(time.Microsecond))
		}
		if err := db.Close(); err != nil {
			c.b.Fatal(err)
		}
	}
	_ = table.Flush() // standard output of a benchmark
}

// memory returns what the server's processes have of their own together, in KiB:
// shared buffers are nobody's own, though a process may be the only one to have
// touched a page.
func (c *connectionBench) memory() (own int) {
	db := c.open(database.Config{MaxOpenConns: 1, ApplicationName: "memory"})
	defer db.Close()
	var pids []int
	err := db.Registry().NewRaw(`SELECT pid FROM pg_stat_activity WHERE application_name = ? AND datname = current_database()`, measuredConnections).Scan(c.b.Context(), &pids)
	if err != nil {
		c.b.Fatal(err)
	}
	for _, pid := range pids {
		own += proc(c.b, pid, "smaps_rollup", "Pss_Anon")
	}
	return own
}

// manyProcesses shows a pool under statements all over the tenants: as it is, with
// few connections, with connections that end soon, and with groups of tenants.
func (c *connectionBench) manyProcesses() {
	const conns = 16
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\npool, %d tenants\tconnections\town KiB\t÷ the first\tstatements/s\t÷ the first\tp99\tzipf: statements/s\t÷ the first\tp99\t\n", len(c.schemas))
	var first [3]float64
	for _, way := range []struct {
		name string
		cfg  database.Config
	}{
		{"as it is", database.Config{MaxOpenConns: conns}},
		{"few connections", database.Config{MaxOpenConns: conns / 4}},
		{"2 groups", database.Config{MaxOpenConns: conns, TenantGroups: 2}},
		{"4 groups", database.Config{MaxOpenConns: conns, TenantGroups: 4}},
		{"8 groups", database.Config{MaxOpenConns: conns, TenantGroups: 8}},
		{"connections that live 2 s", database.Config{MaxOpenConns: conns, MaxConnLifetime: 2 * time.Second}},
		{"4 groups, 2 s", database.Config{MaxOpenConns: conns, TenantGroups: 4, MaxConnLifetime: 2 * time.Second}},
	} {
		if way.cfg.MaxConnLifetime == 0 {
			way.cfg.MaxConnLifetime = -1
		}
		db := c.open(way.cfg)
		statements := 10 * len(c.schemas)
		c.spread(db, conns, statements, false) // until connections have touched what they will
		even := c.spread(db, conns, statements, false)
		own := c.memory()
		zipf := c.spread(db, conns, statements, true)
		if first[0] == 0 {
			first = [3]float64{float64(own), even.rate, zipf.rate}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%.2f\t%.0f\t%.2f\t%.2f ms\t%.0f\t%.2f\t%.2f ms\t\n", way.name, db.Stats().OpenConnections, own, float64(own)/first[0],
			even.rate, even.rate/first[1], ms(even.p99), zipf.rate, zipf.rate/first[2], ms(zipf.p99))
		if err := db.Close(); err != nil {
			c.b.Fatal(err)
		}
	}
	_ = table.Flush()
}

// sizes shows what a pool's size does to many who ask at once.
func (c *connectionBench) sizes() {
	const askers, statements = 64, 8000
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\n%d ask at once, %d processors\tstatements/s\t÷ the first\tp50\tp99\t\n", askers, runtime.NumCPU())
	first := 0.0
	for _, size := range numbers(c.b, "connections-pools", *connectionSizes) {
		db := c.open(database.Config{MaxOpenConns: size})
		c.schemas = c.schemas[:min(len(c.schemas), 100)]
		c.spread(db, askers, 20*size*len(c.schemas)/10, false)
		got := c.spread(db, askers, statements, false)
		if first == 0 {
			first = got.rate
		}
		fmt.Fprintf(table, "%d connections\t%.0f\t%.2f\t%.2f ms\t%.2f ms\t\n", size, got.rate, got.rate/first, ms(got.p50), ms(got.p99))
		if err := db.Close(); err != nil {
			c.b.Fatal(err)
		}
	}
	_ = table.Flush()
}

// spread has askers send n statements, each fifth of them a write, to tenants in
// no order or as unevenly as real ones are asked for.
func (c *connectionBench) spread(db *database.DB, askers, n int, uneven bool) loadResult {
	latencies := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for asker := range askers {
		group.Go(func() {
			random := mathrand.New(mathrand.NewPCG(1, uint64(asker)))
			zipf := mathrand.NewZipf(random, 1.1, 1, uint64(len(c.schemas)-1))
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				which := random.IntN(len(c.schemas))
				if uneven {
					which = int(zipf.Uint64())
				}
				asked := time.Now()
				c.touch(db, which, i%5 == 0)
				latencies[i] = time.Since(asked)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	slices.Sort(latencies)
	return loadResult{took: took, rate: float64(n) / took.Seconds(), p50: latencies[n/2], p99: latencies[n*99/100]}
}
