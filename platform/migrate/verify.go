package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// ErrDisagree is what [Verify] returns, wrapped, when the migrations lead
// elsewhere than to the desired state.
var ErrDisagree = errors.New("the migrations do not lead to the desired state: plan the missing one")

// Verify reports whether a directory's migrations lead to the desired state, SQL
// without a schema's name: nil, or [ErrDisagree]. Both are built in db, in a
// transaction that is rolled back, and compared by fingerprint, so that views,
// functions and triggers count as well. What they name in public has to be there.
func Verify(ctx context.Context, db *database.DB, dir *Directory, desired string) error {
	planned, err := tryBuild(ctx, db, built(dir.migrations), nil, inOneMessage)
	if err != nil {
		return fault.Wrap("verify migrations", err)
	}
	wanted, err := tryBuild(ctx, db, []string{createRevisions, desired}, nil, inOneMessage)
	if err != nil {
		return fault.Wrap("verify migrations", err)
	}
	if planned != wanted {
		return fault.Wrap("verify migrations", ErrDisagree)
	}
	return nil
}

// scratchSchema is built in transactions that are rolled back, and never seen by
// others. Whoever builds it at the same time waits.
var scratchSchema = tenant.MustParse("tenant_verify")

// errUndo rolls back what was built to be looked at.
var errUndo = errors.New("built to be looked at")

// sender runs statements in one transaction.
type sender func(ctx context.Context, handle bun.IDB, statements []string) error

// tryBuild is tryBuild as the engine sends statements.
func (e *Engine) tryBuild(ctx context.Context, statements []string, work func(ctx context.Context) error) (fingerprint string, err error) {
	return tryBuild(ctx, e.db, statements, work, e.send)
}

// tryBuild builds [scratchSchema] by statements, does work in it if there is any,
// and returns the fingerprint that it has then. Nothing of it stays.
func tryBuild(ctx context.Context, db *database.DB, statements []string, work func(ctx context.Context) error, send sender) (fingerprint string, err error) {
	err = db.InSystemTx(ctx, func(ctx context.Context) error {
		ctx = tenant.NewContext(ctx, scratchSchema)
		if err := send(ctx, db.Owner(), append([]string{`CREATE SCHEMA "` + scratchSchema.String() + `"`}, statements...)); err != nil {
			return fmt.Errorf("build: %w", err)
		}
		if work != nil {
			if err := work(ctx); err != nil {
				return err
			}
		}
		var name string
		if err := db.Owner().QueryRowContext(ctx, fingerprintOf(scratchSchema)).Scan(&name, &fingerprint); err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		return "", database.Classify(err)
	}
	return fingerprint, nil
}
