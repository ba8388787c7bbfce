// Package audit shows who changed what in a tenant, and proves that the record is
// whole.
//
// The record is written by the database, not by this package: triggers on every
// table of a tenant's schema, and on the registry, add an [Entry] in the
// transaction of the change (migrations/schema/tenant.sql). So nothing that
// changes a row, however it got to the database, goes without one. Who did it and
// from where comes along with the statement, see platform/origin. What changes
// nothing in the tenant's tables, such as an invitation that lives at the identity
// provider, is added by [Log.Record].
//
// Entries are never changed. Each one's [Hash] covers it and the hash before it,
// so [Verify] finds whatever was altered, removed or put in later, also by somebody
// who can switch triggers off. What it cannot find is the end of the record cut
// off; for that a [Head], kept somewhere else, is held against it.
//
// A record that is kept for a limited time is cut at its beginning, where a signed
// [Anchor] stays in place of what is gone ([Cutter]). The key for that is not in the
// database.
//
// Entries name people by id alone and say of personal data only that it changed,
// so that whoever is erased from the users is erased from the record as well. What
// they keep is the address that a change came from, for as long as entries are kept.
package audit
