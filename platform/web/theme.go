package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Theme is a colour theme. The server writes it onto the document, so that a
// page never flashes in the wrong one.
type Theme string

const (
	// ThemeSystem follows the browser's preference.
	ThemeSystem Theme = ""
	ThemeLight  Theme = "light"
	ThemeDark   Theme = "dark"
)

// schemes are the colour schemes that a browser may draw in before it has the style
// sheet.
func (t Theme) schemes() string {
	if t == ThemeSystem {
		return "light dark"
	}
	return string(t)
}

// preference is something that a browser remembers about how pages look. Its name
// is that of the cookie and of the form's field; every value but those listed is
// the usual one, which takes no cookie.
type preference struct {
	name   string
	values []string
}

const sidebarFolded = "folded"

var (
	themePreference   = preference{"theme", []string{string(ThemeLight), string(ThemeDark)}}
	sidebarPreference = preference{"sidebar", []string{sidebarFolded}}
)

// of returns what the request's browser remembers, "" for the usual.
func (p preference) of(r *http.Request) string {
	cookie, err := r.Cookie(p.name)
	if err != nil || !slices.Contains(p.values, cookie.Value) {
		return ""
	}
	return cookie.Value
}

// handler answers a form by keeping its value for a year, and leads back to
// "return_to", a path on this host.
func (p preference) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shell := FromContext(r.Context())
		cookie := http.Cookie{
			Name: p.name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: shell.Secure, MaxAge: -1,
		}
		if shell.Domain != "" {
			http.SetCookie(w, &cookie) // this host's own, of a time when it was the only one, would hide the domain's
			cookie.Domain = shell.Domain
		}
		if value := r.PostFormValue(p.name); slices.Contains(p.values, value) {
			cookie.Value, cookie.MaxAge = value, int((365 * 24 * time.Hour).Seconds())
		}
		http.SetCookie(w, &cookie)
		http.Redirect(w, r, localPath(r.PostFormValue("return_to")), http.StatusSeeOther)
	})
}

func themeOf(r *http.Request) Theme { return Theme(themePreference.of(r)) }

func isSidebarFolded(r *http.Request) bool { return sidebarPreference.of(r) == sidebarFolded }

// ThemeHandler answers the form that the layouts post to /theme: it keeps the
// form's "theme" (light, dark, anything else means system) in a cookie for a
// year and leads back to "return_to", a path on this host.
func ThemeHandler() http.Handler { return themePreference.handler() }

// SidebarHandler answers the form that the layout of a tenant posts to /sidebar:
// it keeps whether the form's "sidebar" is "folded" in a cookie for a year and
// leads back to "return_to", a path on this host.
func SidebarHandler() http.Handler { return sidebarPreference.handler() }

// localPath returns path when a browser resolves it to this very host, and "/"
// for everything else: absolute and protocol-relative URLs, backslashes (which
// browsers read as slashes) and control characters (which they drop).
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsFunc(path, func(c rune) bool {
		return c == '\\' || c < ' ' || c == 0x7f
	}) {
		return "/"
	}
	if _, err := url.Parse(path); err != nil {
		return "/"
	}
	return path
}
