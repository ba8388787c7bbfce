package migrate_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/localpg"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

var kills = flag.Int("kills", 24, "how often TestKilledAtAnyMoment kills a migrator; `task soak` has 1000")

const (
	victimVariable = "MIGRATE_TEST_VICTIM"
	victimName     = "migrate victim"
)

// victimFiles go up by two transactions with a file outside of transactions
// between, and back.
var victimFiles = with(v2, down2, files{
	"3_index":  apart + "CREATE INDEX CONCURRENTLY things_name ON things (name);\nCREATE UNIQUE INDEX CONCURRENTLY things_both ON things (id, name);",
	"3_index!": "DROP INDEX things_name;\nDROP INDEX things_both",
	"4_size":   "ALTER TABLE things ADD COLUMN size int NOT NULL DEFAULT 1", "4_size!": "ALTER TABLE things DROP COLUMN size",
})

// TestVictim is the process that TestKilledAtAnyMoment kills: it goes on with
// whatever run there is, or begins one.
func TestVictim(t *testing.T) {
	url := os.Getenv(victimVariable)
	if url == "" {
		t.Skip("another test runs this one in a process of its own")
	}
	db, err := database.Open(database.Config{URL: url, MaxOpenConns: 5, ApplicationName: victimName})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	public, _ := product(t)
	engine := migrate.New(db, public, load(t, victimFiles), migrate.WithDirectURL(url+"&application_name="+strings.ReplaceAll(victimName, " ", "+")))
	os.Stdout.WriteString("ready\n")
	result, err := engine.Resume(t.Context(), 0, migrate.Options{Workers: 3, Attempts: 100})
	if fault.Is(err, fault.NotFound) {
		result, err = engine.Up(t.Context(), migrate.Options{Workers: 3, Attempts: 100})
	}
	if err != nil || len(result.Failures) > 0 {
		t.Fatalf("%+v, %v", result, err)
	}
}

// TestKilledAtAnyMoment kills a migrator again and again, with SIGKILL, at random
// moments. After each no tenant is half migrated, and in the end the run is
// finished by going on with it, and the ledger is true.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	f := &fleet{db: databasetest.Open(t, url)}
	f.old = f.engine(t, v1)
	up(t, f.old)
	for i := range 12 {
		f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, fmt.Sprintf("t%03d", i)))
	}
	engine := f.engine(t, victimFiles, migrate.WithDirectURL(url))
	moments := map[string]int{}
	window := 250 * time.Millisecond // in which a kill may come, fitted to the machine
	for range *kills {
		moment := f.killOne(t, url, window)
		moments[moment]++
		switch moment {
		case tooEarly:
			window *= 2
		case tooLate:
			window = max(window/2, 10*time.Millisecond)
		}
		f.consistent(t)
		if t.Failed() {
			return
		}
		if len(f.at(t, 4)) == len(f.schemas) {
			// Everybody is there: back to the beginning, and on.
			if _, err := engine.Resume(t.Context(), 0, migrate.Options{}); err != nil && !fault.Is(err, fault.NotFound) {
				t.Fatal(err)
			}
			back, err := engine.Down(t.Context(), migrate.DownOptions{To: "20260101000001", AllowDestructive: true, Options: migrate.Options{Only: f.names()}})
			if err != nil || back.Migrated != len(f.schemas) {
				t.Fatalf("%+v, %v", back, err)
			}
			f.consistent(t)
		}
	}
	t.Logf("killed: %v", moments)
	if moments[inTheMiddle] == 0 {
		t.Error("no kill hit a run")
	}
	result, err := engine.Resume(t.Context(), 0, migrate.Options{})
	if fault.Is(err, fault.NotFound) {
		result, err = engine.Up(t.Context(), migrate.Options{})
	}
	if err != nil || len(result.Failures) > 0 || len(f.at(t, 4)) != len(f.schemas) {
		t.Errorf("%+v, %v, %v are done", result, err, f.at(t, 4))
	}
	if wrong, looked, err := engine.Audit(t.Context(), migrate.Options{}); err != nil || looked != len(f.schemas) || len(wrong) != 0 {
		t.Errorf("%+v, %v", wrong, err)
	}
	if drifts, _, err := engine.Drift(t.Context(), migrate.Options{}); err != nil || len(drifts) != 0 {
		t.Errorf("%+v, %v", drifts, err)
	}
}

func (f *fleet) names() (names []string) {
	for _, schema := range f.schemas {
		names = append(names, schema.String())
	}
	return names
}

// When a kill came.
const (
	tooEarly    = "before the first tenant"
	inTheMiddle = "in the middle"
	tooLate     = "after the last tenant"
)

