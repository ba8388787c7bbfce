package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	_ "ariga.io/atlas/sql/postgres/postgrescheck" // registers PostgreSQL's analyzers
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlcheck"
	"ariga.io/atlas/sql/sqlclient"
)

// Finding is something that a reviewer should look at twice.
type Finding struct {
	// File is the migration's name, Line the line of the statement, from 1.
	File string
	Line int
	// Code is Atlas' code of the check, such as DS102 (a table is dropped), or
	// one of our own: TN101 for an index that is made without CONCURRENTLY.
	Code string
	Text string
}

// String is the finding as a compiler would print it.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", f.File, f.Line, f.Text, f.Code)
}

// LintOptions say what [Lint] looks at.
type LintOptions struct {
	// Latest is how many of the newest files are looked at; 0 is all of them.
	Latest int
	// Concurrently reports indexes on tables that exist already and are made
	// without CONCURRENTLY, which keeps writers waiting.
	Concurrently bool
}

// Lint applies the directory's files, one after another, and reports what the
// newest ones destroy, what depends on the data that they will meet, and what
// breaks the version of the application that is still running meanwhile.
func Lint(ctx context.Context, scratch *Scratch, d *Directory, options LintOptions) ([]Finding, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	files, err := d.dir.Files()
	if err != nil {
		return nil, err
	}
	first := 0
	if options.Latest > 0 {
		first = max(0, len(files)-options.Latest)
	}
	state, err := scratch.build(ctx)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for i, file := range files {
		statements, err := (&postgres.Driver{}).ScanStmts(string(file.Bytes()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		looked := &sqlcheck.File{File: file, From: realm(state)}
		before := state
		for _, statement := range statements {
			if _, err := scratch.db.ExecContext(ctx, statement.Text); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file.Name(), lineOf(file, statement.Pos), err)
			}
			if i < first {
				continue
			}
			after, err := scratch.inspect(ctx)
			if err != nil {
				return nil, err
			}
			changes, err := scratch.driver.SchemaDiff(state, after)
			if err != nil {
				return nil, err
			}
			looked.Changes = append(looked.Changes, &sqlcheck.Change{Changes: changes, Stmt: statement})
			if options.Concurrently {
				findings = append(findings, blockingIndexes(file, statement, before, changes)...)
			}
			state = after
		}
		if i < first {
			if state, err = scratch.inspect(ctx); err != nil {
				return nil, err
			}
			continue
		}
		looked.To = realm(state)
		if looked.Sum, err = scratch.driver.SchemaDiff(before, state); err != nil {
			return nil, err
		}
		found, err := analyze(ctx, scratch, looked)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

// analyze asks each of Atlas' analyzers by itself: the list of all stops at the
// first that finds something.
func analyze(ctx context.Context, scratch *Scratch, file *sqlcheck.File) (findings []Finding, err error) {
	analyzers, err := sqlcheck.AnalyzerFor(postgres.DriverName, nil)
	if err != nil {
		return nil, err
	}
	pass := &sqlcheck.Pass{
		File: file,
		Dev:  &sqlclient.Client{Name: postgres.DriverName, Driver: scratch.driver},
		Reporter: sqlcheck.ReportWriterFunc(func(report sqlcheck.Report) {
			for _, diagnostic := range report.Diagnostics {
				findings = append(findings, Finding{
					File: file.Name(), Line: lineOf(file, diagnostic.Pos), Code: diagnostic.Code, Text: diagnostic.Text,
				})
			}
		}),
	}
	var errs []error
	for _, analyzer := range analyzers {
		reported := len(findings)
		if err := analyzer.Analyze(ctx, pass); err != nil && len(findings) == reported {
			errs = append(errs, err) // some return what they reported as an error, too
		}
	}
	return findings, errors.Join(errs...)
}

// blockingIndexes are indexes on tables that were there before the file.
func blockingIndexes(file atlas.File, statement *atlas.Stmt, before *schema.Schema, changes schema.Changes) (findings []Finding) {
	for _, change := range changes {
		modified, ok := change.(*schema.ModifyTable)
		if !ok {
			continue
		}
		if _, existed := before.Table(modified.T.Name); !existed || strings.Contains(strings.ToUpper(statement.Text), "CONCURRENTLY") {
			continue
		}
		for _, part := range modified.Changes {
			if added, ok := part.(*schema.AddIndex); ok {
				findings = append(findings, Finding{
					File: file.Name(), Line: lineOf(file, statement.Pos), Code: "TN101",
					Text: fmt.Sprintf("Creating index %q without CONCURRENTLY keeps writers of %q waiting", added.I.Name, modified.T.Name),
				})
			}
		}
	}
	return findings
}

func realm(s *schema.Schema) *schema.Realm { return &schema.Realm{Schemas: []*schema.Schema{s}} }

func lineOf(file atlas.File, position int) int {
	text := file.Bytes()
	return 1 + strings.Count(string(text[:min(position, len(text))]), "\n")
}
