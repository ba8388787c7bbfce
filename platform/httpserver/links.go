package httpserver

import "net/url"

// TenantAPIPath returns the address of something of a tenant's in the API. A slug has
// no character that a path would have to escape.
func TenantAPIPath(slug, path string) string { return tenantsAPI + slug + path }

// PageLinks returns the Link header (RFC 8288) of a page of the list at path: where its
// first page is, and its next one, which is at next by the parameter called cursor; ""
// is the last page. Empty values of the query are left out.
func PageLinks(path string, query map[string]string, cursor, next string) string {
	values := url.Values{}
	for name, value := range query {
		if value != "" {
			values.Set(name, value)
		}
	}
	links := "<" + path + "?" + values.Encode() + `>; rel="first"`
	if next != "" {
		values.Set(cursor, next)
		links += ", <" + path + "?" + values.Encode() + `>; rel="next"`
	}
	return links
}
