package migrate

import (
	"fmt"
	"sync"

	"github.com/tenonhq/tenon/platform/tenant"
)

// segment is a part of the way from one version to another: a transaction, or
// a file that runs outside of one.
type segment struct {
	from, to string
	files    []string
	recorded string     // what _migrations holds before
	body     []string   // the statements, and the rows that record them; only these for a file apart
	apart    *Migration // the file when it is one that runs outside of transactions
}

// segments is the way that applies pending to what has applied: as few
// transactions as files marked txmode none between them allow.
func segments(applied, pending []Migration) []segment {
	var result []segment
	for start := 0; start < len(pending); {
		end := start + 1
		for !pending[start].Apart && end < len(pending) && !pending[end].Apart {
			end++
		}
		before := append(applied[:len(applied):len(applied)], pending[:start]...)
		s := segment{to: pending[end-1].Version, recorded: revisions(before), body: steps(pending[start:end])}
		if len(before) > 0 {
			s.from = before[len(before)-1].Version
		}
		for _, m := range pending[start:end] {
			s.files = append(s.files, m.File)
		}
		if m := pending[start]; m.Apart {
			s.apart = &pending[start]
			s.body = steps([]Migration{{File: m.File, Hash: m.Hash}})
		}
		result = append(result, s)
		start = end
	}
	return result
}

// ways are the ways between versions that a run has met. Thousands of tenants
// share a few.
type ways struct {
	plan func(from, to string) ([]segment, error)

	mu    sync.Mutex
	known map[[2]string][]segment
}

func newWays(plan func(from, to string) ([]segment, error)) *ways {
	return &ways{plan: plan, known: map[[2]string][]segment{}}
}

// between returns the way, empty when from is as far as to already.
func (w *ways) between(from, to string) ([]segment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := [2]string{from, to}
	if way, ok := w.known[key]; ok {
		return way, nil
	}
	way, err := w.plan(from, to)
	if err != nil {
		return nil, err
	}
	w.known[key] = way
	return way, nil
}

// planUp is the way up of a tenant.
func (e *Engine) planUp(from, to string) ([]segment, error) {
	at, target, err := e.positions(from, to)
	if err != nil || at >= target {
		return nil, err
	}
	return segments(e.tenants.migrations[:at], e.tenants.migrations[at:target]), nil
}

func (e *Engine) positions(from, to string) (at, target int, err error) {
	at, ok := e.tenants.index(from)
	if !ok {
		return 0, 0, fmt.Errorf("it is at version %q, which this binary does not have: the database is newer, or a migration file is missing", from)
	}
	target, ok = e.tenants.index(to)
	if !ok {
		return 0, 0, fmt.Errorf("there is no version %q in this binary", to)
	}
	return at, target, nil
}

// checks are what has to hold under the lock before a file apart is begun.
func (s segment) checks(schema tenant.Schema) []string {
	registered := "(SELECT schema_version FROM public.tenants WHERE schema_name = " + literal(schema.String()) + ")"
	return []string{
		check(registered+" IS DISTINCT FROM "+literal(s.from), codeMoved, "its version has changed meanwhile"),
		altered(s.recorded),
	}
}

// statements are everything that a segment does to one tenant: all of it, or the
// second half of a file apart. fingerprint is the schema's behind it, and read
// from the catalog when it is "". finally is added at the end.
func (s segment) statements(options Options, schema tenant.Schema, fingerprint string, finally []string) []string {
	statements := append([]string{options.lockTimeout(), lock(schema), moves(schema, s.from, s.to, fingerprint), unaltered(s.recorded)}, s.body...)
	if fingerprint == "" {
		statements = append(statements, measured(schema))
	}
	return append(statements, finally...)
}

// What a guard within plain SQL raises: there is no other way to raise an error
// than a value that is none of its type. A DO block could name an SQLSTATE, and
// takes a third of a small migration's time to be compiled.
const (
	markMoved   = "tenon:moved"
	markAltered = "tenon:altered"
)

func lock(schema tenant.Schema) string {
	return "SELECT pg_advisory_xact_lock(" + lockKey(schema.String()) + ")"
}

// moves writes a tenant's new version into the registry, and its fingerprint if
// that is known, and raises [codeMoved] when it is not at from any more.
func moves(schema tenant.Schema, from, to, fingerprint string) string {
	set := ""
	if fingerprint != "" {
		set = ", schema_fingerprint = " + literal(fingerprint)
	}
	return "UPDATE public.tenants SET schema_version = CASE schema_version WHEN " + literal(from) + " THEN " + literal(to) +
		" ELSE (" + literal(markMoved+" ") + " || schema_version)::integer::text END" + set + " WHERE schema_name = " + literal(schema.String())
}

// unaltered raises [codeAltered] unless _migrations holds what recorded says.
func unaltered(recorded string) string {
	return "SELECT CASE WHEN revisions IS DISTINCT FROM nullif(" + literal(recorded) + ", '') THEN (" + literal(markAltered+" ") +
		" || coalesce(length(revisions), 0))::integer END FROM (" + selectRevisions + ") recorded (revisions)"
}

// measured writes a tenant's fingerprint into the registry, read from the
// catalog.
func measured(schema tenant.Schema) string {
	return "UPDATE public.tenants SET schema_fingerprint = f.fingerprint FROM (\n" + fingerprintOf(schema) + ") f WHERE tenants.schema_name = f.schema_name"
}
