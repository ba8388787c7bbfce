package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// upPublic applies what public lacks, in one message unless a file runs outside
// of transactions, and returns the files.
func (e *Engine) upPublic(ctx context.Context, options Options) (files []string, err error) {
	for attempt := 1; ; attempt++ {
		applied, err := e.publicRevisions(ctx)
		if err != nil {
			return files, err
		}
		if err := e.comparePublic(applied); err == nil {
			return files, nil
		} else if !errors.Is(err, errBehind) {
			return files, err
		}
		next := segments(e.public.migrations[:len(applied)], e.public.migrations[len(applied):])[0]
		if next.apart != nil {
			err = e.applyApart(ctx, "public", next, []string{altered(next.recorded)}, joined(publicStatements(options, next)...))
		} else {
			err = e.send(ctx, e.db.Registry(), publicStatements(options, next))
		}
		switch code := sqlState(err); {
		case err == nil:
			files, attempt = append(files, next.files...), 0
		case attempt < options.Attempts && (code == codeAltered || isTransient(err)): // another engine's work, most likely
			if err := pause(ctx, attempt); err != nil {
				return files, err
			}
		default:
			return files, database.Classify(err)
		}
	}
}

func publicStatements(options Options, s segment) []string {
	// The lock comes before the table that the check reads.
	return append([]string{options.lockTimeout(), guard("public"), createRevisions, guard("public", altered(s.recorded))}, s.body...)
}

// fleetMember is a tenant as the engine sees it.
type fleetMember struct {
	id          string
	schema      string
	version     string
	fingerprint string // as the registry has it; "" measures it anew
	to          string
	// from is the version that a way back was tried from; "" on the way up, which
	// leads on from wherever the tenant is.
	from string
}

// move brings one tenant to where it is to go and returns how often that was
// tried. moved is false when there was nothing to do: another engine did it
// first. The tenant's version is kept current, for whatever it says of a failure.
// finally is added to the last transaction, given the number of the attempt.
func (e *Engine) move(ctx context.Context, options Options, w *ways, member *fleetMember, finally func(attempt int) string) (moved bool, attempt int, err error) {
	schema, err := tenant.Parse(member.schema)
	if err != nil {
		return false, 0, fmt.Errorf("the registry names no tenant's schema: %w", err)
	}
	ctx = tenant.NewContext(ctx, schema)
	for attempt = 1; ; attempt++ {
		if member.from != "" && member.version != member.from && member.version != member.to {
			return moved, attempt, fmt.Errorf("it went on to version %s meanwhile, and the way back was tried from %s alone: begin another one", member.version, member.from)
		}
		way, err := w.between(member.version, member.to)
		if err != nil || len(way) == 0 {
			return moved, attempt, err
		}
		for i, s := range way {
			last, protectErr := e.protection(ctx, schema, s.body)
			if err = protectErr; err != nil {
				break
			}
			if i == len(way)-1 {
				last = append(last, finally(attempt))
			}
			var fingerprint string
			if fingerprint, err = e.foretell(ctx, s.from, s.to, member.fingerprint); err != nil {
				break
			}
			statements := s.statements(options, schema, fingerprint, last)
			if s.apart != nil {
				err = e.applyApart(ctx, schema.String(), s, s.checks(schema), joined(statements...))
			} else {
				err = e.send(ctx, e.db.Owner(), statements)
			}
			if err != nil {
				break
			}
			member.version, member.fingerprint, moved = s.to, fingerprint, true
		}
		code := sqlState(err)
		switch {
		case err == nil:
			return true, attempt, nil
		case code == codeMoved, isGone(err):
			switch rereadErr := e.reread(ctx, member); {
			case errors.Is(rereadErr, sql.ErrNoRows):
				return moved, attempt, nil // purged meanwhile
			case rereadErr != nil:
				return moved, attempt, rereadErr
			case code != codeMoved || attempt >= options.Attempts:
				return moved, attempt, explain(err)
			}
		case attempt >= options.Attempts:
			return moved, attempt, explain(err)
		case isTransient(err):
			if err := pause(ctx, attempt); err != nil {
				return moved, attempt, err
			}
		default:
			return moved, attempt, explain(err)
		}
	}
}

// isGone reports whether a schema, or something in it, is not there.
func isGone(err error) bool {
	code := sqlState(err)
	return code == codeUndefinedTable || code == codeInvalidSchema || errors.Is(err, errSchemaGone)
}

// reread reads a tenant's version and fingerprint again. One whose purge has begun is as
// gone as one that was purged.
func (e *Engine) reread(ctx context.Context, member *fleetMember) error {
	err := e.db.Registry().QueryRowContext(ctx, `SELECT schema_version, schema_fingerprint FROM tenants WHERE schema_name = ? AND NOT `+purging, member.schema).
		Scan(&member.version, &member.fingerprint)
	return database.Classify(err)
}

// foretell returns the fingerprint that a schema has at a version, given the one
// that it had at the version before: what the migrations build, if that is what
// it was. Otherwise it returns "", and the fingerprint has to be read from the
// catalog: planning that query alone takes longer than most migrations.
func (e *Engine) foretell(ctx context.Context, from, to, before string) (string, error) {
	if before == "" {
		return "", nil
	}
	if expected, known, err := e.expected(ctx, from); err != nil || !known || expected != before {
		return "", err
	}
	expected, _, err := e.expected(ctx, to)
	return expected, err
}

// expected returns the fingerprint of what the migrations up to version build;
// known is false for a version that this binary does not have.
func (e *Engine) expected(ctx context.Context, version string) (fingerprint string, known bool, err error) {
	n, known := e.tenants.index(version)
	if !known {
		return "", false, nil
	}
	e.expectedMu.Lock()
	defer e.expectedMu.Unlock()
	fingerprint, found := e.expectedBy[version]
	if !found {
		if fingerprint, err = e.tryBuild(ctx, built(e.tenants.migrations[:n]), nil); err != nil {
			return "", true, fmt.Errorf("build version %s: %w", version, err)
		}
		e.expectedBy[version] = fingerprint
	}
	return fingerprint, true, nil
}

// sqlState is the server's code, or the one that a guard stands for, whichever
// connection the error came by.
func sqlState(err error) string {
	code := database.SQLState(err)
	if direct, ok := errors.AsType[*pgconn.PgError](err); ok {
		code = direct.Code
	}
	if code == codeInvalidText {
		switch text := err.Error(); {
		case strings.Contains(text, markMoved):
			return codeMoved
		case strings.Contains(text, markAltered):
			return codeAltered
		}
	}
	return code
}

// isTransient reports whether the same message may succeed a little later.
func isTransient(err error) bool {
	code := sqlState(err)
	return code == codeLockUnavailable || code == codeDeadlock || code == codeSerialization || isAway(err)
}

// isAway reports whether the database itself could not be worked with, which is
// no failure of the tenant's.
func isAway(err error) bool {
	switch code := sqlState(err); {
	case code == "":
		connecting, _ := errors.AsType[*pgconn.ConnectError](err)
		return connecting != nil || fault.KindOf(database.Classify(err)) == fault.Unavailable
	default:
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == codeTooManyConnections
	}
}

// explain says in words what the server's code means for a tenant.
func explain(err error) error {
	switch sqlState(err) {
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
