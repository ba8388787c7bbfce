// Package rest is the API keys module's part of the REST API.
//
// Every operation is authorized by a middleware, before any of its input is looked
// at.
package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/httpserver"
)

const (
	collectionPath = "/api-keys"
	keyParam       = "key"
	keyPath        = collectionPath + "/{" + keyParam + "}"
)

// APIKey is an API key as the API shows it.
type APIKey struct {
	ID          string     `json:"id" doc:"The part of the key that is no secret." example:"MFRGGZDFMZTWQ2LK"`
	Name        string     `json:"name"`
	Hint        string     `json:"hint" doc:"What the key begins with." example:"tenon_MFRGGZDFMZTWQ2LK…"`
	Permissions []string   `json:"permissions" nullable:"false" doc:"The most that the key allows. Of that it allows what its maker may do at the moment of the request."`
	CreatedBy   string     `json:"created_by" doc:"The id of the user for whom the key stands."`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
	LastUsedAt  *time.Time `json:"last_used_at" doc:"To within five minutes; null if it never was."`
}

func resourceOf(k apikeys.Key) APIKey {
	resource := APIKey{
		ID: k.ID, Name: k.Name, Hint: apikeys.Hint(k.ID), Permissions: make([]string, len(k.Permissions)), CreatedBy: k.CreatedBy,
		CreatedAt: k.CreatedAt.UTC(), ExpiresAt: k.ExpiresAt.UTC(),
	}
	for i, permission := range k.Permissions {
		resource.Permissions[i] = string(permission)
	}
	if !k.LastUsedAt.IsZero() {
		resource.LastUsedAt = new(k.LastUsedAt.UTC())
	}
	return resource
}

// NewAPIKey is an API key that was just made.
type NewAPIKey struct {
	APIKey
	Key *string `json:"key" doc:"The whole key. It is shown this once; when the answer is repeated under an Idempotency-Key, it is null." example:"tenon_MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43UOV3HO6DZPIYDCMRTGQ2TMNZYHE"`
}

// APIKeyList is all of a tenant's keys.
type APIKeyList struct {
	Items []APIKey `json:"items" nullable:"false"`
}

// APIKeyDraft is a key to be made.
type APIKeyDraft struct {
	Name          string   `json:"name" minLength:"1" maxLength:"80" example:"Nightly export"`
	Permissions   []string `json:"permissions" nullable:"false" minItems:"1" maxItems:"50" doc:"Permissions that you have yourself." example:"[\"projects:view:all\"]"`
	ExpiresInDays int      `json:"expires_in_days,omitempty" minimum:"1" maximum:"366" default:"90"`
}

// api holds the operations' handlers.
type api struct{ service *apikeys.Service }

// Register adds the module's operations to an API whose requests were let into a
// tenant.
func Register(to huma.API, service *apikeys.Service) {
	api := &api{service}
	register(to, operation{
		id: "list-api-keys", method: http.MethodGet, path: collectionPath, authorize: may(service.AuthorizeManage),
		summary: "List API keys", description: "Lists all keys of the organization, the newest first, expired ones included.",
	}, api.list)
	register(to, operation{
		id: "create-api-key", method: http.MethodPost, path: collectionPath, authorize: may(service.AuthorizeCreate),
		summary: "Create an API key",
		description: "The key stands for you: it never allows more than you may do yourself at the moment it is used, and nothing once you have left. " +
			"The answer holds the whole key, which is never shown again. API keys cannot create API keys.",
		status: http.StatusCreated, errors: []int{http.StatusConflict}, confidential: withoutKey,
	}, api.create)
	register(to, operation{
		id: "get-api-key", method: http.MethodGet, path: keyPath, authorize: api.mayManage(),
		summary: "Get an API key", description: "Gets what is known about a key, without the key itself.",
	}, api.get)
	register(to, operation{
		id: "revoke-api-key", method: http.MethodDelete, path: keyPath, authorize: api.mayManage(),
		summary: "Revoke an API key", description: "The key is not valid any more when you have the answer.", status: http.StatusNoContent,
	}, api.revoke)
}

// operation is what sets one of this module's operations apart.
type operation struct {
	id, method, path, summary, description string
	// authorize decides whether the request may go on, before its input is
	// looked at.
	authorize func(huma.Context, func(huma.Context))
	status    int   // of success; 0 is 200
	errors    []int // beyond those that every operation of a tenant has
	// confidential takes out of an answer what is not to be kept; nil for nothing.
	confidential func(body []byte) ([]byte, error)
}

func register[I, O any](to huma.API, o operation, handler func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description,
		Tags: []string{"API keys"}, DefaultStatus: o.status, Middlewares: huma.Middlewares{o.authorize}, Errors: o.errors,
	}
	if o.confidential != nil {
		httpserver.KeepWithout(&op, o.confidential)
	}
	httpserver.Register(to, op, handler)
}

// may returns a middleware that lets those pass whom check allows.
func may(check func(identity.Actor) error) func(huma.Context, func(huma.Context)) {
	return httpserver.Guard(func(ctx context.Context) error { return check(identity.AccessOf(ctx).Actor()) })
}

// mayManage lets those pass who may do something to the key in the path, and hands
// the key on.
func (a *api) mayManage() func(huma.Context, func(huma.Context)) {
	return httpserver.GuardValue(keyContext{}, func(ctx context.Context, param func(string) string) (apikeys.Key, error) {
		return a.service.Key(ctx, identity.AccessOf(ctx), param(keyParam))
	})
}

type keyContext struct{}

type listOutput struct{ Body APIKeyList }

func (a *api) list(ctx context.Context, _ *struct{}) (*listOutput, error) {
	keys, err := a.service.List(ctx, identity.AccessOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: APIKeyList{Items: make([]APIKey, len(keys))}}
	for i, key := range keys {
		out.Body.Items[i] = resourceOf(key)
	}
	return out, nil
}

type createInput struct{ Body APIKeyDraft }

type createOutput struct {
	Location string `header:"Location" doc:"Where the key is."`
	Body     NewAPIKey
}

func (a *api) create(ctx context.Context, in *createInput) (*createOutput, error) {
	draft := apikeys.Draft{Name: in.Body.Name, Permissions: in.Body.Permissions, Lifetime: in.Body.ExpiresInDays}
	key, token, err := a.service.Create(ctx, identity.AccessOf(ctx), draft)
	if err != nil {
		return nil, err
	}
	return &createOutput{
		Location: httpserver.TenantAPIPath(identity.AccessOf(ctx).Tenant.Slug.String(), collectionPath+"/"+key.ID),
		Body:     NewAPIKey{APIKey: resourceOf(key), Key: new(token.Reveal())},
	}, nil
}

// withoutKey is the answer of a creation that may be kept.
func withoutKey(body []byte) ([]byte, error) {
	var made NewAPIKey
	if len(body) == 0 { // by the client's preference
		return body, nil
	}
	if err := json.Unmarshal(body, &made); err != nil {
		return nil, err
	}
	made.Key = nil
	return json.Marshal(made)
}

type keyInput struct {
	Key string `path:"key" doc:"The key's id." example:"MFRGGZDFMZTWQ2LK"`
}

type keyOutput struct{ Body APIKey }

func (a *api) get(ctx context.Context, _ *keyInput) (*keyOutput, error) {
	key, _ := ctx.Value(keyContext{}).(apikeys.Key)
	return &keyOutput{Body: resourceOf(key)}, nil
}

func (a *api) revoke(ctx context.Context, in *keyInput) (*struct{}, error) {
	_, err := a.service.Revoke(ctx, identity.AccessOf(ctx), in.Key)
	return nil, err
}
