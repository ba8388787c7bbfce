package clerk_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
)

func publishableKey(kind, host string) string {
	return "pk_" + kind + "_" + base64.StdEncoding.EncodeToString([]byte(host+"$"))
}

func newInstance(tb testing.TB, cfg clerk.InstanceConfig) *clerk.Instance {
	tb.Helper()
	instance, err := clerk.NewInstance(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return instance
}

func TestInstanceAddresses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg                                         clerk.InstanceConfig
		frontendAPI, signIn, selectPage, out, fresh string
		development                                 bool
	}{
		"production": {
			cfg:         clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.example.com"), PublicURL: "https://app.example.com"},
			frontendAPI: "https://clerk.example.com",
			signIn:      "https://app.example.com/sign-in?redirect_url=%2Facme%2Fprojects%3Fpage%3D2",
			selectPage:  "https://app.example.com/organizations?redirect_url=%2F",
		},
		"development": {
			cfg:         clerk.InstanceConfig{PublishableKey: publishableKey("test", "ready-fox-1.clerk.accounts.dev"), PublicURL: "http://localhost:3000"},
			frontendAPI: "https://ready-fox-1.clerk.accounts.dev",
			signIn:      "http://localhost:3000/sign-in?redirect_url=%2Facme%2Fprojects%3Fpage%3D2",
			selectPage:  "http://localhost:3000/organizations?redirect_url=%2F",
			development: true,
		},
		"behind a proxy": {
			cfg:         clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.example.com"), FrontendAPI: "https://app.example.com/__clerk/", PublicURL: "https://app.example.com/"},
			frontendAPI: "https://app.example.com/__clerk",
			signIn:      "https://app.example.com/sign-in?redirect_url=%2Facme%2Fprojects%3Fpage%3D2",
			selectPage:  "https://app.example.com/organizations?redirect_url=%2F",
		},
		"emulator": {
			cfg:         clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.localhost:3000"), FrontendAPI: "http://localhost:3000/__clerk", PublicURL: "http://localhost:3000"},
			frontendAPI: "http://localhost:3000/__clerk",
			signIn:      "http://localhost:3000/__clerk/sign-in?redirect_url=http%3A%2F%2Flocalhost%3A3000%2Facme%2Fprojects%3Fpage%3D2",
			selectPage:  "http://localhost:3000/__clerk/select-organization?redirect_url=http%3A%2F%2Flocalhost%3A3000%2F",
			out:         "http://localhost:3000/__clerk/sign-out?redirect_url=http%3A%2F%2Flocalhost%3A3000%2F",
			fresh:       "http://localhost:3000/__clerk/v1/client/sessions/sess_1/tokens",
		},
		"emulator by address": {
			cfg:         clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.127.0.0.1:3000"), FrontendAPI: "http://127.0.0.1:3000/__clerk", PublicURL: "http://127.0.0.1:3000"},
			frontendAPI: "http://127.0.0.1:3000/__clerk",
			signIn:      "http://127.0.0.1:3000/__clerk/sign-in?redirect_url=http%3A%2F%2F127.0.0.1%3A3000%2Facme%2Fprojects%3Fpage%3D2",
			selectPage:  "http://127.0.0.1:3000/__clerk/select-organization?redirect_url=http%3A%2F%2F127.0.0.1%3A3000%2F",
			out:         "http://127.0.0.1:3000/__clerk/sign-out?redirect_url=http%3A%2F%2F127.0.0.1%3A3000%2F",
			fresh:       "http://127.0.0.1:3000/__clerk/v1/client/sessions/sess_1/tokens",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			instance := newInstance(t, test.cfg)
			for what, pair := range map[string][2]string{
				"Frontend API": {instance.FrontendAPI(), test.frontendAPI},
				"sign in":      {instance.SignInURL("/acme/projects?page=2"), test.signIn},
				"sign up":      {instance.SignUpURL("/acme/projects?page=2"), strings.Replace(test.signIn, "/sign-in", "/sign-up", 1)},
				"select":       {instance.SelectOrganizationURL("/"), test.selectPage},
				"sign out":     {instance.SignOutURL(""), test.out},
				"refresh":      {instance.SessionRefreshURL("sess_1"), test.fresh},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s: %s, want %s", what, pair[0], pair[1])
				}
			}
			if instance.Development() != test.development {
				t.Errorf("development %v", instance.Development())
			}
			if got := instance.SessionRefreshURL("../x"); got != "" {
				t.Errorf("refresh for a malformed id: %s", got)
			}
		})
	}
}

