package migrate

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

// The kinds of a run.
const (
	KindUp   = "up"
	KindDown = "down"
)

// RunState is where a run is.
type RunState string

const (
	// Running is a run that a process works on, or that a process was killed in
	// the middle of; [Run.Interrupted] tells which.
	Running RunState = "running"
	// Paused is a run that was stopped on purpose, with tenants left to do.
	Paused RunState = "paused"
	// Finished is a run in which every tenant was tried.
	Finished RunState = "finished"
	// Superseded is a run that was not finished, and whose tenants a later run
	// took over.
	Superseded RunState = "superseded"
)

const (
	// heartbeatEvery is how often a run's worker says that it lives, and learns
	// that it is to pause.
	heartbeatEvery = 500 * time.Millisecond
	// interruptedAfter is when a worker that says nothing is taken for dead. It
	// decides what is shown, and no more: a run may be taken over at any time.
	interruptedAfter = 10 * time.Second
	// pageSize is how many tenants are read from the ledger at once.
	pageSize = 500
	// closingTimeout is for writing into the ledger how a run ended.
	closingTimeout = 5 * time.Second
)

var (
	// ErrTakenOver ends a run's worker when another process resumed the run, or began
	// a later one with what was left of it.
	ErrTakenOver = errors.New("another process took the run over")

	errPauseRequested = errors.New("somebody asked it to")
	errTooManyFailed  = errors.New("too many tenants failed")
)

// run is a run that this process works on.
type run struct {
	id     int64
	kind   string
	target string
	worker string
	only   []string
	except []string
	// staged says of a run that was claimed that it was begun with canaries or waves.
	staged bool
}

// newWorker names this process's work on a run.
func newWorker() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

// matches is the condition that a tenant is one of names: by slug, by the
// organization's id or by schema.
var matches = matchesOf("tenants")

func matchesOf(table string) string {
	return `(` + table + `.slug = ANY(?::text[]) OR ` + table + `.id = ANY(?::text[]) OR ` + table + `.schema_name = ANY(?::text[]))`
}

func thrice(names []string) []any {
	array := pgdialect.Array(append([]string{}, names...))
	return []any{array, array, array}
}

// checkNames fails for a name that is no tenant's.
func (e *Engine) checkNames(ctx context.Context, flag string, names []string) error {
	for _, name := range names {
		var found bool
		err := e.db.Registry().QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM tenants WHERE `+matches+`)`, thrice([]string{name})...).Scan(&found)
		if err != nil {
			return database.Classify(err)
		}
		if !found {
			return fault.InvalidFields(fault.Field{Name: flag, Message: fmt.Sprintf("There is no tenant %q: want a slug, an organization's id or a schema.", name)})
		}
	}
	return nil
}

// checkChoice fails for a name in the options that is no tenant's.
func (e *Engine) checkChoice(ctx context.Context, options Options) error {
	for flag, names := range map[string][]string{"canary": options.Canary, "only": options.Only, "except": options.Except} {
		if err := e.checkNames(ctx, flag, names); err != nil {
			return err
		}
	}
	return nil
}

// begin writes a run over every chosen tenant that is behind into the ledger,
// and returns nil when there is none.
func (e *Engine) begin(ctx context.Context, options Options) (*run, error) {
	if err := e.checkChoice(ctx, options); err != nil {
		return nil, err
	}
	var behind bool
	err := e.db.Registry().QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM tenants WHERE schema_version <> ?)`, e.tenants.Latest()).Scan(&behind)
	if err != nil || !behind {
		return nil, database.Classify(err)
	}
	r := &run{kind: KindUp, target: e.tenants.Latest(), worker: newWorker(), only: options.Only, except: options.Except}
	err = e.db.InSystemTx(ctx, func(ctx context.Context) error {
		if err := e.insertRun(ctx, r, options.arguments()); err != nil {
			return err
		}
		n, err := e.enlist(ctx, r, options, "<>")
		if err != nil {
			return err
		}
		if n == 0 {
			return errNobody
		}
		if len(options.Only) > 0 || len(options.Except) > 0 {
			return nil
		}
		_, err = e.db.Registry().ExecContext(ctx, `UPDATE migration_runs SET state = 'superseded', finished_at = now(), reason = ?
			WHERE kind = 'up' AND id <> ? AND finished_at IS NULL AND (state = 'paused' OR heartbeat_at < now() - ? * interval '1 second')`,
			fmt.Sprintf("run %d took over what was left", r.id), r.id, interruptedAfter.Seconds())
		return err
	})
	if errors.Is(err, errNobody) {
		return nil, nil //nolint:nilnil // nothing to do is no error
	}
	return r, database.Classify(err)
}

