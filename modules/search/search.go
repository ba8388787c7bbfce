package search

import (
	"cmp"
	"context"
	"strings"
	"sync"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/fault"
)

// Limit is how many of a kind are found at most.
const Limit = 6

// Results are what was found.
type Results struct {
	// Projects has those that were changed last first.
	Projects []projects.Project
	// Members has those who joined first first.
	Members []identity.Member
}

// Service finds things.
type Service struct {
	projects *projects.Service
	roster   *identity.Roster
}

// NewService returns a service that asks those of other modules.
func NewService(projects *projects.Service, roster *identity.Roster) *Service {
	return &Service{projects: projects, roster: roster}
}

// Find returns what text is found in, and without a text the projects that were
// changed last. Kinds that the actor may not list are left out. Errors:
// [fault.Invalid] with a field "q".
func (s *Service) Find(ctx context.Context, actor identity.Actor, text string) (Results, error) {
	text = strings.TrimSpace(text)
	var results Results
	var inProjects, inMembers error
	var both sync.WaitGroup
	if s.projects.AuthorizeList(actor) == nil {
		both.Go(func() {
			var page projects.Page
			page, inProjects = s.projects.List(ctx, actor, projects.Listing{
				Filter: projects.Filter{Search: text}, Order: projects.RecentlyChangedFirst, Limit: Limit,
			})
			results.Projects = page.Projects
		})
	}
	if text != "" && s.roster.AuthorizeView(actor) == nil {
		both.Go(func() {
			var page identity.MemberPage
			page, inMembers = s.roster.List(ctx, actor, identity.MemberListing{Search: text, Limit: Limit})
			results.Members = page.Members
		})
	}
	both.Wait()
	if err := cmp.Or(inProjects, inMembers); err != nil {
		return Results{}, fault.Wrap("search", err)
	}
	return results, nil
}
