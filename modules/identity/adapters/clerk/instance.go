package clerk

import (
	"crypto/sha1" //nolint:gosec // names cookies as Clerk does; nothing is secured by it
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
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
}

// Instance knows the addresses and the cookie names that follow from the keys
// of a Clerk instance. It does not change.
type Instance struct {
	development  bool
	cookieSuffix string
	keyHost      string // the Frontend API's host by the publishable key
	frontendAPI  *url.URL
	publicURL    *url.URL
	portal       *url.URL
	emulated     bool
}

// NewInstance fails when the key or one of the URLs is malformed. The error
// does not repeat the key.
func NewInstance(cfg InstanceConfig) (*Instance, error) {
	i := &Instance{development: strings.HasPrefix(cfg.PublishableKey, "pk_test_")}
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
	i.portal, i.emulated = i.frontendAPI, isLoopback(i.keyHost)
	if !i.emulated {
		i.portal = &url.URL{Scheme: "https", Host: accountPortalHost(i.keyHost)}
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

// accountPortalHost is where Clerk hosts the pages to sign in and up, given the
// Frontend API's host: accounts.example.com for clerk.example.com, and
// fox-1.accounts.dev for fox-1.clerk.accounts.dev.
func accountPortalHost(host string) string {
	for _, known := range []struct{ api, portal string }{
		{"clerk.accountsstage.", "accountsstage."}, {"clerk.accounts.", "accounts."}, {"clerk.", "accounts."},
	} {
		if before, after, found := strings.Cut(host, known.api); found {
			return before + known.portal + after
		}
	}
	return host
}

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

// SignInURL is the page to sign in. The person comes back to returnTo, a path
// of the application; anything else leads back to its root.
func (i *Instance) SignInURL(returnTo string) string { return i.portalURL("/sign-in", returnTo) }

// SignUpURL is the page to sign up; see [Instance.SignInURL] for returnTo.
func (i *Instance) SignUpURL(returnTo string) string { return i.portalURL("/sign-up", returnTo) }

// CreateOrganizationURL is the page to create an organization; see
// [Instance.SignInURL] for returnTo.
func (i *Instance) CreateOrganizationURL(returnTo string) string {
	return i.portalURL("/create-organization", returnTo)
}

// SelectOrganizationURL is the page to choose among one's organizations, and ""
// where none is hosted: Clerk leaves that to a component in the application.
func (i *Instance) SelectOrganizationURL(returnTo string) string {
	if !i.emulated {
		return ""
	}
	return i.portalURL("/select-organization", returnTo)
}

// SignOutURL is the page to sign out, and "" where none is hosted; see
// [Instance.SelectOrganizationURL].
func (i *Instance) SignOutURL(returnTo string) string {
	if !i.emulated {
		return ""
	}
	return i.portalURL("/sign-out", returnTo)
}

// SessionRefreshURL is the address that sets a new session cookie when it is
// posted to from the application's own pages, and "" where ClerkJS has to do
// it because the Frontend API has another origin.
func (i *Instance) SessionRefreshURL(sessionID string) string {
	if !i.emulated || !idPattern.MatchString(sessionID) {
		return ""
	}
	return i.frontendAPI.JoinPath("v1/client/sessions", sessionID, "tokens").String()
}

func (i *Instance) portalURL(page, returnTo string) string {
	u := i.portal.JoinPath(page)
	u.RawQuery = url.Values{"redirect_url": {i.publicAddress(returnTo)}}.Encode()
	return u.String()
}

// publicAddress is path under the public URL. What is no path, or would leave
// the origin, becomes the root.
func (i *Instance) publicAddress(path string) string {
	target, err := url.Parse(path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) || target.Host != "" {
		target = &url.URL{Path: "/"}
	}
	return i.publicURL.ResolveReference(target).String()
}
