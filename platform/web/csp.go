package web

import "strings"

// ContentSecurityPolicy is the value of the Content-Security-Policy header for
// every page of this package: own scripts and styles only and none inline,
// pictures from any https origin (avatars come from the identity provider),
// no framing. Forms may be posted to this origin and to formActions, origins
// such as "https://accounts.example.com": browsers apply form-action to where
// a post redirects, too.
func ContentSecurityPolicy(formActions ...string) string {
	return policy(sources{formAction: formActions})
}

// ComponentsPolicy is the value for pages that carry [Components], as Clerk lists
// it (clerk.com/docs/guides/secure/best-practices/csp-headers): beside what
// [ContentSecurityPolicy] allows, scripts of and connections to frontendAPI and of
// further origins that ClerkJS is loaded from, its protection against bots, its
// workers, and inline styles. Inline scripts stay forbidden.
func ComponentsPolicy(formActions []string, frontendAPI string, scripts ...string) string {
	const challenges, protection = "https://challenges.cloudflare.com", "https://*.protect.clerk.com"
	return policy(sources{
		connect:    []string{frontendAPI, protection + ":*"},
		frame:      []string{challenges, protection},
		formAction: formActions,
		script:     append([]string{frontendAPI, challenges, protection}, scripts...),
		style:      []string{"'unsafe-inline'"},
		worker:     []string{"blob:"},
	})
}

// sources are what a policy allows beside this origin.
type sources struct{ connect, formAction, frame, script, style, worker []string }

func policy(allowed sources) string {
	own := func(directive string, more []string) string {
		return strings.Join(append([]string{directive, "'self'"}, more...), " ")
	}
	frame := "frame-src 'none'"
	if len(allowed.frame) > 0 {
		frame = "frame-src " + strings.Join(allowed.frame, " ")
	}
	directives := []string{
		"default-src 'self'",
		"base-uri 'none'",
		own("connect-src", allowed.connect),
		own("form-action", allowed.formAction),
		"frame-ancestors 'none'",
		frame,
		"img-src 'self' data: https:",
		"object-src 'none'",
		own("script-src", allowed.script),
		own("style-src", allowed.style),
	}
	if len(allowed.worker) > 0 {
		directives = append(directives, own("worker-src", allowed.worker))
	}
	return strings.Join(directives, "; ")
}
