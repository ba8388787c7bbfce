package database_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/origin"
	"github.com/tenonhq/tenon/platform/tenant"
)

const (
	pathA    = `SET LOCAL search_path TO "tenant_select", pg_temp; `
	pathReg  = `SET LOCAL search_path TO "public", pg_temp; `
	oneQuery = `SELECT 1`
)

func inA(t *testing.T) context.Context { return tenant.NewContext(t.Context(), tenantA) }
func inB(t *testing.T) context.Context { return tenant.NewContext(t.Context(), tenantB) }

func TestMessagesOnTheWire(t *testing.T) {
	t.Parallel()
	recorder, url := newRecorder(t, localpgtest.NewDatabase(t))
	db := openTenants(t, url)
	ctx := inA(t)
	run := func(idb bun.IDB, ctx context.Context) {
		t.Helper()
		if _, err := idb.ExecContext(ctx, oneQuery); err != nil {
			t.Error(err)
		}
	}
	inTx := func(begin func(context.Context, func(context.Context) error) error, ctx context.Context, fn func(context.Context)) {
		t.Helper()
		if err := begin(ctx, func(ctx context.Context) error { fn(ctx); return nil }); err != nil {
			t.Error(err)
		}
	}
	recorder.take()

	run(db.Tenants(), ctx)
	recorder.expect(t, "Q "+pathA+oneQuery)

	run(db.Registry(), ctx)
	recorder.expect(t, "Q "+pathReg+oneQuery)

	var slugs []string
	if err := db.Tenants().NewSelect().Model((*projectRow)(nil)).Column("slug").Where("slug = ?", "o'clock?").Scan(ctx, &slugs); err != nil {
		t.Error(err)
	}
	recorder.expect(t, "Q "+pathA+`SELECT "project_row"."slug" FROM "projects" AS "project_row" WHERE (slug = 'o''clock?')`)

	inTx(db.InTenantTx, ctx, func(ctx context.Context) {
		run(db.Tenants(), ctx)
		inTx(db.InTenantTx, ctx, func(ctx context.Context) { run(db.Tenants(), ctx) })
	})
	recorder.expect(t, "Q BEGIN; "+pathA, "Q "+oneQuery,
		"Q SAVEPOINT nested_1", "Q "+oneQuery, "Q RELEASE SAVEPOINT nested_1", "Q COMMIT")

	inTx(db.InSystemTx, t.Context(), func(outer context.Context) {
		run(db.Registry(), outer)
		run(db.Tenants(), tenant.NewContext(outer, tenantA))
		run(db.Registry(), outer)
	})
	recorder.expect(t, "Q BEGIN; ", "Q "+pathReg+oneQuery, "Q "+pathA+oneQuery, "Q "+pathReg+oneQuery, "Q COMMIT")

	tx, err := db.Tenants().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	run(tx, ctx)
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	recorder.expect(t, "Q BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; "+pathA, "Q "+oneQuery, "Q ROLLBACK")

	// What may change something says where that comes from.
	const write, from = "UPDATE users SET email = 'x'", `SET LOCAL tenon.origin TO '{"kind":"person","actor":"user_1"}'; `
	known := origin.Acting(ctx, origin.Person, "user_1")
	change := func(ctx context.Context) {
		t.Helper()
		if _, err := db.Tenants().ExecContext(ctx, write); err != nil {
			t.Error(err)
		}
	}
	change(known)
	run(db.Tenants(), known)
	change(ctx)
	recorder.expect(t, "Q "+pathA+from+write, "Q "+pathA+oneQuery, "Q "+pathA+write)
	inTx(db.InTenantTx, known, change)
	recorder.expect(t, "Q BEGIN; "+pathA+from, "Q "+write, "Q COMMIT")
	inTx(db.InSystemTx, t.Context(), func(outer context.Context) {
		change(origin.Acting(tenant.NewContext(outer, tenantA), origin.Person, "user_1"))
	})
	recorder.expect(t, "Q BEGIN; ", "Q "+pathA+from+write, "Q COMMIT")
}

