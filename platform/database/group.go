package database

import (
	"context"
	"hash/fnv"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/tenant"
)

// groupSize returns how many of the connections a group has, all of them together
// cfg.MaxOpenConns.
func groupSize(cfg Config, group int) int {
	size := cfg.MaxOpenConns / cfg.TenantGroups
	if group < cfg.MaxOpenConns%cfg.TenantGroups {
		size++
	}
	return size
}

// group returns the pool for a statement or transaction of the scope. A tenant's go
// to the same one always, in every process; what is about no tenant goes where
// connections are free.
func (db *DB) group(ctx context.Context, s scope) *bun.DB {
	if len(db.groups) == 1 {
		return db.groups[0]
	}
	schema, ok := tenant.FromContext(ctx)
	if s == registryScope || !ok {
		return db.idlest()
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(schema.String())) // never fails
	return db.groups[hash.Sum32()%uint32(len(db.groups))]
}

// idlest returns the pool with the most connections that nobody uses.
func (db *DB) idlest() *bun.DB {
	best, most := db.groups[0], -1
	for _, group := range db.groups {
		stats := group.Stats()
		if free := stats.MaxOpenConnections - stats.InUse; free > most {
			best, most = group, free
		}
	}
	return best
}
