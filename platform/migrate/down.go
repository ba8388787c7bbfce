package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

// DownOptions say who goes back, and whither.
type DownOptions struct {
	Options

	// Run takes exactly those tenants back that the run with this id brought to
	// where it led and that are still there: to To, or each to where it came
	// from when To is "".
	Run int64
	// To is the version to go back to. Without Run, Options.Only has to name the
	// tenants.
	To string
	// AllowDestructive lets tables, columns and rows go. Otherwise [Engine.Down]
	// ends with a [DestructiveError] before anything is done.
	AllowDestructive bool
}

// DestructiveError names the data that going back would cost.
type DestructiveError struct {
	// Losses are phrases such as "column things.colour".
	Losses []string
}

func (e *DestructiveError) Error() string {
	return "going back loses data: " + strings.Join(e.Losses, ", ")
}

// Down takes tenants back by the reverse statements of the migrations between.
// Before it touches a tenant it tries them on a schema of its own, in a
// transaction that is rolled back: what they lose is found there, and a reverse
// that does not lead to what the version was is an error. Public stays as it is.
func (e *Engine) Down(ctx context.Context, options DownOptions) (result Result, err error) {
	options.Options = options.Options.complete()
	if err := options.validate(); err != nil {
		return result, err
	}
	if options.To != "" {
		if _, ok := e.tenants.index(options.To); !ok {
			return result, fault.InvalidFields(fault.Field{Name: "to", Message: fmt.Sprintf("There is no version %q in this binary.", options.To)})
		}
	}
	for flag, names := range map[string][]string{"tenant": options.Only, "except": options.Except} {
		if err := e.checkNames(ctx, flag, names); err != nil {
			return result, err
		}
	}
	r := &run{kind: KindDown, target: options.To, worker: newWorker(), only: options.Only, except: options.Except}
	var losses []string
	err = e.db.InSystemTx(ctx, func(ctx context.Context) error {
		arguments := strings.TrimSpace(fmt.Sprintf("--run %d %s", options.Run, options.arguments()))
		if options.Run == 0 {
			arguments = options.arguments()
		}
		if err := e.insertRun(ctx, r, arguments); err != nil {
			return err
		}
		ways, err := e.enlistDown(ctx, r, options)
		if err != nil {
			return err
		}
		for _, way := range ways {
			lost, err := e.tryDown(ctx, way[0], way[1])
			if err != nil {
				return fmt.Errorf("from version %s to %s: %w", way[0], way[1], err)
			}
			losses = append(losses, lost...)
		}
		slices.Sort(losses)
		losses = slices.Compact(losses)
		switch {
		case len(ways) == 0:
			return errNobody
		case len(losses) > 0 && !options.AllowDestructive:
			return &DestructiveError{Losses: losses}
		}
		return nil
	})
	switch {
	case errors.Is(err, errNobody):
		return result, nil
	case err != nil:
		return result, fault.Wrap("plan the way back", database.Classify(err))
	}
	return result, e.work(ctx, r, options.Options, &result)
}

func (o DownOptions) validate() error {
	switch {
	case len(o.Canary)+len(o.Waves) > 0:
		return fault.InvalidFields(fault.Field{Name: "waves", Message: "Going back knows no waves and no canaries."})
	case o.Run == 0 && o.To == "":
		return fault.InvalidFields(fault.Field{Name: "to", Message: "Want the version to go back to."})
	case o.Run == 0 && len(o.Only) == 0:
		return fault.InvalidFields(fault.Field{Name: "tenant", Message: "Want the tenants that go back, or the run that moved them."})
	}
	return nil
}

// enlistDown adds the tenants that go back to the run and returns the pairs of
// versions between which they go.
func (e *Engine) enlistDown(ctx context.Context, r *run, options DownOptions) (ways [][2]string, err error) {
	if options.Run != 0 {
		var known bool
		err := e.db.Registry().QueryRowContext(ctx, `SELECT true FROM migration_runs WHERE id = ?`, options.Run).Scan(&known)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, errUnknownRun
		}
		if err != nil {
			return nil, err
		}
	}
	only := pgdialect.Array(append([]string{}, options.Only...))
	args := []any{r.id, options.To, options.Run, options.Run, only}
	args = append(append(args, thrice(options.Only)...), thrice(options.Except)...)
	rows, err := e.db.Registry().QueryContext(ctx, `WITH enlisted AS (
		INSERT INTO migration_run_tenants (run_id, schema_name, wave, from_version, to_version)
		SELECT ?, t.schema_name, 1, t.schema_version, coalesce(nullif(?, ''), moved.from_version)
		FROM tenants t
		LEFT JOIN migration_run_tenants moved ON moved.schema_name = t.schema_name AND moved.run_id = ? AND moved.state = 'applied' AND moved.to_version = t.schema_version
		WHERE (? = 0 OR moved.run_id IS NOT NULL) AND (cardinality(?::text[]) = 0 OR `+matchesOf("t")+`) AND NOT `+matchesOf("t")+`
		RETURNING from_version, to_version
	) SELECT DISTINCT from_version, to_version FROM enlisted WHERE from_version <> to_version ORDER BY 1, 2`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var way [2]string
		if err := rows.Scan(&way[0], &way[1]); err != nil {
			return nil, err
		}
		ways = append(ways, way)
	}
	return ways, rows.Err()
}

