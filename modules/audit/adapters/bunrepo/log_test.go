package bunrepo_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/audit/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/audit/audittest"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/migrate"
	"github.com/tenonhq/tenon/platform/migrate/migratetest"
	"github.com/tenonhq/tenon/platform/origin"
	"github.com/tenonhq/tenon/platform/tenant"
)

var tenants atomic.Int64

// newDB returns a database with the tables and functions that all tenants share.
func newDB(t testing.TB) *database.DB {
	t.Helper()
	db := databasetest.New(t)
	if _, err := db.Registry().ExecContext(t.Context(), migrations.PublicSchema); err != nil {
		t.Fatal(err)
	}
	return db
}

func newTenant(t testing.TB, db *database.DB) tenant.Schema {
	t.Helper()
	schema := tenant.MustParse(fmt.Sprintf("tenant_%d", tenants.Add(1)))
	databasetest.CreateTenant(t, db, schema, migrations.TenantSchema)
	return schema
}

func TestLog(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	audittest.Run(t, func(t *testing.T) audittest.Fixture {
		return audittest.Fixture{Log: bunrepo.NewLog(db), A: newTenant(t, db), B: newTenant(t, db)}
	})
}

// fixture is a database with a tenant in it.
type fixture struct {
	db  *database.DB
	log *bunrepo.Log
	ctx context.Context
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	db := newDB(t)
	return fixture{db, bunrepo.NewLog(db), tenant.NewContext(t.Context(), newTenant(t, db))}
}

