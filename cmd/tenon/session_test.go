package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/session"

	"github.com/tenonhq/tenon/platform/clerkdev"
	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestAnExpiredSessionLosesNothing has a person come back to their tab when its
// token is an hour old: to open a page, to search, and to send a form; and the
// same once more when even the session is over and they have to sign in.
func TestAnExpiredSessionLosesNothing(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.visitor(t)
	ada.signUp(t, "Ada", "Acme", "acme")
	const search = "/acme/projects?q=voy&status=archived"
	back := `location.pathname + location.search === "` + search + `" && document.documentElement.classList.contains("js")`

	for _, ended := range []bool{false, true} {
		expire, name := ada.expire, "an expired token"
		if ended {
			expire, name = ada.end, "an ended session"
		}
		comesBack := func(t *testing.T) {
			t.Helper()
			if ended {
				ada.at(t, "/__clerk/sign-in")
				ada.click(t, `[aria-label="Sign in as ada@example.com"]`)
			}
		}
		t.Run(name+", a page", func(t *testing.T) {
			ada.open(t, "/acme/dashboard")
			expire(t)
			ada.open(t, search)
			comesBack(t)
			browsertest.Eventually(t, ada.ctx, back)
			if text := ada.text(t); !strings.Contains(text, "Projects") {
				t.Errorf("not where she was: %q", text)
			}
		})
		t.Run(name+", a fragment", func(t *testing.T) {
			ada.open(t, "/acme/projects?status=archived")
			ada.at(t, "/acme/projects")
			expire(t)
			browsertest.Do(t, ada.ctx, chromedp.SendKeys(chromedp.CSS(`[name="q"]`), "voy"))
			comesBack(t)
			// A search without a result names its words, so this is the answer.
			browsertest.Eventually(t, ada.ctx, `new URLSearchParams(location.search).get("q") === "voy" && document.querySelector('[name="q"]')?.value === "voy" && document.documentElement.classList.contains("js")`)
		})
		t.Run(name+", a form", func(t *testing.T) {
			ada.open(t, "/acme/projects/new")
			ada.at(t, "/acme/projects/new")
			ada.fill(t, map[string]string{"name": "Voyager", "description": "Far <away>, & back."})
			expire(t)
			ada.click(t, `main form button[type="submit"]`)
			comesBack(t)
			browsertest.Eventually(t, ada.ctx, `location.pathname === "/acme/projects/new" && document.querySelector('[name="name"]')?.value === "Voyager" && document.querySelector("#toasts .toast")`)
			if got := browsertest.Evaluate[string](t, ada.ctx, `document.querySelector('[name="description"]').value`); got != "Far <away>, & back." {
				t.Errorf("the description is %q", got)
			}
		})
	}
	t.Run("and then it is sent", func(t *testing.T) {
		ada.click(t, `main form button[type="submit"]`)
		ada.at(t, "/acme/projects/voyager")
		ada.says(t, "Far <away>, & back.")
	})
}

// sessionID is the id of the browser's session.
func (v *visitor) sessionID(t *testing.T) string {
	t.Helper()
	token := browsertest.Evaluate[string](t, v.ctx, `document.cookie.split("; ").find((c) => c.startsWith("__session="))?.slice(10) ?? ""`)
	if token == "" {
		t.Fatal("the browser has no session cookie")
	}
	return claimsOf(t, token).SID
}

// expire puts a token of the browser's session that has expired into its cookies.
func (v *visitor) expire(t *testing.T) {
	t.Helper()
	var state []byte
	err := fs.WalkDir(os.DirFS(os.Getenv("XDG_CACHE_HOME")), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasPrefix(entry.Name(), "clerk-") {
			state, err = os.ReadFile(filepath.Join(os.Getenv("XDG_CACHE_HOME"), path))
		}
		return err
	})
	if err != nil || state == nil {
		t.Fatalf("the emulator's state: %d bytes, %v", len(state), err)
	}
	copied := filepath.Join(t.TempDir(), "clerk.json")
	if err := os.WriteFile(copied, state, 0o600); err != nil {
		t.Fatal(err)
	}
	twin, err := clerkdev.New(clerkdev.Config{PublicURL: v.URL, StateFile: copied})
	if err != nil {
		t.Fatal(err)
	}
	expired, err := twin.SessionToken(v.sessionID(t), clerkdev.TokenOptions{Lifetime: -time.Hour, AuthorizedParty: v.URL})
	if err != nil {
		t.Fatal(err)
	}
	browsertest.Evaluate[chromedp.Void](t, v.ctx, fmt.Sprintf(`{ for (const c of document.cookie.split("; ")) if (c.startsWith("__session")) document.cookie = c.split("=")[0] + "=%s; path=/"; }`, expired))
}

// end ends the browser's session at the provider, and expires its token.
func (v *visitor) end(t *testing.T) {
	t.Helper()
	v.expire(t)
	sessions := session.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{URL: new(v.ClerkAPIURL + "/v1"), Key: new(v.ClerkSecretKey)}})
	if _, err := sessions.Revoke(t.Context(), &session.RevokeParams{ID: v.sessionID(t)}); err != nil {
		t.Fatal(err)
	}
}
