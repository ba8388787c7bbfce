package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/tenant"
)

// upPublic applies what public lacks, in one message, and returns the files.
func (e *Engine) upPublic(ctx context.Context, options Options) ([]string, error) {
	for attempt := 1; ; attempt++ {
		applied, err := e.publicRevisions(ctx)
		if err != nil {
			return nil, err
		}
		if err := e.comparePublic(applied); err == nil {
			return nil, nil
		} else if !errors.Is(err, errBehind) {
			return nil, err
		}
		done, pending := e.public.migrations[:len(applied)], e.public.migrations[len(applied):]
		_, err = e.db.Registry().ExecContext(ctx, joined(
			options.lockTimeout(),
			// The lock comes before the table that the check reads.
			guard("public"),
			createRevisions,
			guard("public", altered(done)),
		)+joined(steps(pending)...))
		switch code := database.SQLState(err); {
		case err == nil:
			files := make([]string, len(pending))
			for i, m := range pending {
				files[i] = m.File
			}
			return files, nil
		case code == codeAltered, code == codeLockUnavailable: // another engine's work, most likely
			if attempt == options.Attempts {
				return nil, database.Classify(err)
			}
			if err := pause(ctx, attempt); err != nil {
				return nil, err
			}
		default:
			return nil, database.Classify(err)
		}
	}
}

// fleetMember is a tenant as the engine sees it.
type fleetMember struct {
	id      string
	schema  string
	version string
}

// behind returns the tenants that are not at the latest version, suspended and
// deleted ones included: their schemas have to fit the code as well.
func (e *Engine) behind(ctx context.Context) ([]fleetMember, error) {
	rows, err := e.db.Registry().QueryContext(ctx,
		`SELECT id, schema_name, schema_version FROM tenants WHERE schema_version <> ? ORDER BY schema_name`, e.tenants.Latest())
	if err != nil {
		return nil, database.Classify(err)
	}
	defer rows.Close()
	var members []fleetMember
	for rows.Next() {
		var m fleetMember
		if err := rows.Scan(&m.id, &m.schema, &m.version); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, database.Classify(rows.Err())
}

// upTenants migrates members by several workers and adds to the result.
func (e *Engine) upTenants(ctx context.Context, options Options, members []fleetMember, result *Result) error {
	var (
		mu       sync.Mutex
		progress = Progress{Total: len(members)}
		workers  errgroup.Group
	)
	workers.SetLimit(options.Workers)
	for _, member := range members {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			moved, err := e.upTenant(ctx, options, member)
			if ctx.Err() != nil && err != nil {
				return nil // interrupted, which is no failure of the tenant's
			}
			mu.Lock()
			defer mu.Unlock()
			progress.Done++
			progress.Schema, progress.Err = member.schema, err
			switch {
			case err != nil:
				progress.Failed++
				result.Failures = append(result.Failures, Failure{TenantID: member.id, Schema: member.schema, From: member.version, Err: err})
			case moved:
				result.Migrated++
			}
			options.Observe(progress)
			return nil
		})
	}
	_ = workers.Wait() // no worker returns an error
	return ctx.Err()
}

// upTenant brings one tenant to the latest version. moved is false when another
// engine did so first.
func (e *Engine) upTenant(ctx context.Context, options Options, member fleetMember) (moved bool, err error) {
	schema, err := tenant.Parse(member.schema)
	if err != nil {
		return false, fmt.Errorf("the registry names no tenant's schema: %w", err)
	}
	ctx = tenant.NewContext(ctx, schema)
	for attempt := 1; ; attempt++ {
		applied, pending, ok := e.tenants.split(member.version)
		switch {
		case !ok:
			return false, fmt.Errorf("it is at version %q, which this binary does not have: the database is newer, or a migration file is missing", member.version)
		case len(pending) == 0:
			return false, nil
		}
		_, err := e.db.Tenants().ExecContext(ctx, e.message(options, schema, member.version, applied, pending))
		code := database.SQLState(err)
		switch {
		case err == nil:
			return true, nil
		case code == codeLockUnavailable && attempt < options.Attempts:
			if err := pause(ctx, attempt); err != nil {
				return false, err
			}
		case code == codeMoved && attempt < options.Attempts:
			if member.version, err = e.version(ctx, schema); err != nil {
				return false, err
			}
		default:
			return false, explain(err)
		}
	}
}

// message is everything one tenant lacks.
func (e *Engine) message(options Options, schema tenant.Schema, version string, applied, pending []Migration) string {
	registered := "(SELECT schema_version FROM public.tenants WHERE schema_name = " + literal(schema.String()) + " FOR UPDATE)"
	return joined(
		options.lockTimeout(),
		guard(schema.String(),
			check(registered+" IS DISTINCT FROM "+literal(version), codeMoved, "its version has changed meanwhile"),
			altered(applied)),
	) + joined(steps(pending)...) + joined(record(schema, pending[len(pending)-1].Version))
}

// version reads a tenant's version again.
func (e *Engine) version(ctx context.Context, schema tenant.Schema) (version string, err error) {
	err = e.db.Registry().QueryRowContext(ctx, `SELECT schema_version FROM tenants WHERE schema_name = ?`, schema.String()).Scan(&version)
	return version, database.Classify(err)
}

// explain says in words what the server's code means for a tenant.
func explain(err error) error {
	switch database.SQLState(err) {
	case codeInvalidSchema:
		return fmt.Errorf("its schema is gone from the database: %w", err)
	case codeUndefinedTable:
		return fmt.Errorf("its schema, or a table that a migration needs, is gone from the database: %w", err)
	case codeAltered:
		return fmt.Errorf("somebody altered the record of its migrations: %w", err)
	case codeLockUnavailable:
		return fmt.Errorf("others held its locks for too long: %w", err)
	}
	return database.Classify(err)
}

// pause waits before the next attempt, longer each time and never as long as
// somebody else who failed at the same moment.
func pause(ctx context.Context, attempt int) error {
	base := 50 * time.Millisecond << min(attempt, 6)
	timer := time.NewTimer(base/2 + rand.N(base))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
