package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

// fleet is a database with tenants at v1.
type fleet struct {
	db      *database.DB
	old     *migrate.Engine
	schemas []tenant.Schema
}

func newFleet(t testing.TB, tenants int) *fleet {
	t.Helper()
	f := &fleet{db: databasetest.New(t)}
	f.old = f.engine(t, v1)
	up(t, f.old)
	for i := range tenants {
		f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, fmt.Sprintf("t%03d", i)))
	}
	return f
}

func (f *fleet) engine(t testing.TB, content files, options ...migrate.Option) *migrate.Engine {
	t.Helper()
	public, _ := product(t)
	return migrate.New(f.db, public, load(t, content), options...)
}

func (f *fleet) exec(t testing.TB, schema tenant.Schema, statement string) {
	t.Helper()
	if _, err := f.db.Tenants().ExecContext(tenant.NewContext(t.Context(), schema), statement); err != nil {
		t.Fatal(err)
	}
}

// at returns the schemas that are at version n.
func (f *fleet) at(t testing.TB, n int) (schemas []string) {
	t.Helper()
	rows, err := f.db.Registry().QueryContext(t.Context(), `SELECT schema_name FROM tenants WHERE schema_version = ? ORDER BY 1`, fmt.Sprintf("202601010000%02d", n))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var schema string
		if err := rows.Scan(&schema); err != nil {
			t.Fatal(err)
		}
		schemas = append(schemas, schema)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return schemas
}

// whole fails for a tenant that is half migrated: the registry, its table of
// revisions and its tables have to say the same.
func (f *fleet) whole(t testing.TB) {
	t.Helper()
	for _, schema := range f.schemas {
		got := text(t, f.db, schema, `SELECT concat_ws(' ',
			(SELECT schema_version = '20260101000002' FROM public.tenants WHERE schema_name = current_schema()),
			(SELECT count(*) = 2 FROM _migrations),
			EXISTS (SELECT FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = 'colour'),
			to_regclass('things_colour') IS NOT NULL)`)
		if got != "t t t t" && got != "f f f f" {
			t.Errorf("%s is half migrated: %s", schema, got)
		}
	}
}

// ledger returns the states in a run's ledger with their counts.
func (f *fleet) ledger(t testing.TB, run int64) string {
	t.Helper()
	return text(t, f.db, f.schemas[0], `SELECT coalesce(string_agg(line, ' '), '') FROM (
		SELECT state || '=' || count(*) AS line FROM public.migration_run_tenants WHERE run_id = ? GROUP BY state ORDER BY state) lines`, run)
}

func TestWavesAndCanary(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 30)
	next := f.engine(t, v2)
	var order []int
	seen := map[int]int{}
	result, err := next.Up(t.Context(), migrate.Options{
		Canary: []string{"t003", "org_t007"}, Waves: []float64{10, 50}, Workers: 3,
		Observe: func(p migrate.Progress) {
			if seen[p.Wave]++; !slices.Contains(order, p.Wave) {
				order = append(order, p.Wave)
				if p.Wave == 1 {
					if got := f.at(t, 2); !slices.Contains(got, "tenant_t003") || !slices.Contains(got, "tenant_t007") {
						t.Errorf("the first wave began with %v done", got)
					}
				}
			}
		},
	})
	if err != nil || result.Migrated != 30 || result.Run == 0 || result.Left != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	// 2 canaries, 10% of the other 28, 50%, the rest.
	if want := []int{0, 1, 2, 3}; !slices.Equal(order, want) || seen[0] != 2 || seen[1] != 3 || seen[2] != 11 || seen[3] != 14 {
		t.Errorf("waves %v: %v", order, seen)
	}
	if got := f.ledger(t, result.Run); got != "applied=30" {
		t.Errorf("the ledger says %s", got)
	}
	f.whole(t)
}

