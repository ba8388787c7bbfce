package database

import (
	"context"

	"github.com/tenonhq/tenon/platform/fault"
)

// CatalogBytesPerTenant is the catalog cache that a server process keeps for each
// tenant it has read from, until its connection is closed: 57 MB after 1,000 tenants
// on PostgreSQL 15. One that it has written to costs two and a half times as much, for
// the triggers' functions and their plans (decision 0009).
const CatalogBytesPerTenant = 56 << 10

// Catalog is how large the server's own tables about tables have grown. A schema a
// tenant makes them the first thing to become large.
type Catalog struct {
	// Relations are all tables, indexes, sequences and views, as estimated by the
	// last analysis; 0 before the first.
	Relations float64
	// ClassBytes and AttributeBytes are what pg_class and pg_attribute occupy,
	// indexes included.
	ClassBytes, AttributeBytes int64
}

// Catalog reads the catalog's size. It costs the same whatever the size.
func (db *DB) Catalog(ctx context.Context) (c Catalog, err error) {
	err = db.Registry().NewRaw(`SELECT
			(SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'pg_class'::regclass),
			pg_total_relation_size('pg_class'), pg_total_relation_size('pg_attribute')`).
		Scan(ctx, &c.Relations, &c.ClassBytes, &c.AttributeBytes)
	return c, fault.Wrap("read catalog size", Classify(err))
}

// Room estimates how many more tenants may be served before the processes of conns
// connections, each of which has touched every tenant, keep more than budget bytes
// of catalog cache together. It is never negative.
func Room(budget int64, conns, tenants int) int {
	return max(int(budget/int64(max(conns, 1))/CatalogBytesPerTenant)-tenants, 0)
}
