// Package web is the identity module's part of the HTTP surface that people
// see: the gate that requests pass before a page or an operation of a tenant,
// the shell around pages, and the way from signing up to the first page.
package web

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