var errNobody = errors.New("no tenant is behind")

func (e *Engine) insertRun(ctx context.Context, r *run, arguments string) error {
	return e.db.Registry().QueryRowContext(ctx,
		`INSERT INTO migration_runs (kind, target, arguments, only_names, except_names, worker) VALUES (?, ?, ?, ?, ?, ?) RETURNING id`,
		r.kind, r.target, arguments, pgdialect.Array(append([]string{}, r.only...)), pgdialect.Array(append([]string{}, r.except...)), r.worker).Scan(&r.id)
}

// enlist adds the tenants that are behind and not in the run yet, and returns
// how many; behind is the operator that says so of a version and the target. Who
// is in which wave is the hash's choice, so that a wave is a fair sample; the
// percentages are of those who are no canaries.
func (e *Engine) enlist(ctx context.Context, r *run, options Options, behind string) (int64, error) {
	wave := "CASE WHEN canary THEN 0"
	for i, percent := range options.Waves {
		wave += fmt.Sprintf(" WHEN place <= ceil(total * %s::numeric / 100) THEN %d", strconv.FormatFloat(percent, 'f', -1, 64), i+1)
	}
	wave += fmt.Sprintf(" ELSE %d END", len(options.Waves)+1)
	chosen := "true"
	args := append([]any{r.id, bun.Safe(wave), r.target}, thrice(options.Canary)...)
	args = append(args, r.target)
	if len(r.only) > 0 {
		chosen = matches
		args = append(args, thrice(r.only)...)
	}
	args = append(args, thrice(r.except)...)
	result, err := e.db.Registry().ExecContext(ctx, `INSERT INTO migration_run_tenants (run_id, schema_name, wave, from_version, to_version)
		SELECT ?, schema_name, ?, schema_version, ? FROM (
			SELECT *, row_number() OVER (PARTITION BY canary ORDER BY hashtextextended(schema_name, 0), schema_name) AS place, count(*) OVER (PARTITION BY canary) AS total FROM (
				SELECT schema_name, schema_version, `+matches+` AS canary
				FROM tenants WHERE schema_version `+behind+` ? AND `+chosen+` AND NOT `+matches+`
			) chosen
		) placed
		ON CONFLICT DO NOTHING`, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// errNothingToResume says which command there is for it.
var errNothingToResume = fault.New(fault.NotFound, "There is no run that was paused or interrupted.")

// Resume goes on with a run that was paused or whose process died: with the one
// of that id, or with the newest one for 0. A process that still works on it
// notices, finishes the tenants that it has begun and ends with [ErrTakenOver].
func (e *Engine) Resume(ctx context.Context, id int64, options Options) (Result, error) {
	return e.again(ctx, id, options, false)
}

// RetryFailed tries the tenants again that failed in a run, and goes on with it
// if it was not finished: the run of that id, or the newest one with failures
// for 0.
func (e *Engine) RetryFailed(ctx context.Context, id int64, options Options) (Result, error) {
	return e.again(ctx, id, options, true)
}

func (e *Engine) again(ctx context.Context, id int64, options Options, failed bool) (result Result, err error) {
	options = options.complete()
	if result.Public, err = e.upPublic(ctx, options); err != nil {
		return result, fault.Wrap("migrate public", err)
	}
	r, err := e.claim(ctx, id, failed)
	if err != nil {
		return result, fault.Wrap("resume run", err)
	}
	if options.StopAfter == 0 && r.staged {
		options.StopAfter = 1
	}
	return result, e.work(ctx, r, options, &result)
}

// claim makes this process a run's worker.
func (e *Engine) claim(ctx context.Context, id int64, failed bool) (*run, error) {
	r := &run{id: id, worker: newWorker()}
	err := e.db.InSystemTx(ctx, func(ctx context.Context) error {
		registry := e.db.Registry()
		if id == 0 {
			query, missing := `SELECT max(id) FROM migration_runs WHERE finished_at IS NULL`, errNothingToResume
			if failed {
				query = `SELECT max(run_id) FROM migration_run_tenants t JOIN migration_runs r ON r.id = t.run_id WHERE t.state = 'failed' AND r.state <> 'superseded'`
				missing = fault.New(fault.NotFound, "There is no run in which a tenant failed.")
			}
			var newest *int64
			if err := registry.QueryRowContext(ctx, query).Scan(&newest); err != nil {
				return err
			}
			if newest == nil {
				return missing
			}
			r.id = *newest
		}
		var state RunState
		err := registry.QueryRowContext(ctx, `SELECT state, kind, target, arguments ~ '(^| )--(canary|waves) ', only_names, except_names FROM migration_runs WHERE id = ? FOR UPDATE`, r.id).
			Scan(&state, &r.kind, &r.target, &r.staged, pgdialect.Array(&r.only), pgdialect.Array(&r.except))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return errUnknownRun
		case err != nil:
			return err
		case state == Superseded:
			return fault.Newf(fault.Conflict, "A later run took over what was left of run %d.", r.id)
		case state == Finished && !failed:
			return fault.Newf(fault.Conflict, "Run %d is finished; what failed in it can be retried.", r.id)
		}
		if _, ok := e.tenants.index(r.target); !ok {
			return fault.Newf(fault.Conflict, "Run %d leads to version %s, which this binary does not have.", r.id, r.target)
		}
		if failed {
			if _, err := registry.ExecContext(ctx, `UPDATE migration_run_tenants SET state = 'pending', error = '', finished_at = NULL WHERE run_id = ? AND state = 'failed'`, r.id); err != nil {
				return err
			}
		}
		_, err = registry.ExecContext(ctx, `UPDATE migration_runs SET state = 'running', reason = '', worker = ?, pause_requested = false, heartbeat_at = now(), finished_at = NULL WHERE id = ?`, r.worker, r.id)
		return err
	})
	return r, database.Classify(err)
}

var errUnknownRun = fault.New(fault.NotFound, "There is no such run.")

// Pause asks the process that works on a run to stop: the run of that id, or
// the newest one for 0. The tenants that it has begun are finished. It returns
// the run's id.
func (e *Engine) Pause(ctx context.Context, id int64) (int64, error) {
	err := e.db.Registry().QueryRowContext(ctx, `UPDATE migration_runs SET pause_requested = true
		WHERE state = 'running' AND id = (SELECT max(id) FROM migration_runs WHERE state = 'running' AND (id = ? OR ? = 0)) RETURNING id`, id, id).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fault.New(fault.NotFound, "There is no such run under way.")
	}
	return id, fault.Wrap("pause run", database.Classify(err))
}

