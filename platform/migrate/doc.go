// Package migrate brings public and every tenant's schema to the version that
// the versioned migrations describe, and makes new tenants' schemas.
//
// Atlas plans the migrations and guards their directory ([Load] verifies
// atlas.sum); this package applies them, because what a fleet of thousands needs
// is not what one database needs (platform/decisions/0002). The unit is one
// schema: everything it lacks is sent as one message, which PostgreSQL runs as
// one transaction.
//
//	lock_timeout · lock on the schema · version and fingerprint in the registry, if it is
//	still where it was · the migrations' statements · a row in _migrations for each · the
//	tenant's row in the ledger
//
// So a schema is never half migrated, whatever is killed when; two engines that
// work at once find out under the lock; and a version in the registry that is
// current is all it takes to know that there is nothing to do.
//
// A pass over the fleet is a run. [Engine.Up] and [Engine.Down] write it into the
// ledger, public.migration_runs and public.migration_run_tenants, before they
// begin; [Engine.Resume] goes on with one that was stopped, whatever stopped it.
// Files marked `-- atlas:txmode none` are the exception to one message a tenant:
// they make and drop indexes CONCURRENTLY, on a connection of their own.
//
// Each schema has a table _migrations with the files that were applied to it and
// their hashes. It belongs to this package and is in no desired state.
package migrate
