// Package projects is what a tenant's people work on. It is also the module to
// copy when you add one of your own: see modules/README.md.
//
// Which projects somebody may see, edit or delete is a [Scope], computed from
// the actor by one function ([ScopeOf]) and handed to the repository, which
// applies it in the statement itself. A project outside of the scope to see is
// [ErrNotFound], exactly as one that does not exist; one that may be seen but
// not changed is [identity.ErrForbidden].
//
// The package is plain Go; what it needs from outside is its port, see
// ports.go.
package projects
