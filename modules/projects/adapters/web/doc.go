// Package web is the projects module's pages: the dashboard, the list of
// projects, and the pages to see, make, edit and delete one.
//
// Every page works without JavaScript, and every part that htmx asks for is a
// page of its own at the same address. Controls are shown to those who may use
// them; that they may is checked again by the use case behind each.
package web

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
