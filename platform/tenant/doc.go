// Package tenant carries the one fact that decides where a statement runs:
// the schema of the tenant that a request works for.
//
// A [Schema] can only be made by [Parse], so a value of the type is proof that
// the name is one that PostgreSQL can take between quotes without harm and
// that it is a tenant's at all, never "public" or "pg_catalog". The context
// carries it from the edge, where the request's tenant is resolved, down to
// platform/database, which refuses every statement without one.
package tenant
