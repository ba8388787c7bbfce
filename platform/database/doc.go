// Package database is the one way to PostgreSQL, and the place where one
// tenant is kept from another.
//
// A [DB] has two handles, both a bun.IDB that repositories take once and use
// with a context each time. [DB.Tenants] runs every statement in the schema of
// the tenant that the context carries, as one message
//
//	SET LOCAL search_path TO "tenant_x", pg_temp; SELECT …
//
// which PostgreSQL runs as one implicit transaction: one round trip, nothing
// left on the connection afterwards, safe behind PgBouncer in transaction
// mode. [DB.Registry] does the same with public. Transactions travel in the
// context: [DB.InTenantTx] for one tenant, [DB.InSystemTx] for provisioning,
// migrations and identity sync.
//
// # What is guaranteed
//
// The rule is enforced in the driver, below Bun and database/sql, so raw SQL,
// relations, joins, a bun.Tx and whatever else reaches the pool are covered:
//
//   - A statement without a tenant, for another tenant than its transaction's
//     or from the wrong handle is an error before anything is sent.
//   - Every message outside of a transaction, and every one inside of a system
//     transaction, names its path itself. What an earlier user of the
//     connection did to the session cannot misdirect it.
//   - A connection goes back to the pool only when the server's last word was
//     that no transaction is open and the whole reply was read. Anything else
//     (a context that ended midway, a reply of unforeseen shape) closes it.
//   - When a context ends, the statement is cancelled on the server too.
//   - A commit after a failed statement is [ErrAborted], not a silent rollback.
//
// A statement that may change something says where the change comes from as well
// (platform/origin), in the same message: the database writes it down. The rows that
// such a statement returns are handed out once it was committed.
//
// Statements that would work on the session or end the transaction (SET, RESET,
// BEGIN, COMMIT, PREPARE, LISTEN, COPY, CREATE TEMP TABLE, set_config, …) are
// refused with [ErrRefused] before they are sent, found by reading the text as
// the server would. SET LOCAL of other settings, and any number of statements
// in one Exec, are fine; a query returns the rows of one statement. A tenant's
// own statements may not hide what they do either (DO, functions that run SQL
// text). LISTEN and COPY need a
// connection that is nobody else's, and so does what cannot run in a
// transaction, such as CREATE INDEX CONCURRENTLY.
//
// # Roles
//
// A name that spells out its schema ("tenant_other.users") passes all of that.
// With [DB.UseRoles] it is PostgreSQL that refuses it: a tenant's message begins
// with SET LOCAL ROLE besides, and that role has rights to its own schema alone.
// System transactions and [DB.Owner], which makes and migrates schemas, keep the
// login's rights. The login is no superuser; it owns the schemas and may make
// roles. platform/migrate makes and drops them with the tenants.
package database
