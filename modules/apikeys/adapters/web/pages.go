// Package web has the pages about API keys.
package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate

// Members returns those of the members of the tenant in ctx that exist, by id.
type Members func(ctx context.Context, ids ...string) (map[string]identity.Member, error)

// Pages are the pages about a tenant's API keys.
type Pages struct {
	service *apikeys.Service
	members Members
	errors  *httpserver.ErrorWriter
}

// NewPages returns the pages. What they cannot answer is answered by errors.
func NewPages(service *apikeys.Service, members Members, errors *httpserver.ErrorWriter) *Pages {
	return &Pages{service: service, members: members, errors: errors}
}

// Mount adds the pages to a router whose requests were let into a tenant. No key
// has an id that is one of the paths below /api-keys.
func (p *Pages) Mount(r chi.Router) {
	for _, page := range []struct {
		method, pattern string
		handle          func(http.ResponseWriter, *http.Request, identity.Access) error
	}{
		{http.MethodGet, "/api-keys", p.list},
		{http.MethodGet, "/api-keys/new", p.showNew},
		{http.MethodPost, "/api-keys/new", p.create},
		{http.MethodGet, "/api-keys/{key}/revoke", p.confirmRevoke},
		{http.MethodPost, "/api-keys/{key}/revoke", p.revoke},
	} {
		r.Method(page.method, page.pattern, p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
			access := identity.AccessOf(r.Context())
			return page.handle(w, r, access)
		}))
	}
}

func (p *Pages) list(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	keys, err := p.service.List(r.Context(), access)
	if err != nil {
		return err
	}
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = key.CreatedBy
	}
	makers, err := p.members(r.Context(), ids...)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "API keys", listPage(access, keys, makers, time.Now()))
}

func (p *Pages) showNew(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.AuthorizeCreate(access.Actor()); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "New API key", newPage(access, apikeys.Draft{Lifetime: apikeys.DefaultLifetime}, nil))
}

// create shows the key in its answer: nothing on the way to another page, such as an
// address or a cookie, is a place for a secret.
func (p *Pages) create(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.AuthorizeCreate(access.Actor()); err != nil {
		return err
	}
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	draft := apikeys.Draft{Name: r.PostForm.Get("name"), Permissions: r.PostForm["permissions"]}
	lifetime, err := strconv.Atoi(cmp.Or(r.PostForm.Get("expires_in_days"), strconv.Itoa(apikeys.DefaultLifetime)))
	draft.Lifetime = lifetime
	if err != nil || lifetime == 0 {
		draft.Lifetime = -1 // is refused with whatever else is wrong
	}
	key, token, err := p.service.Create(r.Context(), access, draft)
	switch {
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.Conflict):
		return web.Render(w, r, http.StatusUnprocessableEntity, "New API key", newPage(access, draft, fault.As(err)))
	case err != nil:
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.Render(w, r, http.StatusOK, "New API key", createdPage(key, token.Reveal()))
}

func (p *Pages) confirmRevoke(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	key, err := p.service.Key(r.Context(), access, httpserver.PathParam(r, "key"))
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Revoke an API key", ui.Confirm(revocation(web.FromContext(r.Context()), key)))
}

func (p *Pages) revoke(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	key, err := p.service.Revoke(r.Context(), access, httpserver.PathParam(r, "key"))
	if err != nil {
		return err
	}
	web.Redirect(w, r, string(web.FromContext(r.Context()).Link("/api-keys")), &web.Flash{
		Kind: ui.Success, Message: "“" + key.Name + "” was revoked.",
	})
	return nil
}

// revocation is the question before it.
func revocation(shell *web.Shell, key apikeys.Key) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "revoke-" + key.ID,
		Title:        "Revoke “" + key.Name + "”?",
		Description:  "Programs that use " + apikeys.Hint(key.ID) + " lose access at once. This cannot be taken back.",
		Action:       shell.Link("/api-keys/%s/revoke", key.ID),
		ConfirmLabel: "Revoke key",
		CancelHref:   shell.Link("/api-keys"),
	}
}

// standing says what a key is good for now.
func standing(key apikeys.Key, maker identity.Member, now time.Time) (label string, variant ui.Variant) {
	switch {
	case key.Expired(now):
		return "Expired", ui.Outline
	case !maker.IsActive:
		return "Maker left", ui.Outline
	}
	return "Active", ui.Secondary
}

// described are permissions in words.
var described = map[identity.Permission]string{
	identity.ProjectsViewPublic: "See public projects",
	identity.ProjectsViewOwn:    "See your own projects",
	identity.ProjectsViewAll:    "See all projects",
	identity.ProjectsCreate:     "Create projects in your name",
	identity.ProjectsEditOwn:    "Edit your own projects",
	identity.ProjectsEditAll:    "Edit all projects",
	identity.ProjectsDeleteOwn:  "Delete your own projects",
	identity.ProjectsDeleteAll:  "Delete all projects",
	identity.UsersView:          "See members",
	identity.UsersManage:        "Invite, change and remove members",
	identity.APIKeysManage:      "List and revoke API keys",
	identity.AuditView:          "Read the audit log",
	identity.OrganizationManage: "Manage the organization and its owners",
}

func isChosen(draft apikeys.Draft, permission identity.Permission) bool {
	return slices.Contains(draft.Permissions, string(permission))
}

// lifetimes are the choices of the form, with the one that was sent.
func lifetimes() []ui.Option {
	return []ui.Option{
		{Value: "7", Label: "7 days"}, {Value: "30", Label: "30 days"}, {Value: "90", Label: "90 days"},
		{Value: "180", Label: "180 days"}, {Value: "366", Label: "A year"},
	}
}
