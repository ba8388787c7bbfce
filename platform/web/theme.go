package web

import (
	"net/http"
	"net/url"
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

const themeCookie = "theme"

func themeOf(r *http.Request) Theme {
	cookie, err := r.Cookie(themeCookie)
	if err != nil {
		return ThemeSystem
	}
	switch theme := Theme(cookie.Value); theme {
	case ThemeLight, ThemeDark:
		return theme
	default:
		return ThemeSystem
	}
}

// ThemeHandler answers the form that the layouts post to /theme: it keeps the
// form's "theme" (light, dark, anything else means system) in a cookie for a
// year and leads back to "return_to", a path on this host.
func ThemeHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie := &http.Cookie{
			Name: themeCookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
			Secure: r.TLS != nil, MaxAge: int((365 * 24 * time.Hour).Seconds()),
		}
		switch theme := Theme(r.PostFormValue("theme")); theme {
		case ThemeLight, ThemeDark:
			cookie.Value = string(theme)
		default:
			cookie.MaxAge = -1
		}
		http.SetCookie(w, cookie)
		http.Redirect(w, r, localPath(r.PostFormValue("return_to")), http.StatusSeeOther)
	})
}

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