// TestComponents: a Clerk instance's pages carry its components, loaded from its
// Frontend API; the emulator's do where it is asked for.
func TestComponents(t *testing.T) {
	t.Parallel()
	production := clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.example.com"), PublicURL: "https://app.example.com"}
	proxied, elsewhere := production, production
	proxied.FrontendAPI = "https://app.example.com/__clerk/"
	elsewhere.Scripts = "https://static.example.com/clerk/"
	emulated := clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.localhost:3000"), FrontendAPI: "http://localhost:3000/__clerk", PublicURL: "http://localhost:3000"}
	asked := emulated
	asked.Scripts = "http://localhost:3000/__clerk/npm"
	for name, test := range map[string]struct {
		cfg                         clerk.InstanceConfig
		script, proxy, api, scripts string
	}{
		"production":   {production, "https://clerk.example.com/npm/@clerk/clerk-js@6/dist/clerk.browser.js", "", "https://clerk.example.com", "https://clerk.example.com"},
		"proxied":      {proxied, "https://app.example.com/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js", "https://app.example.com/__clerk", "https://app.example.com", "https://app.example.com"},
		"elsewhere":    {elsewhere, "https://static.example.com/clerk/@clerk/clerk-js@6/dist/clerk.browser.js", "", "https://clerk.example.com", "https://static.example.com"},
		"emulator":     {cfg: emulated},
		"asked for it": {asked, "http://localhost:3000/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js", "http://localhost:3000/__clerk", "http://localhost:3000", "http://localhost:3000"},
	} {
		components, ok := newInstance(t, test.cfg).Components()
		want := clerk.Components{Script: test.script, ProxyURL: test.proxy, FrontendAPIOrigin: test.api, ScriptOrigin: test.scripts}
		if test.script != "" {
			want.PublishableKey, want.UIScript = test.cfg.PublishableKey, strings.Replace(test.script, "@clerk/clerk-js@6/dist/clerk.", "@clerk/ui@1/dist/ui.", 1)
		}
		if ok != (test.script != "") || components != want {
			t.Errorf("%s: %+v, want %+v", name, components, want)
		}
	}
}

func TestReturnPathStaysOnTheOrigin(t *testing.T) {
	t.Parallel()
	instance := newInstance(t, clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.example.com"), PublicURL: "https://app.example.com"})
	for returnTo, want := range map[string]string{
		"":                              "/",
		"/acme/projects/a%2Fb?q=%C3%A9": "/acme/projects/a%2Fb?q=%C3%A9",
		"https://evil.example.com/":     "/",
		"//evil.example.com/":           "/",
		"/..//evil.example.com/":        "/evil.example.com/",
		"/.//evil.example.com/":         "/",
		`/\evil.example.com/`:           "/",
		"javascript:alert(1)":           "/",
	} {
		if got := instance.ReturnPath(returnTo); got != want {
			t.Errorf("%q leads to %s, want %s", returnTo, got, want)
		}
	}
}

func TestReturnToStaysOnTheOrigin(t *testing.T) {
	t.Parallel()
	instance := newInstance(t, clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.localhost:3000"), FrontendAPI: "http://localhost:3000/__clerk", PublicURL: "https://app.example.com"})
	for returnTo, want := range map[string]string{
		"":                              "https://app.example.com/",
		"/":                             "https://app.example.com/",
		"/acme/projects/a%2Fb?q=%C3%A9": "https://app.example.com/acme/projects/a%2Fb?q=%C3%A9",
		"https://evil.example.com/":     "https://app.example.com/",
		"//evil.example.com/":           "https://app.example.com/",
		`/\evil.example.com/`:           "https://app.example.com/",
		"/../../x":                      "https://app.example.com/x",
		"javascript:alert(1)":           "https://app.example.com/",
		"acme":                          "https://app.example.com/",
		"/a\nb":                         "https://app.example.com/",
	} {
		u, err := url.Parse(instance.SignInURL(returnTo))
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Query().Get("redirect_url"); got != want {
			t.Errorf("%q leads to %s, want %s", returnTo, got, want)
		}
	}
}

func TestNewInstanceRefuses(t *testing.T) {
	t.Parallel()
	good := clerk.InstanceConfig{PublishableKey: publishableKey("live", "clerk.example.com"), PublicURL: "https://app.example.com"}
	for name, change := range map[string]func(*clerk.InstanceConfig){
		"no key":                  func(c *clerk.InstanceConfig) { c.PublishableKey = "" },
		"a secret key":            func(c *clerk.InstanceConfig) { c.PublishableKey = "sk_live_hunter2" },
		"no base64":               func(c *clerk.InstanceConfig) { c.PublishableKey = "pk_live_%%%" },
		"no dollar":               func(c *clerk.InstanceConfig) { c.PublishableKey = "pk_live_Y2xlcmsuZXhhbXBsZS5jb20" },
		"no host":                 func(c *clerk.InstanceConfig) { c.PublishableKey = publishableKey("live", "clerk") },
		"a host with a path":      func(c *clerk.InstanceConfig) { c.PublishableKey = publishableKey("live", "clerk.example.com/x") },
		"no public URL":           func(c *clerk.InstanceConfig) { c.PublicURL = "" },
		"a public URL of a file":  func(c *clerk.InstanceConfig) { c.PublicURL = "file:///x" },
		"scripts of a file":       func(c *clerk.InstanceConfig) { c.Scripts = "file:///npm" },
		"a Frontend API no URL":   func(c *clerk.InstanceConfig) { c.FrontendAPI = "clerk.example.com" },
		"a Frontend API by login": func(c *clerk.InstanceConfig) { c.FrontendAPI = "https://a:b@clerk.example.com" },
	} {
		cfg := good
		change(&cfg)
		_, err := clerk.NewInstance(cfg)
		if err == nil {
			t.Errorf("%s was accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}
