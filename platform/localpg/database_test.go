package localpg_test

import (
	"net/url"
	"testing"

	"github.com/tenonhq/tenon/platform/localpg"
)

func TestDatabases(t *testing.T) {
	t.Parallel()
	const name, login, password = `it's "a" name`, `who "owns" it`, `it's secret`
	server := start(t, localpg.Config{DataDir: tempDir(t)})
	for range 2 { // the second finds both there
		if err := localpg.CreateDatabase(t.Context(), server.URL("postgres"), name, login, password); err != nil {
			t.Fatal(err)
		}
	}
	address, err := url.Parse(server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(login, password)
	owner := connect(t, address.String())
	if _, err := owner.Exec(t.Context(), `CREATE TABLE public.its (id int); CREATE SCHEMA another; CREATE ROLE somebody LOGIN PASSWORD 'p'`); err != nil {
		t.Errorf("the owner may not: %v", err)
	}
	var superuser, anybody bool
	err = owner.QueryRow(t.Context(), `SELECT rolsuper, has_schema_privilege('somebody', 'public', 'CREATE') FROM pg_roles WHERE rolname = current_user`).Scan(&superuser, &anybody)
	if err != nil || superuser || anybody {
		t.Errorf("the owner is a superuser: %t, anybody creates in public: %t, %v", superuser, anybody, err)
	}

	if err := localpg.DropDatabase(t.Context(), server.URL("postgres"), name); err != nil {
		t.Fatal(err)
	}
	if err := owner.Ping(t.Context()); err == nil {
		t.Error("a connection outlived its database")
	}
	var left int
	if err := connect(t, server.URL("postgres")).QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname = $1`, name).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d are left, %v", left, err)
	}
	if err := localpg.DropDatabase(t.Context(), server.URL("postgres"), name); err == nil {
		t.Error("nothing was dropped again")
	}
}
