package database

import (
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/tenonhq/tenon/platform/tenant"
)

func TestCheckStatement(t *testing.T) {
	t.Parallel()
	tests := []struct {
		sql      string
		allowed  bool
		onlyInTx bool // allowed inside a transaction, refused outside
	}{
		{sql: ``, allowed: true},
		{sql: `SELECT 1`, allowed: true},
		{sql: `WITH x AS (SELECT 1) SELECT * FROM x; DELETE FROM users;`, allowed: true},
		{sql: `INSERT INTO projects (name) VALUES ('x; SET search_path TO public')`, allowed: true},
		{sql: `INSERT INTO projects (name) VALUES ('it''s; RESET ALL')`, allowed: true},
		{sql: `INSERT INTO projects (name) VALUES ('\'), ('; COMMIT')`, allowed: true},
		{sql: `SELECT 'a\'; COMMIT; SELECT '`, allowed: false},
		{sql: `SELECT E'a\'; COMMIT; SELECT '`, allowed: true},
		{sql: `SELECT E'a\\'; COMMIT; SELECT '`, allowed: false},
		{sql: `SELECT E'a'''; COMMIT`, allowed: false},
		{sql: `SELECT e'it''s\'; COMMIT; --'`, allowed: true},
		{sql: "SELECT E'a'\n'b\\''; COMMIT; SELECT ''"},
		{sql: "SELECT E'a' -- goes on\n\t'b\\''; COMMIT; SELECT ''"},
		{sql: "SELECT E'a'\n'b\\'; COMMIT; SELECT '", allowed: true},
		{sql: `SELECT E'a' 'b\''; COMMIT; SELECT ''`, allowed: true}, // the server refuses it
		{sql: "SELECT 'a'\n'b\\'; COMMIT; SELECT ''"},
		{sql: `SELECT "a;COMMIT;" FROM "x"";RESET ALL"`, allowed: true},
		{sql: `SELECT $$; COMMIT; $$`, allowed: true},
		{sql: `SELECT $a$; $$; COMMIT; $a$`, allowed: true},
		{sql: `SELECT $a$; $a$; COMMIT`, allowed: false},
		{sql: `SELECT a$b$ FROM t; COMMIT; SELECT a$b$`, allowed: false},
		{sql: `SELECT 1$1$; COMMIT; $1$`, allowed: false},
		{sql: `SELECT 1 -- ; COMMIT`, allowed: true},
		{sql: "SELECT 1 -- ;\n; COMMIT", allowed: false},
		{sql: `SELECT 1 /* ; COMMIT /* nested */ ; RESET ALL */`, allowed: true},
		{sql: `SELECT 1 /* /* */ */; COMMIT`, allowed: false},
		{sql: `COMMIT`},
		{sql: " \t\ncommit"},
		{sql: `/* x */ -- y` + "\n" + `Commit`},
		{sql: `;;COMMIT`},
		{sql: `END`},
		{sql: `BEGIN`},
		{sql: `START TRANSACTION`},
		{sql: `ABORT`},
		{sql: `ROLLBACK`},
		{sql: `ROLLBACK TO SAVEPOINT a`, onlyInTx: true},
		{sql: `SAVEPOINT a`, onlyInTx: true},
		{sql: `RELEASE SAVEPOINT a`, onlyInTx: true},
		{sql: `SET search_path TO public`},
		{sql: `SET SESSION search_path TO public`},
		{sql: `SET ROLE postgres`},
		{sql: `SET LOCAL search_path TO public`},
		{sql: `SET LOCAL Search_Path = public`},
		{sql: `SET/**/LOCAL/**/search_path TO public`},
		{sql: `SET LOCAL "search_path" TO public`},
		{sql: `SET LOCAL U&"s\0065arch_path" TO public`},
		{sql: `SET LOCAL SCHEMA 'public'`},
		{sql: `SET LOCAL ROLE postgres`},
		{sql: `SET LOCAL SESSION AUTHORIZATION postgres`},
		{sql: `SET LOCAL standard_conforming_strings TO off`},
		{sql: `SET LOCAL NAMES 'SQL_ASCII'`},
		{sql: `SET LOCAL tenon.origin TO '{}'`},
		{sql: `SET LOCAL lock_timeout = '2s'; SELECT 1`, allowed: true},
		{sql: `SET LOCAL citus.shard_replication_factor TO 1`, allowed: true},
		{sql: `SET CONSTRAINTS ALL IMMEDIATE`, allowed: true},
		{sql: `RESET ALL`},
		{sql: `DISCARD ALL`},
		{sql: `PREPARE p AS SELECT 1`},
		{sql: `EXECUTE p`},
		{sql: `DECLARE c CURSOR WITH HOLD FOR SELECT 1`},
		{sql: `LISTEN x`},
		{sql: `NOTIFY x`, allowed: true},
		{sql: `COPY users TO STDOUT`},
		{sql: `CREATE TEMP TABLE users (id int)`},
		{sql: `CREATE TEMPORARY VIEW v AS SELECT 1`},
		{sql: `CREATE OR REPLACE TEMP VIEW v AS SELECT 1`},
		{sql: `CREATE OR REPLACE VIEW v AS SELECT 1`, allowed: true},
		{sql: `CREATE LOCAL TEMP TABLE users (id int)`},
		{sql: `CREATE TABLE temp (id int)`, allowed: true},
		{sql: `SELECT * INTO TEMP users FROM users`},
		{sql: `SELECT id INTO/**/Temporary TABLE users FROM users`},
		{sql: `WITH x AS (SELECT 1) SELECT * INTO LOCAL TEMP users FROM x`},
		{sql: `CREATE TABLE pg_temp.users (id int)`},
		{sql: `CREATE TABLE "pg_temp".users (id int)`},
		{sql: `ALTER FUNCTION f SET search_path TO pg_catalog, pg_temp`, allowed: true},
		{sql: `SELECT pg_advisory_lock(1)`},
		{sql: `SELECT pg_catalog.pg_try_advisory_lock_shared(1)`},
		{sql: `SELECT pg_advisory_xact_lock(1)`, allowed: true},
		{sql: `SELECT 'pg_advisory_lock', temp INTO kept FROM t`, allowed: true},
		{sql: `INSERT INTO temp SELECT 1 AS "into", temporary FROM t`, allowed: true},
		{sql: `MERGE INTO temp USING t ON true WHEN MATCHED THEN DO NOTHING`, allowed: true},
		{sql: `SELECT set_config('search_path', 'public', false)`},
		{sql: `SELECT pg_catalog.SET_CONFIG('search_path', 'public', false)`},
		{sql: `SELECT "set_config"('search_path', 'public', false)`},
		{sql: `SELECT 'set_config'`, allowed: true},
		{sql: `SELECT set_config_id FROM t`, allowed: true},
		{sql: `UPDATE users SET role = 'x'`, allowed: true},
		{sql: `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN SET x TO 1; COMMIT; END $f$`, allowed: true},
		{sql: `SELECT 'never closed; COMMIT`, allowed: true}, // the server refuses it
	}
	for _, test := range tests {
		for _, inTx := range []bool{false, true} {
			err := checkStatement(test.sql, inTx, false)
			want := test.allowed || test.onlyInTx && inTx
			if (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("checkStatement(%q, inTx=%v) = %v, want allowed=%v", test.sql, inTx, err, want)
			}
		}
	}
}

