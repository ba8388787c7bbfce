package migrate

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"
	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Preview is what [Engine.Up] would send.
type Preview struct {
	// Public is the SQL for public, "" when there is none.
	Public string
	// Groups are the tenants by the version they are at.
	Groups []PreviewGroup
}

// PreviewGroup are tenants that would get the same SQL.
type PreviewGroup struct {
	From, To string
	// Tenants is how many they are.
	Tenants int
	// Schema is the first of them, whose name stands in SQL.
	Schema string
	SQL    string
	// Apart are the files that would run outside of a transaction.
	Apart []string
	// Err is why nothing would be sent, nil mostly.
	Err error
}

// unknownFingerprint stands in a preview for a fingerprint that is worked out once
// public is migrated: what is to be built may call what public lacks.
const unknownFingerprint = "(the fingerprint)"

// Preview returns what [Engine.Up] would send with the options, and changes
// nothing. It leaves canaries and waves aside: they change the order alone. Where
// public is behind, "(the fingerprint)" stands for those of tenants.
func (e *Engine) Preview(ctx context.Context, options Options) (preview Preview, err error) {
	options = options.complete()
	applied, err := e.publicRevisions(ctx)
	if err != nil {
		return preview, fault.Wrap("preview", err)
	}
	if err := e.comparePublic(applied); err != nil && !errors.Is(err, errBehind) {
		return preview, fault.Wrap("preview", err)
	}
	for _, s := range segments(e.public.migrations[:len(applied)], e.public.migrations[len(applied):]) {
		preview.Public += joined(publicStatements(options, s)...)
	}
	if len(applied) == 0 {
		return preview, nil // there is no registry yet
	}
	w := newWays(e.planUp)
	err = e.chosen(ctx, options, func(members []fleetMember) error {
		for _, member := range members {
			if n := len(preview.Groups); n == 0 || preview.Groups[n-1].From != member.version {
				preview.Groups = append(preview.Groups, e.group(ctx, w, options, member, preview.Public != ""))
			}
			preview.Groups[len(preview.Groups)-1].Tenants++
		}
		return nil
	})
	return preview, fault.Wrap("preview", err)
}

func (e *Engine) group(ctx context.Context, w *ways, options Options, member fleetMember, publicIsBehind bool) PreviewGroup {
	g := PreviewGroup{From: member.version, To: e.tenants.Latest(), Schema: member.schema}
	schema, err := tenant.Parse(member.schema)
	if err != nil {
		g.Err = err
		return g
	}
	way, err := w.between(g.From, g.To)
	if err != nil {
		g.Err = err
		return g
	}
	fingerprint := member.fingerprint
	for _, s := range way {
		switch {
		case !publicIsBehind:
			fingerprint, err = e.foretell(ctx, s.from, s.to, fingerprint)
		case fingerprint != unknownFingerprint:
			if fingerprint, err = e.foretell(ctx, s.from, s.from, fingerprint); fingerprint != "" {
				fingerprint = unknownFingerprint
			}
		}
		if err != nil {
			g.Err = err
			return g
		}
		if s.apart != nil {
			g.Apart = append(g.Apart, s.apart.File)
			g.SQL += joined(s.apart.Statements...)
		}
		g.SQL += joined(s.statements(options, schema, fingerprint, nil)...)
	}
	return g
}

// chosen hands the tenants that are behind and that the options choose to each,
// ordered by version and schema, a page at a time.
func (e *Engine) chosen(ctx context.Context, options Options, each func([]fleetMember) error) error {
	if err := e.checkChoice(ctx, options); err != nil {
		return err
	}
	only, version, after := "true", "", ""
	var names []any
	if len(options.Only) > 0 {
		only, names = matches, thrice(options.Only)
	}
	names = append(names, thrice(options.Except)...)
	for {
		args := append(append([]any{e.tenants.Latest()}, names...), version, after, pageSize)
		rows, err := e.db.Registry().QueryContext(ctx, `SELECT id, schema_name, schema_version, schema_fingerprint FROM tenants
			WHERE schema_version <> ? AND `+only+` AND NOT `+matches+` AND (schema_version, schema_name) > (?, ?)
			ORDER BY schema_version, schema_name LIMIT ?`, args...)
		if err != nil {
			return database.Classify(err)
		}
		members, err := scanMembers(rows, e.tenants.Latest())
		if err != nil || len(members) == 0 {
			return err
		}
		last := members[len(members)-1]
		version, after = last.version, last.schema
		if err := each(members); err != nil {
			return err
		}
	}
}

// Rehearsal is what [Engine.Rehearse] found.
type Rehearsal struct {
	// Tenants is how many were tried.
	Tenants int
	// Failures are those that would fail, and why. One whose locks were held by
	// others would be waited for in earnest.
	Failures []Failure
	// Longest is the longest time for which a tenant's locks were held, Slowest
	// that tenant's schema.
	Longest time.Duration
	Slowest string
	// Total is the time of all tenants together.
	Total time.Duration
	// LeftOut are the files marked txmode none, which cannot be rehearsed.
	LeftOut []string
}