// do runs SQL in the tenant's schema with its owner's rights.
func (f fixture) do(t *testing.T, ctx context.Context, sql string) {
	t.Helper()
	if _, err := f.db.Owner().ExecContext(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// recorded returns actions, subjects and changes, the oldest first.
func (f fixture) recorded(t *testing.T) (lines []string) {
	t.Helper()
	entries, err := f.log.After(f.ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var compact any
		if err := json.Unmarshal([]byte(e.Changes), &compact); err != nil {
			t.Fatal(err)
		}
		changes, _ := json.Marshal(compact)
		lines = append(lines, e.Action+" "+e.Subject+" "+string(changes))
	}
	return lines
}

func (f fixture) problems(t *testing.T, wanted *audit.Head) []string {
	t.Helper()
	found, err := audit.Verify(f.ctx, f.log, []ed25519.PublicKey{audit.PublicKeyOf(audittest.Key)}, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return found.Problems
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestChangesOfRowsAreRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(t, f.ctx, `INSERT INTO users (id, email, role) VALUES ('user_1', 'ada@example.com', 'member')`)
	f.do(t, f.ctx, `UPDATE users SET last_seen_at = now(), updated_at = now()`)                             // nothing that counts
	f.do(t, f.ctx, `UPDATE users SET email = ''; UPDATE users SET email = 'a@example.com', role = 'admin'`) // an address that moves
	f.do(t, f.ctx, `UPDATE users SET first_name = 'Ada', is_active = false`)
	f.do(t, f.ctx, `INSERT INTO projects (name, slug, created_by) VALUES ('Apollo', 'apollo', 'user_1')`)
	f.do(t, f.ctx, `UPDATE projects SET description = 'x', updated_at = now() + interval '1 second'`)
	f.do(t, f.ctx, `UPDATE projects SET description = 'x'`)
	f.do(t, f.ctx, `DELETE FROM projects`)
	f.do(t, f.ctx, `INSERT INTO api_keys (id, name, permissions, created_by, created_at, expires_at) VALUES ('K', 'k', '{users:view}', 'user_1', now(), '2030-01-01Z')`)
	got := f.recorded(t)
	got[0] = cutOut(got[0], `"joined_at":{"after":"`, `"},`)
	last := len(got) - 1
	got[last] = cutOut(got[last], `"expires_at":{"after":"`, `"},`)
	same(t, got, []string{
		`member.created user_1 {"is_active":{"after":true},"role":{"after":"member"}}`,
		`member.updated user_1 {"email":{},"role":{"after":"admin","before":"member"}}`,
		`member.updated user_1 {"first_name":{},"is_active":{"after":false,"before":true}}`,
		`project.created 1 {"created_by":{"after":"user_1"},"description":{"after":""},"is_public":{"after":false},"name":{"after":"Apollo"},"slug":{"after":"apollo"},"status":{"after":"active"}}`,
		`project.updated 1 {"description":{"after":"x","before":""}}`,
		`project.deleted 1 {"created_by":{"before":"user_1"},"description":{"before":"x"},"is_public":{"before":false},"name":{"before":"Apollo"},"slug":{"before":"apollo"},"status":{"before":"active"}}`,
		`api_key.created K {"created_by":{"after":"user_1"},"name":{"after":"k"},"permissions":{"after":["users:view"]}}`,
	})
	same(t, f.problems(t, nil), []string(nil))
}

// cutOut removes what begins and ends so from a text.
func cutOut(text, begin, end string) string {
	head, rest, ok := strings.Cut(text, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return text
	}
	return head + tail
}

func TestAChangeThatIsUndoneIsNotRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	undo := fmt.Errorf("undo")
	err := f.db.InTenantTx(f.ctx, func(ctx context.Context) error {
		if _, err := f.db.Tenants().ExecContext(ctx, `INSERT INTO users (id, role) VALUES ('user_1', 'member')`); err != nil {
			return err
		}
		return undo
	})
	if err != undo {
		t.Fatal(err)
	}
	same(t, f.recorded(t), []string(nil))
}

// A change and its entry are one: what cannot be recorded does not happen.
func TestAChangeThatCannotBeRecordedDoesNotHappen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(t, f.ctx, `ALTER TABLE audit_log ADD CONSTRAINT full_log CHECK (false) NOT VALID`)
	if _, err := f.db.Tenants().ExecContext(f.ctx, `INSERT INTO users (id, role) VALUES ('user_1', 'member')`); err == nil {
		t.Error("the change went through")
	}
	var users int
	if err := f.db.Tenants().QueryRowContext(f.ctx, `SELECT count(*) FROM users`).Scan(&users); err != nil || users != 0 {
		t.Errorf("%d users, %v", users, err)
	}
	// Nor is it reported as done to who asked for rows.
	var id string
	if err := f.db.Tenants().NewRaw(`INSERT INTO users (id, role) VALUES ('user_1', 'member') RETURNING id`).Scan(f.ctx, &id); err == nil {
		t.Errorf("%q was returned", id)
	}
}

func TestWhereAChangeComesFrom(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	login := ""
	if err := f.db.Tenants().QueryRowContext(f.ctx, `SELECT session_user`).Scan(&login); err != nil {
		t.Fatal(err)
	}
	from := origin.Origin{Kind: origin.Key, Actor: "user_1", APIKey: "K", IP: netip.MustParseAddr("2001:db8::1"), RequestID: "r1"}
	insert := func(n int) string { return fmt.Sprintf(`INSERT INTO users (id, role) VALUES ('user_%d', 'member')`, n) }
	f.do(t, origin.NewContext(f.ctx, from), insert(1))
	f.do(t, f.ctx, insert(2)) // on the same connection, perhaps
	err := f.db.InSystemTx(origin.NewContext(t.Context(), origin.Origin{Kind: origin.Job, Actor: "nightly"}), func(ctx context.Context) error {
		schema, _ := tenant.FromContext(f.ctx)
		_, err := f.db.Tenants().ExecContext(tenant.NewContext(ctx, schema), insert(3))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := f.log.After(f.ctx, 0, 10)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	same(t, entries[0].Origin, audit.Origin{Kind: origin.Key, Actor: "user_1", APIKey: "K", IP: "2001:db8::1", RequestID: "r1"})
	same(t, entries[1].Origin, audit.Origin{Kind: origin.Database, Actor: login})
	same(t, entries[2].Origin, audit.Origin{Kind: origin.Job, Actor: "nightly"})
}

// Rows are locked in any order, and the chain after all of them.
func TestTransactionsDoNotWaitForEachOthersChain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(t, f.ctx, `INSERT INTO users (id, role) VALUES ('user_1', 'member'), ('user_2', 'member')`)
	first, second := make(chan struct{}), make(chan struct{})
	change := func(mine string, done chan<- struct{}, other <-chan struct{}) error {
		return f.db.InTenantTx(f.ctx, func(ctx context.Context) error {
			_, err := f.db.Tenants().ExecContext(ctx, `UPDATE users SET role = 'admin' WHERE id = ?`, mine)
			close(done)
			<-other // both have changed a row and recorded nothing yet
			return err
		})
	}
	var group sync.WaitGroup
	group.Go(func() {
		if err := change("user_1", first, second); err != nil {
			t.Error(err)
		}
	})
	group.Go(func() {
		if err := change("user_2", second, first); err != nil {
			t.Error(err)
		}
	})
	group.Wait()
	same(t, f.problems(t, nil), []string(nil))
}

func TestNobodyChangesWhatIsRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(t, f.ctx, `INSERT INTO users (id, role) VALUES ('user_1', 'member')`)
	f.do(t, f.ctx, `INSERT INTO audit_anchors (seq, hash, cut_at, public_key, signature) VALUES (0, '', now(), '', '')`)
	f.refuses(t, "audit_log", "audit_anchors")
	f.asRole(t)
	f.refuses(t, "audit_log", "audit_anchors")
}

// asRole has the tenant's statements run by a role of its own, from here on.
func (f fixture) asRole(t *testing.T) {
	t.Helper()
	schema, _ := tenant.FromContext(f.ctx)
	databasetest.GiveRole(t, f.db, schema)
	f.db.UseRoles(true)
}

// refuses fails unless everybody is refused to change what is in the tables.
func (f fixture) refuses(t *testing.T, tables ...string) {
	t.Helper()
	for _, table := range tables {
		for _, sql := range []string{"UPDATE " + table + " SET seq = 7", "DELETE FROM " + table, "TRUNCATE " + table} {
			for whose, handle := range map[string]bun.IDB{"owner": f.db.Owner(), "tenant": f.db.Tenants()} {
				if _, err := handle.ExecContext(f.ctx, sql); database.SQLState(err) != "42501" {
					t.Errorf("%s, as the %s: %v", sql, whose, err)
				}
			}
		}
	}
}

// A function that runs by its owner's rights, told by a trigger where to write, would
// write into whatever table whoever made the trigger has made too.
func TestATenantsRoleCannotUseTheLogsFunctions(t *testing.T) {
	t.Parallel()
	url := localpgtest.NewDatabase(t)
	db := databasetest.Open(t, url)
	if _, err := db.Registry().ExecContext(t.Context(), migrations.PublicSchema); err != nil {
		t.Fatal(err)
	}
	schema := newTenant(t, db)
	databasetest.GiveRole(t, db, schema)
	conn, err := pgx.Connect(t.Context(), url) // past the connector, which refuses some of it by itself
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	role := database.RoleName(conn.Config().Database, schema)
	if _, err := conn.Exec(t.Context(), `SET ROLE "`+role+`"; SET search_path TO `+schema.String()+`; CREATE TEMP TABLE mine (id text)`); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{
		`SELECT public.audit_change()`, `SELECT public.audit_guard()`, `SELECT public.audit_tenant()`,
		`SELECT public.audit_append('x', 'x', 'x', 'x', '{}')`, `SELECT public.audit_record('x', 'INSERT', '{}', '{}', '{}')`,
		`CREATE TRIGGER mine AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION public.audit_change('x', 'id', '', '', '')`,
		`CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION public.audit_change('x', 'id', '', '', '')`,
		`CREATE TRIGGER mine BEFORE DELETE ON mine FOR EACH ROW EXECUTE FUNCTION public.audit_guard()`,
	} {
		_, err := conn.Exec(t.Context(), call)
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "42501" {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// TestTheLogOutlivesTheMoveOfItsFunctions takes a tenant back to the version whose
// schemas had the functions that are in public now, and up again, while somebody writes.
func TestTheLogOutlivesTheMoveOfItsFunctions(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	engine := migratetest.NewEngine(t, db, migrate.WithRoles(migrate.RolesOn), migrate.WithReadOnly(migrations.ReadOnly...))
	schema := tenant.MustParse("tenant_acme")
	err := db.InSystemTx(t.Context(), func(ctx context.Context) error {
		if _, err := db.Registry().ExecContext(ctx, `INSERT INTO tenants (id, name, slug, schema_name) VALUES ('org', 'Acme', 'acme', 'tenant_acme')`); err != nil {
			return err
		}
		return engine.Provision(ctx, schema)
	})
	if err != nil {
		t.Fatal(err)
	}
	db.UseRoles(true)
	f := fixture{db, bunrepo.NewLog(db), tenant.NewContext(t.Context(), schema)}
	change := func(sql string, args ...any) {
		if _, err := db.Tenants().ExecContext(f.ctx, sql, args...); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	change(`INSERT INTO users (id, role) VALUES ('user_1', 'member')`)

	stop, written := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				written <- n
				return
			default:
				change(`UPDATE users SET last_name = ? WHERE id = 'user_1'`, fmt.Sprint(n+1))
			}
		}
	}()
	const before = "20261126192714"
	migrated := func(result migrate.Result, err error) {
		t.Helper()
		if err != nil || result.Migrated != 1 || len(result.Failures) > 0 {
			t.Errorf("%+v, %v", result, err)
		}
	}
	for _, stage := range []struct {
		name string
		move func()
		own  int
	}{
		{"new", func() {}, 0},
		{"back", func() {
			migrated(engine.Down(t.Context(), migrate.DownOptions{To: before, Options: migrate.Options{Only: []string{"acme"}}}))
		}, 2},
		{"migrated", func() { migrated(engine.Up(t.Context(), migrate.Options{})) }, 0},
	} {
		stage.move()
		change(`INSERT INTO users (id, role) VALUES (?, 'member')`, stage.name)
		var own int
		err := db.Owner().NewRaw(`SELECT count(*) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace`).Scan(f.ctx, &own)
		if err != nil || own != stage.own {
			t.Errorf("%s: %d functions, %v", stage.name, own, err)
		}
		f.refuses(t, "audit_log")
		if wrong, _, err := engine.Drift(t.Context(), migrate.Options{}); err != nil || len(wrong) > 0 {
			t.Errorf("%s: %+v, %v", stage.name, wrong, err)
		}
	}
	close(stop)
	updates := <-written
	public, err := migrate.Load(migrations.Public)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range public.Migrations() {
		if !strings.Contains(m.File, "audit_triggers_call_public") {
			continue
		}
		if _, err := db.Registry().ExecContext(t.Context(), strings.Join(m.Reverse, ";\n")); database.SQLState(err) != "2BP01" {
			t.Errorf("public is taken back while a tenant's triggers call it: %v", err)
		}
	}
	same(t, f.problems(t, nil), []string(nil))
	var entries int
	err = db.Tenants().NewRaw(`SELECT count(*) FROM audit_log WHERE action = 'member.updated'`).Scan(f.ctx, &entries)
	if err != nil || entries != updates || updates == 0 {
		t.Errorf("%d updates and %d entries of them, %v", updates, entries, err)
	}
	var created []string
	err = db.Tenants().NewRaw(`SELECT subject FROM audit_log WHERE action = 'member.created' ORDER BY seq`).Scan(f.ctx, &created)
	if err != nil {
		t.Error(err)
	}
	same(t, created, []string{"user_1", "new", "back", "migrated"})
}

// Whoever owns the tables can switch the triggers off.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sql, want string
		wanted    bool // only a head that was noted down shows it
	}{
		"untouched":       {sql: "SELECT 1"},
		"actor":           {sql: `UPDATE audit_log SET actor = 'x' WHERE seq = 2`, want: "entry 2 is not what was written"},
		"time":            {sql: `UPDATE audit_log SET at = at - interval '1 day' WHERE seq = 2`, want: "entry 2 is not what was written"},
		"changes":         {sql: `UPDATE audit_log SET changes = '{}' WHERE seq = 4`, want: "entry 4 is not what was written"},
		"space":           {sql: `UPDATE audit_log SET changes = (changes::text || ' ')::json WHERE seq = 3`, want: "entry 3 is not what was written"},
		"hash":            {sql: `UPDATE audit_log SET hash = sha256('x') WHERE seq = 3`, want: "entry 3 is not what was written"},
		"no hash":         {sql: `UPDATE audit_log SET hash = '' WHERE seq = 3`, want: "entry 3 is not what was written"},
		"missing":         {sql: `DELETE FROM audit_log WHERE seq = 2`, want: "entry 2 is missing"},
		"first":           {sql: `DELETE FROM audit_log WHERE seq = 1`, want: "entry 1 is missing"},
		"several":         {sql: `DELETE FROM audit_log WHERE seq IN (2, 3)`, want: "the entries from 2 to 3 are missing"},
		"swapped":         {sql: `UPDATE audit_log SET seq = 10 - seq WHERE seq IN (4); UPDATE audit_log SET seq = 4 WHERE seq = 5; UPDATE audit_log SET seq = 5 WHERE seq = 6`, want: "entry 4 is not what was written"},
		"the end":         {sql: `DELETE FROM audit_log WHERE seq = 5`, want: "the record ends with entry 4 and had 5", wanted: true},
		"all":             {sql: `DELETE FROM audit_log`, want: "the record ends with entry 0 and had 5", wanted: true},
		"forged anchor":   {sql: `INSERT INTO audit_anchors SELECT seq, hash, now(), repeat('a', 32)::bytea, '' FROM audit_log WHERE seq = 2; DELETE FROM audit_log WHERE seq <= 2`, want: "the entries up to 2 were cut off with a key that is not trusted"},
		"unsigned anchor": {sql: `INSERT INTO audit_anchors SELECT seq, hash, now(), '\x` + fmt.Sprintf("%x", []byte(audit.PublicKeyOf(audittest.Key))) + `', '\x00' FROM audit_log WHERE seq = 2; DELETE FROM audit_log WHERE seq <= 2`, want: "the entries up to 2 were cut off without a valid signature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for i := range 5 {
				f.do(t, f.ctx, fmt.Sprintf(`INSERT INTO users (id, role) VALUES ('user_%d', 'member')`, i))
			}
			found, err := audit.Verify(f.ctx, f.log, nil, nil)
			if err != nil || len(found.Problems) > 0 || found.Head.Seq != 5 {
				t.Fatalf("%+v, %v", found, err)
			}
			f.do(t, f.ctx, `ALTER TABLE audit_log DISABLE TRIGGER USER; `+test.sql)
			if problems := f.problems(t, nil); test.wanted || test.want == "" {
				same(t, problems, []string(nil))
			} else if len(problems) == 0 || !strings.HasPrefix(problems[0], test.want) {
				t.Errorf("%q, want %q", problems, test.want)
			}
			if problems := f.problems(t, &found.Head); test.want != "" && len(problems) == 0 {
				t.Error("nothing is wrong, says who knows the head")
			} else if test.wanted && problems[0] != test.want {
				t.Errorf("%q, want %q", problems, test.want)
			}
		})
	}
}

func TestARecordThatIsNotWholeIsNotCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 3 {
		f.do(t, f.ctx, fmt.Sprintf(`INSERT INTO users (id, role) VALUES ('user_%d', 'member')`, i))
	}
	f.do(t, f.ctx, `ALTER TABLE audit_log DISABLE TRIGGER USER; UPDATE audit_log SET actor = 'x' WHERE seq = 2; ALTER TABLE audit_log ENABLE TRIGGER USER`)
	_, err := audit.NewCutter(f.log, audittest.Key).Cut(f.ctx, time.Now().Add(time.Hour))
	if err == nil || !strings.Contains(err.Error(), "entry 2 is not what was written") {
		t.Errorf("%v", err)
	}
	same(t, len(f.recorded(t)), 3)
}

// A table that somebody adds is audited, or this fails.
func TestEveryTableIsAudited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var without []string
	err := f.db.Tenants().NewRaw(`SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND c.relname NOT IN ('audit_log', 'audit_anchors', '_migrations') AND NOT EXISTS (
			SELECT FROM pg_trigger t
			WHERE t.tgrelid = c.oid AND t.tgfoid = 'public.audit_change'::regproc AND t.tgenabled = 'O' AND t.tgtype & 28 = 28 AND t.tginitdeferred)
		ORDER BY 1`).Scan(f.ctx, &without)
	if err != nil || len(without) > 0 {
		t.Errorf("without a trigger for INSERT, UPDATE and DELETE: %q, %v", without, err)
	}
}