// TestNothingIsSent covers every way around the handles and every statement
// that must not go out.
func TestNothingIsSent(t *testing.T) {
	t.Parallel()
	recorder, url := newRecorder(t, localpgtest.NewDatabase(t))
	db := openTenants(t, url)
	ctx := inA(t)
	pool := database.Pool(db)
	exec := func(idb bun.IDB, ctx context.Context, query string, args ...any) error {
		_, err := idb.ExecContext(ctx, query, args...)
		return err
	}
	tests := []struct {
		name string
		run  func() error
		want error
	}{
		{"no tenant", func() error { return exec(db.Tenants(), t.Context(), oneQuery) }, database.ErrNoTenant},
		{"no tenant, model", func() error { return db.Tenants().NewSelect().Model(new(userRow)).Scan(t.Context()) }, database.ErrNoTenant},
		{"no tenant, row", func() error {
			return db.Tenants().QueryRowContext(t.Context(), oneQuery).Scan(new(int))
		}, database.ErrNoTenant},
		{"no tenant, transaction", func() error {
			_, err := db.Tenants().BeginTx(t.Context(), nil)
			return err
		}, database.ErrNoTenant},
		{"no tenant, closure", func() error {
			return db.Tenants().RunInTx(t.Context(), nil, func(context.Context, bun.Tx) error { return nil })
		}, database.ErrNoTenant},
		{"a hostile name", func() error {
			schema, err := tenant.Parse(`tenant_a", "public`)
			if err == nil {
				t.Error("the name was accepted")
			}
			return exec(db.Tenants(), tenant.NewContext(ctx, schema), oneQuery)
		}, database.ErrNoTenant},
		{"the pool itself", func() error { _, err := pool.ExecContext(ctx, oneQuery); return err }, database.ErrUnscoped},
		{"the pool's transaction", func() error { _, err := pool.BeginTx(ctx, nil); return err }, database.ErrUnscoped},
		{"a query's own DB", func() error {
			return exec(db.Tenants().NewSelect().DB(), ctx, oneQuery)
		}, database.ErrUnscoped},
		{"prepare", func() error { _, err := pool.PrepareContext(ctx, oneQuery); return err }, database.ErrRefused},
		{"session setting", func() error { return exec(db.Tenants(), ctx, "SET search_path TO ?", "public") }, database.ErrRefused},
		{"commit in the middle", func() error { return exec(db.Tenants(), ctx, "SELECT 1; COMMIT; SELECT 2") }, database.ErrRefused},
		{"copy", func() error { return exec(db.Registry(), ctx, "COPY pg_class TO STDOUT") }, database.ErrRefused},
		{"listen", func() error { return exec(db.Registry(), ctx, "LISTEN x") }, database.ErrRefused},
		{"cancelled", func() error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return exec(db.Tenants(), ctx, oneQuery)
		}, context.Canceled},
	}
	recorder.take()
	for _, test := range tests {
		if err := test.run(); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		recorder.expect(t)
	}

	// Inside transactions the same holds, and they live on.
	tx, err := db.Tenants().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	recorder.take()
	for _, test := range []struct {
		name string
		run  func() error
		want error
	}{
		{"another tenant", func() error { return exec(tx, inB(t), oneQuery) }, database.ErrOtherTenant},
		{"no tenant", func() error { return exec(tx, t.Context(), oneQuery) }, database.ErrNoTenant},
		{"another tenant, model", func() error { return tx.NewSelect().Model(new(userRow)).Scan(inB(t)) }, database.ErrOtherTenant},
		{"prepare", func() error { _, err := tx.PrepareContext(ctx, oneQuery); return err }, database.ErrRefused},
		{"driver's own arguments", func() error { _, err := tx.Tx.ExecContext(ctx, "SELECT $1", 1); return err }, database.ErrRefused},
		{"commit", func() error { return exec(tx, ctx, "COMMIT") }, database.ErrRefused},
		{"rollback", func() error { return exec(tx, ctx, "ROLLBACK") }, database.ErrRefused},
		{"path", func() error { return exec(tx, ctx, "SET LOCAL search_path TO public") }, database.ErrRefused},
	} {
		if err := test.run(); !errors.Is(err, test.want) {
			t.Errorf("in a transaction, %s: error %v, want %v", test.name, err, test.want)
		}
		recorder.expect(t)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}

	err = db.InSystemTx(ctx, func(ctx context.Context) error {
		if _, err := db.Tenants().BeginTx(ctx, nil); !errors.Is(err, database.ErrOtherScope) {
			t.Errorf("BeginTx in a system transaction: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestResultsOfSeveralStatements(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, url string) {
		db := openTenants(t, url)
		ctx := inA(t)

		result, err := db.Tenants().ExecContext(ctx, "SELECT generate_series(1, 9); DELETE FROM users; INSERT INTO users VALUES ('a', ''), ('b', ''), ('c', '')")
		if err != nil {
			t.Fatal(err)
		}
		if affected, err := result.RowsAffected(); err != nil || affected != 3 {
			t.Errorf("affected %d, %v; want the last statement's 3", affected, err)
		}

		var ids []string
		if err := db.Tenants().NewRaw("UPDATE users SET email = id; SELECT id FROM users WHERE email <> '' ORDER BY 1").Scan(ctx, &ids); err != nil || !slices.Equal(ids, []string{"a", "b", "c"}) {
			t.Errorf("rows %q, %v; want those of the last statement", ids, err)
		}
		var id string
		if err := db.Tenants().NewInsert().Model(&userRow{ID: "d"}).Returning("id").Scan(ctx, &id); err != nil || id != "d" {
			t.Errorf("returned %q, %v", id, err)
		}

		// pgdriver would take the second result's description for a row.
		rows, err := db.Tenants().QueryContext(ctx, "SELECT id FROM users; SELECT email, id FROM users")
		if err == nil {
			for rows.Next() {
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		if err == nil || !strings.Contains(err.Error(), "rows from one statement alone") {
			t.Errorf("a query with two results: %v", err)
		}

		// A failure anywhere undoes the whole message.
		_, err = db.Tenants().ExecContext(ctx, "DELETE FROM users; SELECT 1/0")
		if err == nil {
			t.Error("no error")
		}
		if count, err := db.Tenants().NewSelect().Model((*userRow)(nil)).Count(ctx); err != nil || count != 4 {
			t.Errorf("%d users, %v; want the 4 from before the failed message", count, err)
		}
	})
}

func TestRowErrorMidway(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, url string) {
		db := openTenants(t, url)
		for range databasetest.MaxOpenConns * 2 {
			var values []int
			err := db.Tenants().NewRaw("SELECT 1000 / (1000 - i) FROM generate_series(1, 2000) AS i").Scan(inA(t), &values)
			if err == nil {
				t.Fatal("no error")
			}
			var path string
			if err := db.Tenants().NewRaw("SHOW search_path").Scan(inB(t), &path); err != nil || path != tenantB.String()+", pg_temp" {
				t.Fatalf("the next statement ran in %q, error %v", path, err)
			}
		}
	})
}

// running counts the server's statements that contain marker.
func running(t *testing.T, db *database.DB, marker string) (n int) {
	t.Helper()
	err := db.Registry().NewRaw(`SELECT count(*) FROM pg_stat_activity
		WHERE state = 'active' AND query LIKE ? AND pid <> pg_backend_pid()`, "%"+marker+"%").Scan(t.Context(), &n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestACancellationThatOvertakesItsStatement has what is sent arrive later than the
// request to stop it, which finds nothing to stop.
func TestACancellationThatOvertakesItsStatement(t *testing.T) {
	t.Parallel()
	direct := localpgtest.NewDatabase(t)
	watcher := openTenants(t, direct)
	address, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	var arrived sync.Map
	address.Host = slowly(t, address.Host, 30*time.Millisecond, func(chunk []byte) {
		if _, marker, ok := bytes.Cut(chunk, []byte("/* overtaken ")); ok {
			arrived.Store(marker[0], true)
		}
	})
	db := databasetest.Open(t, address.String())
	for n := range 5 {
		if _, err := db.Tenants().ExecContext(inA(t), "SELECT 1"); err != nil { // so that there is a connection
			t.Fatal(err)
		}
		marker := fmt.Sprint("overtaken ", n)
		digit := marker[len(marker)-1]
		ctx, cancel := context.WithTimeout(inA(t), 5*time.Millisecond)
		_, err := db.Tenants().ExecContext(ctx, "SELECT pg_sleep(600) /* "+marker+" */")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		waitUntil(t, "it arrives", func() bool { _, ok := arrived.Load(digit); return ok })
		waitUntil(t, "it stops", func() bool { return running(t, watcher, marker) == 0 })
	}
}

// slowly returns an address that leads to another, where what a session sends takes
// a while and what cancels one does not. Of what has arrived, sent is told.
func slowly(t *testing.T, target string, delay time.Duration, sent func(chunk []byte)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	lead := func(client net.Conn) {
		defer client.Close()
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		go func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		}()
		chunk := make([]byte, 1<<16)
		for first := true; ; first = false {
			n, err := client.Read(chunk)
			if isCancel := first && n == 16; !isCancel {
				time.Sleep(delay) // is what it is about
			}
			if n > 0 {
				_, _ = server.Write(chunk[:n])
				sent(chunk[:n])
			}
			if err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go lead(client)
		}
	}()
	return listener.Addr().String()
}

func TestCancelledStatementStopsOnTheServer(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, url string) {
		db := openTenants(t, url)
		ways := map[string]func(ctx context.Context, query string) error{
			"exec": func(ctx context.Context, query string) error {
				_, err := db.Tenants().ExecContext(ctx, query)
				return err
			},
			"query": func(ctx context.Context, query string) error {
				return db.Tenants().NewRaw(query).Scan(ctx, new(string))
			},
			"transaction": func(ctx context.Context, query string) error {
				return db.InTenantTx(ctx, func(ctx context.Context) error {
					if _, err := db.Tenants().NewInsert().Model(&userRow{ID: "lost"}).Exec(ctx); err != nil {
						return err
					}
					_, err := db.Tenants().ExecContext(ctx, query)
					return err
				})
			},
		}
		for name, run := range ways {
			ctx, cancel := context.WithCancel(inA(t))
			done := make(chan error)
			marker := "way " + name
			go func() { done <- run(ctx, "SELECT pg_sleep(600) /* "+marker+" */") }()
			waitUntil(t, "it runs", func() bool { return running(t, db, marker) == 1 })
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) || fault.KindOf(database.Classify(err)) != fault.Canceled {
				t.Errorf("%s: error %v", name, err)
			}
			waitUntil(t, "the server stopped", func() bool { return running(t, db, marker) == 0 })
		}
		ctx, cancel := context.WithTimeout(inA(t), 20*time.Millisecond)
		defer cancel()
		if err := ways["exec"](ctx, "SELECT pg_sleep(600)"); !errors.Is(err, context.DeadlineExceeded) || fault.KindOf(database.Classify(err)) != fault.Unavailable {
			t.Errorf("deadline: error %v", err)
		}
		if count, err := db.Tenants().NewSelect().Model((*userRow)(nil)).Where("id = 'lost'").Count(inA(t)); err != nil || count != 0 {
			t.Errorf("the cancelled transaction left %d rows, %v", count, err)
		}
	})
}

