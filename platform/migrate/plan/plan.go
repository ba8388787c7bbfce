// Package plan is the author's side of migrations: it lets Atlas compare what
// the versioned files build with the desired state and write the missing file,
// and look for what a file would break.
//
// All of it works on a scratch database, whose schema it makes and drops, and on
// a directory in golang-migrate's layout. Nothing here ever touches a database
// that somebody uses: Atlas inspects by setting the connection's search_path.
package plan

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqltool"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib" // also the driver "pgx" of the scratch database
)

// workSchema is the schema that everything is built in. Both states have it, one
// after the other: Atlas plans enums wrongly between schemas of two names.
const workSchema = "tenon_scratch"

var namePattern = regexp.MustCompile(`^[a-z0-9]+(?:_[a-z0-9]+)*$`)

// ErrName is the error of a name that cannot be a file's.
var ErrName = errors.New("a migration's name is lower-case letters and digits with underscores between them, such as add_phone")

// Scratch is a database that may be emptied at any time.
type Scratch struct {
	db     *sql.DB
	driver atlas.Driver
}

// OpenScratch connects to the database, which must be nobody's, and makes its
// schema public anew by the SQL public: what tenants' scripts refer to by that
// name.
func OpenScratch(ctx context.Context, url, public string) (*Scratch, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, fmt.Errorf("scratch database: %w", err)
	}
	db.SetMaxOpenConns(1) // Atlas and the search_path share one session
	driver, err := postgres.Open(db)
	if err == nil {
		err = db.PingContext(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("scratch database: %w", errors.Join(err, db.Close()))
	}
	if _, err := db.ExecContext(ctx, "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; SET search_path TO public;\n"+public); err != nil {
		return nil, fmt.Errorf("build what is desired of public: %w", errors.Join(err, db.Close()))
	}
	return &Scratch{db: db, driver: driver}, nil
}

// Close ends the connection.
func (s *Scratch) Close() error { return s.db.Close() }

// empty makes the work schema anew and leads unqualified names into it.
func (s *Scratch) empty(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+workSchema+" CASCADE; CREATE SCHEMA "+workSchema+"; SET search_path TO "+workSchema)
	return err
}

// build returns the schema that scripts make of an empty one.
func (s *Scratch) build(ctx context.Context, scripts ...script) (*schema.Schema, error) {
	if err := s.empty(ctx); err != nil {
		return nil, err
	}
	for _, script := range scripts {
		if _, err := s.db.ExecContext(ctx, script.text); err != nil {
			return nil, fmt.Errorf("%s: %w", script.name, err)
		}
	}
	return s.inspect(ctx)
}

func (s *Scratch) inspect(ctx context.Context) (*schema.Schema, error) {
	inspected, err := s.driver.InspectSchema(ctx, workSchema, nil)
	if err != nil {
		return nil, err
	}
	_, err = s.db.ExecContext(ctx, "SET search_path TO "+workSchema) // Atlas has set its own
	return inspected, err
}

// script is SQL with a name for error messages.
type script struct{ name, text string }

// Directory is a directory of migrations that is being written.
type Directory struct {
	path string
	dir  *sqltool.GolangMigrateDir
}

// OpenDirectory returns the directory at path, which has to exist. Its atlas.sum
// is not looked at; see [Directory.Check].
func OpenDirectory(path string) (*Directory, error) {
	dir, err := sqltool.NewGolangMigrateDir(path)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return &Directory{path: path, dir: dir}, nil
}

// Check reports whether atlas.sum fits the files.
func (d *Directory) Check() error {
	if err := atlas.Validate(d.dir); err != nil {
		return fmt.Errorf("%s: %w; see `tenon migrate validate`", d.path, err)
	}
	return nil
}

// Hash writes atlas.sum anew, for an author who edited a file that was applied
// nowhere yet.
func (d *Directory) Hash() error {
	sum, err := d.dir.Checksum()
	if err != nil {
		return fmt.Errorf("hash %s: %w", d.path, err)
	}
	if err := atlas.WriteSumFile(d.dir, sum); err != nil {
		return fmt.Errorf("hash %s: %w", d.path, err)
	}
	return nil
}

func (d *Directory) scripts() ([]script, error) {
	files, err := d.dir.Files()
	if err != nil {
		return nil, err
	}
	scripts := make([]script, len(files))
	for i, file := range files {
		scripts[i] = script{file.Name(), string(file.Bytes())}
	}
	return scripts, nil
}

