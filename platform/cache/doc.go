// Package cache keeps what many requests ask for and little changes, and lets go
// of it as soon as it may have changed.
//
// Entries belong to a scope, such as a tenant, and [Scoped.Forget] drops all of a
// scope at once. What was read from the database before the change and is stored
// after it is not believed: [Scoped.Begin] comes before the read, and an entry
// counts only if nothing was forgotten between.
//
// Changes made by other processes are heard from database.Changes. While nobody
// listens, a cache has to be [Scoped.Switch]ed off; a notification that is lost
// all the same heals when the entry's time is over.
package cache
