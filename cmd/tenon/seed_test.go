package main

import (
	"context"
	"crypto/md5"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// TestSeed holds that the same flags make the same data, also when the first
// attempt is interrupted.
func TestSeed(t *testing.T) {
	t.Parallel()
	var sums []string
	for _, interrupted := range []bool{false, true} {
		environ := []string{"DATABASE_URL=" + localpgtest.NewDatabase(t)}
		if code, _, stderr := execute(t, environ, "migrate", "up"); code != 0 {
			t.Fatal(stderr)
		}
		args := []string{"seed", "--tenants", "12", "--projects", "7", "--users", "4", "--seed", "9"}
		if interrupted {
			if code, _, stderr := execute(t, environ, append(args, "--tenants", "5")...); code != 0 {
				t.Fatal(stderr)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			log := new(syncBuffer)
			if code := run(ctx, append([]string{"tenon"}, args...), surroundings{environ: environ, stdout: log, stderr: log}); code == 0 {
				t.Errorf("an interrupted seeding is a success: %s", log)
			}
		}
		code, _, stderr := execute(t, environ, args...)
		if code != 0 || !strings.Contains(stderr, "Seeded 12 tenants, each with 4 people and 7 projects") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if code, _, stderr := execute(t, environ, "migrate", "verify"); code != 0 {
			t.Error(stderr)
		}
		sums = append(sums, checksum(t, strings.TrimPrefix(environ[0], "DATABASE_URL=")))
	}
	if sums[0] != sums[1] {
		t.Error("the same flags made other data")
	}
	for _, wrong := range [][]string{{"--tenants", "0"}, {"--users", "0"}, {"--projects", "-1"}, {"--workers", "65"}, {"--seed", "-1"}, {"x"}} {
		if code, _, stderr := execute(t, nil, append([]string{"seed"}, wrong...)...); code != exitUsage {
			t.Errorf("%v: exit %d: %s", wrong, code, stderr)
		}
	}
}

// checksum is over everything that was seeded.
func checksum(t *testing.T, url string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `SELECT schema_name FROM tenants ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.New()
	for _, schema := range schemas {
		name := pgx.Identifier{schema}.Sanitize()
		var text string
		err := conn.QueryRow(t.Context(), `SELECT (SELECT string_agg(concat_ws('|', id, email, first_name, last_name, role), ',' ORDER BY id) FROM `+name+`.users) || ';' ||
			(SELECT string_agg(concat_ws('|', name, slug, created_by, is_public, status, created_at), ',' ORDER BY slug) FROM `+name+`.projects)`).Scan(&text)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(text, "@seed.example") != 4 || strings.Count(text, "|active|")+strings.Count(text, "|archived|") != 7 || !strings.Contains(text, "|owner") {
			t.Errorf("%s: %s", schema, text)
		}
		fmt.Fprintln(sum, schema, text)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}
