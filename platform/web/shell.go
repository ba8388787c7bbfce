package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/a-h/templ"
)

// Shell is what the layout shows around a page. It is made once a request,
// put into the context with [NewContext] and only read afterwards.
type Shell struct {
	// Title is the page's own title; [Render] sets it.
	Title string
	// Tenant is the organization whose pages these are, nil outside of one.
	// It decides the layout: sidebar with a tenant, plain header without.
	Tenant *Tenant
	// Person is who is signed in, nil when nobody is.
	Person *Person
	// Navigation is where to go, in order: the sidebar, the command palette and the
	// keyboard shortcuts are made of it.
	Navigation []NavigationItem
	// Organizations are those the person may switch to.
	Organizations []Organization
	// HomeHref is the application's root where that is not "/".
	HomeHref string
	// The addresses of the identity pages. An empty one hides its link.
	SwitchHref, CreateOrganizationHref  string
	SignInHref, SignUpHref, SignOutHref string
	ProfileHref                         string
	// SessionRefresh is the URL that renews the session cookie when it is
	// posted to; "" means that something else keeps the session alive. It
	// answers 2xx, or 401 when the session is over.
	SessionRefresh string
	// Components are what the identity provider draws into the layout, nil where
	// its pages are links alone. [Render] sends their policy with the page.
	Components *Components
	// Theme is the colour theme the page is rendered in; [Render] reads it
	// from the request's cookie when it is [ThemeSystem].
	Theme Theme
	// SidebarFolded leaves the sidebar its icons alone; [Render] reads it from the
	// request's cookie.
	SidebarFolded bool
	// Flash is a message shown once. [Render] fills it from the cookie that
	// [Redirect] left behind unless the handler has set one.
	Flash *Flash
	// Secure keeps the cookies of pages to TLS, which a proxy may have ended before
	// the request came here.
	Secure bool
	// Domain is that of all hosts of the application, for what a browser remembers
	// wherever it goes; "" where there is one host.
	Domain string
	// RequestID is shown on error pages, for the person to quote.
	RequestID string

	path string // of the request, for controls that lead back to the page
}

// Components are those of ClerkJS. A page loads it from the instance, runs under
// Policy, and has elements with a data-component for it to fill.
type Components struct {
	// PublishableKey names the Clerk instance.
	PublishableKey string
	// ProxyURL is the Frontend API's URL where it is not the key's.
	ProxyURL string
	// Script and UIScript are the URLs of ClerkJS and of its components.
	Script, UIScript string
	// Policy is the page's Content-Security-Policy; see [ComponentsPolicy].
	Policy string
	// The paths of the application's pages that the components lead to.
	SignInPath, SessionTaskPath               string
	SignUpPath, ProfilePath                   string
	OrganizationsPath, CreateOrganizationPath string
	// OrganizationProfilePath is below a tenant's base.
	OrganizationProfilePath string
}

// Tenant is an organization as the layout shows it.
type Tenant struct {
	Name, Slug string
	// OrganizationID is the identity provider's id of it, for [Components].
	OrganizationID string
	// ImageURL is the organization's picture, "" for its initials.
	ImageURL string
	// Base precedes the path of every page of the tenant: "/acme", or "" when
	// the tenant is named by the host.
	Base string
}

// Person is who is signed in.
type Person struct {
	Name, Email string
	// AvatarURL is the person's picture, "" for their initials.
	AvatarURL string
	// Role is shown as is, such as "Owner"; "" outside a tenant.
	Role string
}

// ItemKind says what a [NavigationItem] is, and so where it is found.
type ItemKind string

const (
	// PageItem is a page in the sidebar.
	PageItem ItemKind = ""
	// ActionItem is something to do, in no sidebar: the search finds it, and its
	// keys lead to it.
	ActionItem ItemKind = "action"
	// SearchItem is the page that finds things. The layout makes the command palette
	// of it, which fills [PaletteTarget] from it.
	SearchItem ItemKind = "search"
)

// PaletteTarget is the id of the element that htmx names as its target when it
// wants the entries of the command palette in place of the page that finds things:
// elements with the role "option" in one with the role "listbox".
const PaletteTarget = "palette-results"

