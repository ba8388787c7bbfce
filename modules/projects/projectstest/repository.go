package projectstest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Fixture is an empty repository and two tenants of it, in both of which [Ada]
// and [Bob] are users.
type Fixture struct {
	Repository projects.Repository
	A, B       tenant.Schema
}

// everything is the scope of an owner.
var everything = projects.Scope{All: true}

// RunRepository runs the contract of [projects.Repository], each part of it on
// a fixture of its own.
func RunRepository(t *testing.T, newFixture func(t *testing.T) Fixture) {
	t.Helper()
	for name, test := range map[string]func(s suite, t *testing.T){
		"an inserted project is found":                suite.inserted,
		"a taken slug is refused":                     suite.taken,
		"a scope decides what is found":               suite.scoped,
		"edits change what they name":                 suite.edited,
		"a deleted project is gone":                   suite.deleted,
		"a list is newest first and goes on":          suite.listed,
		"a list goes on in every order":               suite.sorted,
		"a change names the versions it is for":       suite.versioned,
		"one of many changes a version":               suite.raceForVersion,
		"a filter narrows a list":                     suite.filtered,
		"a search takes every character as it is":     suite.searched,
		"a summary counts what the scope holds":       suite.summarized,
		"numbered slugs are found by their stem":      suite.numbered,
		"several projects are found at once":          suite.several,
		"several projects get a status at once":       suite.statusOfSeveral,
		"several projects are deleted at once":        suite.deletedAtOnce,
		"makers are told, those of most first":        suite.makers,
		"tenants are apart":                           suite.apart,
		"no tenant, no statement":                     suite.noTenant,
		"a cancelled context changes nothing":         suite.cancelled,
		"one of many takes a slug":                    suite.raceForSlug,
		"changes at once are all made, a delete once": suite.raceForRow,
		"hostile text stays text":                     suite.hostile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fixture := newFixture(t)
			test(suite{fixture, tenant.NewContext(t.Context(), fixture.A)}, t)
		})
	}
}

type suite struct {
	Fixture
	ctx context.Context // in tenant A
}

// insert adds projects one after the other, so the last is the newest.
func (s suite) insert(t *testing.T, ctx context.Context, list ...projects.Project) []projects.Project {
	t.Helper()
	var inserted []projects.Project
	for _, p := range list {
		stored, err := s.Repository.Insert(ctx, p)
		if err != nil {
			t.Fatalf("insert %s: %v", p.Slug, err)
		}
		inserted = append(inserted, stored)
	}
	return inserted
}

func (s suite) slugs(t *testing.T, ctx context.Context, scope projects.Scope, listing projects.Listing) []string {
	t.Helper()
	if listing.Limit == 0 {
		listing.Limit = projects.MaxLimit
	}
	found, err := s.Repository.List(ctx, scope, listing)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return Slugs(found)
}

