// Package clerkdev is a Clerk instance that runs on this machine, for
// development and tests: no account, no network, the same protocol.
//
// An [Emulator] has three sides, as Clerk has:
//
//   - [Emulator.Backend] is the Backend API. Clerk's own clients work against
//     it unchanged, given another base URL and [Emulator.SecretKey].
//   - [Emulator.Frontend] is the Frontend API and the account portal (signing
//     in and up, choosing and creating organizations). It is mounted under the
//     application's own origin at /__clerk, so that cookies are first-party.
//     /__clerk/ itself shows what the instance knows and what it sent.
//   - [Emulator.Run] delivers webhooks, signed with Svix, and tries again until
//     they are accepted. [Emulator.SetDelivery] makes it as unpleasant as the
//     real network, [Emulator.Replay] sends events again.
//
// Paths, shapes and error codes are those of Clerk's public API. Where the
// emulator knows less than Clerk it refuses (a parameter it does not implement
// is an error), so that nothing passes here by being ignored.
//
// Anybody who can open the portal can sign in as anybody. Therefore [New]
// refuses an address that is not loopback, and the package has no place in a
// process that serves other people.
package clerkdev

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
