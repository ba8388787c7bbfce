package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"
)

// demoPassword is everybody's in the demo.
const demoPassword = "tenon-demo-password"

type demoOrganization struct {
	name, slug string
	people     []demoPerson // the first one creates the organization
}

type demoPerson struct {
	first, last, email string
	role               string // here, for the reader
	clerkRole          string // at the identity provider
	projects           []demoProject
}

type demoProject struct {
	Name        string `json:"name"`
	Slug        string `json:"slug"` // given, so that a second attempt finds it taken
	Description string `json:"description,omitempty"`
	IsPublic    bool   `json:"is_public,omitempty"`
	Status      string `json:"status,omitempty"`
}

// demo is what `tenon dev` starts with: two organizations with people of every
// role, one of whom belongs to both.
var demo = []demoOrganization{
	{"Acme", "acme", []demoPerson{
		{"Ada", "Lovelace", "ada@acme.example", "owner", "org:admin", []demoProject{
			{Name: "Website relaunch", Slug: "website-relaunch", Description: "New pages, new pictures, the same promise.", IsPublic: true},
			{Name: "Board papers", Slug: "board-papers", Description: "Numbers and plans for the third quarter."},
			{Name: "Trade fair Hannover", Slug: "trade-fair-hannover", Description: "Booth, travel and the demo that must not fail.", IsPublic: true, Status: "archived"},
		}},
		{"Alan", "Turing", "alan@acme.example", "admin", "org:admin", []demoProject{
			{Name: "Move to the new office", Slug: "move-to-the-new-office", Description: "Lease ends in March. Desks, network, plants."},
			{Name: "Hiring plan", Slug: "hiring-plan", Description: "Four engineers and somebody who answers the phone."},
		}},
		{"Grace", "Hopper", "grace@acme.example", "member", "org:member", []demoProject{
			{Name: "Compiler upgrade", Slug: "compiler-upgrade", Description: "From the old version to the one after the next.", IsPublic: true},
			{Name: "Bug hunt", Slug: "bug-hunt", Description: "There is a moth in relay 70."},
		}},
		{"Vera", "Rubin", "vera@acme.example", "viewer", "org:viewer", nil},
	}},
	{"Testcorp", "testcorp", []demoPerson{
		{"Margaret", "Hamilton", "margaret@testcorp.example", "owner", "org:admin", []demoProject{
			{Name: "Guidance computer", Slug: "guidance-computer", Description: "Every alarm has a number, and 1202 is fine.", IsPublic: true},
			{Name: "Flight rules", Slug: "flight-rules", Description: "What to do when nobody knows what to do."},
		}},
		{"Edsger", "Dijkstra", "edsger@testcorp.example", "admin", "org:admin", []demoProject{
			{Name: "Shortest path", Slug: "shortest-path", Description: "Between two places, with weights.", IsPublic: true},
		}},
		{"Barbara", "Liskov", "barbara@testcorp.example", "member", "org:member", []demoProject{
			{Name: "Substitution", Slug: "substitution", Description: "Anything that works for the base works for the rest."},
		}},
		{"Ada", "Lovelace", "ada@acme.example", "viewer", "org:viewer", nil},
	}},
}

// seedDemo makes the demo through the interfaces that everybody has: Clerk's
// Backend API and the product's REST API. One that was interrupted is completed;
// one that was completed is left as people have changed it since.
func seedDemo(ctx context.Context, ready readyLine) error {
	s := newSeeder(ready)
	for _, o := range demo {
		if err := s.organization(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", o.slug, err)
		}
	}
	return nil
}

// seeder drives the product from outside.
type seeder struct {
	users         *user.Client
	organizations *organization.Client
	memberships   *organizationmembership.Client
	sessions      *session.Client
	url           string
}

func newSeeder(ready readyLine) seeder {
	client := &clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		URL: clerk.String(ready.ClerkAPIURL + "/v1"), Key: clerk.String(ready.ClerkSecretKey),
	}}
	return seeder{
		users:         user.NewClient(client),
		organizations: organization.NewClient(client),
		memberships:   organizationmembership.NewClient(client),
		sessions:      session.NewClient(client),
		url:           ready.URL,
	}
}

// seeded is what the organization's private metadata holds once all of its demo
// is there.
var seeded = json.RawMessage(`{"demo_seeded":true}`)

