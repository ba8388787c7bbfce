// Package migrations holds the schemas of the product as data: the desired
// state of public and of a tenant's schema, written once, and the versioned
// migrations that Atlas planned to get there.
//
// A directory has the golang-migrate layout, which the Atlas CLI reads with
// "?format=golang-migrate": VERSION_name.up.sql, its reverse beside it as
// VERSION_name.down.sql, and atlas.sum over the former. Names in the files are
// unqualified; platform/migrate decides in which schema they land.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed schema public tenant
var files embed.FS

// The versioned migrations with their atlas.sum, for migrate.Load.
var (
	// Public leads to the schema public.
	Public = sub("public")
	// Tenant leads to every tenant's schema.
	Tenant = sub("tenant")
)

// OldestTenant is the oldest version of a tenant's schema that this code works
// on; a tenant at an older one is answered 503 until it is migrated. Raise it to
// the migration that the code begins to rely on.
const OldestTenant = "20261126192714"

// ReadOnly are the tables of a tenant's schema that the tenant's role may read and not
// write.
var ReadOnly = []string{"audit_log", "audit_anchors"}

// The desired states, as SQL without a schema's name.
var (
	//go:embed schema/public.sql
	PublicSchema string
	//go:embed schema/tenant.sql
	TenantSchema string
)

func sub(dir string) fs.FS {
	fsys, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // dir is not a valid path, which is a mistake above
	}
	return fsys
}
