package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/sqltool"
)

// Migration is one versioned file.
type Migration struct {
	// Version orders the migrations: fourteen digits, a UTC time.
	Version string
	// File is the file's name, VERSION_name.up.sql.
	File string
	// Hash is the file's in atlas.sum, which covers every file before it too.
	Hash string
	// Statements are the file's, in order, without what separates them.
	Statements []string
	// Reverse are the statements of VERSION_name.down.sql, in order; none when
	// the file is missing or says nothing. atlas.sum does not cover them:
	// [Engine.Down] tries them before it uses them.
	Reverse []string
	// Apart is a file marked `-- atlas:txmode none`: its statements, which make
	// or drop indexes CONCURRENTLY, cannot run in a transaction.
	Apart bool
}

// inTransaction are the statements as a transaction takes them: on a schema
// that nobody uses yet, an index needs no CONCURRENTLY.
func (m Migration) inTransaction() []string {
	if !m.Apart {
		return m.Statements
	}
	result := make([]string, len(m.Statements))
	for i, statement := range m.Statements {
		result[i] = withoutConcurrently(statement)
	}
	return result
}

// Directory is a directory of versioned migrations whose atlas.sum was verified.
type Directory struct {
	migrations []Migration
}

var (
	upName   = regexp.MustCompile(`^[0-9]{14}_[a-z0-9_]+\.up\.sql$`)
	downName = regexp.MustCompile(`^[0-9]{14}_[a-z0-9_]+\.down\.sql$`)
)

// Load reads a directory in golang-migrate's layout: VERSION_name.up.sql, its
// reverse VERSION_name.down.sql, and atlas.sum over the former. It fails, naming
// the file, for one that was edited, added or taken away since atlas.sum was
// written, that is misnamed, or that has no statement.
func Load(fsys fs.FS) (*Directory, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != atlas.HashFileName && !upName.MatchString(name) && !downName.MatchString(name) {
			return nil, fmt.Errorf("migrations: %s: want VERSION_name.up.sql or VERSION_name.down.sql, the version fourteen digits and the name of a-z, 0-9 and _", name)
		}
	}
	dir := &sqltool.GolangMigrateDir{FS: fsys}
	if err := validate(dir); err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	files, err := dir.Files()
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	sums, err := dir.Checksum()
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	d := &Directory{migrations: make([]Migration, len(files))}
	for i, file := range files {
		hash, err := sums.SumByName(file.Name())
		if err != nil {
			return nil, fmt.Errorf("migrations: %s has no line in atlas.sum", file.Name())
		}
		d.migrations[i] = Migration{Version: file.Version(), File: file.Name(), Hash: hash}
		if i > 0 && d.migrations[i-1].Version == file.Version() {
			return nil, fmt.Errorf("migrations: %s and %s have the same version", d.migrations[i-1].File, file.Name())
		}
		if err := d.migrations[i].read(fsys, file); err != nil {
			return nil, err
		}
	}
	for _, entry := range entries {
		name := entry.Name()
		if up := strings.TrimSuffix(name, ".down.sql") + ".up.sql"; downName.MatchString(name) && !slices.ContainsFunc(d.migrations, func(m Migration) bool { return m.File == up }) {
			return nil, fmt.Errorf("migrations: %s is the reverse of %s, which is missing", name, up)
		}
	}
	return d, nil
}

// read fills in the statements of the file and of its reverse.
func (m *Migration) read(fsys fs.FS, file atlas.File) (err error) {
	text := string(file.Bytes())
	if m.Statements, err = statements(text); err != nil {
		return fmt.Errorf("migrations: %s: %w", m.File, err)
	}
	if len(m.Statements) == 0 {
		return fmt.Errorf("migrations: %s: no statement in it", m.File)
	}
	if strings.Contains(text, "atlas:txmode") {
		if !apartHeader.MatchString(text) {
			return fmt.Errorf("migrations: %s: a file that runs outside of transactions begins with the line `-- atlas:txmode none` and an empty line", m.File)
		}
		m.Apart = true
		for _, statement := range m.Statements {
			if _, err := parseIndexStatement(statement); err != nil {
				return fmt.Errorf("migrations: %s: %w", m.File, err)
			}
		}
	}
	reverse := reverseFile(m.File)
	content, err := fs.ReadFile(fsys, reverse)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("migrations: %w", err)
	}
	if m.Reverse, err = statements(string(content)); err != nil {
		return fmt.Errorf("migrations: %s: %w", reverse, err)
	}
	for i, statement := range m.Reverse {
		m.Reverse[i] = withoutConcurrently(statement)
	}
	return nil
}

// apartHeader is how a file says that it runs outside of transactions; Atlas
// takes a directive for the file's only when an empty line follows.
var apartHeader = regexp.MustCompile(`^-- atlas:txmode none[ \t]*\r?\n[ \t]*\r?\n`)

// validate says in words what Atlas' checksum error means.
func validate(dir atlas.Dir) error {
	err := atlas.Validate(dir)
	var mismatch *atlas.ChecksumError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch) && mismatch.File != "":
		what := map[atlas.Reason]string{
			atlas.ReasonAdded: "was added", atlas.ReasonEdited: "was edited", atlas.ReasonRemoved: "was taken away",
		}[mismatch.Reason]
		return fmt.Errorf("%s %s since atlas.sum was written; a migration that was applied anywhere must stay as it is", mismatch.File, what)
	case errors.Is(err, atlas.ErrChecksumNotFound):
		return errors.New("atlas.sum is missing")
	case errors.Is(err, atlas.ErrChecksumFormat):
		return errors.New("atlas.sum is not readable as one")
	}
	return fmt.Errorf("atlas.sum does not fit the files: %w", err)
}

// statements splits a file as PostgreSQL's own tools would.
func statements(text string) ([]string, error) {
	scanned, err := (&postgres.Driver{}).ScanStmts(text)
	if err != nil {
		return nil, err
	}
	var result []string
	for _, statement := range scanned {
		if text := strings.TrimSuffix(strings.TrimSpace(statement.Text), ";"); text != "" {
			result = append(result, text)
		}
	}
	return result, nil
}

// Latest returns the newest version, "" for an empty directory.
func (d *Directory) Latest() string {
	if len(d.migrations) == 0 {
		return ""
	}
	return d.migrations[len(d.migrations)-1].Version
}

// Migrations returns all migrations, the oldest first.
func (d *Directory) Migrations() []Migration { return slices.Clone(d.migrations) }

// index returns how many migrations lead to version, which is 0 for "".
// ok is false for a version that the directory does not have.
func (d *Directory) index(version string) (n int, ok bool) {
	if version == "" {
		return 0, true
	}
	at := slices.IndexFunc(d.migrations, func(m Migration) bool { return m.Version == version })
	return at + 1, at >= 0
}

// Script returns the statements of the migrations up to version, for building
// what it is somewhere else; ok is false for a version that the directory does
// not have.
func (d *Directory) Script(version string) (script string, ok bool) {
	n, ok := d.index(version)
	for _, m := range d.migrations[:n] {
		script += joined(m.inTransaction()...)
	}
	return script, ok
}
