package search

import (
	"context"
	"strings"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/parallel"
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
	mayProjects, mayMembers := s.projects.AuthorizeList(actor) == nil, s.roster.AuthorizeView(actor) == nil
	err := parallel.Do(ctx, func(ctx context.Context) error {
		if !mayProjects {
			return nil
		}
		page, err := s.projects.List(ctx, actor, projects.Listing{
			Filter: projects.Filter{Search: text}, Order: projects.RecentlyChangedFirst, Limit: Limit,
		})
		results.Projects = page.Projects
		return err
	}, func(ctx context.Context) error {
		if text == "" || !mayMembers {
			return nil
		}
		page, err := s.roster.List(ctx, actor, identity.MemberListing{Search: text, Limit: Limit})
		results.Members = page.Members
		return err
	})
	if err != nil {
		return Results{}, fault.Wrap("search", err)
	}
	return results, nil
}