func expectSlugs(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func expectError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func expectSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(projects.Slug{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (s suite) inserted(t *testing.T) {
	draft := Public(Archived(By(Bob, NewProject("apollo"))))
	draft.Name, draft.Description = "Projekt Äpollo 🚀 עברית", "Two\nlines"
	stored := s.insert(t, s.ctx, draft)[0]
	Equal(t, stored, draft)
	if stored.ID < 1 || stored.CreatedAt.IsZero() || !stored.UpdatedAt.Equal(stored.CreatedAt) {
		t.Errorf("id %d, created %v, updated %v", stored.ID, stored.CreatedAt, stored.UpdatedAt)
	}
	found, err := s.Repository.BySlug(s.ctx, everything, draft.Slug)
	if err != nil {
		t.Fatal(err)
	}
	expectSame(t, "found", found, stored)
	_, err = s.Repository.BySlug(s.ctx, everything, projects.MustParseSlug("gemini"))
	expectError(t, "a slug that nobody has", err, projects.ErrNotFound)
}

func (s suite) taken(t *testing.T) {
	s.insert(t, s.ctx, NewProject("apollo"), NewProject("gemini"))
	_, err := s.Repository.Insert(s.ctx, NewProject("apollo"))
	expectError(t, "insert", err, projects.ErrSlugTaken)
	slug := projects.MustParseSlug("apollo")
	_, err = s.Repository.Update(s.ctx, everything, projects.MustParseSlug("gemini"), nil, projects.Edits{Slug: &slug})
	expectError(t, "update", err, projects.ErrSlugTaken)
	if _, err := s.Repository.Update(s.ctx, everything, slug, nil, projects.Edits{Slug: &slug}); err != nil {
		t.Errorf("a project may keep its slug: %v", err)
	}
	expectSlugs(t, "afterwards", s.slugs(t, s.ctx, everything, projects.Listing{}), "gemini", "apollo")
}

func (s suite) scoped(t *testing.T) {
	const ofAda, adasPublic, ofBob, bobsPublic = "of-ada", "adas-public", "of-bob", "bobs-public"
	all := []string{bobsPublic, ofBob, adasPublic, ofAda}
	s.insert(t, s.ctx, NewProject(ofAda), Public(NewProject(adasPublic)), By(Bob, NewProject(ofBob)), Public(By(Bob, NewProject(bobsPublic))))
	for name, test := range map[string]struct {
		scope projects.Scope
		want  []string
	}{
		"nothing":            {projects.Scope{}, nil},
		"all":                {everything, all},
		"public":             {projects.Scope{Public: true}, []string{bobsPublic, adasPublic}},
		"own":                {projects.Scope{CreatedBy: Ada}, []string{adasPublic, ofAda}},
		"public and own":     {projects.Scope{Public: true, CreatedBy: Ada}, []string{bobsPublic, adasPublic, ofAda}},
		"somebody unknown's": {projects.Scope{CreatedBy: "user_none"}, nil},
	} {
		expectSlugs(t, name, s.slugs(t, s.ctx, test.scope, projects.Listing{}), test.want...)
		for _, slug := range all {
			var want error
			if !slices.Contains(test.want, slug) {
				want = projects.ErrNotFound
			}
			parsed := projects.MustParseSlug(slug)
			_, err := s.Repository.BySlug(s.ctx, test.scope, parsed)
			expectError(t, name+": by slug "+slug, err, want)
			_, err = s.Repository.Update(s.ctx, test.scope, parsed, nil, projects.Edits{Description: new(name)})
			expectError(t, name+": update "+slug, err, want)
			if want != nil {
				_, err = s.Repository.Delete(s.ctx, test.scope, parsed, nil)
				expectError(t, name+": delete "+slug, err, want)
			}
		}
	}
	expectSlugs(t, "afterwards", s.slugs(t, s.ctx, everything, projects.Listing{}), all...)
}

func (s suite) edited(t *testing.T) {
	before := s.insert(t, s.ctx, NewProject("apollo"))[0]
	slug := before.Slug
	for _, edits := range []projects.Edits{
		{Name: new("Näme")},
		{Description: new("Text")},
		{Description: new("")},
		{Public: new(true)},
		{Status: new(projects.StatusArchived)},
		{Slug: new(projects.MustParseSlug("gemini"))},
		{Name: new("A"), Slug: new(projects.MustParseSlug("a")), Description: new("b"), Public: new(false), Status: new(projects.StatusActive)},
	} {
		after, err := s.Repository.Update(s.ctx, everything, slug, nil, edits)
		if err != nil {
			t.Fatal(err)
		}
		want := edits.Apply(before)
		want.UpdatedAt = after.UpdatedAt
		expectSame(t, "after the edit", after, want)
		if !after.UpdatedAt.After(before.UpdatedAt) {
			t.Errorf("updated at %v, before that %v", after.UpdatedAt, before.UpdatedAt)
		}
		found, err := s.Repository.BySlug(s.ctx, everything, after.Slug)
		expectError(t, "by slug", err, nil)
		expectSame(t, "stored", found, after)
		before, slug = after, after.Slug
	}
	_, err := s.Repository.Update(s.ctx, everything, projects.MustParseSlug("apollo"), nil, projects.Edits{Name: new("x")})
	expectError(t, "a slug that was given up", err, projects.ErrNotFound)
}

func (s suite) deleted(t *testing.T) {
	kept, gone := NewProject("kept"), NewProject("gone")
	stored := s.insert(t, s.ctx, kept, gone)[1]
	deleted, err := s.Repository.Delete(s.ctx, everything, gone.Slug, nil)
	expectError(t, "delete", err, nil)
	expectSame(t, "deleted", deleted, stored)
	_, err = s.Repository.Delete(s.ctx, everything, gone.Slug, nil)
	expectError(t, "again", err, projects.ErrNotFound)
	_, err = s.Repository.Update(s.ctx, everything, gone.Slug, nil, projects.Edits{Name: new("x")})
	expectError(t, "update", err, projects.ErrNotFound)
	expectSlugs(t, "the rest", s.slugs(t, s.ctx, everything, projects.Listing{}), "kept")
	if again := s.insert(t, s.ctx, gone)[0]; again.ID == stored.ID {
		t.Error("an id was given twice")
	}
}

func (s suite) listed(t *testing.T) {
	s.insert(t, s.ctx, NewProject("a"), NewProject("b"), NewProject("c"), NewProject("d"), NewProject("e"))
	var seen []string
	listing := projects.Listing{Limit: 2}
	for range 4 {
		found, err := s.Repository.List(s.ctx, everything, listing)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			break
		}
		if seen = append(seen, Slugs(found)...); len(seen) == 2 {
			// What is added or deleted between two pages moves nothing.
			s.insert(t, s.ctx, NewProject("f"))
			if _, err := s.Repository.Delete(s.ctx, everything, found[1].Slug, nil); err != nil {
				t.Fatal(err)
			}
		}
		listing.After = projects.CursorAt(found[len(found)-1], listing.Order)
	}
	expectSlugs(t, "all pages", seen, "e", "d", "c", "b", "a")
}

// sorted goes through every order in pages of each size, over names and times
// that are equal.
func (s suite) sorted(t *testing.T) {
	names := []string{"beta", "Alpha", "alpha", "Zeta", "zeta", "10", "Éclair", "eclair", "項目", "a b", "a-b", "a_b"}
	var stored []projects.Project
	for i, name := range names {
		p := NewProject(string(rune('a' + i)))
		p.Name = name
		stored = append(stored, s.insert(t, s.ctx, p)...)
	}
	for _, i := range []int{2, 0, 10} {
		var err error
		stored[i], err = s.Repository.Update(s.ctx, everything, stored[i].Slug, nil, projects.Edits{Description: new("x")})
		expectError(t, "update", err, nil)
	}
	// A clock may stand still between any two of them.
	changed := slices.SortedFunc(slices.Values(stored), func(a, b projects.Project) int {
		if by := a.UpdatedAt.Compare(b.UpdatedAt); by != 0 {
			return by
		}
		return int(a.ID - b.ID)
	})
	changedLast := strings.Join(Slugs(changed), "")
	slices.Reverse(changed)
	for order, want := range map[projects.Order]string{
		"": "lkjihgfedcba", projects.NewestFirst: "lkjihgfedcba", projects.OldestFirst: "abcdefghijkl",
		projects.RecentlyChangedFirst: strings.Join(Slugs(changed), ""), projects.RecentlyChangedLast: changedLast,
		projects.ByName: "fjklbcahdegi", projects.ByNameBackwards: "igedhacblkjf",
	} {
		for limit := 1; limit <= len(names); limit += 2 {
			listing, got := projects.Listing{Order: order, Limit: limit}, ""
			for range names {
				found, err := s.Repository.List(s.ctx, everything, listing)
				expectError(t, "list", err, nil)
				if len(found) == 0 {
					break
				}
				got += strings.Join(Slugs(found), "")
				listing.After = projects.CursorAt(found[len(found)-1], order)
			}
			if got != want {
				t.Errorf("%q in pages of %d: %s, want %s", order, limit, got, want)
			}
		}
	}
}

// versioned holds that a change that names versions is made to those alone.
func (s suite) versioned(t *testing.T) {
	first := s.insert(t, s.ctx, NewProject("apollo"))[0]
	other := s.insert(t, s.ctx, NewProject("gemini"))[0]
	edits := projects.Edits{Description: new("x")}
	second, err := s.Repository.Update(s.ctx, everything, first.Slug, projects.Versions{projects.VersionOf(other), projects.VersionOf(first)}, edits)
	expectError(t, "update the version that is", err, nil)
	for name, versions := range map[string]projects.Versions{
		"no version": {}, "the version before": {projects.VersionOf(first)}, "another's": {projects.VersionOf(other)},
	} {
		_, err := s.Repository.Update(s.ctx, everything, first.Slug, versions, projects.Edits{Description: new("y")})
		expectError(t, "update "+name, err, projects.ErrNotFound)
		_, err = s.Repository.Delete(s.ctx, everything, first.Slug, versions)
		expectError(t, "delete "+name, err, projects.ErrNotFound)
		_, err = s.Repository.Update(s.ctx, projects.Scope{}, first.Slug, projects.Versions{projects.VersionOf(second)}, edits)
		expectError(t, "update out of scope", err, projects.ErrNotFound)
	}
	found, err := s.Repository.BySlug(s.ctx, everything, first.Slug)
	expectError(t, "by slug", err, nil)
	expectSame(t, "afterwards", found, second)
	_, err = s.Repository.Delete(s.ctx, everything, first.Slug, projects.Versions{projects.VersionOf(second)})
	expectError(t, "delete the version that is", err, nil)
}

// raceForVersion holds that of many changes to one version one is made.
func (s suite) raceForVersion(t *testing.T) {
	before := s.insert(t, s.ctx, NewProject("apollo"))[0]
	if n := together(t, 10, func(i int) error {
		edits := projects.Edits{Description: new(strings.Repeat("x", i+1))}
		_, err := s.Repository.Update(s.ctx, everything, before.Slug, projects.Versions{projects.VersionOf(before)}, edits)
		return err
	}, projects.ErrNotFound); n != 1 {
		t.Errorf("%d of 10 changes to one version were made", n)
	}
}

func (s suite) filtered(t *testing.T) {
	apollo, gemini, mercury := NewProject("apollo"), Archived(NewProject("gemini")), By(Bob, NewProject("mercury"))
	apollo.Name, gemini.Description, mercury.Name = "Über ÉTÉ", "Follows apollo", "100% ready_now"
	s.insert(t, s.ctx, apollo, Public(gemini), mercury)
	for name, test := range map[string]struct {
		filter projects.Filter
		want   []string
	}{
		"nothing":        {projects.Filter{}, []string{"mercury", "gemini", "apollo"}},
		"active":         {projects.Filter{Status: projects.StatusActive}, []string{"mercury", "apollo"}},
		"archived":       {projects.Filter{Status: projects.StatusArchived}, []string{"gemini"}},
		"public":         {projects.Filter{Public: new(true)}, []string{"gemini"}},
		"private":        {projects.Filter{Public: new(false)}, []string{"mercury", "apollo"}},
		"of a person":    {projects.Filter{CreatedBy: Bob}, []string{"mercury"}},
		"in any field":   {projects.Filter{Search: "APOLLO"}, []string{"gemini", "apollo"}},
		"in other cases": {projects.Filter{Search: "über été"}, []string{"apollo"}},
		"in all at once": {projects.Filter{Search: "apollo", Status: projects.StatusActive, Public: new(false), CreatedBy: Ada}, []string{"apollo"}},
		"not there":      {projects.Filter{Search: "soyuz"}, nil},
	} {
		expectSlugs(t, name, s.slugs(t, s.ctx, everything, projects.Listing{Filter: test.filter}), test.want...)
	}
	expectSlugs(t, "within a scope", s.slugs(t, s.ctx, projects.Scope{CreatedBy: Bob}, projects.Listing{Filter: projects.Filter{Search: "apollo"}}))
}

func (s suite) searched(t *testing.T) {
	names := []string{"100%", "under_score", `back\slash`, "quo'te", `double"quote`, "que?stion ?0 ??", "per%cent", "star*", "[set]"}
	for i, name := range names {
		p := NewProject("p-" + string(rune('a'+i)))
		p.Name = name
		s.insert(t, s.ctx, p)
	}
	for i, name := range names {
		expectSlugs(t, name, s.slugs(t, s.ctx, everything, projects.Listing{Filter: projects.Filter{Search: name}}), "p-"+string(rune('a'+i)))
	}
	for search, want := range map[string]int{"%": 2, "_": 1, `\`: 1, "%%": 0, "___": 0, "'": 1, "?": 1, ".*": 0} {
		if got := s.slugs(t, s.ctx, everything, projects.Listing{Filter: projects.Filter{Search: search}}); len(got) != want {
			t.Errorf("%q finds %q, want %d", search, got, want)
		}
	}
}

func (s suite) summarized(t *testing.T) {
	empty, err := s.Repository.Summarize(s.ctx, everything, Ada, 2)
	expectError(t, "empty", err, nil)
	expectSame(t, "empty", empty, projects.Summary{})
	stored := s.insert(t, s.ctx, NewProject("a"), Archived(NewProject("b")), Public(By(Bob, NewProject("c"))), By(Bob, NewProject("d")))
	for name, test := range map[string]struct {
		scope projects.Scope
		want  projects.Summary
	}{
		"all":     {everything, projects.Summary{All: 4, Active: 3, Archived: 1, Mine: 2, Recent: []projects.Project{stored[3], stored[2]}}},
		"public":  {projects.Scope{Public: true}, projects.Summary{All: 1, Active: 1, Recent: stored[2:3]}},
		"nothing": {projects.Scope{}, projects.Summary{}},
	} {
		got, err := s.Repository.Summarize(s.ctx, test.scope, Ada, 2)
		expectError(t, name, err, nil)
		expectSame(t, name, got, test.want)
	}
}

func (s suite) numbered(t *testing.T) {
	for _, slug := range []string{"apollo", "apollo-2", "apollo-11", "apollo-x", "apollo-2-3", "apollo2", "my-apollo", "apollos"} {
		s.insert(t, s.ctx, NewProject(slug))
	}
	found, err := s.Repository.Numbered(s.ctx, projects.MustParseSlug("apollo"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, slug := range found {
		got = append(got, slug.String())
	}
	slices.Sort(got)
	expectSlugs(t, "numbered", got, "apollo", "apollo-11", "apollo-2")
}

func (s suite) archiveAll(ctx context.Context, scope projects.Scope, slugs []projects.Slug) ([]projects.Project, error) {
	return s.Repository.SetStatus(ctx, scope, slugs, projects.StatusArchived)
}

func slugsOf(texts ...string) []projects.Slug {
	var slugs []projects.Slug
	for _, text := range texts {
		slugs = append(slugs, projects.MustParseSlug(text))
	}
	return slugs
}

// expectSet holds found, in any order, to be the projects called want.
func expectSet(t *testing.T, what string, found []projects.Project, err error, want ...string) {
	t.Helper()
	expectError(t, what, err, nil)
	got := Slugs(found)
	slices.Sort(got)
	expectSlugs(t, what, got, want...)
}

func (s suite) several(t *testing.T) {
	stored := s.insert(t, s.ctx, NewProject("a"), Public(By(Bob, NewProject("b"))), By(Bob, NewProject("c")))
	asked := slugsOf("a", "b", "c", "no-such")
	for name, test := range map[string]struct {
		scope projects.Scope
		slugs []projects.Slug
		want  []string
	}{
		"all":        {everything, asked, []string{"a", "b", "c"}},
		"some":       {everything, slugsOf("c", "a"), []string{"a", "c"}},
		"within":     {projects.Scope{Public: true, CreatedBy: Ada}, asked, []string{"a", "b"}},
		"none named": {everything, nil, nil},
		"no scope":   {projects.Scope{}, asked, nil},
	} {
		found, err := s.Repository.BySlugs(s.ctx, test.scope, test.slugs)
		expectSet(t, name, found, err, test.want...)
	}
	for _, p := range stored {
		renamed, err := s.Repository.Update(s.ctx, everything, p.Slug, nil, projects.Edits{Slug: new(projects.MustParseSlug("new-" + p.Slug.String()))})
		expectError(t, "rename", err, nil)
		found, err := s.Repository.ByID(s.ctx, everything, p.ID)
		expectError(t, "by id", err, nil)
		expectSame(t, "by id", found, renamed)
		_, err = s.Repository.ByID(s.ctx, projects.Scope{Public: !p.Public}, p.ID)
		if p.Public {
			expectError(t, "by id, out of scope", err, projects.ErrNotFound)
		}
	}
	_, err := s.Repository.ByID(s.ctx, everything, stored[2].ID+1)
	expectError(t, "an id that nothing has", err, projects.ErrNotFound)
}

func (s suite) statusOfSeveral(t *testing.T) {
	stored := s.insert(t, s.ctx, NewProject("a"), Archived(NewProject("b")), By(Bob, NewProject("c")), NewProject("d"))
	changed, err := s.archiveAll(s.ctx, projects.Scope{CreatedBy: Ada}, slugsOf("a", "b", "c", "no-such"))
	expectSet(t, "archived", changed, err, "a")
	if len(changed) == 1 && (changed[0].Status != projects.StatusArchived || !changed[0].UpdatedAt.After(stored[0].UpdatedAt)) {
		t.Errorf("archived into %+v", changed[0])
	}
	for i, want := range []projects.Status{projects.StatusArchived, projects.StatusArchived, projects.StatusActive, projects.StatusActive} {
		found, err := s.Repository.BySlug(s.ctx, everything, stored[i].Slug)
		expectError(t, "by slug", err, nil)
		if found.Status != want {
			t.Errorf("%s is %s", found.Slug, found.Status)
		}
		if i > 0 {
			expectSame(t, "what was left alone", found, stored[i])
		}
	}
	changed, err = s.Repository.SetStatus(s.ctx, everything, slugsOf("a", "b", "c"), projects.StatusActive)
	expectSet(t, "active again", changed, err, "a", "b")
	changed, err = s.archiveAll(s.ctx, everything, nil)
	expectSet(t, "none named", changed, err)
}

func (s suite) deletedAtOnce(t *testing.T) {
	stored := s.insert(t, s.ctx, NewProject("a"), NewProject("b"), By(Bob, NewProject("c")), NewProject("d"))
	deleted, err := s.Repository.DeleteAll(s.ctx, projects.Scope{CreatedBy: Ada}, slugsOf("a", "c", "d", "no-such"))
	expectSet(t, "deleted", deleted, err, "a", "d")
	for _, p := range deleted {
		expectSame(t, "as it was", p, stored[p.ID-stored[0].ID])
	}
	deleted, err = s.Repository.DeleteAll(s.ctx, everything, nil)
	expectSet(t, "none named", deleted, err)
	deleted, err = s.Repository.DeleteAll(s.ctx, projects.Scope{}, slugsOf("b"))
	expectSet(t, "no scope", deleted, err)
	expectSlugs(t, "the rest", s.slugs(t, s.ctx, everything, projects.Listing{}), "c", "b")
}

func (s suite) makers(t *testing.T) {
	expect := func(what string, scope projects.Scope, limit int, want ...string) {
		t.Helper()
		makers, err := s.Repository.Makers(s.ctx, scope, limit)
		expectError(t, what, err, nil)
		expectSlugs(t, what, makers, want...)
	}
	expect("nobody", everything, 10)
	s.insert(t, s.ctx, NewProject("a"), By(Bob, NewProject("b")), Public(By(Bob, NewProject("c"))))
	expect("everybody", everything, 10, Bob, Ada)
	expect("the first", everything, 1, Bob)
	expect("of public ones", projects.Scope{Public: true}, 10, Bob)
	expect("of none", projects.Scope{}, 10)
	s.insert(t, s.ctx, NewProject("d"))
	expect("equal ones by id", everything, 10, Ada, Bob)
}

func (s suite) apart(t *testing.T) {
	ctxB := tenant.NewContext(t.Context(), s.B)
	apollo := NewProject("apollo")
	stored := s.insert(t, s.ctx, apollo)[0]
	_, err := s.Repository.BySlug(ctxB, everything, apollo.Slug)
	expectError(t, "read from B", err, projects.ErrNotFound)
	_, err = s.Repository.Update(ctxB, everything, apollo.Slug, nil, projects.Edits{Name: new("x")})
	expectError(t, "update from B", err, projects.ErrNotFound)
	_, err = s.Repository.Delete(ctxB, everything, apollo.Slug, nil)
	expectError(t, "delete from B", err, projects.ErrNotFound)
	for name, operation := range map[string]func(context.Context, projects.Scope, []projects.Slug) ([]projects.Project, error){
		"get": s.Repository.BySlugs, "delete": s.Repository.DeleteAll, "archive": s.archiveAll,
	} {
		found, err := operation(ctxB, everything, []projects.Slug{apollo.Slug})
		if err != nil || len(found) > 0 {
			t.Errorf("%s several from B: %d found, %v", name, len(found), err)
		}
	}
	_, err = s.Repository.ByID(ctxB, everything, stored.ID)
	expectError(t, "by id from B", err, projects.ErrNotFound)
	if makers, err := s.Repository.Makers(ctxB, everything, 10); err != nil || len(makers) > 0 {
		t.Errorf("makers of B: %q, %v", makers, err)
	}
	expectSlugs(t, "list of B", s.slugs(t, ctxB, everything, projects.Listing{}))
	s.insert(t, ctxB, apollo) // the slug is free there
	if _, err := s.Repository.Delete(ctxB, everything, apollo.Slug, nil); err != nil {
		t.Error(err)
	}
	expectSlugs(t, "list of A", s.slugs(t, s.ctx, everything, projects.Listing{}), "apollo")
}

// operations are every method of the port, on the project "apollo".
func (s suite) operations() map[string]func(ctx context.Context) error {
	slug := projects.MustParseSlug("apollo")
	return map[string]func(ctx context.Context) error{
		"List": func(ctx context.Context) error {
			_, err := s.Repository.List(ctx, everything, projects.Listing{Limit: 1})
			return err
		},
		"BySlug":    func(ctx context.Context) error { _, err := s.Repository.BySlug(ctx, everything, slug); return err },
		"Insert":    func(ctx context.Context) error { _, err := s.Repository.Insert(ctx, NewProject("other")); return err },
		"Delete":    func(ctx context.Context) error { _, err := s.Repository.Delete(ctx, everything, slug, nil); return err },
		"Summarize": func(ctx context.Context) error { _, err := s.Repository.Summarize(ctx, everything, Ada, 1); return err },
		"Numbered":  func(ctx context.Context) error { _, err := s.Repository.Numbered(ctx, slug); return err },
		"BySlugs": func(ctx context.Context) error {
			_, err := s.Repository.BySlugs(ctx, everything, []projects.Slug{slug})
			return err
		},
		"ByID":   func(ctx context.Context) error { _, err := s.Repository.ByID(ctx, everything, 1); return err },
		"Makers": func(ctx context.Context) error { _, err := s.Repository.Makers(ctx, everything, 1); return err },
		"SetStatus": func(ctx context.Context) error {
			_, err := s.archiveAll(ctx, everything, []projects.Slug{slug})
			return err
		},
		"DeleteAll": func(ctx context.Context) error {
			_, err := s.Repository.DeleteAll(ctx, everything, []projects.Slug{slug})
			return err
		},
		"Update": func(ctx context.Context) error {
			_, err := s.Repository.Update(ctx, everything, slug, nil, projects.Edits{Name: new("x")})
			return err
		},
	}
}

func (s suite) unchanged(t *testing.T, refuse func(name string, operation func(ctx context.Context) error)) {
	t.Helper()
	apollo := s.insert(t, s.ctx, NewProject("apollo"))[0]
	for name, operation := range s.operations() {
		refuse(name, operation)
	}
	found, err := s.Repository.List(s.ctx, everything, projects.Listing{Limit: 10})
	expectError(t, "list", err, nil)
	expectSame(t, "afterwards", found, []projects.Project{apollo})
}

func (s suite) noTenant(t *testing.T) {
	s.unchanged(t, func(name string, operation func(ctx context.Context) error) {
		for _, ctx := range []context.Context{t.Context(), tenant.NewContext(s.ctx, tenant.Schema{})} {
			if operation(ctx) == nil {
				t.Errorf("%s works without a tenant", name)
			}
		}
	})
}

func (s suite) cancelled(t *testing.T) {
	s.unchanged(t, func(name string, operation func(ctx context.Context) error) {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		expectError(t, name, operation(ctx), context.Canceled)
	})
}

// together runs n functions at once and returns how many did not fail; others
// have to fail with want.
func together(t *testing.T, n int, run func(i int) error, want error) int {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = run(i) })
	}
	wg.Wait()
	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
		} else {
			expectError(t, "of many at once", err, want)
		}
	}
	return succeeded
}

func (s suite) raceForSlug(t *testing.T) {
	n := together(t, 20, func(int) error {
		_, err := s.Repository.Insert(s.ctx, NewProject("apollo"))
		return err
	}, projects.ErrSlugTaken)
	if n != 1 {
		t.Errorf("%d inserts got the slug", n)
	}
}

func (s suite) raceForRow(t *testing.T) {
	slug := s.insert(t, s.ctx, NewProject("apollo"))[0].Slug
	if n := together(t, 20, func(i int) error {
		edits := projects.Edits{Name: new("renamed")}
		if i%2 == 0 {
			edits = projects.Edits{Description: new("described")}
		}
		_, err := s.Repository.Update(s.ctx, everything, slug, nil, edits)
		return err
	}, nil); n != 20 {
		t.Errorf("%d of 20 changes were made", n)
	}
	found, err := s.Repository.BySlug(s.ctx, everything, slug)
	if err != nil || found.Name != "renamed" || found.Description != "described" {
		t.Errorf("a change was lost: %+v, %v", found, err)
	}
	if n := together(t, 20, func(int) error {
		_, err := s.Repository.Delete(s.ctx, everything, slug, nil)
		return err
	}, projects.ErrNotFound); n != 1 {
		t.Errorf("deleted %d times", n)
	}
}

func (s suite) hostile(t *testing.T) {
	apollo := NewProject("apollo")
	apollo.Name = `'; DROP TABLE projects; --`
	apollo.Description = strings.Repeat(`\'"?0 ?? <script>alert(1)</script> ☃ `, 100)
	stored := s.insert(t, s.ctx, apollo)[0]
	Equal(t, stored, apollo)
	edits := projects.Edits{Name: new(`$1 ?name {{.}} E'\\'`), Description: new(apollo.Name)}
	after, err := s.Repository.Update(s.ctx, everything, apollo.Slug, nil, edits)
	expectError(t, "update", err, nil)
	Equal(t, after, edits.Apply(apollo))
	scope := projects.Scope{CreatedBy: `' OR true --`}
	expectSlugs(t, "a hostile scope", s.slugs(t, s.ctx, scope, projects.Listing{}))
}
