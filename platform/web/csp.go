package web

import "strings"

// ContentSecurityPolicy is the value of the Content-Security-Policy header for
// every page of this package: own scripts and styles only and none inline,
// pictures from any https origin (avatars come from the identity provider),
// no framing. Forms may be posted to this origin and to formActions, origins
// such as "https://accounts.example.com": browsers apply form-action to where
// a post redirects, too.
func ContentSecurityPolicy(formActions ...string) string {
	return strings.Join([]string{
		"default-src 'self'",
		"base-uri 'none'",
		"connect-src 'self'",
		"form-action " + strings.Join(append([]string{"'self'"}, formActions...), " "),
		"frame-ancestors 'none'",
		"frame-src 'none'",
		"img-src 'self' data: https:",
		"object-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
	}, "; ")
}
