package migrate_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
	"github.com/tenonhq/tenon/platform/testtool"
)

var fleetSizes = flag.String("fleet", "100", "numbers of tenants that BenchmarkFleet works on")

// executorSample is how many tenants Atlas' Executor gets, which takes its time;
// what it would take for all is worked out from them.
const executorSample = 40

// BenchmarkFleet measures, for fleets of several sizes in one run each: making
// the tenants, adding a column with an index to each, and looking at them. The
// baselines are psql sending the same DDL, a transaction a tenant, by one or
// several sessions that are fed whole files, the same with the records that the engine
// keeps of each tenant, and Atlas' Executor in a loop. It
// does its work once, whatever -benchtime says, and prints a table; the metrics
// are ratios of times, below 1 is faster than the baseline.
func BenchmarkFleet(b *testing.B) {
	for field := range strings.SplitSeq(*fleetSizes, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			b.Fatalf("-fleet: %q is no number of tenants", field)
		}
		b.Run("tenants="+field, func(b *testing.B) {
			bench := newFleetBench(b, n)
			for done := false; b.Loop(); done = true {
				if !done {
					bench.run(b)
				}
			}
			for unit, value := range bench.metrics {
				b.ReportMetric(value, unit)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

type fleetBench struct {
	n         int
	psql      string
	url, bare string // the engine's database and psql's
	db        *database.DB
	tenants   *migrate.Directory
	old, next *migrate.Engine
	schemas   []string
	table     *tabwriter.Writer
	metrics   map[string]float64
	heap      uint64 // the most that a migrator had, in bytes
}

// benchNext is the migration that is measured.
var benchNext = files{
	"2_phone":  "ALTER TABLE users ADD COLUMN phone_verified_at timestamptz;\nCREATE INDEX users_phone_idx ON users (phone)",
	"2_phone!": "DROP INDEX users_phone_idx;\nALTER TABLE users DROP COLUMN phone_verified_at",
}

func newFleetBench(b *testing.B, n int) *fleetBench {
	b.Helper()
	f := &fleetBench{n: n, psql: testtool.Path(b, "psql"), url: localpgtest.NewDatabase(b), bare: localpgtest.NewDatabase(b)}
	db, err := database.Open(database.Config{URL: f.url, MaxOpenConns: 5})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	f.db = db
	public, product := product(b)
	var first strings.Builder
	for _, m := range product.Migrations() {
		first.WriteString(strings.Join(m.Statements, ";\n") + ";\n")
	}
	initial := files{"1_init": first.String()}
	f.old, f.next = migrate.New(db, public, load(b, initial)), migrate.New(db, public, load(b, with(initial, benchNext)))
	f.tenants = load(b, initial)
	for i := range n {
		f.schemas = append(f.schemas, fmt.Sprintf("tenant_%05d", i))
	}
	f.table, f.metrics = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight), map[string]float64{}
	return f
}

// row adds a line to the table, with the ratio to a baseline if there is one.
func (f *fleetBench) row(what string, took, baseline time.Duration) {
	ratio := ""
	if baseline > 0 {
		ratio = fmt.Sprintf("%.2f", took.Seconds()/baseline.Seconds())
	}
	fmt.Fprintf(f.table, "%d\t%s\t%.3f s\t%.2f ms\t%s\t\n", f.n, what, took.Seconds(), took.Seconds()*1000/float64(f.n), ratio)
}

func timed(work func()) time.Duration {
	began := time.Now()
	work()
	return time.Since(began)
}

func (f *fleetBench) run(b *testing.B) {
	fmt.Fprintln(f.table, "\ntenants\twhat\ttime\ta tenant\tratio\t")
	statements := strings.Join(f.tenants.Migrations()[0].Statements, ";\n")
	f.script(b, migrations.PublicSchema) // what the tenants' triggers call
	bare := timed(func() {
		f.byPSQL(b, 1, func(schema string) string {
			return "CREATE SCHEMA " + schema + ";\nSET LOCAL search_path TO " + schema + ";\n" + statements + ";\n"
		})
	})
	up(b, f.old)
	made := timed(func() { f.provision(b) })
	f.row("make, psql", bare, 0)
	f.row("make", made, bare)
	f.metrics["make/psql"] = made.Seconds() / bare.Seconds()

	forward, back := benchNext["2_phone"], benchNext["2_phone!"]
	migrate1 := func(text string) func(string) string {
		return func(schema string) string { return "SET LOCAL search_path TO " + schema + ";\n" + text + ";\n" }
	}
	executor := f.byExecutor(b)
	f.row(fmt.Sprintf("migrate, Atlas' Executor, from %d", min(f.n, executorSample)), executor, 0)
	f.prepareRecords(b)
	var fastest, recording time.Duration
	for _, sessions := range []int{1, 2, 4} {
		took := timed(func() { f.byPSQL(b, sessions, migrate1(forward)) })
		f.byPSQL(b, sessions, migrate1(back))
		f.row(fmt.Sprintf("migrate, psql, %d sessions", sessions), took, executor)
		recorded := timed(func() {
			f.byPSQL(b, sessions, func(schema string) string { return migrate1(forward)(schema) + records(schema) })
		})
		f.byPSQL(b, sessions, migrate1(back))
		f.row(fmt.Sprintf("migrate and record, psql, %d sessions", sessions), recorded, executor)
		fastest, recording = shorter(fastest, took), shorter(recording, recorded)
	}
	var best time.Duration
	for _, workers := range []int{1, 2, 4} {
		var result migrate.Result
		took := timed(func() { result = f.up(b, workers) })
		if result.Migrated != f.n {
			b.Fatalf("%d of %d migrated", result.Migrated, f.n)
		}
		f.row(fmt.Sprintf("migrate and record, %d workers (ratio to the fastest psql that records)", workers), took, recording)
		best = shorter(best, took)
		if workers != 4 {
			f.down(b, result.Run)
		}
	}
	f.metrics["migrate/psql"] = best.Seconds() / fastest.Seconds()
	f.metrics["migrate/recording-psql"] = best.Seconds() / recording.Seconds()
	f.metrics["executor/migrate"] = executor.Seconds() / best.Seconds()

	f.row("nothing to do", timed(func() { f.up(b, 4) }), 0)
	for _, look := range []struct {
		what string
		do   func() error
	}{
		{"status", func() error { _, err := f.next.Status(b.Context()); return err }},
		{"drift", func() error {
			drifts, _, err := f.next.Drift(b.Context(), migrate.Options{})
			if len(drifts) > 0 {
				return fmt.Errorf("%d tenants drifted, such as %+v", len(drifts), drifts[0])
			}
			return err
		}},
		{"verify", func() error {
			wrong, _, err := f.next.Audit(b.Context(), migrate.Options{})
			if len(wrong) > 0 {
				return fmt.Errorf("%d mismatches, such as %+v", len(wrong), wrong[0])
			}
			return err
		}},
	} {
		took := timed(func() {
			if err := look.do(); err != nil {
				b.Fatal(err)
			}
		})
		f.row(look.what, took, 0)
		f.metrics[look.what+"-s"] = took.Seconds()
	}
	f.metrics["heap-MB"] = float64(f.heap) / (1 << 20)
	if err := f.table.Flush(); err != nil {
		b.Fatal(err)
	}
}

// shorter returns the shorter of two times, the other for zero.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// prepareRecords makes what [records] writes into, as the engine has it.
func (f *fleetBench) prepareRecords(b *testing.B) {
	f.script(b, `
		INSERT INTO migration_runs (kind, target, worker) VALUES ('up', '2', 'psql');
		INSERT INTO tenants (id, name, slug, schema_name, schema_version)
			SELECT 'org_' || nspname, nspname, replace(nspname, '_', '-'), nspname, '1' FROM pg_namespace WHERE nspname LIKE 'tenant\_%';
		INSERT INTO migration_run_tenants (run_id, schema_name, wave, from_version, to_version) SELECT 1, schema_name, 1, '1', '2' FROM tenants;
		SELECT format('CREATE TABLE %I._migrations (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, filename text NOT NULL, hash text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())', schema_name) FROM tenants
		\gexec
		SELECT format('INSERT INTO %I._migrations (filename, hash) VALUES (''1_init.up.sql'', ''x'')', schema_name) FROM tenants
		\gexec
`)
}

// script has psql work on its database.
func (f *fleetBench) script(b *testing.B, text string) {
	b.Helper()
	command := exec.Command(f.psql, "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", f.bare)
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, output)
	}
}

// records are what is kept of a tenant's migration, in its transaction: the revision,
// the registry's version and the run's ledger.
func records(schema string) string {
	return "INSERT INTO _migrations (filename, hash) VALUES ('2_phone.up.sql', 'y');\n" +
		"UPDATE public.tenants SET schema_version = '2', schema_fingerprint = 'z' WHERE schema_name = '" + schema + "';\n" +
		"UPDATE public.migration_run_tenants SET state = 'applied', attempts = 1, finished_at = clock_timestamp() WHERE run_id = 1 AND schema_name = '" + schema + "';\n"
}

// watchHeap keeps the most that the heap had until stop, which is what the migrator
// needs: what psql was fed is gone by then.
func (f *fleetBench) watchHeap() (stop func()) {
	runtime.GC()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		var memory runtime.MemStats
		for {
			runtime.ReadMemStats(&memory)
			f.heap = max(f.heap, memory.HeapInuse)
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}

func (f *fleetBench) up(b *testing.B, workers int) migrate.Result {
	defer f.watchHeap()()
	result, err := f.next.Up(b.Context(), migrate.Options{Workers: workers})
	if err != nil || len(result.Failures) > 0 {
		b.Fatalf("%+v, %v", result, err)
	}
	return result
}

func (f *fleetBench) down(b *testing.B, run int64) {
	result, err := f.next.Down(b.Context(), migrate.DownOptions{Run: run, AllowDestructive: true, Options: migrate.Options{Workers: 4}})
	if err != nil || len(result.Failures) > 0 {
		b.Fatalf("%+v, %v", result, err)
	}
}

func (f *fleetBench) provision(b *testing.B) {
	for _, name := range f.schemas {
		schema := tenant.MustParse(name)
		err := f.db.InSystemTx(b.Context(), func(ctx context.Context) error {
			if _, err := f.db.Registry().ExecContext(ctx, `INSERT INTO tenants (id, name, slug, schema_name) VALUES (?, ?, ?, ?)`, "org_"+name, name, strings.ReplaceAll(name, "_", "-"), name); err != nil {
				return err
			}
			return f.old.Provision(ctx, schema)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// byPSQL feeds the fleet to sessions of psql, a transaction a tenant.
func (f *fleetBench) byPSQL(b *testing.B, sessions int, statements func(schema string) string) {
	b.Helper()
	var group sync.WaitGroup
	for session := range sessions {
		group.Go(func() {
			var script strings.Builder
			for i := session; i < len(f.schemas); i += sessions {
				script.WriteString("BEGIN;\n" + statements(f.schemas[i]) + "COMMIT;\n")
			}
			command := exec.Command(f.psql, "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", f.bare)
			command.Stdin = strings.NewReader(script.String())
			if output, err := command.CombinedOutput(); err != nil {
				b.Errorf("%v: %s", err, output)
			}
		})
	}
	group.Wait()
}

// byExecutor migrates some tenants by Atlas' Executor, takes them back by psql,
// and returns what all of them would take. The Executor's revisions are kept in
// memory, which spares it round trips.
func (f *fleetBench) byExecutor(b *testing.B) time.Duration {
	b.Helper()
	schemas := f.schemas[:min(len(f.schemas), executorSample)]
	took := timed(func() {
		for _, schema := range schemas {
			if err := f.execute(b.Context(), schema); err != nil {
				b.Fatal(err)
			}
		}
	})
	all := f.schemas
	f.schemas = schemas
	f.byPSQL(b, 1, func(schema string) string {
		return "SET LOCAL search_path TO " + schema + ";\n" + benchNext["2_phone!"] + ";\n"
	})
	f.schemas = all
	return took / time.Duration(len(schemas)) * time.Duration(f.n)
}

func (f *fleetBench) execute(ctx context.Context, schema string) error {
	config, err := pgx.ParseConfig(f.bare)
	if err != nil {
		return err
	}
	config.RuntimeParams["search_path"] = schema
	db := stdlib.OpenDB(*config)
	defer db.Close()
	dir := &atlas.MemDir{}
	for name, text := range map[string]string{"1_init.sql": "SELECT 1;", "2_phone.sql": benchNext["2_phone"] + ";"} {
		if err := dir.WriteFile(name, []byte(text)); err != nil {
			return err
		}
	}
	sum, err := dir.Checksum()
	if err != nil {
		return err
	}
	if err := atlas.WriteSumFile(dir, sum); err != nil {
		return err
	}
	return executeAll(ctx, db, dir, sum)
}

func executeAll(ctx context.Context, db *sql.DB, dir *atlas.MemDir, sum atlas.HashFile) error {
	driver, err := postgres.Open(db)
	if err != nil {
		return err
	}
	hash, err := sum.SumByName("1_init.sql")
	if err != nil {
		return err
	}
	revisions := &memoryRevisions{{Version: "1", Description: "init", Type: atlas.RevisionTypeExecute, Applied: 1, Total: 1, Hash: hash}}
	executor, err := atlas.NewExecutor(driver, dir, revisions)
	if err != nil {
		return err
	}
	return executor.ExecuteN(ctx, 0)
}

// memoryRevisions are the Executor's revisions.
type memoryRevisions []*atlas.Revision

func (r *memoryRevisions) Ident() *atlas.TableIdent { return &atlas.TableIdent{Name: "revisions"} }

func (r *memoryRevisions) ReadRevisions(context.Context) ([]*atlas.Revision, error) { return *r, nil }

func (r *memoryRevisions) ReadRevision(_ context.Context, version string) (*atlas.Revision, error) {
	for _, revision := range *r {
		if revision.Version == version {
			return revision, nil
		}
	}
	return nil, atlas.ErrRevisionNotExist
}

func (r *memoryRevisions) WriteRevision(_ context.Context, revision *atlas.Revision) error {
	for i, known := range *r {
		if known.Version == revision.Version {
			(*r)[i] = revision
			return nil
		}
	}
	*r = append(*r, revision)
	return nil
}

func (r *memoryRevisions) DeleteRevision(context.Context, string) error { return nil }
