package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Drift is a tenant whose schema is not what the migrations of its version
// build, or public.
type Drift struct {
	// Schema is the tenant's, or "public", which has no slug.
	Schema, Slug, Version string
	// Missing is a schema that is gone from the database.
	Missing bool
	// Unknown is a version that this binary does not have; such a schema is held
	// against the fingerprint that was recorded when it was migrated.
	Unknown bool
	// Lines are what differs: "- " and what should be there, "+ " and what is
	// there instead. They are read for the first [MaxExplained] tenants.
	Lines []string
}

// MaxExplained is how many tenants [Engine.Drift] reads the differences of.
const MaxExplained = 50

const (
	// driftBatch is how many schemas one query of the catalog is about. The
	// server sorts what it finds, and that should fit its memory.
	driftBatch = 250
	// auditBatch is how many tables _migrations one query reads; each takes two
	// of the server's locks.
	auditBatch = 200
)

// registered is a tenant as the registry has it.
type registered struct {
	schema                           tenant.Schema
	slug, name, version, fingerprint string
}

// batches hands the tenants, or those that are named, to work, size at a time,
// by several workers.
func (e *Engine) batches(ctx context.Context, workers, size int, only []string, work func(ctx context.Context, batch []registered) error) error {
	if workers <= 0 {
		workers = DefaultWorkers
	}
	chosen, names := "true", []any(nil)
	if len(only) > 0 {
		if err := e.checkNames(ctx, "only", only); err != nil {
			return err
		}
		chosen, names = matches, thrice(only)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for after := ""; ; {
		rows, err := e.db.Registry().QueryContext(ctx, `SELECT schema_name, slug, schema_version, schema_fingerprint FROM tenants
			WHERE schema_name > ? AND `+chosen+` ORDER BY schema_name LIMIT ?`, append(append([]any{after}, names...), size)...)
		var batch []registered
		if err == nil {
			err = each(rows, func() error {
				var r registered
				if err := rows.Scan(&r.name, &r.slug, &r.version, &r.fingerprint); err != nil {
					return err
				}
				schema, err := tenant.Parse(r.name)
				r.schema = schema
				batch = append(batch, r)
				return err
			})
		}
		if err != nil || len(batch) == 0 {
			if waited := group.Wait(); waited != nil {
				return waited // which is what ended the query, if anything did
			}
			return database.Classify(err)
		}
		after = batch[len(batch)-1].name
		group.Go(func() error { return fault.Recovered(func() error { return work(ctx, batch) }) })
	}
}

// inCatalog is a context for queries of the catalog. Its path leads to a schema
// that does not exist, so that every name is printed with its schema, whoever
// asks.
func inCatalog(ctx context.Context) context.Context { return tenant.NewContext(ctx, scratchSchema) }

// fingerprints reads those of schemas from the catalog.
func (e *Engine) fingerprints(ctx context.Context, batch []registered) (map[string]string, error) {
	schemas := make([]tenant.Schema, len(batch))
	for i, r := range batch {
		schemas[i] = r.schema
	}
	rows, err := e.db.Owner().QueryContext(inCatalog(ctx), fingerprintOf(schemas...))
	if err != nil {
		return nil, database.Classify(err)
	}
	found := make(map[string]string, len(batch))
	return found, each(rows, func() error {
		var name, fingerprint string
		err := rows.Scan(&name, &fingerprint)
		found[name] = fingerprint
		return err
	})
}

// lines reads what is in a schema, in the order of the text.
func (e *Engine) lines(ctx context.Context, schema string) (lines []string, err error) {
	rows, err := e.db.Owner().QueryContext(ctx, spaces(schema)+linesSQL+`SELECT line FROM lines ORDER BY line COLLATE "C"`)
	if err != nil {
		return nil, database.Classify(err)
	}
	return lines, each(rows, func() error {
		var line string
		err := rows.Scan(&line)
		lines = append(lines, line)
		return err
	})
}

// Drift compares every tenant's schema, or those that are named, with what the
// migrations of its version build, by fingerprint: columns, defaults,
// constraints, indexes, views, functions, triggers, sequences and the rest. It
// returns those that differ, ordered by schema, and how many it looked at. Unless
// tenants are named, what the migrations build in public, such as the functions that
// all tenants' triggers call, is looked for as well; what else is there may be an
// extension's.
func (e *Engine) Drift(ctx context.Context, options Options) (drifts []Drift, looked int, err error) {
	var mu sync.Mutex
	var found []Drift
	err = e.batches(ctx, options.Workers, driftBatch, options.Only, func(ctx context.Context, batch []registered) error {
		fingerprints, err := e.fingerprints(ctx, batch)
		if err != nil && !vanished(err) {
			return err
		}
		for _, r := range batch {
			d, err := e.drifted(ctx, r, fingerprints)
			if err == nil && d != nil { // or it changed in between
				d, err = e.stillDrifted(ctx, r)
			}
			if err != nil {
				return err
			}
			mu.Lock()
			if looked++; d != nil {
				found = append(found, *d)
			}
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return nil, looked, fault.Wrap("look for drift", err)
	}
	slices.SortFunc(found, func(a, b Drift) int { return strings.Compare(a.Schema, b.Schema) })
	for i := range found[:min(len(found), MaxExplained)] {
		if err := e.explainDrift(ctx, &found[i]); err != nil {
			return nil, looked, fault.Wrap("look for drift", err)
		}
	}
	if len(options.Only) > 0 {
		return found, looked, nil
	}
	public, err := e.driftOfPublic(ctx)
	if err != nil {
		return nil, looked, fault.Wrap("look for drift", err)
	}
	return append(public, found...), looked, nil
}

// drifted holds a tenant's fingerprint against what its version builds; nil is no drift.
func (e *Engine) drifted(ctx context.Context, r registered, fingerprints map[string]string) (*Drift, error) {
	wanted, known, err := e.expected(ctx, r.version)
	if err != nil {
		return nil, err
	}
	if !known {
		wanted = r.fingerprint
	}
	fingerprint, exists := fingerprints[r.name]
	if exists && fingerprint == wanted {
		return nil, nil //nolint:nilnil // no drift is no error
	}
	return &Drift{Schema: r.name, Slug: r.slug, Version: r.version, Missing: !exists, Unknown: !known}, nil
}

func (e *Engine) stillDrifted(ctx context.Context, r registered) (*Drift, error) {
	var fingerprints map[string]string
	there, err := e.undisturbed(ctx, &r, func(ctx context.Context) (err error) {
		fingerprints, err = e.fingerprints(ctx, []registered{r})
		return err
	})
	if err != nil || !there {
		return nil, err
	}
	return e.drifted(ctx, r, fingerprints)
}

// undisturbed reads a tenant's row in the registry again, and with read what else there
// is of it, while nobody migrates it or goes on purging it: the registry and the catalog
// are read one after the other, and the catalog as it is at that very moment. there is
// false for a tenant that is purged, or of which the purge has begun.
func (e *Engine) undisturbed(ctx context.Context, r *registered, read func(ctx context.Context) error) (there bool, err error) {
	err = e.db.InSystemTx(ctx, func(ctx context.Context) error {
		if _, err := e.db.Registry().ExecContext(ctx, lock(r.schema)); err != nil {
			return err
		}
		err := e.db.Registry().QueryRowContext(ctx, `SELECT slug, schema_version, schema_fingerprint FROM tenants WHERE schema_name = ? AND NOT `+purging, r.name).
			Scan(&r.slug, &r.version, &r.fingerprint)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		there = true
		return read(ctx)
	})
	return there, database.Classify(err)
}

// vanished reports whether a query of the catalog failed because something went away
// under it.
func vanished(err error) bool {
	switch sqlState(err) {
	case codeUndefinedTable, codeInvalidSchema, codeUndefinedObject, codeInternal:
		return true
	}
	return false
}

// driftOfPublic returns public if something is not there that its migrations build.
// One that was migrated by other files is not judged. Nobody migrates it meanwhile.
func (e *Engine) driftOfPublic(ctx context.Context) (drifts []Drift, err error) {
	err = e.db.InSystemTx(ctx, func(ctx context.Context) error {
		if _, err := e.db.Registry().ExecContext(ctx, "SELECT pg_advisory_xact_lock("+lockKey("public")+")"); err != nil {
			return err
		}
		drifts, err = e.lacksOfPublic(ctx)
		return err
	})
	return drifts, database.Classify(err)
}

func (e *Engine) lacksOfPublic(ctx context.Context) ([]Drift, error) {
	applied, err := e.publicRevisions(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.comparePublic(applied); err != nil && !errors.Is(err, errBehind) || len(applied) == 0 {
		return nil, nil
	}
	is, err := e.lines(inCatalog(ctx), "public")
	if err != nil {
		return nil, err
	}
	present := make(map[string]bool, len(is))
	for _, line := range is {
		present[line] = true
	}
	migrations := e.public.migrations[:len(applied)]
	d := Drift{Schema: "public", Version: migrations[len(applied)-1].Version}
	if _, err := e.tryBuild(ctx, built(migrations), func(ctx context.Context) error {
		should, err := e.lines(ctx, scratchSchema.String())
		for _, line := range should {
			// Functions call others by the schema's name, which is taken away above.
			if line = strings.ReplaceAll(line, "public.", ""); !present[line] {
				d.Lines = append(d.Lines, "- "+line)
			}
		}
		return err
	}); err != nil || len(d.Lines) == 0 {
		return nil, err
	}
	return []Drift{d}, nil
}

// explainDrift reads what differs.
func (e *Engine) explainDrift(ctx context.Context, d *Drift) error {
	if d.Missing || d.Unknown {
		return nil
	}
	is, err := e.lines(inCatalog(ctx), d.Schema)
	if err != nil {
		return err
	}
	n, _ := e.tenants.index(d.Version)
	var should []string
	if _, err := e.tryBuild(ctx, built(e.tenants.migrations[:n]), func(ctx context.Context) error {
		should, err = e.lines(ctx, scratchSchema.String())
		return err
	}); err != nil {
		return err
	}
	for len(is) > 0 || len(should) > 0 {
		switch {
		case len(is) == 0 || len(should) > 0 && should[0] < is[0]:
			d.Lines, should = append(d.Lines, "- "+should[0]), should[1:]
		case len(should) == 0 || is[0] < should[0]:
			d.Lines, is = append(d.Lines, "+ "+is[0]), is[1:]
		default:
			is, should = is[1:], should[1:]
		}
	}
	return nil
}

// Mismatch is something that the registry says and that is not so.
type Mismatch struct {
	// Schema is the tenant's, Slug how URLs name it; "" for a schema that the
	// registry does not know.
	Schema, Slug string
	// Problem says what is wrong, in words.
	Problem string
}

// Audit holds the registry against the database: every schema that it names is
// there, and no other one that looks like a tenant's; the table of revisions in
// each says what the version says; and the tables are what they were when they
// were last migrated, or what the migrations build on this server, where another
// version of PostgreSQL may have put the same differently. It returns what is not
// so, ordered by schema, and how many tenants it looked at.
func (e *Engine) Audit(ctx context.Context, options Options) (mismatches []Mismatch, looked int, err error) {
	var mu sync.Mutex
	err = e.batches(ctx, options.Workers, auditBatch, options.Only, func(ctx context.Context, batch []registered) error {
		fingerprints, recorded, err := e.contents(ctx, batch)
		if err != nil && !vanished(err) {
			return err
		}
		for _, r := range batch {
			problem, err := e.problem(ctx, r, fingerprints, recorded)
			if err == nil && problem != "" { // or it changed in between
				problem, err = e.stillProblem(ctx, r)
			}
			if err != nil {
				return err
			}
			mu.Lock()
			if looked++; problem != "" {
				mismatches = append(mismatches, Mismatch{Schema: r.name, Slug: r.slug, Problem: problem})
			}
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return nil, looked, fault.Wrap("audit the registry", err)
	}
	if len(options.Only) == 0 {
		orphans, err := e.orphans(ctx)
		if err != nil {
			return nil, looked, fault.Wrap("audit the registry", err)
		}
		mismatches = append(mismatches, orphans...)
	}
	slices.SortFunc(mismatches, func(a, b Mismatch) int { return strings.Compare(a.Schema, b.Schema) })
	return mismatches, looked, nil
}

// contents are the fingerprints of schemas and what their tables of revisions hold.
func (e *Engine) contents(ctx context.Context, batch []registered) (fingerprints map[string]string, recorded map[string]*string, err error) {
	if fingerprints, err = e.fingerprints(ctx, batch); err != nil {
		return nil, nil, err
	}
	recorded, err = e.recorded(ctx, batch)
	return fingerprints, recorded, err
}

func (e *Engine) stillProblem(ctx context.Context, r registered) (string, error) {
	var fingerprints map[string]string
	var recorded map[string]*string
	there, err := e.undisturbed(ctx, &r, func(ctx context.Context) (err error) {
		fingerprints, recorded, err = e.contents(ctx, []registered{r})
		return err
	})
	if err != nil || !there {
		return "", err
	}
	return e.problem(ctx, r, fingerprints, recorded)
}

func (e *Engine) problem(ctx context.Context, r registered, fingerprints map[string]string, recorded map[string]*string) (string, error) {
	n, known := e.tenants.index(r.version)
	fingerprint, exists := fingerprints[r.name]
	revision, read := recorded[r.name]
	switch {
	case !exists:
		return "its schema is gone from the database", nil
	case !read || revision == nil:
		return "its table _migrations is gone or empty", nil
	case !known:
		return fmt.Sprintf("it is at version %q, which this binary does not have", r.version), nil
	case *revision != revisions(e.tenants.migrations[:n]):
		return fmt.Sprintf("its table _migrations does not hold the files of version %s with their hashes", r.version), nil
	case fingerprint == r.fingerprint:
		return "", nil
	}
	if expected, _, err := e.expected(ctx, r.version); err != nil || fingerprint == expected {
		return "", err
	}
	return "its tables were altered since it was last migrated; see `tenon migrate drift`", nil
}

// recorded reads what the tables _migrations hold. PostgreSQL's export to XML is
// the one way to read a table whose name is data without a statement for each.
func (e *Engine) recorded(ctx context.Context, batch []registered) (map[string]*string, error) {
	names := make([]string, len(batch))
	for i, r := range batch {
		names[i] = "(" + literal(r.name) + ")"
	}
	// The text goes through XML as hexadecimal digits, which need no escaping.
	rows, err := e.db.Owner().QueryContext(inCatalog(ctx), `SELECT name, convert_from(decode((xpath('/table/row/text/text()', query_to_xml(format(
			'SELECT encode(convert_to(string_agg(filename || '' '' || hash, E''\n'' ORDER BY id), ''UTF8''), ''hex'') AS text FROM %I._migrations', name), false, false, '')))[1]::text, 'hex'), 'UTF8')
		FROM (VALUES `+strings.Join(names, ", ")+`) spaces (name)
		WHERE (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(format('%I._migrations', name)) AND attname IN ('id', 'filename', 'hash') AND NOT attisdropped) = 3`)
	if err != nil {
		return nil, database.Classify(err)
	}
	recorded := make(map[string]*string, len(batch))
	return recorded, each(rows, func() error {
		var (
			name string
			text *string
		)
		err := rows.Scan(&name, &text)
		recorded[name] = text
		return err
	})
}

// orphans are schemas named as tenants' that the registry does not know.
func (e *Engine) orphans(ctx context.Context) (mismatches []Mismatch, err error) {
	rows, err := e.db.Registry().QueryContext(ctx, `SELECT nspname FROM pg_namespace
		WHERE nspname LIKE 'tenant\_%' AND NOT EXISTS (SELECT FROM tenants WHERE schema_name = nspname) ORDER BY 1`)
	if err != nil {
		return nil, database.Classify(err)
	}
	return mismatches, each(rows, func() error {
		m := Mismatch{Problem: "the registry has no tenant with this schema"}
		err := rows.Scan(&m.Schema)
		mismatches = append(mismatches, m)
		return err
	})
}
