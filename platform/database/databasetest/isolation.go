package databasetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Isolation is a repository of tenant tables as [RunIsolation] sees it. A
// marker is lower-case letters, digits and hyphens, at most 60 bytes, and
// never given to Write twice, so it can serve as a slug, a name or an id.
type Isolation struct {
	// DB is the pool the repository works on.
	DB *database.DB
	// A and B are two tenants whose tables exist.
	A, B tenant.Schema
	// Write stores something under marker.
	Write func(ctx context.Context, marker string) error
	// Read reports whether there is something under marker.
	Read func(ctx context.Context, marker string) (bool, error)
	// List returns the markers of everything there is.
	List func(ctx context.Context) ([]string, error)
}

// errUndo makes a transaction roll back.
var errUndo = errors.New("undo")

// RunIsolation runs the isolation contract on the repository that setup
// returns: with the login's rights, and with a role for each tenant.
func RunIsolation(t *testing.T, setup func(t *testing.T) Isolation) {
	t.Helper()
	t.Run("login", func(t *testing.T) {
		t.Parallel()
		suite{setup(t)}.run(t)
	})
	t.Run("roles", func(t *testing.T) {
		t.Parallel()
		s := suite{setup(t)}
		GiveRole(t, s.DB, s.A)
		GiveRole(t, s.DB, s.B)
		s.DB.UseRoles(true)
		s.run(t)
	})
}

func (s suite) run(t *testing.T) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"each tenant sees its own", s.own},
		{"no tenant in the context", s.noTenant},
		{"a tenant that does not exist", s.missingTenant},
		{"a cancelled context", s.cancelled},
		{"a failed transaction", s.rollback},
		{"a panic in a transaction", s.panics},
		{"a failed savepoint", s.savepoint},
		{"another tenant inside a transaction", s.otherTenant},
		{"another tenant by the name of its schema", s.otherSchema},
		{"a system transaction over both", s.system},
		{"a savepoint in a system transaction", s.systemSavepoint},
		// Killed connections come before cancelled ones: PgBouncer before 1.21
		// exits when the server ends a connection on which a request to cancel
		// is under way (its issue 822).
		{"connections killed by the server", s.killed},
		{"thousands of goroutines on few connections", s.concurrent},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t)
			s.checkApart(t)
		})
	}
}

type suite struct{ Isolation }

func in(ctx context.Context, schema tenant.Schema) context.Context {
	return tenant.NewContext(ctx, schema)
}

var markers struct {
	sync.Mutex
	next int
}

// marker names the tenant it belongs to, which is how a stray one shows.
func (s suite) marker(schema tenant.Schema) string {
	markers.Lock()
	defer markers.Unlock()
	markers.next++
	return fmt.Sprintf("%s%d", s.prefix(schema), markers.next)
}

func (s suite) prefix(schema tenant.Schema) string {
	switch schema {
	case s.A:
		return "of-a-"
	case s.B:
		return "of-b-"
	}
	return "of-nobody-"
}

// checkOwn fails for every marker in the context's tenant that bears another's
// prefix.
func (s suite) checkOwn(ctx context.Context, schema tenant.Schema) error {
	found, err := s.List(ctx)
	if err != nil {
		return err
	}
	for _, marker := range found {
		if !strings.HasPrefix(marker, s.prefix(schema)) {
			return leakError{fmt.Sprintf("%s sees %q", schema, marker)}
		}
	}
	return nil
}

type leakError struct{ text string }

func (e leakError) Error() string { return e.text }

func (s suite) checkApart(t *testing.T) {
	t.Helper()
	for _, schema := range []tenant.Schema{s.A, s.B} {
		if err := s.checkOwn(in(t.Context(), schema), schema); err != nil {
			t.Error(err)
		}
	}
}

func (s suite) write(t *testing.T, ctx context.Context, marker string) {
	t.Helper()
	if err := s.Write(ctx, marker); err != nil {
		t.Fatalf("write %s: %v", marker, err)
	}
}

