// Package tenancy is the registry of tenants: which organizations have one,
// how URLs name it, and which PostgreSQL schema is its own.
//
// Two rules keep tenants apart for good. A schema's name is derived once from
// the organization's id and never changes ([SchemaName]), so that neither a
// rename nor a slug given to somebody else leads to another's data. And a slug
// is never taken from a live tenant: an organization that asks for a slug that
// is taken or reserved gets one of its own, and the plain one as soon as it is
// free ([Service.Sync]).
//
// The package is plain Go and knows no identity provider; what it needs from
// outside are its ports, see ports.go.
package tenancy
