package localpgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

func TestNewDatabaseIsDroppedAtCleanup(t *testing.T) {
	t.Parallel()
	var first string
	t.Run("first", func(t *testing.T) {
		first = localpgtest.NewDatabase(t)
		conn, err := pgx.Connect(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		// Left open: the database must go nevertheless.
		if _, err := conn.Exec(t.Context(), "CREATE TABLE marks (n int)"); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := pgx.Connect(t.Context(), first); err == nil {
		t.Error("the database of a finished test is still there")
	}
	second := localpgtest.NewDatabase(t)
	conn, err := pgx.Connect(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("a new database has %d tables", tables)
	}
}

func BenchmarkNewDatabase(b *testing.B) {
	localpgtest.NewDatabase(b) // starts the server
	for b.Loop() {
		localpgtest.NewDatabase(b)
	}
}
