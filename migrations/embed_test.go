package migrations_test

import (
	"io/fs"
	"testing"

	"github.com/tenonhq/tenon/migrations"
)

func TestOldestTenantIsAVersion(t *testing.T) {
	t.Parallel()
	found, err := fs.Glob(migrations.Tenant, migrations.OldestTenant+"_*.up.sql")
	if err != nil || len(found) != 1 {
		t.Errorf("%s names %v, %v", migrations.OldestTenant, found, err)
	}
}
