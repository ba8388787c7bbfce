// Package httpserver is the application's edge: one router, one literal list
// of middleware, one place where errors become answers.
//
// [New] builds a [Router] from a [Config] and the [Mount]s that modules hand
// over. A mount names the [Surface] its routes stand on, and with it what has
// been checked before one of its handlers runs: nothing for [Public], a session
// for [SignedIn], a session and a membership for [TenantPages] and
// [TenantAPI]. The checks themselves are middleware that Config carries; this
// package knows no module and no identity provider.
//
// REST operations are registered with [Register] on huma, so that the OpenAPI
// 3.1 document at /api/openapi.json is what the code does. Errors of every
// origin (a use case, validation, the router's own 404 and 405, a panic) take
// the same way through [ErrorWriter]: logged once with their cause, answered
// as RFC 9457 problem details under /api and as a page elsewhere. An answer
// never repeats what the client sent and never shows a cause.
//
// # Addresses
//
// Each resource has one address. A path with an empty, "." or ".." segment is
// not found, whether or not it is percent-encoded; letter case counts. A GET
// outside of /api with a trailing slash is redirected to the address without
// it. A path or query that is no valid UTF-8 or holds a NUL is a 400.
package httpserver
