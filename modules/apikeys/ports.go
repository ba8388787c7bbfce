package apikeys

import (
	"context"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Repository stores what people know about the keys of the tenant in the context,
// but for when they were used; without a tenant every method fails.
type Repository interface {
	// List returns all of the tenant's keys, the newest first.
	List(ctx context.Context) ([]Key, error)
	// ByID returns one key. Errors: [ErrNotFound].
	ByID(ctx context.Context, id string) (Key, error)
	// Insert adds a key as it is.
	Insert(ctx context.Context, key Key) error
	// Delete removes a key and returns it as it was. Errors: [ErrNotFound].
	Delete(ctx context.Context, id string) (Key, error)
}

// Index finds keys by what programs send, of all tenants. Implementations ignore
// the tenant in the context.
type Index interface {
	// Find returns an entry, or [ErrNotFound].
	Find(ctx context.Context, id string) (Entry, error)
	// Insert adds an entry as it is.
	Insert(ctx context.Context, entry Entry) error
	// Delete removes an entry of a tenant; one that is not there is no error.
	Delete(ctx context.Context, tenantID, id string) error
	// Touch records when a key was used; an earlier time than the one that is
	// known changes nothing.
	Touch(ctx context.Context, id string, at time.Time) error
	// Used returns when the tenant's keys were last used, by id, without those
	// that never were.
	Used(ctx context.Context, tenantID string) (map[string]time.Time, error)
}

// Entry is what decides about a request with a key. None of it changes but for
// when it was used.
type Entry struct {
	ID          string
	TenantID    string
	AccountID   string // of who made it
	Hash        Hash
	Permissions []identity.Permission
	CreatedAt   time.Time
	ExpiresAt   time.Time
	LastUsedAt  time.Time
}

// Transactor runs fn in one transaction over the index and every tenant's schema.
// An error or a panic of fn undoes everything.
type Transactor interface {
	InSystemTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// Errors of the ports and use cases.
var (
	// ErrNotFound is for a key that was revoked or never was.
	ErrNotFound = fault.New(fault.NotFound, "There is no such API key. It may have been revoked.")
	// ErrInvalidToken is for whoever sends a token that is none, or none any more.
	ErrInvalidToken = fault.New(fault.Unauthenticated, "This API key is not valid: it was revoked, has expired, or was not copied whole.")
	// ErrTooMany is for a tenant that has [MaxKeys].
	ErrTooMany = fault.New(fault.Conflict, "There are 100 API keys already. Revoke one that is not used any more.")
)