// expect checks by Read and List alike whether marker is there for schema.
func (s suite) expect(t *testing.T, schema tenant.Schema, marker string, want bool) {
	t.Helper()
	ctx := in(t.Context(), schema)
	found, err := s.Read(ctx, marker)
	if err != nil || found != want {
		t.Errorf("%s: Read(%s) = %v, %v; want %v", schema, marker, found, err, want)
	}
	list, err := s.List(ctx)
	if err != nil || slices.Contains(list, marker) != want {
		t.Errorf("%s: List has %s = %v, error %v; want %v", schema, marker, !want, err, want)
	}
}

func (s suite) own(t *testing.T) {
	ofA, ofB := s.marker(s.A), s.marker(s.B)
	s.write(t, in(t.Context(), s.A), ofA)
	s.write(t, in(t.Context(), s.B), ofB)
	s.expect(t, s.A, ofA, true)
	s.expect(t, s.A, ofB, false)
	s.expect(t, s.B, ofB, true)
	s.expect(t, s.B, ofA, false)
}

// refused runs all three operations and expects each to fail with want.
func (s suite) refused(t *testing.T, ctx context.Context, marker string, want func(error) bool) {
	t.Helper()
	_, readErr := s.Read(ctx, marker)
	_, listErr := s.List(ctx)
	for operation, err := range map[string]error{"Write": s.Write(ctx, marker), "Read": readErr, "List": listErr} {
		if !want(err) {
			t.Errorf("%s: error %v", operation, err)
		}
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func (s suite) noTenant(t *testing.T) {
	marker := s.marker(tenant.Schema{})
	s.refused(t, t.Context(), marker, is(database.ErrNoTenant))
	s.refused(t, in(in(t.Context(), s.A), tenant.Schema{}), marker, is(database.ErrNoTenant))
	if err := s.DB.InTenantTx(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, database.ErrNoTenant) {
		t.Errorf("a transaction without a tenant: %v", err)
	}
	err := s.DB.InSystemTx(t.Context(), func(ctx context.Context) error {
		s.refused(t, ctx, marker, is(database.ErrNoTenant))
		return nil
	})
	if err != nil {
		t.Errorf("a refused statement must not touch its transaction: %v", err)
	}
}

func (s suite) missingTenant(t *testing.T) {
	missing := tenant.MustParse("tenant_that_was_never_created")
	s.refused(t, in(t.Context(), missing), s.marker(missing), func(err error) bool { return err != nil })
}

func (s suite) cancelled(t *testing.T) {
	marker := s.marker(s.A)
	ctx, cancel := context.WithCancel(in(t.Context(), s.A))
	cancel()
	s.refused(t, ctx, marker, is(context.Canceled))
	s.expect(t, s.A, marker, false)

	marker = s.marker(s.A)
	ctx, cancel = context.WithCancel(in(t.Context(), s.A))
	err := s.DB.InTenantTx(ctx, func(ctx context.Context) error {
		s.write(t, ctx, marker)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("commit after the context ended: %v", err)
	}
	s.expect(t, s.A, marker, false)
}

func (s suite) rollback(t *testing.T) {
	marker := s.marker(s.A)
	err := s.DB.InTenantTx(in(t.Context(), s.A), func(ctx context.Context) error {
		s.write(t, ctx, marker)
		s.expect(t, s.A, marker, false) // t.Context is outside of the transaction
		if found, err := s.Read(ctx, marker); err != nil || !found {
			t.Errorf("the transaction does not see its own write: %v, %v", found, err)
		}
		return errUndo
	})
	if err != errUndo {
		t.Errorf("error %v, want fn's own", err)
	}
	s.expect(t, s.A, marker, false)
}

func (s suite) panics(t *testing.T) {
	marker := s.marker(s.A)
	func() {
		defer func() {
			if recovered := recover(); recovered != errUndo {
				t.Errorf("recovered %v, want fn's panic", recovered)
			}
		}()
		_ = s.DB.InTenantTx(in(t.Context(), s.A), func(ctx context.Context) error {
			s.write(t, ctx, marker)
			panic(errUndo)
		})
	}()
	s.expect(t, s.A, marker, false)
}

func (s suite) savepoint(t *testing.T) {
	kept, undone, panicked, late := s.marker(s.A), s.marker(s.A), s.marker(s.A), s.marker(s.A)
	err := s.DB.InTenantTx(in(t.Context(), s.A), func(ctx context.Context) error {
		s.write(t, ctx, kept)
		err := s.DB.InTenantTx(ctx, func(ctx context.Context) error {
			s.write(t, ctx, undone)
			_, err := s.DB.Tenants().ExecContext(ctx, "SELECT 1/0")
			return err
		})
		if err == nil {
			t.Error("the nested transaction hid its error")
		}
		func() {
			defer func() { _ = recover() }()
			_ = s.DB.InTenantTx(ctx, func(ctx context.Context) error {
				s.write(t, ctx, panicked)
				panic(errUndo)
			})
		}()
		s.write(t, ctx, late)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for marker, want := range map[string]bool{kept: true, undone: false, panicked: false, late: true} {
		s.expect(t, s.A, marker, want)
		s.expect(t, s.B, marker, false)
	}
}

func (s suite) otherTenant(t *testing.T) {
	mine, theirs := s.marker(s.A), s.marker(s.B)
	err := s.DB.InTenantTx(in(t.Context(), s.A), func(ctx context.Context) error {
		s.refused(t, in(ctx, s.B), theirs, is(database.ErrOtherTenant))
		s.refused(t, in(ctx, tenant.Schema{}), theirs, is(database.ErrNoTenant))
		if err := s.DB.InTenantTx(in(ctx, s.B), func(context.Context) error { return nil }); !errors.Is(err, database.ErrOtherTenant) {
			t.Errorf("nested transaction of another tenant: %v", err)
		}
		if err := s.DB.InSystemTx(ctx, func(context.Context) error { return nil }); !errors.Is(err, database.ErrOtherScope) {
			t.Errorf("system transaction inside a tenant's: %v", err)
		}
		if _, err := s.DB.Registry().ExecContext(ctx, "SELECT 1"); !errors.Is(err, database.ErrOtherScope) {
			t.Errorf("registry inside a tenant's transaction: %v", err)
		}
		s.write(t, ctx, mine) // none of it was sent, so the transaction is whole
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.expect(t, s.A, mine, true)
	s.expect(t, s.B, theirs, false)
	s.expect(t, s.A, theirs, false)
}

// otherSchema is what a repository does that spells out another tenant's schema: with
// roles PostgreSQL refuses it, in whatever form it comes, and without them the
// connector at least lets nothing change what the statement runs as.
func (s suite) otherSchema(t *testing.T) {
	theirs := s.marker(s.B)
	s.write(t, in(t.Context(), s.B), theirs)
	var table string
	err := s.DB.Registry().QueryRowContext(t.Context(), `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ? AND c.relkind = 'r' ORDER BY c.oid LIMIT 1`, s.B.String()).Scan(&table)
	if err != nil {
		t.Fatal(err)
	}
	ctx := in(t.Context(), s.A)
	exec := func(ctx context.Context, statement string) error {
		_, err := s.DB.Tenants().ExecContext(ctx, statement)
		return err
	}
	if s.DB.UsesRoles() {
		const denied = "42501"
		for _, statement := range []string{
			"SELECT * FROM " + table, "SELECT 1; SELECT * FROM " + table, "WITH x AS (SELECT * FROM " + table + ") SELECT count(*) FROM x",
			"DELETE FROM " + table, "TRUNCATE " + table, "DROP TABLE " + table, "ALTER TABLE " + table + " RENAME TO mine", "LOCK TABLE " + table,
			"SELECT table_to_xml('" + table + "', true, true, '')",
			"CREATE TABLE " + s.B.String() + ".mine (x int)", "CREATE TABLE mine (x int)", "CREATE TABLE public.mine (x int)",
			"CREATE VIEW mine AS SELECT 1", "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
			"CREATE SCHEMA mine", "DROP SCHEMA " + s.B.String() + " CASCADE", "CREATE ROLE mine", "GRANT USAGE ON SCHEMA " + s.B.String() + " TO PUBLIC",
			"SELECT * FROM pg_authid", "SELECT pg_read_file('PG_VERSION')", "ALTER ROLE CURRENT_USER SUPERUSER",
		} {
			if err := exec(ctx, statement); database.SQLState(err) != denied {
				t.Errorf("%s: %v", statement, err)
			}
			err := s.DB.InTenantTx(ctx, func(ctx context.Context) error { return exec(ctx, statement) })
			if database.SQLState(err) != denied {
				t.Errorf("%s in a transaction: %v", statement, err)
			}
		}
	}
	for _, escape := range []string{
		"RESET ROLE", "SET ROLE NONE", "SET LOCAL ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "SET LOCAL SESSION AUTHORIZATION DEFAULT", "RESET ALL", "DISCARD ALL",
		"SELECT set_config('role', 'none', true)", `SELECT U&"set\005fconfig"('role', 'none', true)`, "UPDATE pg_settings SET setting = 'none' WHERE name = 'role'",
		"DO $$ BEGIN RESET ROLE; END $$", "SELECT query_to_xml('SELECT set_config(''role'', ''none'', true)', true, true, '')",
		"SELECT ts_stat('SELECT to_tsvector(set_config(''role'', ''none'', true))')",
	} {
		if err := exec(ctx, escape+"; SELECT * FROM "+table); !errors.Is(err, database.ErrRefused) {
			t.Errorf("%s: %v", escape, err)
		}
	}
	s.expect(t, s.B, theirs, true)
}

func (s suite) system(t *testing.T) {
	for _, undo := range []error{nil, errUndo} {
		ofA, ofB := s.marker(s.A), s.marker(s.B)
		err := s.DB.InSystemTx(t.Context(), func(ctx context.Context) error {
			s.write(t, in(ctx, s.A), ofA)
			s.write(t, in(ctx, s.B), ofB)
			var path string
			if err := s.DB.Registry().NewRaw("SHOW search_path").Scan(in(ctx, s.A), &path); err != nil || path != "public, pg_temp" {
				t.Errorf("the registry's path is %q, error %v", path, err)
			}
			if found, err := s.Read(in(ctx, s.A), ofB); err != nil || found {
				t.Errorf("A reads B's inside the transaction: %v, %v", found, err)
			}
			if found, err := s.Read(in(ctx, s.A), ofA); err != nil || !found {
				t.Errorf("A does not read its own after the registry: %v, %v", found, err)
			}
			return undo
		})
		if err != undo {
			t.Fatalf("error %v, want %v", err, undo)
		}
		s.expect(t, s.A, ofA, undo == nil)
		s.expect(t, s.B, ofB, undo == nil)
		s.expect(t, s.B, ofA, false)
	}
}

func (s suite) systemSavepoint(t *testing.T) {
	ofA, ofB, undone := s.marker(s.A), s.marker(s.B), s.marker(s.B)
	err := s.DB.InSystemTx(t.Context(), func(ctx context.Context) error {
		s.write(t, in(ctx, s.A), ofA)
		err := s.DB.InTenantTx(in(ctx, s.B), func(ctx context.Context) error {
			s.write(t, ctx, undone)
			_, err := s.DB.Tenants().ExecContext(ctx, "SELECT 1/0")
			return err
		})
		if err == nil {
			t.Error("the nested transaction hid its error")
		}
		return s.DB.InSystemTx(ctx, func(ctx context.Context) error {
			s.write(t, in(ctx, s.B), ofB)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	s.expect(t, s.A, ofA, true)
	s.expect(t, s.B, ofB, true)
	s.expect(t, s.B, undone, false)
}

// concurrent mixes everything that can go wrong on a pool that everybody
// waits for.
func (s suite) concurrent(t *testing.T) {
	goroutines := 2000
	if testing.Short() || s.DB.UsesRoles() { // both have run with thousands: without the race detector, and without roles
		goroutines = 200
	}
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			schema := s.A
			if i%2 == 1 {
				schema = s.B
			}
			ctx := in(t.Context(), schema)
			var err error
			switch i % 10 {
			case 0, 1:
				err = s.Write(ctx, s.marker(schema))
			case 2, 3:
				err = s.DB.InTenantTx(ctx, func(ctx context.Context) error {
					if err := s.Write(ctx, s.marker(schema)); err != nil {
						return err
					}
					if err := s.checkOwn(ctx, schema); err != nil {
						return err
					}
					return errUndo
				})
			case 4, 5:
				err = s.abandoned(ctx, schema)
			case 6, 7:
				_, err = s.DB.Tenants().ExecContext(ctx, "SELECT 1/0")
				if err != nil {
					err = s.checkOwn(ctx, schema)
				}
			default:
				err = s.checkOwn(ctx, schema)
			}
			if err != nil && err != errUndo {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// abandoned gives up somewhere in the middle: while waiting for a connection,
// while the server works, or while rows are read.
func (s suite) abandoned(ctx context.Context, schema tenant.Schema) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := s.DB.Tenants().QueryContext(ctx, "SELECT current_schema FROM generate_series(1, 2000)")
	if err != nil {
		return err
	}
	defer rows.Close()
	stop := rand.IntN(100)
	for read := 0; rows.Next(); read++ {
		var path string
		if err := rows.Scan(&path); err != nil && ctx.Err() == nil {
			return err
		} else if err == nil && path != schema.String() {
			return leakError{fmt.Sprintf("%s ran in %q", schema, path)}
		}
		if read == stop {
			cancel()
		}
	}
	if err := rows.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// killed ends the server's side of connections under way and expects errors at
// most, never another tenant's rows, and a pool that recovers by itself.
func (s suite) killed(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			schema := s.A
			if i%2 == 1 {
				schema = s.B
			}
			ctx := in(t.Context(), schema)
			if i%20 == 0 {
				_ = s.kill(ctx)
				return
			}
			err := s.DB.InTenantTx(ctx, func(ctx context.Context) error {
				if err := s.Write(ctx, s.marker(schema)); err != nil {
					return err
				}
				return s.checkOwn(ctx, schema)
			})
			if leak, leaked := errors.AsType[leakError](err); leaked {
				t.Error(leak)
			}
		})
	}
	wg.Wait()
	// The last one waits until every process is gone. Before that, connections
	// that were just killed may each fail a statement. It is done twice: the
	// first to succeed may itself have been told to end by one of the others, in
	// the moment between its answer and its next statement.
	successes := 0
	for range MaxOpenConns * 4 {
		if s.kill(t.Context()) != nil {
			successes = 0
		} else if successes++; successes == 2 {
			break
		}
	}
	if successes < 2 {
		t.Error("the pool did not recover")
	}
}

// kill ends every connection to the database but its own, and returns when they are
// gone. It waits in the server, in the one statement: this connection may be another
// killer's. (The timeout of pg_terminate_backend is one of PostgreSQL 14.)
func (s suite) kill(ctx context.Context) error {
	_, err := s.DB.Registry().ExecContext(ctx, `DO $$ DECLARE told int[]; BEGIN
		SELECT array_agg(pid) INTO told FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid();
		PERFORM pg_terminate_backend(pid) FROM unnest(told) AS pid;
		FOR i IN 1..6000 LOOP
			IF NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY (told)) THEN RETURN; END IF;
			PERFORM pg_sleep(0.01);
			PERFORM pg_stat_clear_snapshot();
		END LOOP;
		RAISE 'connections that were told to end a minute ago are still there';
	END $$`)
	return err
}

func identifier(schema tenant.Schema) bun.Ident { return bun.Ident(schema.String()) }
