package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	atlas "ariga.io/atlas/sql/migrate"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/tenant"
)

// newUnmigratedFleet is a database with tenants that no migration was applied to
// yet.
func newUnmigratedFleet(t *testing.T, slugs ...string) (url string, db *database.DB) {
	t.Helper()
	url = localpgtest.NewDatabase(t)
	db, err := openOperatorPool(url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	sum, err := atlas.NewHashFile(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := sum.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	none, err := migrate.Load(fstest.MapFS{atlas.HashFileName: {Data: text}})
	if err != nil {
		t.Fatal(err)
	}
	public, err := migrate.Load(migrations.Public)
	if err != nil {
		t.Fatal(err)
	}
	engine := migrate.New(db, public, none)
	if _, err := engine.Up(t.Context(), migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, slug := range slugs {
		err := db.InSystemTx(t.Context(), func(ctx context.Context) error {
			schema := tenant.MustParse("tenant_" + slug)
			if _, err := db.Registry().ExecContext(ctx, `INSERT INTO tenants (id, name, slug, schema_name) VALUES (?, ?, ?, ?)`, "org_"+slug, slug, slug, schema.String()); err != nil {
				return err
			}
			return engine.Provision(ctx, schema)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return url, db
}

// TestFleetCommands walks an operator's day: look, rehearse, a canary that
// fails, mending, going on, drift.
func TestFleetCommands(t *testing.T) {
	t.Parallel()
	url, db := newUnmigratedFleet(t, "acme", "bolt", "cargo", "delta")
	environ := []string{"DATABASE_URL=" + url}
	said := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := execute(t, environ, append([]string{"migrate"}, args...)...)
		if code != want {
			t.Fatalf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
		return stdout + stderr
	}
	expect := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%q is missing in:\n%s", part, text)
			}
		}
	}
	exec := func(slug, statement string) {
		t.Helper()
		if _, err := db.Tenants().ExecContext(tenant.NewContext(t.Context(), tenant.MustParse("tenant_"+slug)), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("bolt", `CREATE TABLE users (id int)`)

	expect(said(exitFailed, "status"), "public: current", "nothing", "4")
	expect(said(0, "history"), "RUN")
	expect(said(0, "up", "--dry-run"), "4 tenants from nothing", `CREATE TABLE "users"`, "tenant_acme")
	expect(said(exitFailed, "up", "--rehearse"), "real locks", "tenant_bolt", "4 tenants tried, 1 would fail")
	expect(said(exitUsage, "up", "--canary", "nobody"), "--canary", `"nobody"`)
	expect(said(exitUsage, "up", "--waves", "10%,x"), "no percentage")
	expect(said(exitUsage, "up", "--waves", "10%,5%"), "rising")
	expect(said(exitUsage, "up", "--dry-run", "--rehearse"), "one or the other")
	expect(said(exitFailed, "resume"), "no run")
	expect(said(exitFailed, "pause"), "no such run")

	expect(said(exitFailed, "up", "--canary", "bolt", "--workers", "1"), "already exists", "3 tenants left", "tenon migrate resume")
	expect(said(exitFailed, "status"), "Failed: 1 tenant", "bolt (tenant_bolt)", "paused")
	expect(said(exitFailed, "resume"), "3 tenants migrated, 1 failed earlier", "retry-failed")
	expect(said(exitFailed, "retry-failed"), "already exists")
	exec("bolt", `DROP TABLE users`)
	var result resultLine
	_, stdout, _ := execute(t, environ, "migrate", "retry-failed", "--json")
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || result.Migrated != 1 || result.Failures == nil {
		t.Errorf("%s: %v", stdout, err)
	}
	expect(said(0, "status"), "latest", "4")
	expect(said(0, "status", "--json"), `"public":"current"`, `"tenants":4`, `"failed":[]`)
	expect(said(exitNothingDone, "up", "--exit-code"), "latest version")
	expect(said(0, "up", "--dry-run"), "latest version")
	expect(said(0, "history"), "--canary bolt", "finished")
	expect(said(0, "history", "--run", fmt.Sprint(result.Run)), "tenant_bolt", "applied")
	expect(said(exitFailed, "history", "--run", "99"), "no such run")
	expect(said(0, "history", "--json"), `"arguments":"--canary bolt"`)
	expect(said(exitUsage, "history", "--run", "0"), "history")

	expect(said(exitUsage, "down", "--to", "1", "--tenant", "acme"), "--to")
	expect(said(exitUsage, "down", "--tenant", "acme"), "version")
	expect(said(exitFailed, "down", "--run", fmt.Sprint(result.Run)), "nothing to go back to")

	expect(said(0, "verify"), "Looked at 4 tenants; not as the registry says: 0")
	expect(said(0, "drift"), "Looked at 4 tenants; different from what their migrations build: 0")
	exec("cargo", `ALTER TABLE projects ALTER COLUMN status DROP DEFAULT; CREATE TABLE scratch (x int)`)
	expect(said(exitFailed, "verify"), "cargo tenant_cargo", "altered")
	expect(said(exitFailed, "drift"), "cargo (tenant_cargo)", "+ relation r scratch")
	expect(said(exitFailed, "drift", "--json", "--fix-plan"), `"slug":"cargo"`, `SET DEFAULT 'active'`, `DROP TABLE`)
	expect(said(0, "drift", "--only", "acme,bolt"), "Looked at 2 tenants")
	exec("acme", `ALTER TABLE public.tenants DISABLE TRIGGER tenants_audit_created`)
	expect(said(exitFailed, "drift", "--fix-plan"), "public, at 2", "- trigger CREATE CONSTRAINT TRIGGER tenants_audit_created", "build: 2")
	expect(said(exitUsage, "drift", "--only", "nobody"), "--only")
}

// TestCtrlC ends a run in the middle of a tenant that waits for a lock.
// TestAsManyWorkersAsAsked has more of them than a command opens connections by itself.
func TestAsManyWorkersAsAsked(t *testing.T) {
	t.Parallel()
	workers := operatorConns + 1
	slugs := make([]string, workers)
	for i := range slugs {
		slugs[i] = fmt.Sprintf("t%03d", i)
	}
	url, db := newUnmigratedFleet(t, slugs...)
	code := make(chan int, 1)
	err := db.InSystemTx(t.Context(), func(ctx context.Context) error {
		if _, err := db.Registry().ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('tenon.migrate:' || schema_name, 0)) FROM tenants`); err != nil {
			return err
		}
		go func() {
			got, _, stderr := execute(t, []string{"DATABASE_URL=" + url}, "migrate", "up", "--workers", fmt.Sprint(workers), "--lock-timeout", "1m")
			if got != 0 {
				t.Error(stderr)
			}
			code <- got
		}()
		eventually(t, "all workers are at work", func() bool {
			var waiting int
			err := db.Registry().QueryRowContext(ctx, `SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
				WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted`).Scan(&waiting)
			return err == nil && waiting == workers
		})
		return nil
	})
	if err != nil || <-code != 0 {
		t.Error(err)
	}
}

func TestCtrlC(t *testing.T) {
	t.Parallel()
	url, db := newUnmigratedFleet(t, "acme", "bolt")
	environ := []string{"DATABASE_URL=" + url}
	holding, release, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		held <- db.InSystemTx(t.Context(), func(ctx context.Context) error {
			_, err := db.Registry().ExecContext(ctx, `SELECT FROM tenants FOR UPDATE`)
			close(holding)
			<-release
			return err
		})
	}()
	<-holding
	ctx, interrupt := context.WithCancel(t.Context())
	log := new(syncBuffer)
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, []string{"tenon", "migrate", "up", "--lock-timeout", "1m"}, surroundings{environ: environ, stdout: log, stderr: log})
	}()
	eventually(t, "the wait for a lock", func() bool {
		var waiting int
		err := db.Registry().QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()`).Scan(&waiting)
		return err == nil && waiting > 0
	})
	interrupt()
	if code := <-exit; code != exitPaused || !strings.Contains(log.String(), "2 tenants left") {
		t.Errorf("exit %d: %s", code, log)
	}
	close(release)
	if err := <-held; err != nil {
		t.Error(err)
	}
	if code, _, stderr := execute(t, environ, "migrate", "resume"); code != 0 || !strings.Contains(stderr, "2 tenants migrated") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
