// Package memory keeps API keys in memory, for tests of use cases and of the
// whole application without a database.
package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

var (
	_ apikeys.Repository = (*Repository)(nil)
	_ apikeys.Index      = (*Index)(nil)
	_ memtx.Store        = (*Repository)(nil)
	_ memtx.Store        = (*Index)(nil)
)

// Repository implements [apikeys.Repository]. Every tenant has a table of its own.
type Repository struct {
	mu     sync.Mutex
	tables map[tenant.Schema][]apikeys.Key // the oldest first
}

// NewRepository returns a repository without keys.
func NewRepository() *Repository { return &Repository{tables: map[tenant.Schema][]apikeys.Key{}} }

var errNoTenant = errors.New("apikeys: no tenant in the context")

// of runs fn on the table of the context's tenant.
func (r *Repository) of(ctx context.Context, fn func(keys []apikeys.Key) ([]apikeys.Key, error)) error {
	schema, ok := tenant.FromContext(ctx)
	if !ok {
		return errNoTenant
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, err := fn(slices.Clone(r.tables[schema]))
	if err == nil {
		r.tables[schema] = keys
	}
	return err
}

// Snapshot implements [memtx.Store].
func (r *Repository) Snapshot() func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	saved := maps.Clone(r.tables) // the slices are replaced, never changed
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tables = saved
	}
}

// List implements [apikeys.Repository].
func (r *Repository) List(ctx context.Context) (all []apikeys.Key, err error) {
	err = r.of(ctx, func(keys []apikeys.Key) ([]apikeys.Key, error) {
		all = slices.Clone(keys)
		return keys, nil
	})
	slices.SortFunc(all, func(a, b apikeys.Key) int { return newestFirst(a, b) })
	return all, err
}

func newestFirst(a, b apikeys.Key) int {
	if by := b.CreatedAt.Compare(a.CreatedAt); by != 0 {
		return by
	}
	if a.ID < b.ID {
		return -1
	}
	return 1
}

func find(keys []apikeys.Key, id string) (int, error) {
	i := slices.IndexFunc(keys, func(k apikeys.Key) bool { return k.ID == id })
	if i < 0 {
		return 0, apikeys.ErrNotFound
	}
	return i, nil
}

// ByID implements [apikeys.Repository].
func (r *Repository) ByID(ctx context.Context, id string) (key apikeys.Key, err error) {
	err = r.of(ctx, func(keys []apikeys.Key) ([]apikeys.Key, error) {
		i, err := find(keys, id)
		if err != nil {
			return nil, err
		}
		key = keys[i]
		return keys, nil
	})
	return key, err
}

var errTaken = errors.New("apikeys: the id exists already")

// Insert implements [apikeys.Repository].
func (r *Repository) Insert(ctx context.Context, key apikeys.Key) error {
	key.LastUsedAt = time.Time{}
	return r.of(ctx, func(keys []apikeys.Key) ([]apikeys.Key, error) {
		if _, err := find(keys, key.ID); err == nil {
			return nil, errTaken
		}
		return append(keys, key), nil
	})
}

// Delete implements [apikeys.Repository].
func (r *Repository) Delete(ctx context.Context, id string) (key apikeys.Key, err error) {
	err = r.of(ctx, func(keys []apikeys.Key) ([]apikeys.Key, error) {
		i, err := find(keys, id)
		if err != nil {
			return nil, err
		}
		key = keys[i]
		return slices.Delete(keys, i, i+1), nil
	})
	return key, err
}

// Index implements [apikeys.Index].
type Index struct {
	mu      sync.Mutex
	entries map[string]apikeys.Entry
}

// NewIndex returns an index without entries.
func NewIndex() *Index { return &Index{entries: map[string]apikeys.Entry{}} }

// Snapshot implements [memtx.Store].
func (x *Index) Snapshot() func() {
	x.mu.Lock()
	defer x.mu.Unlock()
	saved := maps.Clone(x.entries)
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.entries = saved
	}
}

// lock fails for a context that has ended.
func (x *Index) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x.mu.Lock()
	return x.mu.Unlock, nil
}

// Find implements [apikeys.Index].
func (x *Index) Find(ctx context.Context, id string) (apikeys.Entry, error) {
	unlock, err := x.lock(ctx)
	if err != nil {
		return apikeys.Entry{}, err
	}
	defer unlock()
	entry, ok := x.entries[id]
	if !ok {
		return apikeys.Entry{}, apikeys.ErrNotFound
	}
	return entry, nil
}

// Insert implements [apikeys.Index].
func (x *Index) Insert(ctx context.Context, entry apikeys.Entry) error {
	unlock, err := x.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, ok := x.entries[entry.ID]; ok {
		return errTaken
	}
	x.entries[entry.ID] = entry
	return nil
}

// Delete implements [apikeys.Index].
func (x *Index) Delete(ctx context.Context, tenantID, id string) error {
	unlock, err := x.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if x.entries[id].TenantID == tenantID {
		delete(x.entries, id)
	}
	return nil
}

// Touch implements [apikeys.Index].
func (x *Index) Touch(ctx context.Context, id string, at time.Time) error {
	unlock, err := x.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if entry, ok := x.entries[id]; ok && at.After(entry.LastUsedAt) {
		entry.LastUsedAt = at
		x.entries[id] = entry
	}
	return nil
}

// Used implements [apikeys.Index].
func (x *Index) Used(ctx context.Context, tenantID string) (map[string]time.Time, error) {
	unlock, err := x.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	used := map[string]time.Time{}
	for id, entry := range x.entries {
		if entry.TenantID == tenantID && !entry.LastUsedAt.IsZero() {
			used[id] = entry.LastUsedAt
		}
	}
	return used, nil
}
