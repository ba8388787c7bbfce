package clerk

import (
	"context"
	"crypto/sha1" //nolint:gosec // names cookies as Clerk does; nothing is secured by it
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tenonhq/tenon/platform/httpserver"
)

// InstanceConfig names a Clerk instance and the application that uses it.
type InstanceConfig struct {
	// PublishableKey is "pk_live_…" or "pk_test_…".
	PublishableKey string
	// FrontendAPI is the URL of the instance's Frontend API. By default it is
	// the host in the publishable key; behind a proxy, and with the local
	// emulator, it is another.
	FrontendAPI string
	// PublicURL is the origin that browsers see the application under.
	PublicURL string
	// IsTenantHost reports whether an address has the origin of a tenant's host, to
	// which people may come back as to PublicURL; nil is never.
	IsTenantHost func(*url.URL) bool
	// Scripts is the URL below which ClerkJS is loaded from. By default it is the
	// Frontend API's /npm, and none with the local emulator, which has its own forms.
	Scripts string
}

// Instance knows the addresses and the cookie names that follow from the keys
// of a Clerk instance. It does not change.
type Instance struct {
	development  bool
	cookieSuffix string
	keyHost      string // the Frontend API's host by the publishable key
	frontendAPI  *url.URL
	publicURL    *url.URL
	isTenantHost func(*url.URL) bool
	components   *Components
}

// Components are what pages load from a Clerk instance to show its own.
type Components struct {
	PublishableKey string
	// ProxyURL is the Frontend API's URL where the key names another, else "".
	ProxyURL string
	// Script and UIScript are the URLs of ClerkJS and of its components.
	Script, UIScript string
	// FrontendAPIOrigin and ScriptOrigin are for the pages' policy.
	FrontendAPIOrigin, ScriptOrigin string
}

// The major versions that the pages are written for.
const (
	clerkJSScript = "@clerk/clerk-js@6/dist/clerk.browser.js"
	clerkUIScript = "@clerk/ui@1/dist/ui.browser.js"
)

// NewInstance fails when the key or one of the URLs is malformed. The error
// does not repeat the key.
func NewInstance(cfg InstanceConfig) (*Instance, error) {
	i := &Instance{development: strings.HasPrefix(cfg.PublishableKey, "pk_test_"), isTenantHost: cfg.IsTenantHost}
	var err error
	if i.keyHost, err = frontendAPIHost(cfg.PublishableKey); err != nil {
		return nil, fmt.Errorf("clerk: publishable key: %w", err)
	}
	frontendAPI := cfg.FrontendAPI
	if frontendAPI == "" {
		frontendAPI = "https://" + i.keyHost
	}
	if i.frontendAPI, err = parseURL(frontendAPI); err != nil {
		return nil, fmt.Errorf("clerk: Frontend API: %w", err)
	}
	if i.publicURL, err = parseURL(cfg.PublicURL); err != nil {
		return nil, fmt.Errorf("clerk: public URL: %w", err)
	}
	i.publicURL.Path = ""
	digest := sha1.Sum([]byte(cfg.PublishableKey)) //nolint:gosec // see the import
	i.cookieSuffix = base64.URLEncoding.EncodeToString(digest[:])[:8]
	if isLoopback(i.keyHost) && cfg.Scripts == "" {
		return i, nil
	}
	scripts := i.frontendAPI.JoinPath("npm")
	if cfg.Scripts != "" {
		if scripts, err = parseURL(cfg.Scripts); err != nil {
			return nil, fmt.Errorf("clerk: ClerkJS: %w", err)
		}
	}
	i.components = &Components{
		PublishableKey:    cfg.PublishableKey,
		Script:            scripts.JoinPath(clerkJSScript).String(),
		UIScript:          scripts.JoinPath(clerkUIScript).String(),
		FrontendAPIOrigin: originOf(i.frontendAPI), ScriptOrigin: originOf(scripts),
	}
	if i.FrontendAPI() != "https://"+i.keyHost {
		i.components.ProxyURL = i.FrontendAPI()
	}
	return i, nil
}

