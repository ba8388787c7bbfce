package migrate

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

// Run is a run as the ledger has it.
type Run struct {
	ID int64
	// Kind is [KindUp] or [KindDown].
	Kind string
	// Target is the version that it leads to, "" when each tenant goes back to
	// where it came from.
	Target string
	// Arguments say how the tenants were chosen, as on the command line.
	Arguments string
	State     RunState
	// Reason is why it is in that state, "" mostly.
	Reason string
	// Worker is the process that works on it, or did last: host, process and a
	// random part.
	Worker string
	// Interrupted is a run whose worker has said nothing for a while.
	Interrupted bool
	StartedAt   time.Time
	HeartbeatAt time.Time
	// FinishedAt is nil until it is finished or superseded.
	FinishedAt *time.Time
	// Pending, Applied, Failed and Skipped are how many of its tenants are so.
	Pending, Applied, Failed, Skipped int
}

// RunTenant is what a run did with one tenant.
type RunTenant struct {
	Schema string
	// Slug is how URLs name the tenant now, "" when it was purged.
	Slug     string
	Wave     int
	From, To string
	// State is pending, applied, failed or skipped: one that was there already.
	State    string
	Attempts int
	Error    string
	// Duration is that of the last attempt.
	Duration time.Duration
	// FinishedAt is nil while it is pending.
	FinishedAt *time.Time
}

// Status is where the fleet is.
type Status struct {
	// PublicErr is nil when public is at this binary's version.
	PublicErr error
	// Latest is the version that this binary brings tenants to.
	Latest string
	// Versions are the tenants by version, the oldest first.
	Versions []VersionCount
	// Failed are the tenants whose last migration failed and that are not yet
	// where it led.
	Failed []FailedTenant
	// Runs are those that are not finished, the newest first.
	Runs []Run
}

// VersionCount is how many tenants are at a version.
type VersionCount struct {
	Version string
	Tenants int
	// Known is false for a version that this binary does not have.
	Known bool
}

// FailedTenant is a tenant with the reason why it did not move.
type FailedTenant struct {
	Run int64
	// Version is the one that it is at now.
	Version string
	RunTenant
}

// Status reads the registry and the ledger.
func (e *Engine) Status(ctx context.Context) (status Status, err error) {
	status = Status{Latest: e.tenants.Latest(), PublicErr: e.Check(ctx)}
	if errors.Is(status.PublicErr, errBehind) {
		return status, nil // there may be no registry and no ledger yet
	}
	if kind := fault.KindOf(status.PublicErr); status.PublicErr != nil && (kind == fault.Unavailable || kind == fault.Canceled) {
		return status, fault.Wrap("fleet status", status.PublicErr)
	}
	rows, err := e.db.Registry().QueryContext(ctx, `SELECT schema_version, count(*) FROM tenants GROUP BY schema_version ORDER BY schema_version`)
	if err != nil {
		return status, fault.Wrap("fleet status", database.Classify(err))
	}
	err = each(rows, func() error {
		var v VersionCount
		if err := rows.Scan(&v.Version, &v.Tenants); err != nil {
			return err
		}
		_, v.Known = e.tenants.index(v.Version)
		status.Versions = append(status.Versions, v)
		return nil
	})
	if err != nil {
		return status, fault.Wrap("fleet status", err)
	}
	if status.Failed, err = e.failed(ctx); err != nil {
		return status, fault.Wrap("fleet status", err)
	}
	status.Runs, err = e.runs(ctx, `finished_at IS NULL`, 100)
	return status, fault.Wrap("fleet status", err)
}

// failed returns the tenants whose newest row in the ledger is a failure.
func (e *Engine) failed(ctx context.Context) (failed []FailedTenant, err error) {
	rows, err := e.db.Registry().QueryContext(ctx, `SELECT f.run_id, t.schema_version, `+runTenantColumns("f")+` FROM (
			SELECT DISTINCT ON (schema_name) * FROM migration_run_tenants WHERE state = 'failed' ORDER BY schema_name, run_id DESC
		) f JOIN tenants t ON t.schema_name = f.schema_name AND t.schema_version <> f.to_version
		WHERE NOT EXISTS (SELECT FROM migration_run_tenants later WHERE later.schema_name = f.schema_name AND later.run_id > f.run_id AND later.state = 'applied')
		ORDER BY f.schema_name`)
	if err != nil {
		return nil, database.Classify(err)
	}
	err = each(rows, func() error {
		var f FailedTenant
		if err := rows.Scan(append([]any{&f.Run, &f.Version}, f.fields()...)...); err != nil {
			return err
		}
		failed = append(failed, f)
		return nil
	})
	return failed, err
}

