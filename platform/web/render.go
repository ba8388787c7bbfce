package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"
)

// Render answers with page under title: a whole document in the layout of the
// context's [Shell], or, to htmx, the page alone with its title and any flash
// as an out-of-band toast. A boosted request and one that restores history get
// the whole document.
//
// The answer is rendered before its first byte is sent. When rendering fails,
// nothing has been written and the error is the caller's to answer.
func Render(w http.ResponseWriter, r *http.Request, status int, title string, page templ.Component) error {
	shell := shellFor(w, r, title)
	if IsFragmentRequest(r) {
		return write(w, r, status, shell, fragment(shell, page))
	}
	return write(w, r, status, shell, document(shell, page))
}

// RenderFragment answers with fragment alone, whoever asks: for a handler
// that has checked for htmx itself. A flash set on the context's [Shell] comes
// along as an out-of-band toast.
func RenderFragment(w http.ResponseWriter, r *http.Request, status int, component templ.Component) error {
	shell := shellFor(w, r, "")
	return write(w, r, status, shell, fragment(shell, component))
}

// shellFor returns a copy of the context's shell with what the request adds.
func shellFor(w http.ResponseWriter, r *http.Request, title string) *Shell {
	shell := *FromContext(r.Context())
	shell.Title = title
	shell.path = pageOf(r)
	if shell.Theme == ThemeSystem {
		shell.Theme = themeOf(r)
	}
	shell.SidebarFolded = shell.SidebarFolded || isSidebarFolded(r)
	if shell.Flash == nil {
		shell.Flash = takeFlash(w, r)
	}
	return &shell
}

// pageOf returns the path of the page that a browser shows, or showed when it sent a
// form; "/" when nothing of this host says so.
func pageOf(r *http.Request) string {
	if r.Method == http.MethodGet {
		return r.URL.RequestURI()
	}
	from, err := url.Parse(r.Referer())
	if err != nil || !strings.EqualFold(from.Host, r.Host) {
		return "/"
	}
	return localPath(from.RequestURI())
}

func write(w http.ResponseWriter, r *http.Request, status int, shell *Shell, component templ.Component) error {
	var body bytes.Buffer
	if err := component.Render(NewContext(r.Context(), shell), &body); err != nil {
		return fmt.Errorf("web.Render %q: %w", shell.Title, err)
	}
	header := w.Header()
	header.Add("Vary", "HX-Request")
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "private, no-cache")
	}
	if shell.Components != nil {
		header.Set("Content-Security-Policy", shell.Components.Policy)
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// A failed write means that the client has gone; nobody is left to tell.
		_, _ = body.WriteTo(w)
	}
	return nil
}

// IsFragmentRequest reports whether htmx asks for a part of a page, so that a
// handler can answer with less than the page, by [RenderFragment].
func IsFragmentRequest(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" &&
		r.Header.Get("HX-Boosted") != "true" &&
		r.Header.Get("HX-History-Restore-Request") != "true"
}