// pending counts the tenants that are left to do.
func (e *Engine) pending(ctx context.Context, id int64) (n int, wave *int, err error) {
	err = e.db.Registry().QueryRowContext(ctx, `SELECT count(*), min(wave) FROM migration_run_tenants WHERE run_id = ? AND state = 'pending'`, id).Scan(&n, &wave)
	return n, wave, database.Classify(err)
}

// page returns tenants of a wave that are left to do, in the order of their
// schemas' names.
func (e *Engine) page(ctx context.Context, run *run, wave int, after string) ([]fleetMember, error) {
	rows, err := e.db.Registry().QueryContext(ctx, `SELECT coalesce(t.id, ''), r.schema_name, coalesce(t.schema_version, ''), coalesce(t.schema_fingerprint, ''), r.from_version, r.to_version, t.id IS NULL
		FROM migration_run_tenants r LEFT JOIN tenants t ON t.schema_name = r.schema_name
		WHERE r.run_id = ? AND r.wave = ? AND r.schema_name > ? AND r.state = 'pending' ORDER BY r.schema_name LIMIT ?`, run.id, wave, after, pageSize)
	if err != nil {
		return nil, database.Classify(err)
	}
	defer rows.Close()
	var members []fleetMember
	for rows.Next() {
		var (
			m      fleetMember
			purged bool
		)
		if err := rows.Scan(&m.id, &m.schema, &m.version, &m.fingerprint, &m.from, &m.to, &purged); err != nil {
			return nil, err
		}
		if run.kind != KindDown {
			m.from = ""
		}
		if purged {
			m.version = m.to // nothing to do
		}
		members = append(members, m)
	}
	return members, database.Classify(rows.Err())
}

