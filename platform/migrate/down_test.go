package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/migrate"
)

// The ways back of v2's and later files. Names end in "!" for the reverse.
var (
	down2 = files{"2_colour!": "DROP INDEX things_colour; ALTER TABLE things DROP COLUMN colour"}
	v4    = with(v2, down2, files{
		"3_index": apart + "CREATE INDEX CONCURRENTLY things_name ON things (name)", "3_index!": apart + "DROP INDEX CONCURRENTLY things_name",
		"4_nothing_lost": "ALTER TABLE things ALTER COLUMN name SET DEFAULT 'nothing'", "4_nothing_lost!": "ALTER TABLE things ALTER COLUMN name SET DEFAULT 'what?'",
	})
)

const at2 = "20260101000002"

func with(sets ...files) files {
	result := files{}
	for _, set := range sets {
		for name, text := range set {
			result[name] = text
		}
	}
	return result
}

func TestDown(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	v2 := f.engine(t, with(v2, down2))
	first, err := v2.Up(t.Context(), migrate.Options{Only: []string{"t000", "t001"}})
	if err != nil || first.Migrated != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	up(t, v2) // the others, by another run
	f.exec(t, f.schemas[0], `INSERT INTO things (id, colour) VALUES (1, 'blue')`)

	_, err = v2.Down(t.Context(), migrate.DownOptions{Run: first.Run})
	destructive, ok := errors.AsType[*migrate.DestructiveError](err)
	if !ok || !slices.Equal(destructive.Losses, []string{"column things.colour"}) {
		t.Errorf("%v", err)
	}
	if len(f.at(t, 2)) != 4 {
		t.Error("somebody went back all the same")
	}
	back, err := v2.Down(t.Context(), migrate.DownOptions{Run: first.Run, AllowDestructive: true})
	if err != nil || back.Migrated != 2 {
		t.Fatalf("%+v, %v", back, err)
	}
	if got := f.at(t, 1); !slices.Equal(got, []string{"tenant_t000", "tenant_t001"}) {
		t.Errorf("%v went back", got)
	}
	f.whole(t)
	fresh := mustProvision(t, f.db, f.old, "fresh")
	for _, schema := range []string{"tenant_t000", fresh.String()} {
		if got := text(t, f.db, fresh, `SELECT count(DISTINCT schema_fingerprint) FROM public.tenants WHERE schema_name IN (?, ?)`, schema, fresh.String()); got != "1" {
			t.Errorf("%s is not what its version was", schema)
		}
	}
	// Once they are back there is nobody of the run to go back, and up leads on.
	if again, err := v2.Down(t.Context(), migrate.DownOptions{Run: first.Run, AllowDestructive: true}); err != nil || again.Run != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if again := up(t, v2); again.Migrated != 3 {
		t.Errorf("%+v", again)
	}
}

func TestDownOfOneTenantOverSeveralFiles(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	engine := f.engine(t, with(v2, down2))
	up(t, engine)
	engine = f.engine(t, with(v4, files{"3_index": strings.TrimPrefix(strings.ReplaceAll(v4["3_index"], " CONCURRENTLY", ""), apart)}))
	up(t, engine)
	result, err := engine.Down(t.Context(), migrate.DownOptions{To: at2, Options: migrate.Options{Only: []string{"t001"}}})
	if err != nil || result.Migrated != 1 || !slices.Equal(f.at(t, 2), []string{"tenant_t001"}) {
		t.Errorf("%+v, %v", result, err)
	}
	if got := text(t, f.db, f.schemas[1], `SELECT count(*) || coalesce(to_regclass('things_name')::text, '') FROM _migrations`); got != "2" {
		t.Errorf("left: %s", got)
	}
}