// planDown is the way back of a tenant: one transaction.
func (e *Engine) planDown(from, to string) ([]segment, error) {
	at, target, err := e.positions(from, to)
	if err != nil || at <= target {
		return nil, err
	}
	if target == 0 {
		return nil, errors.New("before the first migration there is nothing to go back to")
	}
	s := segment{from: from, to: to, recorded: revisions(e.tenants.migrations[:at])}
	for i := at - 1; i >= target; i-- {
		m := e.tenants.migrations[i]
		if len(m.Reverse) == 0 {
			return nil, fmt.Errorf("%s has no reverse: %s is missing or says nothing", m.File, reverseFile(m.File))
		}
		s.files = append(s.files, m.File)
		s.body = append(append(s.body, m.Reverse...), "DELETE FROM _migrations WHERE filename = "+literal(m.File))
	}
	return []segment{s}, nil
}

// tryDown goes the way back on a schema that is rolled back afterwards and
// returns what is lost.
func (e *Engine) tryDown(ctx context.Context, from, to string) (losses []string, err error) {
	way, err := e.planDown(from, to)
	if err != nil {
		return nil, err
	}
	if len(way) == 0 {
		return nil, fmt.Errorf("%s is not before %s", to, from)
	}
	at, target, err := e.positions(from, to)
	if err != nil {
		return nil, err
	}
	var lost []string
	back, err := e.tryBuild(ctx, built(e.tenants.migrations[:at]), func(ctx context.Context) error {
		before, err := e.columns(ctx)
		if err != nil {
			return err
		}
		if err := e.send(ctx, e.db.Owner(), way[0].body); err != nil {
			return fmt.Errorf("the reverse statements fail: %w", err)
		}
		after, err := e.columns(ctx)
		if err != nil {
			return err
		}
		lost = lostBetween(before, after)
		return nil
	})
	if err != nil {
		return nil, err
	}
	was, err := e.tryBuild(ctx, built(e.tenants.migrations[:target]), nil)
	if err != nil {
		return nil, err
	}
	if back != was {
		return nil, fmt.Errorf("the reverse statements do not lead to what version %s was: %w", to, ErrDisagree)
	}
	for _, m := range e.tenants.migrations[target:at] {
		for _, statement := range m.Reverse {
			if verb := strings.ToUpper(firstWord(statement)); verb == "DELETE" || verb == "TRUNCATE" || verb == "UPDATE" {
				lost = append(lost, fmt.Sprintf("rows, by the %s in %s", verb, reverseFile(m.File)))
			}
		}
	}
	return lost, nil
}

func reverseFile(file string) string { return strings.TrimSuffix(file, ".up.sql") + ".down.sql" }

// firstWord is the first word of a statement, behind comments.
func firstWord(statement string) string {
	for {
		statement = strings.TrimSpace(statement)
		switch {
		case strings.HasPrefix(statement, "--"):
			_, statement, _ = strings.Cut(statement, "\n")
		case strings.HasPrefix(statement, "/*"):
			_, statement, _ = strings.Cut(statement, "*/")
		default:
			end := strings.IndexFunc(statement, unicode.IsSpace)
			if end < 0 {
				return statement
			}
			return statement[:end]
		}
	}
}

// column is one of a table, with its type.
type column struct{ table, name, kind string }

// columns returns those of the schema's tables.
func (e *Engine) columns(ctx context.Context) (columns []column, err error) {
	rows, err := e.db.Owner().QueryContext(ctx, `SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'f') AND c.relname <> '_migrations' ORDER BY 1, a.attnum`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.table, &c.name, &c.kind); err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// lostBetween names what a table had before and has not after.
func lostBetween(before, after []column) (losses []string) {
	tables, kinds := map[string]bool{}, map[[2]string]string{}
	for _, c := range after {
		tables[c.table] = true
		kinds[[2]string{c.table, c.name}] = c.kind
	}
	for _, c := range before {
		kind, kept := kinds[[2]string{c.table, c.name}]
		switch {
		case !tables[c.table]:
			losses = append(losses, "table "+c.table)
		case !kept:
			losses = append(losses, fmt.Sprintf("column %s.%s", c.table, c.name))
		case kind != c.kind:
			losses = append(losses, fmt.Sprintf("what does not fit when column %s.%s turns from %s to %s", c.table, c.name, c.kind, kind))
		}
	}
	return slices.Compact(losses)
}
