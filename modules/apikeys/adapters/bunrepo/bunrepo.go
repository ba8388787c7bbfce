// Package bunrepo keeps API keys in PostgreSQL: the index in public, the rest in
// the table "api_keys" of each tenant's schema.
package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

var (
	_ apikeys.Repository = (*Repository)(nil)
	_ apikeys.Index      = (*Index)(nil)
)

// Repository implements [apikeys.Repository].
type Repository struct{ db bun.IDB }

// NewRepository returns the keys of whichever tenant a context names.
func NewRepository(db *database.DB) *Repository { return &Repository{db: db.Tenants()} }

type keyRow struct {
	bun.BaseModel `bun:"table:api_keys,alias:k"`

	ID          string    `bun:"id,pk"`
	Name        string    `bun:"name"`
	Permissions []string  `bun:"permissions,array"`
	CreatedBy   string    `bun:"created_by"`
	CreatedAt   time.Time `bun:"created_at"`
	ExpiresAt   time.Time `bun:"expires_at"`
}

func (row keyRow) key() apikeys.Key {
	return apikeys.Key{
		ID: row.ID, Name: row.Name, Permissions: permissionsOf(row.Permissions), CreatedBy: row.CreatedBy,
		CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.UTC(),
	}
}

func permissionsOf(names []string) []identity.Permission {
	permissions := make([]identity.Permission, len(names))
	for i, name := range names {
		permissions[i] = identity.Permission(name)
	}
	return permissions
}

func namesOf(permissions []identity.Permission) []string {
	names := make([]string, len(permissions))
	for i, permission := range permissions {
		names[i] = string(permission)
	}
	return names
}

// List implements [apikeys.Repository].
func (r *Repository) List(ctx context.Context) ([]apikeys.Key, error) {
	var rows []keyRow
	if err := r.db.NewSelect().Model(&rows).OrderExpr(`created_at DESC, id COLLATE "C"`).Scan(ctx); err != nil {
		return nil, fault.Wrap("select API keys", database.Classify(err))
	}
	keys := make([]apikeys.Key, len(rows))
	for i, row := range rows {
		keys[i] = row.key()
	}
	return keys, nil
}

// ByID implements [apikeys.Repository].
func (r *Repository) ByID(ctx context.Context, id string) (apikeys.Key, error) {
	var row keyRow
	err := r.db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	return one(row, err)
}

func one(row keyRow, err error) (apikeys.Key, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return apikeys.Key{}, apikeys.ErrNotFound
	case err != nil:
		return apikeys.Key{}, fault.Wrap("API key", database.Classify(err))
	}
	return row.key(), nil
}

// Insert implements [apikeys.Repository].
func (r *Repository) Insert(ctx context.Context, key apikeys.Key) error {
	row := keyRow{
		ID: key.ID, Name: key.Name, Permissions: namesOf(key.Permissions), CreatedBy: key.CreatedBy,
		CreatedAt: key.CreatedAt, ExpiresAt: key.ExpiresAt,
	}
	_, err := r.db.NewInsert().Model(&row).Exec(ctx)
	return fault.Wrap("insert API key", database.Classify(err))
}

// Delete implements [apikeys.Repository].
func (r *Repository) Delete(ctx context.Context, id string) (apikeys.Key, error) {
	var row keyRow
	err := r.db.NewDelete().Model((*keyRow)(nil)).Where("id = ?", id).Returning("*").Scan(ctx, &row)
	return one(row, err)
}

// Index implements [apikeys.Index].
type Index struct{ db bun.IDB }

// NewIndex returns the index over the handle for public tables.
func NewIndex(db *database.DB) *Index { return &Index{db: db.Registry()} }

type entryRow struct {
	bun.BaseModel `bun:"table:api_key_index,alias:x"`

	ID          string    `bun:"id,pk"`
	TenantID    string    `bun:"tenant_id"`
	AccountID   string    `bun:"account_id"`
	Hash        []byte    `bun:"hash"`
	Permissions []string  `bun:"permissions,array"`
	CreatedAt   time.Time `bun:"created_at"`
	ExpiresAt   time.Time `bun:"expires_at"`
	LastUsedAt  time.Time `bun:"last_used_at,nullzero"`
}

// Find implements [apikeys.Index].
func (x *Index) Find(ctx context.Context, id string) (apikeys.Entry, error) {
	var row entryRow
	err := x.db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return apikeys.Entry{}, apikeys.ErrNotFound
	case err != nil:
		return apikeys.Entry{}, fault.Wrap("find API key", database.Classify(err))
	}
	entry := apikeys.Entry{
		ID: row.ID, TenantID: row.TenantID, AccountID: row.AccountID, Permissions: permissionsOf(row.Permissions),
		CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.UTC(),
	}
	if !row.LastUsedAt.IsZero() {
		entry.LastUsedAt = row.LastUsedAt.UTC()
	}
	copy(entry.Hash[:], row.Hash) // the table's check has its length
	return entry, nil
}

// Insert implements [apikeys.Index].
func (x *Index) Insert(ctx context.Context, entry apikeys.Entry) error {
	row := entryRow{
		ID: entry.ID, TenantID: entry.TenantID, AccountID: entry.AccountID, Hash: entry.Hash[:], Permissions: namesOf(entry.Permissions),
		CreatedAt: entry.CreatedAt, ExpiresAt: entry.ExpiresAt, LastUsedAt: entry.LastUsedAt,
	}
	_, err := x.db.NewInsert().Model(&row).Exec(ctx)
	return fault.Wrap("insert into the index of API keys", database.Classify(err))
}

// Delete implements [apikeys.Index].
func (x *Index) Delete(ctx context.Context, tenantID, id string) error {
	_, err := x.db.NewDelete().Model((*entryRow)(nil)).Where("id = ?", id).Where("tenant_id = ?", tenantID).Exec(ctx)
	return fault.Wrap("delete from the index of API keys", database.Classify(err))
}

// Touch implements [apikeys.Index].
func (x *Index) Touch(ctx context.Context, id string, at time.Time) error {
	_, err := x.db.NewUpdate().Model((*entryRow)(nil)).Set("last_used_at = ?", at).
		Where("id = ?", id).Where("last_used_at IS NULL OR last_used_at < ?", at).Exec(ctx)
	return fault.Wrap("touch API key", database.Classify(err))
}

// Used implements [apikeys.Index].
func (x *Index) Used(ctx context.Context, tenantID string) (map[string]time.Time, error) {
	var rows []entryRow
	err := x.db.NewSelect().Model(&rows).Column("id", "last_used_at").Where("tenant_id = ?", tenantID).Where("last_used_at IS NOT NULL").Scan(ctx)
	if err != nil {
		return nil, fault.Wrap("select uses of API keys", database.Classify(err))
	}
	used := make(map[string]time.Time, len(rows))
	for _, row := range rows {
		used[row.ID] = row.LastUsedAt.UTC()
	}
	return used, nil
}