// applied is the statement that records a tenant's success, in the transaction
// that is the success.
func (r *run) applied(schema string, attempt int) string {
	return fmt.Sprintf(`UPDATE public.migration_run_tenants SET state = 'applied', attempts = %d, error = '',
duration = extract(epoch FROM clock_timestamp() - transaction_timestamp()), finished_at = clock_timestamp() WHERE run_id = %d AND schema_name = %s`,
		attempt, r.id, literal(schema))
}

// errorLimit bounds an error's text in the ledger, in bytes.
const errorLimit = 2000

// settle records how a tenant that did not move came out of the run, unless the
// ledger says already that it moved: a commit whose answer was lost.
func (e *Engine) settle(ctx context.Context, r *run, schema string, attempts int, took time.Duration, cause error) (landed bool, err error) {
	state, text := "skipped", ""
	if cause != nil {
		state, text = "failed", strings.ToValidUTF8(cause.Error(), "")
		text = strings.ToValidUTF8(text[:min(len(text), errorLimit)], "")
	}
	result, err := e.db.Registry().ExecContext(ctx, `UPDATE migration_run_tenants SET state = ?, attempts = ?, error = ?, duration = ?, finished_at = now()
		WHERE run_id = ? AND schema_name = ? AND state = 'pending'`, state, attempts, strings.ReplaceAll(text, "\x00", ""), took.Seconds(), r.id, schema)
	if err != nil {
		return false, database.Classify(err)
	}
	n, err := result.RowsAffected()
	return n == 0, err
}

// worker is this process's work on a run.
type worker struct {
	*Engine

	run     *run
	options Options
	ways    *ways

	halt     atomic.Pointer[error]
	mu       sync.Mutex
	result   *Result
	progress Progress
}

// stop ends the handing out of tenants; those that were begun are finished. The
// first cause counts.
func (w *worker) stop(cause error) { w.halt.CompareAndSwap(nil, &cause) }

// cause is why no more tenants are to be begun, nil while they are.
func (w *worker) cause(ctx context.Context) error {
	if halt := w.halt.Load(); halt != nil {
		return *halt
	}
	return ctx.Err()
}

// work does what is left of a run and adds to the result. The end of ctx rolls
// back what is under way.
func (e *Engine) work(ctx context.Context, r *run, options Options, result *Result) error {
	result.Run = r.id
	w := &worker{Engine: e, run: r, options: options, ways: newWays(e.planUp), result: result}
	if r.kind == KindDown {
		w.ways = newWays(e.planDown)
	}
	total, _, err := e.pending(ctx, r.id)
	if err != nil {
		return err
	}
	w.progress = Progress{Run: r.id, Total: total}

	beating, stopBeating := context.WithCancel(ctx)
	var heart sync.WaitGroup
	heart.Go(func() { w.beat(beating) })
	err = w.waves(ctx)
	stopBeating()
	heart.Wait()
	return w.close(ctx, err)
}

// close writes into the ledger how the run ended. What was asked for is no
// error.
func (w *worker) close(ctx context.Context, cause error) error {
	if errors.Is(cause, ErrTakenOver) {
		return cause
	}
	state := Finished
	if cause != nil {
		state, w.result.Paused = Paused, cause.Error()
	}
	if ctx.Err() != nil {
		w.result.Paused = "its process was told to stop"
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
	defer cancel()
	// Somebody may have asked for a pause after the last tenant: it is over.
	err := w.db.Registry().QueryRowContext(closing, `UPDATE migration_runs SET state = ?, reason = ?, pause_requested = false, heartbeat_at = now(),
		finished_at = CASE WHEN ? THEN now() END WHERE id = ? AND worker = ? AND state = 'running'
		RETURNING (SELECT count(*) FROM migration_run_tenants WHERE run_id = migration_runs.id AND state = 'pending'),
			(SELECT count(*) FROM migration_run_tenants WHERE run_id = migration_runs.id AND state = 'failed')`,
		state, w.result.Paused, state == Finished, w.run.id, w.run.worker).Scan(&w.result.Left, &w.result.Failed)
	switch {
	case errors.Is(cause, errPauseRequested), errors.Is(cause, errTooManyFailed), cause == nil:
		if errors.Is(err, sql.ErrNoRows) {
			return ErrTakenOver
		}
		return database.Classify(err)
	default:
		return cause // which is also why the ledger could not be written, if it could not
	}
}

// beat says every now and then that the run's worker lives, until its last tenant is
// done, and learns what others want of it. While the database is away there is nobody to say it to.
func (w *worker) beat(ctx context.Context) {
	ticker := time.NewTicker(heartbeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var paused bool
		err := w.db.Registry().QueryRowContext(ctx, `UPDATE migration_runs SET heartbeat_at = now() WHERE id = ? AND worker = ? AND state = 'running' RETURNING pause_requested`, w.run.id, w.run.worker).Scan(&paused)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			w.stop(ErrTakenOver)
			return
		case err == nil && paused:
			w.stop(errPauseRequested)
		}
	}
}