// DefaultRehearsalTimeout is how long a rehearsal waits for a lock where
// Options.LockTimeout is 0: short, since others wait behind it.
const DefaultRehearsalTimeout = 100 * time.Millisecond

// Rehearse runs the migrations of every chosen tenant that is behind, and rolls
// each back. It takes the locks that the migration takes, for as long as the
// migration takes; it waits for one only shortly, and does not try again. Public
// has to be at its version.
func (e *Engine) Rehearse(ctx context.Context, options Options) (rehearsal Rehearsal, err error) {
	if options.LockTimeout <= 0 {
		options.LockTimeout = DefaultRehearsalTimeout
	}
	options = options.complete()
	if err := e.Check(ctx); err != nil {
		return rehearsal, fault.Wrap("rehearse", err)
	}
	var (
		mu       sync.Mutex
		w        = newWays(e.planUp)
		leftOut  = map[string]bool{}
		progress Progress
	)
	err = e.chosen(ctx, options, func(members []fleetMember) error {
		var group errgroup.Group
		group.SetLimit(options.Workers)
		for _, member := range members {
			group.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				held, apart, err := e.rehearse(ctx, w, options, member)
				if err != nil && (ctx.Err() != nil || isAway(err)) {
					return database.Classify(err)
				}
				mu.Lock()
				defer mu.Unlock()
				rehearsal.Tenants++
				rehearsal.Total += held
				for _, file := range apart {
					if !leftOut[file] {
						leftOut[file] = true
						rehearsal.LeftOut = append(rehearsal.LeftOut, file)
					}
				}
				if held > rehearsal.Longest {
					rehearsal.Longest, rehearsal.Slowest = held, member.schema
				}
				progress.Done++
				progress.Schema, progress.Err = member.schema, err
				if err != nil {
					progress.Failed++
					rehearsal.Failures = append(rehearsal.Failures, Failure{TenantID: member.id, Schema: member.schema, From: member.version, Err: err})
				}
				options.Observe(progress)
				return nil
			})
		}
		return group.Wait()
	})
	return rehearsal, fault.Wrap("rehearse", err)
}

// The end of a rehearsal is an error that carries the time since the lock, which
// rolls everything back in the same message.
const (
	codeRehearsed   = "TN003"
	rehearsalBegins = `DO $rehearsal$ BEGIN PERFORM set_config('tenon.rehearsal', clock_timestamp()::text, true); END $rehearsal$`
	rehearsalEnds   = `DO $rehearsed$ BEGIN RAISE EXCEPTION USING ERRCODE = '` + codeRehearsed + `',
MESSAGE = (extract(epoch FROM clock_timestamp() - current_setting('tenon.rehearsal')::timestamptz) * 1000000)::bigint::text; END $rehearsed$`
)

// rehearse does so for one tenant and returns for how long its locks were held.
func (e *Engine) rehearse(ctx context.Context, w *ways, options Options, member fleetMember) (held time.Duration, apart []string, err error) {
	schema, err := tenant.Parse(member.schema)
	if err != nil {
		return 0, nil, err
	}
	way, err := w.between(member.version, member.to)
	if err != nil || len(way) == 0 {
		return 0, nil, err
	}
	fingerprint, err := e.foretell(ctx, way[0].from, member.to, member.fingerprint)
	if err != nil {
		return 0, nil, err
	}
	statements := []string{options.lockTimeout(), lock(schema), rehearsalBegins, moves(schema, way[0].from, member.to, fingerprint), unaltered(way[0].recorded)}
	for _, s := range way {
		if s.apart != nil {
			apart = append(apart, s.apart.File)
			continue
		}
		statements = append(statements, s.body...)
	}
	if fingerprint == "" {
		statements = append(statements, measured(schema))
	}
	err = e.send(tenant.NewContext(ctx, schema), e.db.Owner(), append(statements, rehearsalEnds))
	switch sqlState(err) {
	case codeMoved: // somebody migrated it meanwhile, so nothing would be done
		return 0, apart, nil
	case codeRehearsed:
		return rehearsedIn(err), apart, nil
	}
	if err == nil {
		err = errors.New("the rehearsal was not rolled back")
	}
	if isGone(err) && errors.Is(e.reread(ctx, &member), sql.ErrNoRows) {
		return 0, apart, nil // purged meanwhile
	}
	return 0, apart, explain(err)
}

// rehearsedIn reads the microseconds in a rehearsal's last error.
func rehearsedIn(err error) time.Duration {
	raised, _ := errors.AsType[pgdriver.Error](err)
	n, parseErr := strconv.ParseInt(raised.Field('M'), 10, 64)
	if parseErr != nil {
		return 0 // only the text above has this code
	}
	return time.Duration(n) * time.Microsecond
}

// scanMembers reads id, schema, version and fingerprint of tenants that go to a version.
func scanMembers(rows *sql.Rows, to string) (members []fleetMember, err error) {
	err = each(rows, func() error {
		m := fleetMember{to: to}
		if err := rows.Scan(&m.id, &m.schema, &m.version, &m.fingerprint); err != nil {
			return err
		}
		members = append(members, m)
		return nil
	})
	return members, err
}
