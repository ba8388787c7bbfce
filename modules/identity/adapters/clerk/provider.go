package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
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

func (p *Provider) call(ctx context.Context, method, path string, params *parameters, into clerk.ResponseReader) error {
	request := clerk.NewAPIRequest(method, path)
	request.SetParams(params)
	return fault.Wrap("ask Clerk: "+method+" "+path, classify(ctx, p.backend.Call(ctx, request, into)))
}

var (
	errUnknown  = fault.New(fault.NotFound, "The identity provider does not know that.")
	errRefused  = fault.New(fault.Invalid, "The identity provider does not accept that.")
	errBusy     = fault.New(fault.RateLimited, "The identity provider asks us to slow down. Please try again in a moment.")
	errProvider = fault.New(fault.Unavailable, "The identity provider cannot be reached right now. Please try again.")
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

// retryAfter is how long Clerk asks to wait, at least a second.
func retryAfter(answer *clerk.APIErrorResponse) time.Duration {
	if answer.Response != nil {
		if seconds, err := strconv.Atoi(answer.Response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return time.Second
}
