package migrate

import (
	"context"
	"errors"
	"fmt"

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
// functions and triggers count as well.
func Verify(ctx context.Context, db *database.DB, dir *Directory, desired string) error {
	planned, wanted := tenant.MustParse("tenant_verify_planned"), tenant.MustParse("tenant_verify_wanted")
	var fingerprints [2]string
	err := db.InSystemTx(ctx, func(ctx context.Context) error {
		for i, build := range []struct {
			schema     tenant.Schema
			statements string
		}{
			{planned, built(dir.migrations)},
			{wanted, joined(createRevisions) + desired},
		} {
			ctx := tenant.NewContext(ctx, build.schema)
			if _, err := db.Tenants().ExecContext(ctx, `CREATE SCHEMA "`+build.schema.String()+"\";\n"+build.statements); err != nil {
				return fmt.Errorf("build %s: %w", build.schema, err)
			}
			row := db.Tenants().QueryRowContext(ctx, fingerprintOf(build.schema))
			var name string
			if err := row.Scan(&name, &fingerprints[i]); err != nil {
				return fmt.Errorf("fingerprint %s: %w", build.schema, err)
			}
		}
		return errUndo
	})
	switch {
	case !errors.Is(err, errUndo):
		return fault.Wrap("verify migrations", database.Classify(err))
	case fingerprints[0] != fingerprints[1]:
		return fault.Wrap("verify migrations", ErrDisagree)
	}
	return nil
}

// errUndo rolls back what was built to be looked at.
var errUndo = errors.New("built to be looked at")