// killOne starts a migrator, kills it at some moment of the window, waits until
// the server has noticed, and returns when that was.
func (f *fleet) killOne(t testing.TB, url string, window time.Duration) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), victimVariable+"="+url)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stdout)
	if line, err := said.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the victim says %q, %v", line, err)
	}
	time.Sleep(rand.N(window)) // the moment is what is random
	_ = cmd.Process.Signal(syscall.SIGKILL)
	var report strings.Builder
	_, _ = said.WriteTo(&report)
	err = cmd.Wait()
	if killed, ok := errors.AsType[*exec.ExitError](err); ok && killed.ExitCode() != -1 {
		t.Fatalf("the victim failed by itself: %s", report.String())
	}
	// A server process goes on with its message until it finds nobody to answer.
	waitFor(t, func() bool {
		return text(t, f.db, f.schemas[0], `SELECT count(*) FROM pg_stat_activity WHERE application_name = ? AND datname = current_database()`, victimName) == "0"
	})
	switch n := len(f.at(t, 4)); {
	case err == nil || n == len(f.schemas):
		return tooLate
	case n == 0:
		return tooEarly
	}
	return inTheMiddle
}

// consistent fails for a tenant whose registry, table of revisions and tables
// say different things, and for a ledger that says other than the registry. An
// index that is being built outside of a transaction may be there before its
// version is.
func (f *fleet) consistent(t testing.TB) {
	t.Helper()
	for _, schema := range f.schemas {
		got := text(t, f.db, schema, `SELECT concat_ws(' ',
			right((SELECT schema_version FROM public.tenants WHERE schema_name = current_schema()), 1),
			(SELECT count(*) FROM _migrations),
			(SELECT count(*) FROM information_schema.columns WHERE table_schema = current_schema() AND column_name IN ('colour', 'size')),
			(SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = current_schema()::regnamespace AND i.indisvalid AND c.relname LIKE 'things\_%' AND c.relname <> 'things_pkey'))`)
		switch got {
		case "1 1 0 0", "2 2 1 1", "2 2 1 2", "2 2 1 3", "3 3 1 3", "4 4 2 3":
		default:
			t.Errorf("%s is half migrated: %s", schema, got)
		}
	}
	wrong := text(t, f.db, f.schemas[0], `SELECT count(*) FROM public.migration_run_tenants r JOIN public.tenants t ON t.schema_name = r.schema_name
		WHERE r.run_id = (SELECT max(id) FROM public.migration_runs) AND (r.state = 'applied') <> (t.schema_version = r.to_version)`)
	if wrong != "0" {
		t.Errorf("the ledger is wrong about %s tenants", wrong)
	}
}

// TestTheDatabaseRestarts stops the server in the middle of a run: the run ends
// with an error that says so, nobody is half migrated, and it is resumed.
func TestTheDatabaseRestarts(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "migrate-restart-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // the server's account passes through
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	start := func() *localpg.Server {
		server, err := localpg.Start(ctx, localpg.Config{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Stop(ctx) })
		return server
	}
	server := start()
	f := &fleet{db: databasetest.Open(t, server.URL("postgres"))}
	f.old = f.engine(t, v1)
	up(t, f.old)
	for i := range 12 {
		f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, fmt.Sprintf("t%03d", i)))
	}
	stopped := false
	result, err := f.engine(t, v2).Up(ctx, migrate.Options{Workers: 2, Attempts: 2, Observe: func(p migrate.Progress) {
		if p.Done == 3 && !stopped {
			stopped = true
			if err := server.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "went away") || len(result.Failures) != 0 {
		t.Errorf("%+v, %v", result, err)
	}

	server = start()
	f.db = databasetest.Open(t, server.URL("postgres"))
	f.whole(t)
	again, err := f.engine(t, v2).Resume(ctx, result.Run, migrate.Options{})
	if err != nil || len(f.at(t, 2)) != 12 || again.Run != result.Run || len(again.Failures) != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	f.whole(t)
	if got := f.ledger(t, result.Run); got != "applied=12" {
		t.Errorf("the ledger says %s", got)
	}
}

// TestNobodyTouchesAnotherTenant holds that a migration that fails leaves the
// pool's connections as it found them.
func TestNobodyTouchesAnotherTenant(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	broken := f.engine(t, with(v1, files{"2_broken": "CREATE TABLE more (id int); SELECT 1/0"}))
	result, err := broken.Up(t.Context(), migrate.Options{})
	if err != nil || len(result.Failures) != 4 {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, schema := range f.schemas {
		if got := text(t, f.db, schema, `SELECT current_schema() || ' ' || current_setting('lock_timeout') || ' ' || (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' AND d.datname = current_database())`); got != schema.String()+" 0 0" {
			t.Errorf("%s", got)
		}
	}
	ctx := tenant.NewContext(t.Context(), f.schemas[0])
	var more *string
	if err := f.db.Tenants().QueryRowContext(ctx, `SELECT to_regclass('more')::text`).Scan(&more); err != nil || more != nil {
		t.Errorf("a table is left: %v", err)
	}
}