func TestWaitingForAConnectionEndsWithTheContext(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	databasetest.CreateTenant(t, db, tenantA, ddl)
	var holders sync.WaitGroup
	var ready sync.WaitGroup
	release := make(chan struct{})
	for range databasetest.MaxOpenConns {
		ready.Add(1)
		holders.Go(func() {
			err := db.InTenantTx(inA(t), func(context.Context) error {
				ready.Done()
				<-release
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	ctx, cancel := context.WithTimeout(inA(t), 10*time.Millisecond)
	defer cancel()
	_, err := db.Tenants().ExecContext(ctx, oneQuery)
	if !errors.Is(err, context.DeadlineExceeded) || !fault.Is(database.Classify(err), fault.Unavailable) {
		t.Errorf("error %v", err)
	}
	close(release)
	holders.Wait()
}

func TestCommitThatFails(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, url string) {
		db := openTenants(t, url)
		ctx := inA(t)
		swallow := func(ctx context.Context) error {
			_, _ = db.Tenants().NewInsert().Model(&userRow{ID: "lost"}).Exec(ctx)
			_, _ = db.Tenants().ExecContext(ctx, "SELECT 1/0")
			return nil
		}
		deferred := func(ctx context.Context) error {
			_, err := db.Tenants().NewInsert().Model(&projectRow{Slug: "x", CreatedBy: "nobody"}).Exec(ctx)
			return err
		}
		if err := db.InTenantTx(ctx, swallow); !errors.Is(err, database.ErrAborted) {
			t.Errorf("ignored failure: %v, want ErrAborted", err)
		}
		err := db.Tenants().RunInTx(ctx, nil, func(ctx context.Context, _ bun.Tx) error { return swallow(ctx) })
		if !errors.Is(err, database.ErrAborted) {
			t.Errorf("ignored failure in RunInTx: %v, want ErrAborted", err)
		}
		if err := db.InTenantTx(ctx, deferred); err == nil || !strings.Contains(err.Error(), "23503") {
			t.Errorf("deferred constraint: %v", err)
		}
		// A statement by itself is committed behind the row that it returns.
		var slug string
		const returning = "INSERT INTO projects (slug, created_by) VALUES (?, ?), (?, ?) RETURNING slug"
		if err := db.Tenants().NewRaw(returning, "y", "nobody", "z", "nobody").Scan(ctx, &slug); err == nil || !strings.Contains(err.Error(), "23503") {
			t.Errorf("deferred constraint behind rows: %q, %v", slug, err)
		}
		err = db.InTenantTx(ctx, func(ctx context.Context) error {
			if err := db.InTenantTx(ctx, swallow); !errors.Is(err, database.ErrAborted) {
				t.Errorf("ignored failure in a savepoint: %v, want ErrAborted", err)
			}
			_, err := db.Tenants().NewInsert().Model(&userRow{ID: "kept"}).Exec(ctx)
			return err
		})
		if err != nil {
			t.Errorf("the transaction around a failed savepoint: %v", err)
		}
		var ids []string
		if err := db.Tenants().NewSelect().Model((*userRow)(nil)).Column("id").Where("id IN ('lost', 'kept')").Scan(ctx, &ids); err != nil || !slices.Equal(ids, []string{"kept"}) {
			t.Errorf("left %q, %v", ids, err)
		}
	})
}

func TestStatementWhileRowsAreOpen(t *testing.T) {
	t.Parallel()
	db := openTenants(t, localpgtest.NewDatabase(t))
	err := db.InTenantTx(inA(t), func(ctx context.Context) error {
		rows, err := db.Tenants().QueryContext(ctx, "SELECT id FROM users")
		if err != nil {
			return err
		}
		defer rows.Close()
		read := 0
		for rows.Next() {
			read++
			if _, err := db.Tenants().ExecContext(ctx, oneQuery); !errors.Is(err, database.ErrRefused) {
				t.Errorf("a second statement: %v", err)
			}
		}
		if read != 2 || rows.Err() != nil {
			t.Errorf("read %d rows, %v", read, rows.Err())
		}
		_, err = db.Tenants().ExecContext(ctx, oneQuery)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNestedRollbackSurvivesItsContext(t *testing.T) {
	t.Parallel()
	db := openTenants(t, localpgtest.NewDatabase(t))
	err := db.InTenantTx(inA(t), func(outer context.Context) error {
		inner, cancel := context.WithCancel(outer)
		err := db.InTenantTx(inner, func(ctx context.Context) error {
			_, err := db.Tenants().NewInsert().Model(&userRow{ID: "undone"}).Exec(ctx)
			cancel()
			return errors.Join(err, ctx.Err())
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("nested: %v", err)
		}
		savepoint, err := db.Tenants().BeginTx(outer, nil)
		if err != nil {
			return err
		}
		if _, err := savepoint.NewInsert().Model(&userRow{ID: "undone too"}).Exec(outer); err != nil {
			return err
		}
		return savepoint.Rollback()
	})
	if err != nil {
		t.Fatal(err)
	}
	if count, err := db.Tenants().NewSelect().Model((*userRow)(nil)).Where("id LIKE 'undone%'").Count(inA(t)); err != nil || count != 0 {
		t.Errorf("%d rows were not undone, %v", count, err)
	}
}

func TestServerClosesIdleConnections(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	db, admin := openTenants(t, url), databasetest.Open(t, url)
	for range 5 {
		if _, err := db.Tenants().ExecContext(inA(t), oneQuery); err != nil {
			t.Fatalf("the restart cost a statement: %v", err)
		}
		var pids []int
		err := admin.Registry().NewRaw(`SELECT pid FROM pg_stat_activity WHERE datname = current_database()
			AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(t.Context(), &pids)
		if err != nil || len(pids) == 0 {
			t.Fatalf("connections %v, %v", pids, err)
		}
		terminate(t, admin, pids...)
	}
}

// terminate ends server processes, and waits until they are gone.
func terminate(t *testing.T, admin *database.DB, pids ...int) {
	t.Helper()
	if _, err := admin.Registry().NewRaw("SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[?]) AS pid", bun.List(pids)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "they are gone", func() bool {
		var left int
		err := admin.Registry().NewRaw("SELECT count(*) FROM pg_stat_activity WHERE pid IN (?)", bun.List(pids)).Scan(t.Context(), &left)
		return err == nil && left == 0
	})
}

// TestServerClosesAConnectionBeforeItsFirstUse is about connections that were
// opened for somebody who got another one: database/sql resets a connection
// before every use but the first.
func TestServerClosesAConnectionBeforeItsFirstUse(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	admin := databasetest.Open(t, url)
	conn, err := database.NewConn(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var pids []int
	if err := admin.Registry().NewRaw(`SELECT pid FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(t.Context(), &pids); err != nil {
		t.Fatal(err)
	}
	terminate(t, admin, pids...)
	if err := conn.(driver.Pinger).Ping(t.Context()); err != driver.ErrBadConn {
		t.Errorf("a statement: %v, want one that the pool repeats", err)
	}
}

func TestTransactionWhoseConnectionIsKilled(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	db, admin := openTenants(t, url), databasetest.Open(t, url)
	err := db.InTenantTx(inA(t), func(ctx context.Context) error {
		var pid int
		if err := db.Tenants().NewRaw("INSERT INTO users VALUES ('lost', ''); SELECT pg_backend_pid()").Scan(ctx, &pid); err != nil {
			return err
		}
		terminate(t, admin, pid)
		_, err := db.Tenants().ExecContext(ctx, oneQuery)
		if err == nil {
			t.Error("the statement succeeded")
		}
		return nil
	})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("commit: %v, want Unavailable", err)
	}
	if count, err := db.Tenants().NewSelect().Model((*userRow)(nil)).Where("id = 'lost'").Count(inA(t)); err != nil || count != 0 {
		t.Errorf("%d rows, %v", count, err)
	}
}

type countingHook struct {
	mu      sync.Mutex
	queries []string
}

func (h *countingHook) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	return ctx
}

func (h *countingHook) AfterQuery(_ context.Context, event *bun.QueryEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queries = append(h.queries, event.Query)
}

func TestQueryHooksSeeEachStatementOnce(t *testing.T) {
	t.Parallel()
	hook := &countingHook{}
	db, err := database.Open(database.Config{URL: localpgtest.NewDatabase(t), QueryHooks: []bun.QueryHook{hook}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := t.Context()
	_, _ = db.Registry().ExecContext(ctx, "SELECT 1")
	_ = db.Registry().NewRaw("SELECT 2").Scan(ctx, new(int))
	_ = db.Registry().NewSelect().ColumnExpr("3").Scan(ctx, new(int))
	_ = db.InSystemTx(ctx, func(ctx context.Context) error {
		_, _ = db.Registry().ExecContext(ctx, "SELECT 4")
		return db.Registry().NewSelect().ColumnExpr("5").Scan(ctx, new(int))
	})
	want := []string{"SELECT 1", "SELECT 2", "SELECT 3", "BEGIN", "SELECT 4", "SELECT 5", "COMMIT"}
	if !slices.Equal(hook.queries, want) {
		t.Errorf("hooks saw %q, want %q", hook.queries, want)
	}
}

func TestRegistrySeesPublicAlone(t *testing.T) {
	t.Parallel()
	db := openTenants(t, localpgtest.NewDatabase(t))
	if _, err := db.Registry().NewSelect().Model((*userRow)(nil)).Count(inA(t)); err == nil {
		t.Error("the registry read a tenant's table")
	}
	if _, err := db.Registry().ExecContext(t.Context(), "CREATE TABLE registered (id int)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Tenants().NewRaw("SELECT id FROM registered").Scan(inA(t), new([]int)); err == nil {
		t.Error("a tenant's statement read a table of public")
	}
	if _, err := db.Registry().NewSelect().Table("registered").Count(inA(t)); err != nil {
		t.Error(err)
	}
	err := db.Registry().RunInTx(inA(t), nil, func(ctx context.Context, _ bun.Tx) error {
		if _, err := db.Tenants().ExecContext(ctx, oneQuery); !errors.Is(err, database.ErrOtherScope) {
			t.Errorf("a tenant's statement in the registry's transaction: %v", err)
		}
		_, err := db.Registry().ExecContext(ctx, "INSERT INTO registered VALUES (1)")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTemporaryTablesHideNothing, by whatever way one came onto the connection.
func TestTemporaryTablesHideNothing(t *testing.T) {
	t.Parallel()
	db := openTenants(t, localpgtest.NewDatabase(t)) // whose statements, one after the other, find one connection
	if _, err := db.Registry().ExecContext(t.Context(), `CREATE TABLE tenants AS SELECT 'of public' AS id;
		DO $$ BEGIN CREATE TEMP TABLE users AS SELECT 'temporary' AS id; CREATE TEMP TABLE tenants AS SELECT 'temporary' AS id; END $$`); err != nil {
		t.Fatal(err)
	}
	var tenants, users, hidden []string
	err := errors.Join(
		db.Registry().NewRaw(`SELECT id FROM tenants`).Scan(t.Context(), &tenants),
		db.Tenants().NewRaw(`SELECT id FROM users ORDER BY id`).Scan(inA(t), &users),
		db.Registry().NewRaw(`SELECT id FROM users`).Scan(t.Context(), &hidden),
	)
	if err != nil || !slices.Equal(tenants, []string{"of public"}) || !slices.Equal(users, []string{"user_1", "user_2"}) || !slices.Equal(hidden, []string{"temporary"}) {
		t.Errorf("the registry has %q, the tenant %q, the connection %q, %v", tenants, users, hidden, err)
	}
}

func TestConnectionsRetire(t *testing.T) {
	t.Parallel()
	db, err := database.Open(database.Config{URL: localpgtest.NewDatabase(t), MaxConnLifetime: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	pids := map[int]bool{}
	for range 3 {
		var pid int
		if err := db.Registry().NewRaw("SELECT pg_backend_pid()").Scan(t.Context(), &pid); err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	if len(pids) != 3 {
		t.Errorf("3 statements ran on %d connections", len(pids))
	}
}

func TestConcurrentNestingGivesEachSavepointItsName(t *testing.T) {
	t.Parallel()
	db := openTenants(t, localpgtest.NewDatabase(t))
	err := db.InTenantTx(inA(t), func(ctx context.Context) error {
		for i := range 3 {
			err := db.InTenantTx(ctx, func(ctx context.Context) error {
				return db.InTenantTx(ctx, func(ctx context.Context) error {
					_, err := db.Tenants().NewInsert().Model(&userRow{ID: fmt.Sprint("n", i)}).Exec(ctx)
					return err
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count, err := db.Tenants().NewSelect().Model((*userRow)(nil)).Where("id LIKE 'n%'").Count(inA(t)); err != nil || count != 3 {
		t.Errorf("%d rows, %v", count, err)
	}
}

// TestTemporaryTablesAreRefused however they are made: one would stay on the connection
// for whoever is next, behind the path.
func TestTemporaryTablesAreRefused(t *testing.T) {
	t.Parallel()
	db, err := database.Open(database.Config{URL: localpgtest.NewDatabase(t), MaxOpenConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	a, b := tenant.MustParse("tenant_a"), tenant.MustParse("tenant_b")
	databasetest.CreateTenant(t, db, a, `CREATE TABLE users (id text); INSERT INTO users VALUES ('of a')`)
	databasetest.CreateTenant(t, db, b, `CREATE TABLE users (id text); INSERT INTO users VALUES ('of b')`)
	for _, statement := range []string{`SELECT * INTO TEMP users FROM users`, `CREATE TABLE pg_temp.users AS TABLE users`} {
		if _, err := db.Tenants().ExecContext(tenant.NewContext(t.Context(), a), statement); !errors.Is(err, database.ErrRefused) {
			t.Errorf("%s: %v", statement, err)
		}
		var id string
		if err := db.Tenants().QueryRowContext(tenant.NewContext(t.Context(), b), `SELECT id FROM users`).Scan(&id); err != nil || id != "of b" {
			t.Errorf("behind %s the other tenant reads %q, %v", statement, id, err)
		}
	}
}
