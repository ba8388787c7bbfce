// Package identity knows who is asking and what they may do.
//
// People, organizations and memberships are managed at an identity provider
// (Clerk). This package keeps a copy of what the provider said, the directory,
// and projects it into every tenant's own users. Three things follow from
// events arriving late, twice and out of order:
//
//   - What is known of an account, an organization or a membership is merged by
//     a function that does not care about order or repetition ([Account.Merge],
//     [Organization.Merge], [Membership.Merge]).
//   - A tenant's users are computed from the directory by a pure function
//     ([Project]), never edited event by event.
//   - Webhooks, just-in-time provisioning and reconciliation all end in the
//     same use case ([Sync.Apply]), so racing each other is harmless.
//
// Whether somebody may do something is decided by the role in the tenant's own
// users, which the provider's token cannot influence: see [Role.Allows].
//
// The package is plain Go. What it needs from outside are its ports: see
// ports.go.
package identity
