package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Provider asks Clerk's Backend API. It is safe for concurrent use.
type Provider struct{ backend clerk.Backend }

var _ identity.Provider = (*Provider)(nil)

// NewProvider returns a provider over the Backend API's client, whose HTTP
// client bounds how long a call may take.
func NewProvider(backend clerk.Backend) *Provider { return &Provider{backend: backend} }

// pageSize is the most that Clerk lists at once.
const pageSize = 500

// parameters are a call's, as a query for GET and as JSON otherwise.
type parameters struct {
	clerk.APIParams

	query url.Values
	body  map[string]string
}

// ToQuery implements the SDK's parameters.
func (p *parameters) ToQuery() url.Values { return p.query }

// ToMultipart implements the SDK's parameters.
func (p *parameters) ToMultipart() ([]byte, string, error) { return nil, "", nil }

// MarshalJSON makes the body of a change.
func (p *parameters) MarshalJSON() ([]byte, error) { return json.Marshal(p.body) }

type userAnswer struct {
	clerk.APIResource
	userResource
}

type membershipsAnswer struct {
	clerk.APIResource

	Data       []membershipResource `json:"data"`
	TotalCount int                  `json:"total_count"`
}

// Observe implements [identity.Provider].
func (p *Provider) Observe(ctx context.Context, organizationID, accountID string) (identity.Observation, error) {
	if !idPattern.MatchString(organizationID) || !idPattern.MatchString(accountID) {
		return identity.Observation{}, errUnknown
	}
	account, err := p.account(ctx, accountID)
	if err != nil {
		return identity.Observation{}, err
	}
	found, _, err := p.memberships(ctx, "/organizations/"+organizationID+"/memberships", url.Values{"user_id": {accountID}, "limit": {"1"}})
	if err != nil {
		return identity.Observation{}, err
	}
	if len(found.Memberships) == 0 || found.Memberships[0].AccountID != accountID {
		return identity.Observation{}, errUnknown
	}
	found.Accounts = []identity.Account{account}
	return found, nil
}

// ObserveAccount implements [identity.Provider].
func (p *Provider) ObserveAccount(ctx context.Context, accountID string) (identity.Observation, error) {
	if !idPattern.MatchString(accountID) {
		return identity.Observation{}, errUnknown
	}
	account, err := p.account(ctx, accountID)
	if err != nil {
		return identity.Observation{}, err
	}
	all := identity.Observation{Accounts: []identity.Account{account}}
	for {
		found, total, err := p.memberships(ctx, "/users/"+accountID+"/organization_memberships", url.Values{
			"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(len(all.Memberships))},
		})
		if err != nil {
			return identity.Observation{}, err
		}
		all.Memberships = append(all.Memberships, found.Memberships...)
		all.Organizations = append(all.Organizations, found.Organizations...)
		if len(found.Memberships) == 0 || len(all.Memberships) >= total {
			return all, nil
		}
	}
}

// UpdateName implements [identity.Provider].
func (p *Provider) UpdateName(ctx context.Context, accountID, firstName, lastName string) (identity.Account, error) {
	if !idPattern.MatchString(accountID) {
		return identity.Account{}, errUnknown
	}
	body := map[string]string{}
	for name, value := range map[string]string{"first_name": firstName, "last_name": lastName} {
		if value != "" {
			body[name] = value
		}
	}
	var answer userAnswer
	if err := p.call(ctx, http.MethodPatch, "/users/"+accountID, &parameters{body: body}, &answer); err != nil {
		return identity.Account{}, err
	}
	account, err := answer.account()
	return account, fault.Wrap("read Clerk's user", err)
}

func (p *Provider) account(ctx context.Context, id string) (identity.Account, error) {
	var answer userAnswer
	if err := p.call(ctx, http.MethodGet, "/users/"+id, new(parameters), &answer); err != nil {
		return identity.Account{}, err
	}
	account, err := answer.account()
	return account, fault.Wrap("read Clerk's user", err)
}

// memberships returns a list's memberships with their organizations, and how
// many there are in all. The stubs of the accounts are left out.
func (p *Provider) memberships(ctx context.Context, path string, query url.Values) (o identity.Observation, total int, err error) {
	var answer membershipsAnswer
	if err := p.call(ctx, http.MethodGet, path, &parameters{query: query}, &answer); err != nil {
		return o, 0, err
	}
	for _, resource := range answer.Data {
		observed, err := resource.observe()
		if err != nil {
			return o, 0, fault.Wrap("read Clerk's membership", err)
		}
		o.Memberships = append(o.Memberships, observed.Memberships...)
		o.Organizations = append(o.Organizations, observed.Organizations...)
	}
	return o, answer.TotalCount, nil
}

