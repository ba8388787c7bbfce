// Package idempotency remembers what was answered to requests that a client may
// send again under one key.
//
// A key belongs to one person in one tenant. It is claimed before the request
// runs and finished with its answer afterwards; while it is claimed, another
// request under it is refused, and once it is finished, the same request gets the
// same answer. A run that changed nothing gives its key back. A claim lapses by
// itself, so that a process that died in between blocks nobody for long; what it
// had done by then nobody knows, so the request runs again.
//
// [Store] keeps keys in PostgreSQL, [Memory] in the process; both pass one suite
// of tests.
package idempotency

import (
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// Request is a request under a key.
type Request struct {
	// Tenant and Account are the ids of the tenant, "" outside of tenants, and
	// of the person.
	Tenant, Account string
	// Key is the client's.
	Key string
	// Fingerprint is a hash of everything that makes it this request.
	Fingerprint [sha256.Size]byte
}

// Answer is what was answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Claim is a run's right to finish a key. It is random, so that a run whose
// claim has lapsed does not finish that of its successor.
type Claim string

// ErrInFlight is for a request under a key whose request still runs.
var ErrInFlight = fault.New(fault.Conflict, "A request with this Idempotency-Key is still running.").WithRetryAfter(time.Second)

// ErrReused is for a request under a key that another request had.
var ErrReused = fault.InvalidFields(fault.Field{
	Name: "Idempotency-Key", Message: "Another request had this key. Use a new key for each request.",
})
