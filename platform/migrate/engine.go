package migrate

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Engine migrates one database. It is safe for concurrent use, and any number of
// them may work on the same database.
type Engine struct {
	db      *database.DB
	public  *Directory
	tenants *Directory
	// oldest is the oldest version that the program can work on.
	oldest string
	// directURL leads to PostgreSQL without a pooler; "" when nobody said.
	directURL string
	// roles says who gets a role of their own, and readOnly are the tables in
	// which that may change nothing.
	roles    Roles
	readOnly []string
	// separately says that each statement is a message of its own; nil until the
	// database was asked.
	separately atomic.Pointer[bool]

	// provision is all that makes a tenant's schema, between its two names.
	provision []string
	// fingerprint is that of every schema that was just provisioned, "" until the
	// first one was: they are made by the same statements, and reading the
	// catalog takes as long as a fifth of them.
	fingerprint atomic.Pointer[string]
	// expectedBy are the fingerprints of what the migrations build, by version.
	expectedMu sync.Mutex
	expectedBy map[string]string
}

// Option is something that not every engine needs to know.
type Option func(*Engine)

// WithDirectURL says how PostgreSQL is reached without a pooler in between:
// files marked `-- atlas:txmode none` need a session of their own.
func WithDirectURL(url string) Option { return func(e *Engine) { e.directURL = url } }

// New returns an engine that brings public and the tenants' schemas to the
// directories' latest versions.
func New(db *database.DB, public, tenants *Directory, options ...Option) *Engine {
	e := &Engine{
		db: db, public: public, tenants: tenants,
		provision: built(tenants.migrations), expectedBy: map[string]string{},
	}
	for _, option := range options {
		option(e)
	}
	return e
}

// built are the statements that make a new schema, in a transaction.
func built(migrations []Migration) []string {
	statements := []string{createRevisions}
	for _, m := range migrations {
		m.Statements = m.inTransaction()
		statements = append(statements, steps([]Migration{m})...)
	}
	return statements
}

// The table of what was applied, and how it is compared: every file and its
// hash, in the order of application.
const (
	createRevisions = `CREATE TABLE IF NOT EXISTS _migrations (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  filename   text        NOT NULL UNIQUE,
  hash       text        NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)`
	selectRevisions = `SELECT string_agg(filename || ' ' || hash, E'\n' ORDER BY id) FROM _migrations`
)

//go:embed fingerprint.sql
var linesSQL string

// fingerprintSQL is one row (schema_name, fingerprint) for each schema.
var fingerprintSQL = linesSQL + `SELECT s.name AS schema_name,
    encode(sha256(convert_to(coalesce(string_agg(l.line, E'\n' ORDER BY l.line COLLATE "C"), ''), 'UTF8')), 'hex') AS fingerprint
FROM spaces s
LEFT JOIN lines l ON l.space = s.oid
GROUP BY s.name`

// SQLSTATEs of our own, for what a guard finds under the lock. The class is one
// that neither the standard nor PostgreSQL uses.
const (
	codeMoved   = "TN001" // another engine was faster
	codeAltered = "TN002" // _migrations is not what the version says
)

// SQLSTATEs of PostgreSQL's.
const (
	codeUndefinedTable  = "42P01"
	codeUndefinedObject = "42704"
	codeInternal        = "XX000"
	codeInvalidSchema   = "3F000"
	codeLockUnavailable = "55P03"
	codeInvalidText     = "22P02"
	codeDeadlock        = "40P01"
	codeSerialization   = "40001"

	codeProtocolViolation  = "08P01"
	codeTooManyConnections = "53300"
)

// literal quotes text of our own making for SQL. Whatever comes from outside is
// an argument instead.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// joined makes statements one message's. A statement may end in a comment.
func joined(statements ...string) string {
	var text strings.Builder
	for _, statement := range statements {
		text.WriteString(statement)
		text.WriteString("\n;\n")
	}
	return text.String()
}

// steps are the statements of migrations, with the row that records each.
func steps(migrations []Migration) []string {
	var result []string
	for _, m := range migrations {
		result = append(result, m.Statements...)
		result = append(result, "INSERT INTO _migrations (filename, hash) VALUES ("+literal(m.File)+", "+literal(m.Hash)+")")
	}
	return result
}

// revisions is what _migrations holds once migrations were applied.
func revisions(migrations []Migration) string {
	lines := make([]string, len(migrations))
	for i, m := range migrations {
		lines[i] = m.File + " " + m.Hash
	}
	return strings.Join(lines, "\n")
}

// record writes a tenant's version, and the fingerprint read from the catalog,
// into the registry and returns the fingerprint.
func record(schema tenant.Schema, version string) string {
	return "UPDATE public.tenants SET schema_version = " + literal(version) + ", schema_fingerprint = f.fingerprint FROM (\n" +
		fingerprintOf(schema) + ") f WHERE tenants.schema_name = f.schema_name RETURNING f.fingerprint"
}