// CreateOrganization implements [identity.Provider].
func (p *Provider) CreateOrganization(ctx context.Context, accountID, name, slug string) (identity.Organization, error) {
	if !idPattern.MatchString(accountID) {
		return identity.Organization{}, errUnknown
	}
	var answer organizationAnswer
	err := p.call(ctx, http.MethodPost, "/organizations", &parameters{body: map[string]string{"name": name, "slug": slug, "created_by": accountID}}, &answer)
	// Whoever may not make one is told so with this status alone; our own key is
	// refused with another.
	if refusal, ok := errors.AsType[*clerk.APIErrorResponse](err); ok && refusal.HTTPStatusCode == http.StatusForbidden {
		err = errMayNotCreate.WithCause(err)
	}
	if err != nil {
		return identity.Organization{}, err
	}
	organization, err := answer.organization()
	return organization, fault.Wrap("read Clerk's organization", err)
}

// UpdateOrganization implements [identity.Provider].
func (p *Provider) UpdateOrganization(ctx context.Context, organizationID string, change identity.SettingsChange) (identity.Organization, error) {
	if !idPattern.MatchString(organizationID) {
		return identity.Organization{}, errUnknown
	}
	body := map[string]string{}
	for name, value := range map[string]*string{"name": change.Name, "slug": change.Slug} {
		if value != nil {
			body[name] = *value
		}
	}
	var answer organizationAnswer
	if err := p.call(ctx, http.MethodPatch, "/organizations/"+organizationID, &parameters{body: body}, &answer); err != nil {
		return identity.Organization{}, err
	}
	organization, err := answer.organization()
	return organization, fault.Wrap("read Clerk's organization", err)
}

type domainsAnswer struct {
	clerk.APIResource

	Data []struct {
		Name           plainText `json:"name"`
		EnrollmentMode string    `json:"enrollment_mode"`
		Verification   *struct {
			Status string `json:"status"`
		} `json:"verification"`
	} `json:"data"`
	TotalCount int `json:"total_count"`
}

// Domains implements [identity.Provider].
func (p *Provider) Domains(ctx context.Context, organizationID string) ([]identity.Domain, error) {
	if !idPattern.MatchString(organizationID) {
		return nil, errUnknown
	}
	var all []identity.Domain
	for {
		var answer domainsAnswer
		err := p.call(ctx, http.MethodGet, "/organizations/"+organizationID+"/domains", &parameters{query: url.Values{
			"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(len(all))},
		}}, &answer)
		if err != nil {
			return nil, err
		}
		for _, d := range answer.Data {
			domain := identity.Domain{Name: string(d.Name), Enrollment: identity.EnrollByHand, Verified: d.Verification != nil && d.Verification.Status == "verified"}
			switch d.EnrollmentMode {
			case "automatic_invitation":
				domain.Enrollment = identity.EnrollByInvitation
			case "automatic_suggestion":
				domain.Enrollment = identity.EnrollBySuggestion
			}
			all = append(all, domain)
		}
		if len(answer.Data) == 0 || len(all) >= answer.TotalCount {
			slices.SortFunc(all, func(a, b identity.Domain) int { return strings.Compare(a.Name, b.Name) })
			return all, nil
		}
	}
}

// DeleteOrganization implements [identity.Provider].
func (p *Provider) DeleteOrganization(ctx context.Context, organizationID string) error {
	if !idPattern.MatchString(organizationID) {
		return errUnknown
	}
	return p.call(ctx, http.MethodDelete, "/organizations/"+organizationID, new(parameters), new(clerk.DeletedResource))
}

type membershipAnswer struct {
	clerk.APIResource
	membershipResource
}

// ChangeRole implements [identity.Provider].
func (p *Provider) ChangeRole(ctx context.Context, organizationID, accountID, providerRole string) (identity.Observation, error) {
	path, err := membershipPath(organizationID, accountID)
	if err != nil {
		return identity.Observation{}, err
	}
	var answer membershipAnswer
	if err := p.call(ctx, http.MethodPatch, path, &parameters{body: map[string]string{"role": providerRole}}, &answer); err != nil {
		return identity.Observation{}, p.blameRole(ctx, err, providerRole)
	}
	observed, err := answer.observe()
	return observed, fault.Wrap("read Clerk's membership", err)
}

