// Package web is the operators' pages: the fleet of tenants and its migrations.
package web

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