// each calls scan for every row and closes them.
func each(rows *sql.Rows, scan func() error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(); err != nil {
			return err
		}
	}
	return database.Classify(rows.Err())
}

func runTenantColumns(row string) string {
	return row + `.schema_name, coalesce(t.slug, ''), ` + row + `.wave, ` + row + `.from_version, ` + row + `.to_version, ` +
		row + `.state, ` + row + `.attempts, ` + row + `.error, (` + row + `.duration * 1e9)::bigint, ` + row + `.finished_at`
}

func (r *RunTenant) fields() []any {
	return []any{&r.Schema, &r.Slug, &r.Wave, &r.From, &r.To, &r.State, &r.Attempts, &r.Error, &r.Duration, &r.FinishedAt}
}

// History returns the newest runs, at most limit.
func (e *Engine) History(ctx context.Context, limit int) ([]Run, error) {
	runs, err := e.runs(ctx, `true`, limit)
	return runs, fault.Wrap("run history", err)
}

// Run returns one run.
func (e *Engine) Run(ctx context.Context, id int64) (Run, error) {
	runs, err := e.runs(ctx, `id = ?`, 1, id)
	switch {
	case err != nil:
		return Run{}, fault.Wrap("run", err)
	case len(runs) == 0:
		return Run{}, fault.Wrap("run", errUnknownRun)
	}
	return runs[0], nil
}

func (e *Engine) runs(ctx context.Context, condition string, limit int, args ...any) (runs []Run, err error) {
	rows, err := e.db.Registry().QueryContext(ctx, `SELECT id, kind, target, arguments, state, reason, worker,
			state = 'running' AND heartbeat_at < now() - ? * interval '1 second', started_at, heartbeat_at, finished_at,
			counted.pending, counted.applied, counted.failed, counted.skipped
		FROM migration_runs, LATERAL (
			SELECT count(*) FILTER (WHERE t.state = 'pending') AS pending, count(*) FILTER (WHERE t.state = 'applied') AS applied,
				count(*) FILTER (WHERE t.state = 'failed') AS failed, count(*) FILTER (WHERE t.state = 'skipped') AS skipped
			FROM migration_run_tenants t WHERE t.run_id = id
		) counted
		WHERE `+condition+` ORDER BY id DESC LIMIT ?`, append(append([]any{interruptedAfter.Seconds()}, args...), limit)...)
	if err != nil {
		return nil, database.Classify(err)
	}
	err = each(rows, func() error {
		var r Run
		if err := rows.Scan(&r.ID, &r.Kind, &r.Target, &r.Arguments, &r.State, &r.Reason, &r.Worker, &r.Interrupted, &r.StartedAt, &r.HeartbeatAt, &r.FinishedAt,
			&r.Pending, &r.Applied, &r.Failed, &r.Skipped); err != nil {
			return err
		}
		runs = append(runs, r)
		return nil
	})
	return runs, err
}

// RunTenants returns tenants of a run, at most limit: those whose schema's name
// sorts after the given one, in one of the states, or in any when there is none
// named.
func (e *Engine) RunTenants(ctx context.Context, id int64, after string, limit int, states ...string) (tenants []RunTenant, err error) {
	inState := "true"
	args := []any{id, after}
	if len(states) > 0 {
		inState = "r.state = ANY(?::text[])"
		args = append(args, pgdialect.Array(states))
	}
	rows, err := e.db.Registry().QueryContext(ctx, `SELECT `+runTenantColumns("r")+` FROM migration_run_tenants r LEFT JOIN tenants t ON t.schema_name = r.schema_name
		WHERE r.run_id = ? AND r.schema_name > ? AND `+inState+` ORDER BY r.schema_name LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fault.Wrap("run's tenants", database.Classify(err))
	}
	err = each(rows, func() error {
		var r RunTenant
		if err := rows.Scan(r.fields()...); err != nil {
			return err
		}
		tenants = append(tenants, r)
		return nil
	})
	return tenants, fault.Wrap("run's tenants", err)
}