// New writes an empty migration and its empty reverse, to be filled by hand, and
// returns their paths. The directory's sum is then to be made by
// [Directory.Hash].
func (d *Directory) New(name string) ([]string, error) {
	if !namePattern.MatchString(name) {
		return nil, ErrName
	}
	version, err := d.nextVersion()
	if err != nil {
		return nil, err
	}
	var paths []string
	for suffix, content := range map[string]string{
		".up.sql":   "-- Write the statements here, with unqualified names, and then run: task migrate:hash\n",
		".down.sql": "-- Write what takes them back, in reverse order.\n",
	} {
		path := filepath.Join(d.path, version+"_"+name+suffix)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil { // source code, for everybody to read
			return nil, fmt.Errorf("new migration: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// nextVersion is the time, and later than every version that is there.
func (d *Directory) nextVersion() (string, error) {
	const layout = "20060102150405"
	files, err := d.dir.Files()
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	for _, file := range files {
		at, err := time.Parse(layout, file.Version())
		if err != nil {
			return "", fmt.Errorf("%s: its version is no time", file.Name())
		}
		if !at.Before(now.Truncate(time.Second)) {
			now = at.Add(time.Second)
		}
	}
	return now.Format(layout), nil
}

// Diff writes the migration called name that leads from what the directory
// builds to the desired state, with its reverse beside it, and atlas.sum; it
// returns the files' names, none when there is nothing to do. Names in the files
// are unqualified. Views, functions, triggers and the like are outside of what
// Atlas' library compares: such a migration is written by hand, see
// [Directory.New].
func Diff(ctx context.Context, scratch *Scratch, d *Directory, desired, name string) (names []string, err error) {
	if !namePattern.MatchString(name) {
		return nil, ErrName
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	scripts, err := d.scripts()
	if err != nil {
		return nil, err
	}
	current, err := scratch.build(ctx, scripts...)
	if err != nil {
		return nil, fmt.Errorf("build what the migrations say: %w", err)
	}
	wanted, err := scratch.build(ctx, script{"the desired state", desired})
	if err != nil {
		return nil, fmt.Errorf("build what is desired: %w", err)
	}
	changes, err := scratch.driver.SchemaDiff(current, wanted)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	version, err := d.nextVersion()
	if err != nil {
		return nil, err
	}
	unqualified := ""
	planned, err := scratch.driver.PlanChanges(ctx, name, changes, func(o *atlas.PlanOptions) {
		o.SchemaQualifier = &unqualified
		o.Mode = atlas.PlanModeInPlace
	})
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	up, down := render(planned)
	for suffix, content := range map[string]string{".up.sql": up, ".down.sql": down} {
		file := version + "_" + name + suffix
		if err := d.dir.WriteFile(file, []byte(content)); err != nil {
			return nil, fmt.Errorf("write %s: %w", file, err)
		}
		names = append(names, file)
	}
	return names, d.Hash()
}

// render writes a plan as golang-migrate's two files. Atlas' own formatter would
// name them by the time at which it runs, which may be an earlier version's.
func render(planned *atlas.Plan) (up, down string) {
	var forward, backward strings.Builder
	for _, change := range planned.Changes {
		if change.Comment != "" {
			fmt.Fprintf(&forward, "-- %s\n", change.Comment)
		}
		fmt.Fprintf(&forward, "%s;\n", change.Cmd)
	}
	for i := len(planned.Changes) - 1; i >= 0; i-- {
		change := planned.Changes[i]
		statements, err := change.ReverseStmts()
		if err != nil || len(statements) == 0 {
			fmt.Fprintf(&backward, "-- cannot be taken back: %s\n", change.Comment)
			continue
		}
		if change.Comment != "" {
			fmt.Fprintf(&backward, "-- reverse: %s\n", change.Comment)
		}
		for _, statement := range statements {
			fmt.Fprintf(&backward, "%s;\n", statement)
		}
	}
	return forward.String(), backward.String()
}

// Repair returns the statements that turn the schema called name, in the
// database that url leads to, into what should builds; "" when Atlas sees no
// difference. It only reads there, on a connection of its own, whose path Atlas
// changes: url must not lead through a pooler. What the migrations' own table
// holds is left alone, and views, functions and triggers are outside of what
// Atlas' library compares.
func Repair(ctx context.Context, scratch *Scratch, url, name, should string) (statements string, err error) {
	wanted, err := scratch.build(ctx, script{"what the migrations say", should})
	if err != nil {
		return "", fmt.Errorf("build what the migrations say: %w", err)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", errors.New("the database's URL is not one of PostgreSQL") // pgx's error may show the password
	}
	config.RuntimeParams["search_path"] = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	config.RuntimeParams["default_transaction_read_only"] = "on"
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	driver, err := postgres.Open(db)
	if err != nil {
		return "", fmt.Errorf("inspect %s: %w", name, err)
	}
	is, err := driver.InspectSchema(ctx, name, &schema.InspectOptions{Exclude: []string{"_migrations"}})
	if err != nil {
		return "", fmt.Errorf("inspect %s: %w", name, err)
	}
	is.Name = workSchema // as the other one, see above
	changes, err := scratch.driver.SchemaDiff(is, wanted)
	if err != nil {
		return "", fmt.Errorf("compare: %w", err)
	}
	if len(changes) == 0 {
		return "", nil
	}
	unqualified := ""
	planned, err := scratch.driver.PlanChanges(ctx, "repair", changes, func(o *atlas.PlanOptions) {
		o.SchemaQualifier = &unqualified
		o.Mode = atlas.PlanModeInPlace
	})
	if err != nil {
		return "", fmt.Errorf("plan: %w", err)
	}
	up, _ := render(planned)
	return up, nil
}
