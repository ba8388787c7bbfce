package clerk

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// oldestFirst keeps what was read in its place while more is created.
const oldestFirst = "+created_at"

type organizationAnswer struct {
	clerk.APIResource
	organizationResource
}

type organizationsAnswer struct {
	clerk.APIResource

	Data []organizationResource `json:"data"`
}

// usersAnswer is the one list that Clerk answers without anything around it.
type usersAnswer struct {
	clerk.APIResource

	Data []userResource
}

// UnmarshalJSON implements [json.Unmarshaler].
func (a *usersAnswer) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &a.Data) }

// ListOrganizations implements [identity.Provider].
func (p *Provider) ListOrganizations(ctx context.Context, offset, limit int) ([]identity.Organization, error) {
	var answer organizationsAnswer
	err := p.call(ctx, http.MethodGet, "/organizations", &parameters{query: url.Values{
		"order_by": {oldestFirst}, "limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)},
	}}, &answer)
	if err != nil {
		return nil, err
	}
	organizations := make([]identity.Organization, len(answer.Data))
	for i, resource := range answer.Data {
		if organizations[i], err = resource.organization(); err != nil {
			return nil, fault.Wrap("read Clerk's organization", err)
		}
	}
	return organizations, nil
}

// ObserveOrganization implements [identity.Provider].
func (p *Provider) ObserveOrganization(ctx context.Context, organizationID string) (identity.Organization, error) {
	if !idPattern.MatchString(organizationID) {
		return identity.Organization{}, errUnknown
	}
	var answer organizationAnswer
	if err := p.call(ctx, http.MethodGet, "/organizations/"+organizationID, new(parameters), &answer); err != nil {
		return identity.Organization{}, err
	}
	organization, err := answer.organization()
	if err == nil && organization.ID != organizationID {
		err = errUnknown // Clerk takes slugs as well, which may look like an id
	}
	if err != nil {
		return identity.Organization{}, fault.Wrap("read Clerk's organization", err)
	}
	return organization, nil
}

// ObserveMembers implements [identity.Provider].
func (p *Provider) ObserveMembers(ctx context.Context, organizationID string) (identity.Observation, error) {
	if !idPattern.MatchString(organizationID) {
		return identity.Observation{}, errUnknown
	}
	var all identity.Observation
	for {
		var answer membershipsAnswer
		err := p.call(ctx, http.MethodGet, "/organizations/"+organizationID+"/memberships", &parameters{query: url.Values{
			"order_by": {oldestFirst}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(len(all.Memberships))},
		}}, &answer)
		if err != nil {
			return identity.Observation{}, err
		}
		for _, resource := range answer.Data {
			observed, err := resource.observe()
			if err != nil {
				return identity.Observation{}, fault.Wrap("read Clerk's membership", err)
			}
			all.Memberships = append(all.Memberships, observed.Memberships...)
			all.Accounts = append(all.Accounts, observed.Accounts...)
			all.Organizations = observed.Organizations // the same of each
		}
		if len(answer.Data) == 0 || len(all.Memberships) >= answer.TotalCount {
			return all, nil
		}
	}
}

// ObserveAccounts implements [identity.Provider].
func (p *Provider) ObserveAccounts(ctx context.Context, ids []string) ([]identity.Account, error) {
	if len(ids) == 0 {
		return nil, nil // Clerk would list everybody
	}
	var answer usersAnswer
	err := p.call(ctx, http.MethodGet, "/users", &parameters{query: url.Values{
		"user_id": ids, "limit": {strconv.Itoa(identity.MaxObservedAccounts)},
	}}, &answer)
	if err != nil {
		return nil, err
	}
	accounts := make([]identity.Account, len(answer.Data))
	for i, resource := range answer.Data {
		if accounts[i], err = resource.account(); err != nil {
			return nil, fault.Wrap("read Clerk's user", err)
		}
	}
	return accounts, nil
}
