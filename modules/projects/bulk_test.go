package projects_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
)

// summarize says in a word what became of each project.
func summarize(outcomes []projects.Outcome) string {
	var words []string
	for _, o := range outcomes {
		word := "done"
		switch {
		case errors.Is(o.Err, projects.ErrNotFound):
			word = "missing"
		case errors.Is(o.Err, identity.ErrForbidden):
			word = "forbidden"
		}
		if (o.Project == projects.Project{}) != (word == "missing") {
			word += "?"
		}
		words = append(words, o.Slug+" "+word)
	}
	return strings.Join(words, ", ")
}

func bulkService(t *testing.T) (context.Context, *projects.Service) {
	t.Helper()
	ctx, service := newService(t)
	for _, p := range []struct {
		by    identity.Actor
		draft projects.Draft
	}{
		{ada, projects.Draft{Name: "Adas"}}, {ada, projects.Draft{Name: "Old", Status: "archived"}},
		{bob, projects.Draft{Name: "Bobs"}}, {bob, projects.Draft{Name: "Open", Public: true}},
	} {
		create(t, ctx, service, p.by, p.draft)
	}
	return ctx, service
}

// TestBulk holds that every project is authorized by itself, and told by itself.
func TestBulk(t *testing.T) {
	t.Parallel()
	asked := []string{"adas", "old", "bobs", "open", "no-such", "NO SLUG", "adas"}
	for _, test := range []struct {
		name  string
		actor identity.Actor
		want  string
	}{
		{"owner", owner, "adas done, old done, bobs done, open done, no-such missing, NO SLUG missing"},
		{"admin", admin, "adas done, old done, bobs done, open done, no-such missing, NO SLUG missing"},
		{"member", ada, "adas done, old done, bobs missing, open forbidden, no-such missing, NO SLUG missing"},
	} {
		for _, bulk := range projects.Bulks() {
			t.Run(test.name+" "+string(bulk), func(t *testing.T) {
				t.Parallel()
				ctx, service := bulkService(t)
				before, err := service.List(ctx, owner, projects.Listing{})
				expect(t, "list", err, nil)
				preview, err := service.PreviewBulk(ctx, test.actor, bulk, asked)
				expect(t, "preview", err, nil)
				if got := summarize(preview); got != test.want {
					t.Errorf("would become: %s\nwant: %s", got, test.want)
				}
				if after, err := service.List(ctx, owner, projects.Listing{}); err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
					t.Errorf("a preview changes something: %v", err)
				}
				outcomes, err := service.DoBulk(ctx, test.actor, bulk, asked)
				expect(t, "do", err, nil)
				if got := summarize(outcomes); got != test.want {
					t.Errorf("became: %s\nwant: %s", got, test.want)
				}
				for i, p := range before.Projects {
					allowed := projects.ScopeOf(test.actor, bulk.Action()).Includes(p)
					now, err := service.Get(ctx, owner, p.Slug.String())
					switch {
					case bulk == projects.BulkDelete && allowed:
						expect(t, p.Name, err, projects.ErrNotFound)
					case allowed:
						wanted := map[projects.Bulk]projects.Status{projects.BulkArchive: projects.StatusArchived, projects.BulkRestore: projects.StatusActive}[bulk]
						if now.Status != wanted || p.Status == wanted && now != before.Projects[i] {
							t.Errorf("%s: %+v", p.Name, now)
						}
					case now != p:
						t.Errorf("%s was changed into %+v", p.Name, now)
					}
				}
			})
		}
	}
}

func TestBulkIsRefused(t *testing.T) {
	t.Parallel()
	ctx, service := bulkService(t)
	many := make([]string, projects.MaxBulk+1)
	for i := range many {
		many[i] = fmt.Sprintf("p%d", i)
	}
	for name, run := range map[string]func(context.Context, identity.Actor, projects.Bulk, []string) ([]projects.Outcome, error){
		"preview": service.PreviewBulk, "do": service.DoBulk,
	} {
		for _, actor := range []identity.Actor{viewer, exMember, nobody} {
			_, err := run(ctx, actor, "nonsense", nil)
			expect(t, name+" by "+string(actor.Role), err, identity.ErrForbidden)
		}
		_, err := run(ctx, ada, "nonsense", []string{"adas"})
		expectField(t, err, "action", "")
		_, err = run(ctx, ada, projects.BulkDelete, nil)
		expectField(t, err, "project", "")
		_, err = run(ctx, ada, projects.BulkDelete, many)
		expectField(t, err, "project", "")
		outcomes, err := run(ctx, owner, projects.BulkDelete, many[1:])
		if err != nil || len(outcomes) != projects.MaxBulk {
			t.Errorf("%s: %d outcomes, %v", name, len(outcomes), err)
		}
	}
}

// TestManyBulksAtOnce holds that each project is deleted for one of them alone.
func TestManyBulksAtOnce(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	var slugs []string
	for i := range 20 {
		slugs = append(slugs, create(t, ctx, service, ada, projects.Draft{Name: fmt.Sprintf("p%d", i)}).Slug.String())
	}
	var mu sync.Mutex
	deleted := map[string]int{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			outcomes, err := service.DoBulk(ctx, ada, projects.BulkDelete, slugs)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, o := range outcomes {
				if o.Err == nil {
					deleted[o.Slug]++
				}
			}
		})
	}
	wg.Wait()
	for _, slug := range slugs {
		if deleted[slug] != 1 {
			t.Errorf("%s was deleted %d times", slug, deleted[slug])
		}
	}
}

func TestCurrentAndMakers(t *testing.T) {
	t.Parallel()
	ctx, service := bulkService(t)
	project, err := service.Get(ctx, ada, "adas")
	expect(t, "get", err, nil)
	version := projects.VersionOf(project)
	_, err = service.Update(ctx, ada, "adas", nil, projects.Change{Slug: new("renamed")})
	expect(t, "rename", err, nil)
	now, err := service.Current(ctx, ada, version)
	if err != nil || now.Slug.String() != "renamed" {
		t.Errorf("now %+v, %v", now, err)
	}
	_, err = service.Current(ctx, bob, version)
	expect(t, "another's", err, projects.ErrNotFound)
	for actor, want := range map[identity.Actor]int{owner: 2, ada: 2, bob: 1, viewer: 1} {
		if makers, err := service.Makers(ctx, actor); err != nil || len(makers) != want {
			t.Errorf("%s sees makers %q, %v", actor.AccountID, makers, err)
		}
	}
	_, err = service.Makers(ctx, nobody)
	expect(t, "makers", err, identity.ErrForbidden)
}
