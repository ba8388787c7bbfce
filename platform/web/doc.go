// Package web is the foundation of the server-rendered user interface: the
// page layouts, the rendering of full pages and htmx fragments, error pages,
// flash messages, the colour theme, the content security policy and the
// embedded assets. The components that pages are made of live in
// [github.com/tenonhq/tenon/platform/web/ui].
//
// A middleware puts a [Shell] into the request's context: what the layout
// shows around a page. A handler then calls [Render] with the page alone:
//
//	return web.Render(w, r, http.StatusOK, "Projects", projectsPage(list))
//
// The same handler serves a whole document to a browser and the bare page to
// htmx, so every fragment is also a page at its own URL, and everything works
// without JavaScript.
//
// Nothing here emits an inline script, an inline style or an on… attribute:
// pages run under [ContentSecurityPolicy], which allows none of them.
//
// # Assets
//
// assets/dist is built from assets/src by `npm ci && npm run build` in
// platform/web/assets and committed, so that Go alone builds and runs the
// program. The build also writes ui/icons.go.
package web

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