func TestAFailureInAWaveStopsTheNext(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 20)
	f.exec(t, f.schemas[5], `ALTER TABLE things ADD COLUMN colour int`)
	next := f.engine(t, v2)
	result, err := next.Up(t.Context(), migrate.Options{Canary: []string{"t005"}})
	if err != nil || len(result.Failures) != 1 || result.Migrated != 0 || result.Left != 19 || !strings.Contains(result.Paused, "failed") {
		t.Fatalf("%+v, %v", result, err)
	}
	// What is wrong stays wrong: going on does the others, and retrying fails.
	result, err = next.Resume(t.Context(), 0, migrate.Options{})
	if err != nil || result.Migrated != 19 || result.Paused != "" || result.Failed != 1 || len(result.Failures) != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if _, err := next.Resume(t.Context(), 0, migrate.Options{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("there is still something to resume: %v", err)
	}
	if _, err := next.Resume(t.Context(), result.Run, migrate.Options{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a finished run is resumed: %v", err)
	}
	again, err := next.RetryFailed(t.Context(), 0, migrate.Options{})
	if err != nil || again.Run != result.Run || len(again.Failures) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	f.exec(t, f.schemas[5], `ALTER TABLE things DROP COLUMN colour`)
	if again, err = next.RetryFailed(t.Context(), result.Run, migrate.Options{}); err != nil || again.Migrated != 1 || len(again.Failures) != 0 || again.Failed != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if got := f.ledger(t, result.Run); got != "applied=20" {
		t.Errorf("the ledger says %s", got)
	}
	f.whole(t)
}

// TestAFailureStopsTheWavesOfARunThatGoesOn fails when the run was paused before.
func TestAFailureStopsTheWavesOfARunThatGoesOn(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 20)
	f.exec(t, f.schemas[5], `ALTER TABLE things ADD COLUMN colour int`)
	next := f.engine(t, v2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result, err := next.Up(ctx, migrate.Options{Canary: []string{"t003", "t005"}, Workers: 1, Observe: func(migrate.Progress) { cancel() }})
	if !errors.Is(err, context.Canceled) || result.Left != 19 {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, again := range []func(context.Context, int64, migrate.Options) (migrate.Result, error){next.Resume, next.RetryFailed} {
		result, err = again(t.Context(), result.Run, migrate.Options{})
		if err != nil || len(result.Failures) != 1 || result.Left != 18 || result.Paused == "" {
			t.Errorf("%+v, %v", result, err)
		}
	}
	// Whoever says so goes on all the same.
	result, err = next.RetryFailed(t.Context(), result.Run, migrate.Options{StopAfter: -1})
	if err != nil || len(result.Failures) != 1 || result.Migrated != 18 || result.Left != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestARunWhoseLastTenantFailsIsFinished: there is nothing that it could go on with.
func TestARunWhoseLastTenantFailsIsFinished(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	f.exec(t, f.schemas[1], `ALTER TABLE things ADD COLUMN colour int`)
	next := f.engine(t, v2)
	result, err := next.Up(t.Context(), migrate.Options{Canary: []string{"t000"}})
	if err != nil || result.Paused != "" || result.Failed != 1 || result.Left != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if run, err := next.Run(t.Context(), result.Run); err != nil || run.State != migrate.Finished || run.FinishedAt == nil {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestOnlyAndExcept(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6)
	next := f.engine(t, v2)
	result, err := next.Up(t.Context(), migrate.Options{Only: []string{"t001", "org_t002", "tenant_t003"}, Except: []string{"t002"}})
	if err != nil || result.Migrated != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := f.at(t, 2); !slices.Equal(got, []string{"tenant_t001", "tenant_t003"}) {
		t.Errorf("moved %v", got)
	}
	if again, err := next.Up(t.Context(), migrate.Options{Only: []string{"t001"}}); err != nil || !again.IsZero() {
		t.Errorf("%+v, %v", again, err)
	}
	for flag, options := range map[string]migrate.Options{
		"canary": {Canary: []string{"t001", "nobody"}}, "only": {Only: []string{"'; DROP SCHEMA public CASCADE; --"}}, "except": {Except: []string{""}},
		"waves": {Waves: []float64{10, 5}}, "waves ": {Waves: []float64{0}}, "waves  ": {Waves: []float64{101}},
	} {
		_, err := next.Up(t.Context(), options)
		failed, ok := errors.AsType[*fault.Error](err)
		if !ok || failed.Kind != fault.Invalid || failed.Fields[0].Name != strings.TrimSpace(flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if got := len(f.at(t, 1)); got != 4 {
		t.Errorf("%d tenants are left as they were", got)
	}
}

// TestNothingIsDoneForNamesOfNobody migrates not even public.
func TestNothingIsDoneForNamesOfNobody(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	next := migrate.New(f.db, publicAnd(t, `CREATE TABLE more (id int)`), load(t, v2))
	for flag, options := range map[string]migrate.Options{"canary": {Canary: []string{"nobody"}}, "only": {Only: []string{"nobody"}}, "except": {Except: []string{"nobody"}}} {
		result, err := next.Up(t.Context(), options)
		if fault.KindOf(err) != fault.Invalid || len(result.Public) != 0 {
			t.Errorf("%s: %+v, %v", flag, result, err)
		}
	}
	// Where there is no registry there is nobody to name.
	empty := databasetest.New(t)
	public, _ := product(t)
	if _, err := migrate.New(empty, public, load(t, v2)).Up(t.Context(), migrate.Options{Only: []string{"nobody"}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 12)
	next := f.engine(t, v2)
	if _, err := next.Pause(t.Context(), 0); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nothing is under way: %v", err)
	}
	for _, c := range []struct {
		name string
		stop func(context.CancelFunc, int64)
	}{
		{"asked by another", func(_ context.CancelFunc, run int64) {
			if _, err := f.engine(t, v2).Pause(t.Context(), run); err != nil {
				t.Error(err)
			}
			asked := text(t, f.db, f.schemas[0], `SELECT clock_timestamp()::text`)
			waitFor(t, func() bool { // the worker reads it with its next heartbeat
				return text(t, f.db, f.schemas[0], `SELECT heartbeat_at > ?::timestamptz FROM public.migration_runs WHERE id = ?`, asked, run) == "true"
			})
		}},
		{"interrupted", func(cancel context.CancelFunc, _ int64) { cancel() }},
	} {
		name, stop := c.name, c.stop
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stopped := false
		result, err := next.Up(ctx, migrate.Options{Workers: 1, Observe: func(p migrate.Progress) {
			if !stopped && p.Done == 2 {
				stopped = true
				stop(cancel, p.Run)
			}
		}})
		if (err != nil) != (name == "interrupted") || result.Left == 0 || result.Migrated < 2 || result.Paused == "" {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		f.whole(t)
		if state := text(t, f.db, f.schemas[0], `SELECT state FROM public.migration_runs WHERE id = ?`, result.Run); state != string(migrate.Paused) {
			t.Errorf("%s: the run is %s", name, state)
		}
	}
	// The second run superseded the first.
	result, err := next.Resume(t.Context(), 0, migrate.Options{})
	if err != nil || result.Run != 2 || result.Left != 0 || len(f.at(t, 2)) != 12 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := next.Resume(t.Context(), 1, migrate.Options{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a superseded run: %v", err)
	}
	if _, err := next.Resume(t.Context(), 99, migrate.Options{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown run: %v", err)
	}
}

// waitFor waits until condition holds.
func waitFor(t testing.TB, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to pass")
		}
	}
}

// TestARunIsTakenOver has two processes on one run: the first one stops, and
// nothing is done twice.
func TestARunIsTakenOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 10)
	next := f.engine(t, v2)
	var second migrate.Result
	first, err := next.Up(t.Context(), migrate.Options{Workers: 1, Observe: func(p migrate.Progress) {
		if p.Done != 2 {
			return
		}
		var err error
		if second, err = f.engine(t, v2).Resume(t.Context(), p.Run, migrate.Options{}); err != nil {
			t.Error(err)
		}
	}})
	if !errors.Is(err, migrate.ErrTakenOver) || second.Run != first.Run || second.Migrated < 7 {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
	if got := f.ledger(t, first.Run); got != "applied=10" {
		t.Errorf("the ledger says %s", got)
	}
	if state := text(t, f.db, f.schemas[0], `SELECT state FROM public.migration_runs`); state != string(migrate.Finished) {
		t.Errorf("the run is %s", state)
	}
	f.whole(t)
}

// TestAPausedRunLivesUntilItsTenantsAreDone has a tenant under way for longer than the
// pause takes to be noticed.
func TestAPausedRunLivesUntilItsTenantsAreDone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	release := f.hold(t, f.schemas[0])
	done := make(chan error, 1)
	go func() {
		_, err := f.engine(t, v2).Up(t.Context(), migrate.Options{Workers: 1, LockTimeout: time.Minute})
		done <- err
	}()
	state := func(condition string) bool {
		return text(t, f.db, f.schemas[1], `SELECT EXISTS (SELECT FROM public.migration_runs WHERE `+condition+`)::text`) == "true"
	}
	waitFor(t, func() bool { return state(`heartbeat_at > started_at`) })
	if _, err := f.old.Pause(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	asked := text(t, f.db, f.schemas[1], `SELECT clock_timestamp()::text`)
	waitFor(t, func() bool { return state(`heartbeat_at > '` + asked + `'::timestamptz + interval '2 seconds'`) })
	release()
	if err := <-done; err != nil || !state(`state = 'paused'`) {
		t.Errorf("%v", err)
	}
}

// hold keeps a tenant's table locked until it is told not to.
func (f *fleet) hold(t testing.TB, schema tenant.Schema) (release func()) {
	t.Helper()
	held, let, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		err := f.db.InTenantTx(tenant.NewContext(t.Context(), schema), func(ctx context.Context) error {
			_, err := f.db.Tenants().ExecContext(ctx, `LOCK TABLE things`)
			close(held)
			<-let
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}()
	<-held
	return sync.OnceFunc(func() { close(let); <-over })
}

// TestASupersededRunStops was silent for so long that a later run took over what was left.
func TestASupersededRunStops(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6)
	next := f.engine(t, v2)
	var second migrate.Result
	first, err := next.Up(t.Context(), migrate.Options{Workers: 1, Observe: func(p migrate.Progress) {
		if p.Done != 2 {
			return
		}
		_, err := f.db.Registry().ExecContext(t.Context(), `UPDATE migration_runs SET state = 'superseded', finished_at = now()`)
		if err != nil {
			t.Error(err)
		}
		if second, err = next.Up(t.Context(), migrate.Options{}); err != nil {
			t.Error(err)
		}
	}})
	if !errors.Is(err, migrate.ErrTakenOver) || second.Run == first.Run || second.Migrated < 3 {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
	got := text(t, f.db, f.schemas[0], `SELECT string_agg(state, ' ' ORDER BY id) FROM public.migration_runs WHERE finished_at IS NOT NULL`)
	if got != "superseded finished" {
		t.Errorf("the runs are %q", got)
	}
	f.whole(t)
}

// TestATenantOfAnOlderBinary is provisioned in the middle of a run.
func TestATenantOfAnOlderBinary(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	late := false
	result, err := f.engine(t, v2).Up(t.Context(), migrate.Options{Observe: func(migrate.Progress) {
		if !late {
			late = true
			f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, "late"))
		}
	}})
	if err != nil || result.Migrated != 5 || len(f.at(t, 2)) != 5 {
		t.Errorf("%+v, %v", result, err)
	}
	f.whole(t)
}

// TestATenantPurgedMeanwhile is gone from the registry and the database when its
// turn comes, which is nobody's failure.
func TestATenantPurgedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6)
	purged := false
	result, err := f.engine(t, v2).Up(t.Context(), migrate.Options{Workers: 1, Observe: func(p migrate.Progress) {
		if !purged {
			purged = true
			last := f.schemas[5]
			if p.Schema == last.String() {
				last = f.schemas[4]
			}
			f.exec(t, last, `DELETE FROM public.tenants WHERE schema_name = '`+last.String()+`'; DROP SCHEMA "`+last.String()+`" CASCADE`)
		}
	}})
	if err != nil || result.Migrated != 5 || result.Skipped != 1 || len(result.Failures) != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestATenantThatIsBeingPurged is still in the registry, and part of its schema is gone:
// nobody's failure, and nothing for which a wave stops.
func TestATenantThatIsBeingPurged(t *testing.T) {
	t.Parallel()
	for what, purge := range map[string]string{"begun": `DROP TABLE _migrations`, "almost done": `DROP SCHEMA tenant_t001 CASCADE`} {
		for kind, content := range map[string]files{"in a transaction": v2, "apart": v3} {
			t.Run(what+", "+kind, func(t *testing.T) {
				t.Parallel()
				url := localpgtest.NewDatabase(t)
				f := &fleet{db: databasetest.Open(t, url)}
				f.old = f.engine(t, v1)
				up(t, f.old)
				for _, name := range []string{"t000", "t001", "t002"} {
					f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, name))
				}
				f.exec(t, f.schemas[1], `UPDATE public.tenants SET deleted_at = now() WHERE schema_name = 'tenant_t001'; `+purge)
				next := f.engine(t, content, migrate.WithDirectURL(url))
				rehearsal, err := next.Rehearse(t.Context(), migrate.Options{})
				if err != nil || len(rehearsal.Failures) != 0 {
					t.Errorf("%+v, %v", rehearsal, err)
				}
				result, err := next.Up(t.Context(), migrate.Options{Canary: []string{"t001"}})
				if err != nil || result.Migrated != 2 || result.Skipped != 1 || len(result.Failures) != 0 || result.Paused != "" {
					t.Errorf("%+v, %v", result, err)
				}
			})
		}
	}
}

// TestThroughAPooler runs everything but files outside of transactions through
// PgBouncer in transaction mode, by several engines at once.
func TestThroughAPooler(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	f := &fleet{db: databasetest.Open(t, localpgtest.NewPgBouncer(t, url))}
	f.old = f.engine(t, v1)
	up(t, f.old)
	for i := range 20 {
		f.schemas = append(f.schemas, mustProvision(t, f.db, f.old, fmt.Sprintf("t%03d", i)))
	}
	moved := make(chan int)
	for range 3 {
		go func() {
			result, err := f.engine(t, v2).Up(t.Context(), migrate.Options{Waves: []float64{20, 100}})
			if err != nil || len(result.Failures) > 0 {
				t.Errorf("%+v, %v", result, err)
			}
			moved <- result.Migrated
		}()
	}
	if n := <-moved + <-moved + <-moved; n != 20 {
		t.Errorf("20 tenants were moved %d times", n)
	}
	f.whole(t)
	engine := f.engine(t, with(v2, down2))
	if drifts, looked, err := engine.Drift(t.Context(), migrate.Options{}); err != nil || looked != 20 || len(drifts) != 0 {
		t.Errorf("%+v, %v", drifts, err)
	}
	back, err := engine.Down(t.Context(), migrate.DownOptions{To: "20260101000001", AllowDestructive: true, Options: migrate.Options{Only: f.names()}})
	if err != nil || back.Migrated != 20 {
		t.Errorf("%+v, %v", back, err)
	}
	f.whole(t)
}