// recordKnown is record for a fingerprint that is known.
func recordKnown(schema tenant.Schema, version, fingerprint string) string {
	return "UPDATE public.tenants SET schema_version = " + literal(version) + ", schema_fingerprint = " + literal(fingerprint) +
		" WHERE schema_name = " + literal(schema.String()) + " RETURNING schema_fingerprint"
}

// fingerprintOf is the query of schemas' names and fingerprints.
func fingerprintOf(schemas ...tenant.Schema) string {
	names := make([]string, len(schemas))
	for i, schema := range schemas {
		names[i] = schema.String()
	}
	return spaces(names...) + fingerprintSQL
}

// spaces names the schemas that a query of the catalog is about; those that do
// not exist are left out.
func spaces(schemas ...string) string {
	names := make([]string, len(schemas))
	for i, schema := range schemas {
		names[i] = literal(schema)
	}
	return "WITH spaces (oid, name) AS (SELECT oid, nspname FROM pg_namespace WHERE nspname IN (" + strings.Join(names, ", ") + ")),\n"
}

// Provision makes a tenant's schema at the latest version, with a role for it
// where [Roles] says so, within the transaction that ctx carries, in one message. The registry has a row for the
// schema already, in the same transaction. It implements tenancy.Provisioner.
func (e *Engine) Provision(ctx context.Context, schema tenant.Schema) error {
	final := record(schema, e.tenants.Latest())
	if known := e.fingerprint.Load(); known != nil {
		final = recordKnown(schema, e.tenants.Latest(), *known)
	}
	role, err := e.roleFor(ctx, schema)
	if err != nil {
		return fault.Wrap("provision role", err)
	}
	var fingerprint string
	statements := slices.Concat([]string{`CREATE SCHEMA "` + schema.String() + `"`}, role.defaults(), e.provision, role.restrictions(e.readOnly))
	err = e.sendFor(tenant.NewContext(ctx, schema), statements, final, &fingerprint)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fault.Wrap("provision schema", errors.New("the registry has no tenant with this schema"))
	case err != nil:
		return fault.Wrap("provision schema", database.Classify(err))
	}
	e.fingerprint.Store(&fingerprint)
	return nil
}

// Options are how a run works, and on whom.
type Options struct {
	// Workers is how many tenants are migrated at once; 0 is [DefaultWorkers].
	Workers int
	// LockTimeout is how long a statement waits for a lock before the attempt is
	// given up and, after a while, repeated; 0 is [DefaultLockTimeout].
	LockTimeout time.Duration
	// Attempts is how often a tenant is tried whose locks others hold; 0 is
	// [DefaultAttempts].
	Attempts int
	// Observe is told how far the work is, by one goroutine at a time; may be nil.
	Observe func(Progress)
	// StopAfter pauses the run once this many tenants failed in it since it was
	// begun or resumed. 0 is 1 where there are canaries or waves, those that a run
	// was begun with included, and no limit elsewhere; no limit is also everything
	// below 0.
	StopAfter int

	// Canary are the tenants that go first, by slug, organization's id or schema.
	// [Engine.Resume] and [Engine.RetryFailed] keep the run's own choice of
	// tenants and waves.
	Canary []string
	// Waves are the percentages at which the run waits for every tenant so far,
	// such as 1, 10, 100.
	Waves []float64
	// Only are the tenants that the run is about, everybody when there are none.
	Only []string
	// Except are the tenants that are left as they are.
	Except []string
}

// What a zero field of [Options] stands for.
const (
	DefaultWorkers     = 4
	DefaultLockTimeout = 2 * time.Second
	DefaultAttempts    = 5
)

// Progress is how far a run is.
type Progress struct {
	// Run is the run's id in the ledger.
	Run int64
	// Wave is the one at work; 0 are the canaries.
	Wave int
	// Total is how many tenants are to be migrated, Done how many were tried.
	Total, Done int
	// Failed is how many of those that were tried failed.
	Failed int
	// Schema is the one just done.
	Schema string
	// Err is why that failed, nil when it did not.
	Err error
}

// Result is what a run did.
type Result struct {
	// Public are the files applied to public.
	Public []string
	// Run is the run's id in the ledger, 0 when no tenant had anything to do.
	Run int64
	// Migrated is how many tenants were brought to where the run leads.
	Migrated int
	// Skipped is how many were there already when their turn came.
	Skipped int
	// Failures are the tenants that were not. None is half migrated.
	Failures []Failure
	// Failed is how many tenants of the run have failed, those included that
	// failed before it was resumed.
	Failed int
	// Paused says why the run stopped before every tenant was tried, "" when it
	// did not.
	Paused string
	// Left is how many tenants were not tried.
	Left int
}

// IsZero reports whether there was nothing to do.
func (r Result) IsZero() bool { return len(r.Public) == 0 && r.Run == 0 }

// Failure is a tenant that could not be migrated.
type Failure struct {
	// TenantID is the organization's id, Schema its schema.
	TenantID, Schema string
	// From is the version it is still at.
	From string
	Err  error
}

