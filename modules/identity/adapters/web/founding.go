package web

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// FoundingPages are the page where somebody makes an organization.
type FoundingPages struct {
	gate     *Gate
	service  *identity.Service
	founding *identity.Founding
	errors   *httpserver.ErrorWriter
}

// NewFoundingPages returns the page. What it cannot answer is answered by errors.
func NewFoundingPages(gate *Gate, service *identity.Service, founding *identity.Founding, errors *httpserver.ErrorWriter) *FoundingPages {
	return &FoundingPages{gate: gate, service: service, founding: founding, errors: errors}
}

// addressPath says whether an address is free, as one types it.
const addressPath = createOrganizationPath + "/address"

// SignedIn mounts the page on a router that needs a session and no tenant.
func (p *FoundingPages) SignedIn(r chi.Router) {
	r.Get(createOrganizationPath, p.errors.Handle(p.show))
	r.Post(createOrganizationPath, p.errors.Handle(p.found))
	r.Get(addressPath, p.errors.Handle(p.showAddress))
}

func (p *FoundingPages) show(w http.ResponseWriter, r *http.Request) error {
	return p.render(w, r, http.StatusOK, identity.Foundation{}, nil)
}

func (p *FoundingPages) render(w http.ResponseWriter, r *http.Request, status int, entered identity.Foundation, refused *fault.Error) error {
	session, _ := identity.SessionFromContext(r.Context())
	tenants, err := p.service.Tenants(r.Context(), session.AccountID)
	if err != nil {
		return err
	}
	return web.Render(w, p.gate.outsideTenants(r), status, "Create an organization", foundingPage(entered, refused, len(tenants) > 0))
}

func (p *FoundingPages) found(w http.ResponseWriter, r *http.Request) error {
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	entered := identity.Foundation{Name: r.PostForm.Get("name"), Slug: r.PostForm.Get("slug"), Project: r.PostForm.Get("project")}
	session, _ := identity.SessionFromContext(r.Context())
	made, err := p.founding.Found(r.Context(), session, entered)
	status, shown := refused(w, r, err)
	if shown == nil && fault.Is(err, fault.Forbidden) && !web.IsFragmentRequest(r) {
		status, shown = http.StatusForbidden, fault.As(err)
	}
	switch {
	case shown != nil:
		return p.render(w, r, status, entered, shown)
	case err != nil:
		return err
	}
	message := made.Name + " is ready."
	if made.RequestedSlug != made.Slug.String() {
		message = fmt.Sprintf("%s is ready. It is at /%s, because the address was taken in the meantime.", made.Name, made.Slug)
	}
	web.Redirect(w, r, homePath(r.Context(), made), &web.Flash{Kind: ui.Success, Message: message})
	return nil
}

// showAddress answers htmx alone: without it, the form says so when it is sent.
func (p *FoundingPages) showAddress(w http.ResponseWriter, r *http.Request) error {
	if !web.IsFragmentRequest(r) {
		http.Redirect(w, r, createOrganizationPath, http.StatusSeeOther)
		return nil
	}
	name, slug := r.URL.Query().Get("name"), r.URL.Query().Get("slug")
	if name == "" && slug == "" {
		return web.RenderFragment(w, r, http.StatusOK, addressNote("", ""))
	}
	free, err := p.founding.Available(r.Context(), name, slug)
	problem := ui.FieldError(fault.As(err), "slug")
	if err != nil && problem == "" {
		return err
	}
	return web.RenderFragment(w, r, http.StatusOK, addressNote(free, problem))
}
