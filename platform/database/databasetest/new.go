package databasetest

import (
	"testing"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// New returns a pool on a fresh, empty database that is dropped when the test
// ends.
func New(t testing.TB) *database.DB {
	t.Helper()
	return Open(t, localpgtest.NewDatabase(t))
}