// Up applies to public, and then to every tenant that is behind, what is
// pending. What happens is written into the ledger: a run that stops early, for
// whatever reason, is finished by [Engine.Resume]. A tenant's failure is
// reported in the result and holds up nobody else; an error means that public,
// the registry or the directories themselves stand in the way, or that ctx
// ended: what is done by then is done.
func (e *Engine) Up(ctx context.Context, options Options) (result Result, err error) {
	options = options.complete()
	if err := options.validate(); err != nil {
		return result, err
	}
	// A mistake in the names is found before anything is done, unless there is no
	// registry yet.
	if err := e.checkChoice(ctx, options); err != nil && database.SQLState(err) != codeUndefinedTable {
		return result, fault.Wrap("choose tenants", err)
	}
	if result.Public, err = e.upPublic(ctx, options); err != nil {
		return result, fault.Wrap("migrate public", err)
	}
	r, err := e.begin(ctx, options)
	if err != nil || r == nil {
		return result, fault.Wrap("begin run", err)
	}
	return result, e.work(ctx, r, options, &result)
}

func (o Options) complete() Options {
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = DefaultLockTimeout
	}
	if o.Attempts <= 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Observe == nil {
		o.Observe = func(Progress) {}
	}
	if o.StopAfter == 0 && len(o.Canary)+len(o.Waves) > 0 {
		o.StopAfter = 1
	}
	return o
}

func (o Options) validate() error {
	last := 0.0
	for _, percent := range o.Waves {
		if !(percent > last && percent <= 100) {
			return fault.InvalidFields(fault.Field{Name: "waves", Message: "Want rising percentages, the last at most 100, such as 1%,10%,100%."})
		}
		last = percent
	}
	return nil
}

// arguments are the tenants' choice as one would type it.
func (o Options) arguments() string {
	var words []string
	for _, list := range []struct {
		flag  string
		names []string
	}{{"--canary", o.Canary}, {"--only", o.Only}, {"--except", o.Except}} {
		if len(list.names) > 0 {
			words = append(words, list.flag, strings.Join(list.names, ","))
		}
	}
	if len(o.Waves) > 0 {
		percentages := make([]string, len(o.Waves))
		for i, percent := range o.Waves {
			percentages[i] = strconv.FormatFloat(percent, 'f', -1, 64) + "%"
		}
		words = append(words, "--waves", strings.Join(percentages, ","))
	}
	return strings.Join(words, " ")
}

func (o Options) lockTimeout() string {
	return fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", max(1, o.LockTimeout.Milliseconds()))
}

// guard is a statement that waits for the schema's lock and then makes checks.
func guard(lock string, checks ...string) string {
	return "DO $guard$ BEGIN\n" +
		"PERFORM pg_advisory_xact_lock(" + lockKey(lock) + ");\n" +
		strings.Join(checks, "\n") + "\nEND $guard$"
}

func lockKey(schema string) string {
	return "hashtextextended(" + literal("tenon.migrate:"+schema) + ", 0)"
}

// check raises code when condition holds.
func check(condition, code, message string) string {
	return "IF " + condition + " THEN RAISE EXCEPTION USING ERRCODE = " + literal(code) + ", MESSAGE = " + literal(message) + "; END IF;"
}

// altered raises [codeAltered] unless _migrations holds what recorded says.
func altered(recorded string) string {
	return check("("+selectRevisions+") IS DISTINCT FROM nullif("+literal(recorded)+", '')", codeAltered,
		"its table _migrations does not hold the files of its version with their hashes")
}

// Check reports whether public is at the directory's latest version: nil, or
// an error that says which way it is not, [ErrNewer] among them.
func (e *Engine) Check(ctx context.Context) error {
	applied, err := e.publicRevisions(ctx)
	if err != nil {
		return err
	}
	return e.comparePublic(applied)
}

// comparePublic holds what was applied to public against the directory.
func (e *Engine) comparePublic(applied []string) error {
	for i, line := range applied {
		switch {
		case i >= len(e.public.migrations):
			return fmt.Errorf("public has a migration that this binary does not: %s; %w", fileOf(line), ErrNewer)
		case line != revisions(e.public.migrations[i:i+1]):
			return fmt.Errorf("public was migrated by another %s than this binary's %s", fileOf(line), e.public.migrations[i].File)
		}
	}
	if missing := len(e.public.migrations) - len(applied); missing > 0 {
		return fmt.Errorf("%w: public lacks %d of %d migrations", errBehind, missing, len(e.public.migrations))
	}
	return nil
}

// ErrNewer is a public schema that has all of the directory's migrations and more.
// Programs of before a migration go on serving, but have no business changing schemas.
var ErrNewer = errors.New("the database is newer")

var errBehind = errors.New("run `tenon migrate up`")

func fileOf(line string) string { file, _, _ := strings.Cut(line, " "); return file }

// publicRevisions returns what was applied to public, a line each.
func (e *Engine) publicRevisions(ctx context.Context) ([]string, error) {
	var text *string
	err := e.db.Registry().QueryRowContext(ctx, selectRevisions).Scan(&text)
	switch {
	case database.SQLState(err) == codeUndefinedTable:
		return nil, nil
	case err != nil:
		return nil, database.Classify(err)
	case text == nil:
		return nil, nil
	}
	return strings.Split(*text, "\n"), nil
}