// TestATenantThatWentOnIsNotTakenBack was migrated further while the run that takes it
// back was stopped: what it would lose now, nobody has looked for.
func TestATenantThatWentOnIsNotTakenBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	content := with(v2, down2)
	up(t, f.engine(t, content))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped, err := f.engine(t, content).Down(ctx, migrate.DownOptions{
		To: "20260101000001", AllowDestructive: true, Options: migrate.Options{Only: f.names(), Workers: 1, Observe: func(migrate.Progress) { cancel() }},
	})
	if !errors.Is(err, context.Canceled) || stopped.Migrated != 1 || stopped.Left != 2 {
		t.Fatalf("%+v, %v", stopped, err)
	}
	newest := f.engine(t, with(content, files{"3_notes": "CREATE TABLE notes (id int)", "3_notes!": "DROP TABLE notes"}))
	if result, err := newest.Up(t.Context(), migrate.Options{Only: []string{"t001"}}); err != nil || result.Migrated != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	f.exec(t, f.schemas[1], `INSERT INTO notes VALUES (1)`)

	result, err := newest.Resume(t.Context(), stopped.Run, migrate.Options{})
	if err != nil || result.Migrated != 1 || len(result.Failures) != 1 || result.Failures[0].Schema != "tenant_t001" {
		t.Errorf("%+v, %v", result, err)
	}
	if got := f.at(t, 3); !slices.Equal(got, []string{"tenant_t001"}) {
		t.Errorf("%v are where they went on to", got)
	}
}

func TestWaysBackThatAreRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	up(t, f.engine(t, v2))
	one := migrate.Options{Only: []string{"t000"}}
	for name, c := range map[string]struct {
		reverse files
		options migrate.DownOptions
		want    string
	}{
		"no reverse":            {nil, migrate.DownOptions{To: "20260101000001", Options: one}, "colour.up.sql has no reverse"},
		"an empty reverse":      {files{"2_colour!": "-- nothing\n"}, migrate.DownOptions{To: "20260101000001", Options: one}, "has no reverse"},
		"half a reverse":        {files{"2_colour!": "DROP INDEX things_colour"}, migrate.DownOptions{To: "20260101000001", Options: one}, "do not lead to"},
		"a broken reverse":      {files{"2_colour!": "DROP INDEX nowhere"}, migrate.DownOptions{To: "20260101000001", Options: one}, "fail"},
		"rows":                  {files{"2_colour!": down2["2_colour!"] + "; DELETE FROM things"}, migrate.DownOptions{To: "20260101000001", Options: one}, "rows, by the DELETE"},
		"rows, over lines":      {files{"2_colour!": down2["2_colour!"] + ";\nUPDATE\n  things SET name = ''"}, migrate.DownOptions{To: "20260101000001", Options: one}, "rows, by the UPDATE"},
		"an unknown version":    {down2, migrate.DownOptions{To: "20990101000001", Options: one}, "no version"},
		"a version ahead":       {with(down2, files{"3_more": "CREATE TABLE more (id int)"}), migrate.DownOptions{To: "20260101000003", Options: one}, "is not before"},
		"an unknown run":        {down2, migrate.DownOptions{Run: 99}, "no such run"},
		"everybody":             {down2, migrate.DownOptions{To: "20260101000001"}, "Want the tenants"},
		"no version and no run": {down2, migrate.DownOptions{Options: one}, "Want the version"},
		"an unknown tenant":     {down2, migrate.DownOptions{To: "20260101000001", Options: migrate.Options{Only: []string{"nobody"}}}, "no tenant"},
	} {
		if _, err := f.engine(t, with(v2, c.reverse)).Down(t.Context(), c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.at(t, 2)) != 1 {
		t.Error("the tenant went back")
	}
	_, err := f.engine(t, v2).Down(t.Context(), migrate.DownOptions{Run: 99})
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
}

func TestAReverseWithoutItsFile(t *testing.T) {
	t.Parallel()
	fsys := directory(t, with(v2, down2))
	for name, file := range fsys {
		if strings.HasSuffix(name, ".down.sql") {
			fsys["20260101000007_other.down.sql"] = file
		}
	}
	if _, err := migrate.Load(fsys); err == nil || !strings.Contains(err.Error(), "other.up.sql, which is missing") {
		t.Errorf("%v", err)
	}
}