// RemoveMember implements [identity.Provider]. Clerk answers the membership as it
// was and does not say when it ended, so that is now.
func (p *Provider) RemoveMember(ctx context.Context, organizationID, accountID string) (identity.Observation, error) {
	path, err := membershipPath(organizationID, accountID)
	if err != nil {
		return identity.Observation{}, err
	}
	var answer membershipAnswer
	if err := p.call(ctx, http.MethodDelete, path, new(parameters), &answer); err != nil {
		return identity.Observation{}, err
	}
	ended, err := answer.membership()
	if err != nil {
		return identity.Observation{}, fault.Wrap("read Clerk's membership", err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	return identity.Observation{Memberships: []identity.Membership{{
		ID: ended.ID, OrganizationID: ended.OrganizationID, AccountID: ended.AccountID, CreatedAt: now, UpdatedAt: now, DeletedAt: now,
	}}}, nil
}

func membershipPath(organizationID, accountID string) (string, error) {
	if !idPattern.MatchString(organizationID) || !idPattern.MatchString(accountID) {
		return "", errUnknown
	}
	return "/organizations/" + organizationID + "/memberships/" + accountID, nil
}

type invitationAnswer struct {
	clerk.APIResource
	invitationResource
}

type invitationsAnswer struct {
	clerk.APIResource

	Data       []invitationResource `json:"data"`
	TotalCount int                  `json:"total_count"`
}

// invitationsPath leads to an organization's invitations, or to what is below
// one of them.
func invitationsPath(organizationID string, below ...string) (string, error) {
	path := "/organizations/" + organizationID + "/invitations"
	for _, segment := range below {
		path += "/" + segment
	}
	if !idPattern.MatchString(organizationID) || slices.ContainsFunc(below, func(segment string) bool { return !idPattern.MatchString(segment) }) {
		return "", errUnknown
	}
	return path, nil
}

// Invitations implements [identity.Provider].
func (p *Provider) Invitations(ctx context.Context, organizationID string) ([]identity.Invitation, error) {
	path, err := invitationsPath(organizationID)
	if err != nil {
		return nil, err
	}
	var all []identity.Invitation
	for read := 0; ; {
		var answer invitationsAnswer
		err := p.call(ctx, http.MethodGet, path, &parameters{query: url.Values{
			"status": {statusPending}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(read)},
		}}, &answer)
		if err != nil {
			return nil, err
		}
		for _, resource := range answer.Data {
			invitation, err := resource.invitation()
			if err != nil {
				return nil, fault.Wrap("read Clerk's invitation", err)
			}
			all = append(all, invitation)
		}
		if read += len(answer.Data); len(answer.Data) == 0 || read >= answer.TotalCount {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b identity.Invitation) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return all, nil
}

// Invitation implements [identity.Provider].
func (p *Provider) Invitation(ctx context.Context, organizationID, id string) (identity.Invitation, error) {
	path, err := invitationsPath(organizationID, id)
	if err != nil {
		return identity.Invitation{}, err
	}
	var answer invitationAnswer
	if err := p.call(ctx, http.MethodGet, path, new(parameters), &answer); err != nil {
		return identity.Invitation{}, err
	}
	if answer.Status != statusPending {
		return identity.Invitation{}, errUnknown
	}
	invitation, err := answer.invitation()
	return invitation, fault.Wrap("read Clerk's invitation", err)
}

// Invite implements [identity.Provider]. Without a redirect_url the link in the
// mail leads to Clerk's own pages, which know what to do with it, and from there
// to the application.
func (p *Provider) Invite(ctx context.Context, organizationID string, i identity.Invitation) (identity.Invitation, error) {
	path, err := invitationsPath(organizationID)
	if err != nil {
		return identity.Invitation{}, err
	}
	role := identity.ProviderRoleOf(i.Role)
	body := map[string]string{"email_address": i.Email, "role": role}
	if i.InvitedBy != "" {
		body["inviter_user_id"] = i.InvitedBy
	}
	var answer invitationAnswer
	if err := p.call(ctx, http.MethodPost, path, &parameters{body: body}, &answer); err != nil {
		return identity.Invitation{}, p.blameRole(ctx, err, role)
	}
	sent, err := answer.invitation()
	return sent, fault.Wrap("read Clerk's invitation", err)
}

type rolesAnswer struct {
	clerk.APIResource

	Data []struct {
		Key string `json:"key"`
	} `json:"data"`
}

// blameRole returns err, or what a role that the instance does not have is to be
// told as: Clerk answers only that something was not found, be it the
// organization, the person or the role.
func (p *Provider) blameRole(ctx context.Context, err error, role string) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	var answer rolesAnswer
	if asked := p.call(ctx, http.MethodGet, "/organization_roles", &parameters{query: url.Values{"query": {role}, "limit": {strconv.Itoa(pageSize)}}}, &answer); asked != nil {
		return err // which is the answer to what was wanted
	}
	for _, known := range answer.Data {
		if known.Key == role {
			return err
		}
	}
	return errNoRole.WithCause(err)
}

// RevokeInvitation implements [identity.Provider].
func (p *Provider) RevokeInvitation(ctx context.Context, organizationID, id, by string) error {
	path, err := invitationsPath(organizationID, id, "revoke")
	if err != nil {
		return err
	}
	body := map[string]string{}
	if by != "" {
		body["requesting_user_id"] = by
	}
	return p.call(ctx, http.MethodPost, path, &parameters{body: body}, new(invitationAnswer))
}

func (p *Provider) call(ctx context.Context, method, path string, params *parameters, into clerk.ResponseReader) error {
	request := clerk.NewAPIRequest(method, path)
	request.SetParams(params)
	return fault.Wrap("ask Clerk: "+method+" "+path, classify(ctx, p.backend.Call(ctx, request, into)))
}

var (
	errUnknown      = fault.New(fault.NotFound, "The identity provider does not know that.")
	errRefused      = fault.New(fault.Invalid, "The identity provider does not accept that.")
	errBusy         = fault.New(fault.RateLimited, "The identity provider asks us to slow down. Please try again in a moment.")
	errInvited      = fault.New(fault.Conflict, "They were invited already.").WithField("email", "There is an invitation for this address already. Send it again, or revoke it first.")
	errMember       = fault.New(fault.Conflict, "They are a member already.").WithField("email", "Somebody with this address is a member already.")
	errNoRole       = errRefused.WithField("role", "The identity provider does not have this role. Whoever administers it can add it.")
	errFull         = fault.New(fault.Conflict, "The organization has as many members and invitations as it may have.")
	errSlugTaken    = fault.New(fault.Conflict, "Another organization has this address.").WithField("slug", "Another organization has this address. Choose another one.")
	errMayNotCreate = fault.New(fault.Forbidden, "Your account may not make organizations, or has made as many as it may. Ask whoever administers the sign-in.")
	errProvider     = fault.New(fault.Unavailable, "The identity provider cannot be reached right now. Please try again.")
)

// classify gives a failed call its kind. That our own key is refused is nobody
// else's business: internal.
func classify(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	answer, ok := errors.AsType[*clerk.APIErrorResponse](err)
	if !ok {
		return errProvider.WithCause(err)
	}
	if known := explained(answer); known != nil {
		return known.WithCause(err)
	}
	switch status := answer.HTTPStatusCode; {
	case status == http.StatusNotFound:
		return errUnknown.WithCause(err)
	case status == http.StatusTooManyRequests:
		return errBusy.WithCause(err).WithRetryAfter(retryAfter(answer))
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		return errRefused.WithCause(err)
	case status >= http.StatusInternalServerError:
		return errProvider.WithCause(err)
	}
	return err
}

// explained returns what Clerk's codes say beyond the status, and nil when they
// say nothing that is known here.
func explained(answer *clerk.APIErrorResponse) *fault.Error {
	for _, each := range answer.Errors {
		switch each.Code {
		case "duplicate_record":
			return errInvited
		case "already_a_member_in_organization":
			return errMember
		case "organization_membership_quota_exceeded":
			return errFull
		case "organization_invitation_not_pending":
			return errUnknown
		}
		var meta struct {
			ParamName string `json:"param_name"`
		}
		_ = json.Unmarshal(each.Meta, &meta) // without one there is no name
		switch meta.ParamName {
		case "email_address":
			return errRefused.WithField("email", "The identity provider does not accept this address.")
		case "slug":
			if each.Code == "form_identifier_exists" {
				return errSlugTaken
			}
			return errRefused.WithField("slug", "The identity provider does not accept this address.")
		case "name":
			return errRefused.WithField("name", "The identity provider does not accept this name.")
		case "role":
			return errNoRole
		}
	}
	return nil
}

// retryAfter is how long Clerk asks to wait, at least a second.
func retryAfter(answer *clerk.APIErrorResponse) time.Duration {
	if answer.Response != nil {
		if seconds, err := strconv.Atoi(answer.Response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return time.Second
}
