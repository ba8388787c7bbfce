package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

// Adopted is a tenant of which the registry learned what its schema is.
type Adopted struct {
	Schema, Slug string
	// From is the version that the registry had, To the one that the schema says.
	From, To string
}

// Adopt makes the registry say of the named tenants what their schemas say: the
// version whose files, hashes included, are in _migrations, and the fingerprint of
// the tables as they are. It is for after a tenant's schema was restored from a
// backup, which the registry is not part of. Either all of them are adopted or
// none.
//
// Errors: [fault.Invalid] for no names and names of nobody, [fault.Conflict] for a
// schema that is gone or whose _migrations fit no version of this binary.
func (e *Engine) Adopt(ctx context.Context, only []string) (adopted []Adopted, err error) {
	if len(only) == 0 {
		return nil, fault.InvalidFields(fault.Field{Name: "only", Message: "Name the tenants that were restored."})
	}
	var mu sync.Mutex
	var named []registered
	err = e.batches(ctx, 1, auditBatch, only, func(_ context.Context, batch []registered) error {
		mu.Lock()
		defer mu.Unlock()
		named = append(named, batch...)
		return nil
	})
	if err != nil {
		return nil, fault.Wrap("adopt tenants", err)
	}
	err = e.db.InSystemTx(ctx, func(ctx context.Context) error {
		for _, r := range named {
			one, err := e.adopt(ctx, r)
			if err != nil {
				return err
			}
			adopted = append(adopted, one)
		}
		return nil
	})
	if err != nil {
		return nil, fault.Wrap("adopt tenants", err)
	}
	return adopted, nil
}

func (e *Engine) adopt(ctx context.Context, r registered) (Adopted, error) {
	// No migration moves it meanwhile.
	if _, err := e.db.Registry().ExecContext(ctx, lock(r.schema)); err != nil {
		return Adopted{}, database.Classify(err)
	}
	recorded, err := e.recorded(ctx, []registered{r})
	if err != nil {
		return Adopted{}, err
	}
	fingerprints, err := e.fingerprints(ctx, []registered{r})
	if err != nil {
		return Adopted{}, err
	}
	fingerprint, exists := fingerprints[r.name]
	revision := recorded[r.name]
	if !exists || revision == nil {
		return Adopted{}, fault.New(fault.Conflict, fmt.Sprintf("The schema %s is gone, or its table _migrations is gone or empty.", r.name))
	}
	version, ok := e.versionOf(*revision)
	if !ok {
		return Adopted{}, fault.New(fault.Conflict, fmt.Sprintf("What was applied to the schema %s is no version that this binary has.", r.name))
	}
	result, err := e.db.Registry().ExecContext(ctx, `UPDATE tenants SET schema_version = ?, schema_fingerprint = ?, updated_at = now()
		WHERE schema_name = ? AND schema_version = ?`, version, fingerprint, r.name, r.version)
	if err != nil {
		return Adopted{}, database.Classify(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return Adopted{}, errors.Join(err, fault.New(fault.Conflict, fmt.Sprintf("The schema %s was migrated at the same moment; try again.", r.name)))
	}
	return Adopted{Schema: r.name, Slug: r.slug, From: r.version, To: version}, nil
}

// versionOf finds the version that a table _migrations stands for.
func (e *Engine) versionOf(recorded string) (version string, ok bool) {
	for n, m := range e.tenants.migrations {
		if revisions(e.tenants.migrations[:n+1]) == recorded {
			return m.Version, true
		}
	}
	return "", false
}