// TestConfinedStatements are what a tenant's statement may not do besides, since it
// could not be seen what it does.
func TestConfinedStatements(t *testing.T) {
	t.Parallel()
	for sql, allowed := range map[string]bool{
		`DO $$ BEGIN END $$`:                              false,
		`SELECT 1; do 'BEGIN END'`:                        false,
		`UPDATE pg_settings SET setting = 'none'`:         false,
		`UPDATE pg_catalog."pg_settings" SET setting`:     false,
		`SELECT QUERY_TO_XML('SELECT 1', '', '', '')`:     false,
		`SELECT * FROM ts_stat('SELECT 1')`:               false,
		`SELECT u&"set\005fconfig"('a', 'b', true)`:       false,
		`SELECT "U&x" FROM t WHERE u & "b" = 1`:           true,
		`INSERT INTO t VALUES ('pg_settings', U&'\41')`:   true,
		`SELECT do_something FROM "do"`:                   true,
		`INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING`: true,
	} {
		if err := checkStatement(sql, false, true); (err == nil) != allowed || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("checkStatement(%q) = %v", sql, err)
		}
	}
}

// FuzzCheckStatement puts any text where Bun puts a string argument and
// expects it to stay an argument: never refused, and never hiding what follows.
func FuzzCheckStatement(f *testing.F) {
	for _, seed := range []string{`x`, `'; COMMIT; --`, `\'; COMMIT`, `$$`, `/*`, `--`, "\n", `"`, `E'`, "\x00'", "\xff'", `set_config`} {
		f.Add(seed)
	}
	dialect := pgdialect.New()
	f.Fuzz(func(t *testing.T, text string) {
		literal := string(dialect.AppendString(nil, text))
		if err := checkStatement("SELECT "+literal+", "+literal, false, true); err != nil {
			t.Errorf("argument %q was taken for SQL: %v", text, err)
		}
		if err := checkStatement("SELECT "+literal+"; COMMIT", false, true); err == nil {
			t.Errorf("argument %q hid the COMMIT behind it", text)
		}
		_ = checkStatement(text, true, true) // any text ends, none panics
	})
}

func BenchmarkCheckStatement(b *testing.B) {
	sql := `SELECT "p"."id", "p"."name", "p"."slug" FROM "projects" AS "p" WHERE ("p"."name" = '` +
		strings.Repeat("x", 200) + `') ORDER BY "p"."id" DESC LIMIT 20`
	b.SetBytes(int64(len(sql)))
	for b.Loop() {
		if err := checkStatement(sql, false, true); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRolesAreSwitchedOnDuringAStatement, behind its look at whether they are: it keeps the
// rights that it began with, and the next one asks for the database's name first.
func TestRolesAreSwitchedOnDuringAStatement(t *testing.T) {
	t.Parallel()
	r, schema := new(roles), tenant.MustParse("tenant_acme")
	r.on.Store(true)
	if got := r.prefix(schema); got != "" {
		t.Errorf("without the database's name: %q", got)
	}
	name := "app"
	r.database.Store(&name)
	if got := r.prefix(schema); !strings.Contains(got, RoleName(name, schema)) {
		t.Errorf("with it: %q", got)
	}
}
