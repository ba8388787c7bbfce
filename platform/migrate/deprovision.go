package migrate

import (
	"context"
	"fmt"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// dropBatch is how many relations one transaction drops. Each takes a lock for
// itself, its indexes, its TOAST table and its sequence; a server's lock table
// has 64 for each connection it allows unless it was told otherwise.
const dropBatch = 10

// purging is the condition that the purge of a tenant has begun: its table of revisions
// goes first.
var purging = purgingOf("tenants")

func purgingOf(table string) string {
	return "(" + table + ".deleted_at IS NOT NULL AND to_regclass(format('%I._migrations', " + table + ".schema_name)) IS NULL)"
}

// Deprovision drops a tenant's schema with everything in it, and its role. It implements
// tenancy.Provisioner: a few relations a transaction, what is left of an
// interrupted call is dropped by the next, and a schema that does not exist is
// no error.
func (e *Engine) Deprovision(ctx context.Context, schema tenant.Schema) error {
	return fault.Wrap("deprovision schema", e.deprovision(tenant.NewContext(ctx, schema), schema))
}

func (e *Engine) deprovision(ctx context.Context, schema tenant.Schema) error {
	for {
		var statements *string
		// Views go before what they show, so that nothing is dropped by the way.
		err := e.db.Owner().QueryRowContext(ctx, `SELECT string_agg(statement, '; ') FROM (
			SELECT format('DROP %s IF EXISTS %I CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, c.relname) AS statement
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = ? AND c.relkind IN ('v', 'm', 'r', 'p', 'f')
			ORDER BY c.relname = '_migrations' DESC, c.relkind IN ('v', 'm') DESC, c.oid LIMIT ?) AS batch`, schema.String(), dropBatch).Scan(&statements)
		if err != nil {
			return database.Classify(err)
		}
		if statements == nil {
			break
		}
		if _, err := e.db.Owner().ExecContext(ctx, joined(lock(schema), *statements)); err != nil {
			return database.Classify(err)
		}
	}
	// Sequences, functions and types are left, which lock little.
	if _, err := e.db.Owner().ExecContext(ctx, joined(lock(schema), fmt.Sprintf(`DROP SCHEMA IF EXISTS %q CASCADE`, schema.String()))); err != nil {
		return database.Classify(err)
	}
	return e.dropRole(ctx, schema)
}
