// Package clerk lets Clerk be the identity provider.
//
//   - [Verifier] decides whether a session token is good, on keys that it keeps
//     itself, stricter than the SDK where the SDK is lax.
//   - [BrowserAuth] decides whether a request is signed in, signed out or has
//     to go through Clerk's handshake, by the cookies and rules of Clerk's own
//     backend library (@clerk/backend), which a test runs as its oracle.
//   - [Provider] asks the Backend API what cannot wait for a webhook.
//   - [Decode] reads webhook payloads.
//   - [Instance] knows the addresses that follow from the keys.
//
// The same code talks to Clerk and to the local emulator: only addresses and
// keys differ.
package clerk
