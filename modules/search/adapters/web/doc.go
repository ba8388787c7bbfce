// Package web is the search module's page, which is the command palette's list
// as well.
package web

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