// frontendAPIHost decodes a publishable key: "pk_live_" or "pk_test_" and then
// the host and a "$" in base64, with or without padding.
func frontendAPIHost(key string) (string, error) {
	encoded, ok := strings.CutPrefix(key, "pk_live_")
	if !ok {
		encoded, ok = strings.CutPrefix(key, "pk_test_")
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	host, dollar := strings.CutSuffix(string(decoded), "$")
	if !ok || err != nil || !dollar || !strings.Contains(host, ".") || strings.ContainsAny(host, "$/?#@\\ ") {
		return "", errors.New("want pk_live_ or pk_test_ and a host in base64")
	}
	return host, nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("want an http or https URL without query")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// isLoopback reports whether host, of a key, is this machine: then the instance
// is the local emulator, which serves its own account portal.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if name := strings.TrimPrefix(host, "clerk."); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(strings.TrimPrefix(host, "clerk."), "[]"))
	return err == nil && addr.IsLoopback()
}

// Development reports whether the instance is one for development, whose
// browsers carry a development token beside the session.
func (i *Instance) Development() bool { return i.development }

// FrontendAPI is the base URL of the Frontend API, without a slash at the end.
// It is also the issuer of the instance's tokens.
func (i *Instance) FrontendAPI() string { return i.frontendAPI.String() }

// Components returns what pages load to show Clerk's own components; false with
// the local emulator's own forms.
func (i *Instance) Components() (Components, bool) {
	if i.components == nil {
		return Components{}, false
	}
	return *i.components, true
}

// The application's pages that carry Clerk's components.
const (
	SignInPath        = "/sign-in"
	SignUpPath        = "/sign-up"
	SignOutPath       = "/sign-out"
	OrganizationsPath = "/organizations"
	ProfilePath       = "/account"
	SessionTaskPath   = "/sign-in/task"
)

// SignInURL is the page to sign in: the application's own with Clerk's components,
// else the emulator's. The person comes back to returnTo, a path
// of the application or an address at a tenant's host; anything else leads back to
// the application's root.
func (i *Instance) SignInURL(returnTo string) string {
	return i.pageURL(SignInPath, "/sign-in", returnTo)
}

// SignUpURL is the page to sign up; see [Instance.SignInURL].
func (i *Instance) SignUpURL(returnTo string) string {
	return i.pageURL(SignUpPath, "/sign-up", returnTo)
}

// SessionTaskURL is the page where somebody whose session is pending does what
// is left to do; see [Instance.SignInURL].
func (i *Instance) SessionTaskURL(returnTo string) string {
	return i.pageURL(SessionTaskPath, "/tasks", returnTo)
}

// SelectOrganizationURL is the page to choose among one's organizations; see
// [Instance.SignInURL].
func (i *Instance) SelectOrganizationURL(returnTo string) string {
	return i.pageURL(OrganizationsPath, "/select-organization", returnTo)
}

// SignOutURL is where a form is posted to sign out, and "" where ClerkJS has to do
// it.
func (i *Instance) SignOutURL(returnTo string) string {
	if i.components != nil {
		return ""
	}
	return i.pageURL("", "/sign-out", returnTo)
}

// SessionRefreshURL is the address that sets a new session cookie when it is
// posted to from the application's own pages, and "" where ClerkJS has to do
// it.
func (i *Instance) SessionRefreshURL(sessionID string) string {
	if i.components != nil || !idPattern.MatchString(sessionID) {
		return ""
	}
	return i.frontendAPI.JoinPath("v1/client/sessions", sessionID, "tokens").String()
}

func (i *Instance) pageURL(own, emulated, returnTo string) string {
	u, back := i.frontendAPI.JoinPath(emulated), i.publicAddress(returnTo).String()
	if i.components != nil {
		u, back = i.publicURL.JoinPath(own), i.ReturnPath(returnTo)
	}
	u.RawQuery = url.Values{"redirect_url": {back}}.Encode()
	return u.String()
}

// originOf is the origin that ctx's request was made to, as far as it is ours.
func (i *Instance) originOf(ctx context.Context) *url.URL {
	if origin := httpserver.HostOrigin(ctx); origin != "" {
		if u, err := url.Parse(origin); err == nil { // which it is
			return u
		}
	}
	return i.publicURL
}

// IsSecure reports whether browsers see the application over TLS.
func (i *Instance) IsSecure() bool { return i.publicURL.Scheme == "https" }

// ReturnPath is returnTo if it is a path of the application or an address at a
// tenant's host, else the application's root.
func (i *Instance) ReturnPath(returnTo string) string {
	address := i.publicAddress(returnTo)
	if address.Host != i.publicURL.Host {
		return address.String()
	}
	path := (&url.URL{Path: address.Path, RawPath: address.RawPath, RawQuery: address.RawQuery}).String()
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "/" // alone, it would name a host
	}
	return path
}

// publicAddress is path under the public URL, and an address at a tenant's host
// itself. What is neither, or would leave the origin, becomes the root.
func (i *Instance) publicAddress(path string) *url.URL {
	target, err := url.Parse(path)
	if err == nil && i.isTenantHost != nil && target.Host != "" && !strings.Contains(path, `\`) && i.isTenantHost(target) {
		return target
	}
	if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) || target.Host != "" {
		target = &url.URL{Path: "/"}
	}
	return i.publicURL.ResolveReference(target)
}
