package localpgtest_test

import (
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

func TestNewPgBouncer(t *testing.T) {
	t.Parallel()
	direct := localpgtest.NewDatabase(t)
	var address string
	t.Run("pools transactions", func(t *testing.T) {
		address = localpgtest.NewPgBouncer(t, direct)
		// More clients than the pool has servers, all connected at once: only
		// transaction mode gives each its turn.
		const clients = 40
		pids := map[int]bool{}
		for range clients {
			conn, err := pgx.Connect(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			var pid int
			var database string
			if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid(), current_database()", pgx.QueryExecModeSimpleProtocol).Scan(&pid, &database); err != nil {
				t.Fatal(err)
			}
			pids[pid] = true
			if want := databaseOf(t, direct); database != want {
				t.Errorf("leads to database %s, want %s", database, want)
			}
		}
		if len(pids) >= clients {
			t.Errorf("%d clients held %d server connections", clients, len(pids))
		}
	})
	if t.Failed() || address == "" {
		return
	}
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", parsed.Host); err == nil {
		conn.Close()
		t.Error("pgbouncer outlived its test")
	}
}

func databaseOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Path[1:]
}
