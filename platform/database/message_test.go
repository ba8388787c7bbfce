package database

import (
	"strings"
	"testing"
)

func TestMessageHidesArguments(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][2]string{
		`SELECT "id" FROM "users" WHERE email = 'ada@example.com' AND age > 42 LIMIT 20`: {"select", `SELECT "id" FROM "users" WHERE email = ? AND age > ? LIMIT ?`},
		"insert into t (a, b)\n\tvalues (E'it\\'s', $tag$secret$tag$, 1.5e3, B'01')":     {"insert", "insert into t (a, b) values (?, ?, ?.?, ?)"},
		"/* secret */ WITH x AS (SELECT 1) -- secret\nDELETE FROM x":                     {"with", "WITH x AS (SELECT ?) DELETE FROM x"},
		`BEGIN; SET LOCAL search_path TO "acme"; `:                                       {"begin", `BEGIN; SET LOCAL search_path TO "acme";`},
		`(SELECT 'a''b')`: {"other", `(SELECT ?)`},
		`SELECT 'open`:    {"select", `SELECT ?`},
		"":                {"other", ""},
	} {
		m := Message{query: query}
		if got := m.Text(); got != want[1] {
			t.Errorf("%q is shown as %q, want %q", query, got, want[1])
		}
		if got := m.Operation(); got != want[0] {
			t.Errorf("the operation of %q is %q, want %q", query, got, want[0])
		}
	}
}

// FuzzMessageText holds what a log shows against the literal that was put in.
func FuzzMessageText(f *testing.F) {
	f.Add("ada@example.com")
	f.Add(`it's \ "quoted" $$ /* -- */`)
	f.Fuzz(func(t *testing.T, secret string) {
		quoted := strings.ReplaceAll(secret, "'", "''")
		const around = "SELECT a FROM t WHERE b = "
		if got := (Message{query: around + "'" + quoted + "'"}).Text(); got != around+"?" {
			t.Errorf("%q shows as %q", secret, got)
		}
	})
}
