package migrate

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/database"
)

// WithSeparateStatements makes the engine send each statement as a message of its
// own, in an explicit transaction, or all of a transaction in one message. Without
// the option that is decided by the database: Citus takes no CREATE INDEX in a
// message of several statements.
func WithSeparateStatements(separately bool) Option {
	return func(e *Engine) { e.separately.Store(&separately) }
}

// send runs statements in one transaction on a handle, or in the one that ctx
// carries. That they are one message, and one round trip, is decided here alone.
func (e *Engine) send(ctx context.Context, handle bun.IDB, statements []string) error {
	separately, err := e.sendsSeparately(ctx)
	switch {
	case err != nil:
		return err
	case separately:
		return e.db.InSystemTx(ctx, func(ctx context.Context) error { return oneByOne(ctx, handle, statements) })
	}
	return inOneMessage(ctx, handle, statements)
}

// sendFor is send on a tenant's schema within a transaction, with a query behind
// the statements that returns one value.
func (e *Engine) sendFor(ctx context.Context, statements []string, query string, value any) error {
	separately, err := e.sendsSeparately(ctx)
	if err != nil {
		return err
	}
	if separately {
		if err := oneByOne(ctx, e.db.Owner(), statements); err != nil {
			return err
		}
		statements = nil
	}
	return e.db.Owner().QueryRowContext(ctx, joined(statements...)+query).Scan(value)
}

func inOneMessage(ctx context.Context, handle bun.IDB, statements []string) error {
	_, err := handle.ExecContext(ctx, joined(statements...))
	return err
}

func oneByOne(ctx context.Context, handle bun.IDB, statements []string) error {
	for _, statement := range statements {
		if _, err := handle.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// sendsSeparately asks the database once.
func (e *Engine) sendsSeparately(ctx context.Context) (bool, error) {
	if known := e.separately.Load(); known != nil {
		return *known, nil
	}
	var citus bool
	if err := e.db.Registry().QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')`).Scan(&citus); err != nil {
		return false, database.Classify(err)
	}
	e.separately.Store(&citus)
	return citus, nil
}