// waves works through the waves, one after another, until no tenant is left, not
// even one that an older binary provisioned meanwhile.
func (w *worker) waves(ctx context.Context) error {
	for {
		if cause := w.cause(ctx); cause != nil {
			if errors.Is(cause, errTooManyFailed) || errors.Is(cause, errPauseRequested) {
				if left, _, err := w.pending(ctx, w.run.id); err == nil && left == 0 {
					return nil // it stops where it ends
				}
			}
			return cause
		}
		left, wave, err := w.pending(ctx, w.run.id)
		if err != nil {
			return err
		}
		if left > 0 {
			if err := w.wave(ctx, *wave); err != nil {
				return err
			}
			continue
		}
		if w.run.kind == KindDown {
			return nil
		}
		more, err := w.enlist(ctx, w.run, Options{}, "<")
		if err != nil || more == 0 {
			return database.Classify(err)
		}
		w.mu.Lock()
		w.progress.Total += int(more)
		w.mu.Unlock()
	}
}

// wave does one wave's tenants by several workers, and returns when the last of
// those that were begun is done.
func (w *worker) wave(ctx context.Context, wave int) error {
	var group errgroup.Group
	group.SetLimit(w.options.Workers)
	defer group.Wait() //nolint:errcheck // no worker returns an error; it stops the run
	after := ""
	for {
		members, err := w.page(ctx, w.run, wave, after)
		if err != nil || len(members) == 0 {
			return err
		}
		after = members[len(members)-1].schema
		for _, member := range members {
			if w.cause(ctx) != nil {
				return nil
			}
			group.Go(func() error {
				err := fault.Recovered(func() error {
					if w.cause(ctx) == nil { // it may have come while this one waited for its turn
						w.tenant(ctx, wave, member)
					}
					return nil
				})
				if err != nil {
					w.stop(err)
				}
				return nil
			})
		}
	}
}

// tenant does one tenant.
func (w *worker) tenant(ctx context.Context, wave int, member fleetMember) {
	began := time.Now()
	moved, attempts, cause := w.move(ctx, w.options, w.ways, &member, func(attempt int) string { return w.run.applied(member.schema, attempt) })
	switch {
	case cause != nil && ctx.Err() != nil:
		return // interrupted, which is no failure of the tenant's
	case cause != nil && isAway(cause):
		w.stop(fmt.Errorf("the database went away: %w", database.Classify(cause)))
		return
	case cause != nil || !moved:
		landed, err := w.settle(ctx, w.run, member.schema, attempts, time.Since(began), cause)
		if err != nil {
			w.stop(err)
			return
		}
		moved = moved || landed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress.Done++
	w.progress.Wave, w.progress.Schema, w.progress.Err = wave, member.schema, cause
	switch {
	case cause != nil:
		w.progress.Failed++
		w.result.Failures = append(w.result.Failures, Failure{TenantID: member.id, Schema: member.schema, From: member.version, Err: cause})
		if w.options.StopAfter > 0 && w.progress.Failed >= w.options.StopAfter {
			w.stop(fmt.Errorf("%w: %d", errTooManyFailed, w.progress.Failed))
		}
	case moved:
		w.result.Migrated++
	default:
		w.result.Skipped++
	}
	w.options.Observe(w.progress)
}