func isSeeded(o *clerk.Organization) bool {
	var metadata struct {
		Seeded bool `json:"demo_seeded"`
	}
	return json.Unmarshal(o.PrivateMetadata, &metadata) == nil && metadata.Seeded
}

func (s seeder) organization(ctx context.Context, o demoOrganization) error {
	made, err := s.organizations.Get(ctx, o.slug)
	known := err == nil
	switch {
	case known && isSeeded(made):
		return nil
	case !known && !isStatus(err, http.StatusNotFound):
		return err
	}
	ids := make([]string, len(o.people))
	for i, person := range o.people {
		var err error
		if ids[i], err = s.person(ctx, person); err != nil {
			return err
		}
	}
	if !known {
		made, err = s.organizations.Create(ctx, &organization.CreateParams{
			Name: clerk.String(o.name), Slug: clerk.String(o.slug), CreatedBy: clerk.String(ids[0]),
		})
		if err != nil {
			return err
		}
	}
	for i, person := range o.people {
		if i > 0 {
			_, err := s.memberships.Create(ctx, &organizationmembership.CreateParams{
				OrganizationID: made.ID, UserID: clerk.String(ids[i]), Role: clerk.String(person.clerkRole),
			})
			if err != nil && !isStatus(err, http.StatusUnprocessableEntity, http.StatusBadRequest) { // is a member already
				return err
			}
		}
		if err := s.work(ctx, o, made.ID, ids[i], person); err != nil {
			return err
		}
	}
	_, err = s.organizations.UpdateMetadata(ctx, made.ID, &organization.UpdateMetadataParams{PrivateMetadata: &seeded})
	return err
}

// person returns the id of the demo person's account.
func (s seeder) person(ctx context.Context, p demoPerson) (string, error) {
	known, err := s.users.List(ctx, &user.ListParams{EmailAddresses: []string{p.email}})
	if err != nil {
		return "", err
	}
	if len(known.Users) > 0 {
		return known.Users[0].ID, nil
	}
	made, err := s.users.Create(ctx, &user.CreateParams{
		EmailAddresses: &[]string{p.email}, FirstName: clerk.String(p.first), LastName: clerk.String(p.last), Password: clerk.String(demoPassword),
	})
	if err != nil {
		return "", err
	}
	return made.ID, nil
}

// work does in the product what the person would have done: the onboarding and
// a few projects.
func (s seeder) work(ctx context.Context, o demoOrganization, organizationID, userID string, p demoPerson) error {
	made, err := s.signIn(ctx, userID, organizationID)
	if err != nil {
		return err
	}
	defer func() { _, _ = s.sessions.Revoke(ctx, &session.RevokeParams{ID: made.ID}) }() // it ends by itself too
	token, err := s.sessionToken(ctx, made.ID)
	if err != nil {
		return err
	}
	base := s.url + "/api/tenants/" + o.slug
	if err := post(ctx, base+"/users/onboarding", token, struct{}{}); err != nil {
		return err
	}
	for _, project := range p.projects {
		if err := post(ctx, base+"/projects", token, project); err != nil {
			return fmt.Errorf("project %q: %w", project.Name, err)
		}
	}
	return nil
}

// sessionParams are session.CreateParams with the parameter that the SDK lacks.
type sessionParams struct {
	clerk.APIParams
	UserID               string `json:"user_id"`
	ActiveOrganizationID string `json:"active_organization_id"`
}

func (s seeder) signIn(ctx context.Context, userID, organizationID string) (*clerk.Session, error) {
	request := clerk.NewAPIRequest(http.MethodPost, "/sessions")
	request.SetParams(&sessionParams{UserID: userID, ActiveOrganizationID: organizationID})
	made := new(clerk.Session)
	return made, s.sessions.Backend.Call(ctx, request, made)
}

func (s seeder) sessionToken(ctx context.Context, sessionID string) (string, error) {
	token, err := s.sessions.CreateToken(ctx, &session.CreateTokenParams{ID: sessionID})
	if err != nil {
		return "", err
	}
	return token.JWT, nil
}

func isStatus(err error, statuses ...int) bool {
	answer, ok := errors.AsType[*clerk.APIErrorResponse](err)
	if !ok {
		return false
	}
	return slices.Contains(statuses, answer.HTTPStatusCode)
}

func post(ctx context.Context, url, token string, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest && response.StatusCode != http.StatusConflict { // was made before
		return fmt.Errorf("POST %s: %s", url, response.Status)
	}
	return nil
}