// NavigationItem is one place to go.
type NavigationItem struct {
	Label string
	// Icon is one of [ui.IconNames].
	Icon string
	Kind ItemKind
	// Keys lead there from everywhere, one after the other, such as "g d"; "" is
	// none.
	Keys string
	// Path is the page's path below the tenant's base, such as "/projects".
	Path string
	// Permission is what a person needs to be let see the page, as the
	// application calls it; "" is for everybody.
	Permission string
	// Current marks the page that is open, or the section it belongs to.
	Current bool
}

// Organization is one entry of the organization switcher.
type Organization struct {
	Name, Href string
	// ImageURL is empty for the initials of the name.
	ImageURL string
	Current  bool
}

// hasSwitcher reports whether the menu of organizations has anything in it.
func (s *Shell) hasSwitcher() bool {
	return len(s.Organizations) > 0 || s.SwitchHref != "" || s.CreateOrganizationHref != ""
}

type shellKey struct{}

// NewContext returns a context that carries s for [FromContext].
func NewContext(ctx context.Context, s *Shell) context.Context {
	return context.WithValue(ctx, shellKey{}, s)
}

// FromContext returns the shell that [NewContext] put into ctx, or an empty
// one. It never returns nil.
func FromContext(ctx context.Context) *Shell {
	if s, ok := ctx.Value(shellKey{}).(*Shell); ok && s != nil {
		return s
	}
	return new(Shell)
}

// Link returns the address of a page of the shell's tenant. Each %s, %d or %v
// in format takes one argument, escaped as a single path segment, or as a
// query value after a "?"; format itself is trusted. Outside a tenant the path
// stands alone.
//
//	shell.Link("/projects/%s/edit", project.Slug)
//	shell.Link("/projects?after=%s", cursor)
func (s *Shell) Link(format string, args ...any) templ.SafeURL {
	var link strings.Builder
	if s.Tenant != nil {
		link.WriteString(s.Tenant.Base)
	}
	escape := escapeSegment
	for i := 0; i < len(format); i++ {
		switch c := format[i]; {
		case c == '?':
			escape = url.QueryEscape
			link.WriteByte(c)
		case c == '%' && len(args) > 0 && i+1 < len(format) && strings.IndexByte("sdv", format[i+1]) >= 0:
			link.WriteString(escape(fmt.Sprint(args[0])))
			args = args[1:]
			i++
		default:
			link.WriteByte(c)
		}
	}
	return templ.SafeURL(link.String())
}

// Query returns the query of an address with a question mark in front, without the
// values that are empty; "" when all are.
func Query(values map[string]string) templ.SafeURL {
	query := url.Values{}
	for name, value := range values {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return ""
	}
	return templ.SafeURL("?" + query.Encode())
}

// escapeSegment makes any text a single path segment. Browsers fold "." and
// ".." away even when they are percent-encoded, so those two become names that
// no resource has.
func escapeSegment(text string) string {
	if text == "." || text == ".." {
		text = strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// Where the theme control and the sidebar's post to.
const (
	themePath   = "/theme"
	sidebarPath = "/sidebar"
)

func (s *Shell) home() templ.SafeURL {
	if s.HomeHref == "" {
		return "/"
	}
	return templ.SafeURL(s.HomeHref)
}

// pages returns the navigation's pages, which the sidebar shows.
func (s *Shell) pages() []NavigationItem {
	var pages []NavigationItem
	for _, item := range s.Navigation {
		if item.Kind == PageItem {
			pages = append(pages, item)
		}
	}
	return pages
}

// searchItem returns the navigation's page that finds things; ok is false without
// one.
func (s *Shell) searchItem() (item NavigationItem, ok bool) {
	for _, item := range s.Navigation {
		if item.Kind == SearchItem {
			return item, true
		}
	}
	return NavigationItem{}, false
}

func (s *Shell) documentTitle() string {
	title := s.Title
	if s.Tenant != nil {
		title += " · " + s.Tenant.Name
	}
	if title == "" {
		return productName
	}
	return title + " · " + productName
}

// signInAndReturn leads to the sign-in page and from there back to this page.
func signInAndReturn(s *Shell) templ.SafeURL {
	separator := "?"
	if strings.Contains(s.SignInHref, "?") {
		separator = "&"
	}
	return templ.SafeURL(s.SignInHref + separator + "redirect_url=" + url.QueryEscape(s.path))
}

const productName = "Tenon"
