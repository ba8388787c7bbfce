package main

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestEveryRoleInTheBrowser has people of every role look at every page that they
// may see, and do what they may do, on a desktop in the light theme and on a phone
// in the dark one.
func TestEveryRoleInTheBrowser(t *testing.T) {
	p := startProduct(t)
	owner := p.owner(t, "acme")
	p.newKey(t, owner, "acme")
	p.newInvitation(t, owner, "acme")
	looked := map[string]bool{}
	for i, person := range demo[0].people {
		t.Run(person.role, func(t *testing.T) {
			pages := p.pagesFor(t, person)
			if got, want := patterns(pages), seenBy(i); !slices.Equal(got, want) {
				t.Errorf("the links of the pages lead to\n%q, and one may see\n%q", got, want)
			}
			v := p.visitor(t)
			v.open(t, "/acme/dashboard")
			v.at(t, "/__clerk/sign-in")
			v.click(t, `[aria-label="Sign in as `+person.email+`"]`)
			v.at(t, "/acme/dashboard")
			for _, device := range []struct {
				theme string
				width int64
			}{{"light", 1280}, {"dark", 390}} {
				browsertest.Emulate(t, v.ctx, device.theme, device.width)
				for _, pattern := range patterns(pages) {
					v.looksAround(t, looked, pages[pattern], device.width, fmt.Sprintf("role-%s-%d-%s", person.role, device.width, strings.Trim(wordless.ReplaceAllString(pattern, "-"), "-")))
				}
				v.works(t, person.role, device.width)
			}
		})
	}
}

var (
	href     = regexp.MustCompile(`\shref="([^"]*)"`)
	wordless = regexp.MustCompile(`\W+`)
)

// unlinked are the pages of a tenant that no link leads to: they take what was chosen in
// a form.
var unlinked = []string{"/{tenant}/projects/bulk"}

// seenBy returns the pages of a tenant that the role with an index in the attack table
// may see, sorted.
func seenBy(role int) (seen []string) {
	for _, row := range attackTable {
		page := row.method == http.MethodGet && strings.HasPrefix(row.pattern, "/{tenant}/") && !slices.Contains(unlinked, row.pattern)
		// Nobody hands over to somebody who is suspended or to themselves, which the table tries.
		if page && (row.own[role] == http.StatusOK || row.own[role] == http.StatusConflict) || page && role == 2 && slices.Contains(ofMakers, row.pattern) {
			seen = append(seen, row.pattern)
		}
	}
	slices.Sort(seen)
	return seen
}

// ofMakers are the pages about what a member made, which the table asks for as
// somebody else.
var ofMakers = []string{pageProjects + "/{project}/edit", pageProjects + "/{project}/delete"}

// seenPage is a page of acme as one person gets it.
type seenPage struct {
	path string
	// shape is what pages that differ in texts alone have in common.
	shape string
}

func patterns(pages map[string]seenPage) []string { return slices.Sorted(maps.Keys(pages)) }

// pagesFor follows every link from a person's dashboard, as a crawler does, and
// returns one page of acme for each of the routes that they lead to. None of them
// may lead to a refusal.
func (p *product) pagesFor(t *testing.T, person demoPerson) map[string]seenPage {
	t.Helper()
	list, err := p.users.List(t.Context(), &user.ListParams{EmailAddresses: []string{person.email}})
	if err != nil || len(list.Users) != 1 {
		t.Fatalf("%s: %v", person.email, err)
	}
	token := p.token(t, list.Users[0], nil)
	pages, seen := map[string]seenPage{}, map[string]bool{}
	for queue := []string{"/acme/dashboard"}; len(queue) > 0; queue = queue[1:] {
		path, query, _ := strings.Cut(queue[0], "?")
		if seen[path] {
			continue
		}
		seen[path] = true
		answered := p.call(t, http.MethodGet, queue[0], token, nil, "Accept", "text/html")
		if answered.status != http.StatusOK {
			t.Errorf("a link leads %s to %s?%s, which answers %d", person.role, path, query, answered.status)
			continue
		}
		pages[patternOf(t, path)] = seenPage{path, shapeOf(answered.body)}
		for _, match := range href.FindAllStringSubmatch(answered.body, -1) {
			if link := html.UnescapeString(match[1]); strings.HasPrefix(link, "/acme/") {
				queue = append(queue, link)
			}
		}
	}
	return pages
}

// patternOf returns the attack table's pattern of a path of acme: the one with the
// fewest parameters.
func patternOf(t *testing.T, path string) (pattern string) {
	t.Helper()
	parts := strings.Split(path, "/")
	for _, row := range attackTable {
		fits := strings.Split(row.pattern, "/")
		if row.method != http.MethodGet || len(fits) != len(parts) {
			continue
		}
		matches := fits[1] == "{tenant}"
		for i := 2; i < len(parts); i++ {
			matches = matches && (fits[i] == parts[i] || strings.HasPrefix(fits[i], "{"))
		}
		if matches && (pattern == "" || strings.Count(row.pattern, "{") < strings.Count(pattern, "{")) {
			pattern = row.pattern
		}
	}
	if pattern == "" {
		t.Errorf("a link leads to %s, which is no route", path)
	}
	return pattern
}

// shapeOf returns the elements of a page's main part with their classes.
func shapeOf(page string) string {
	var shape strings.Builder
	for _, tag := range opened.FindAllStringSubmatch(between(page, "<main", "</main>"), -1) {
		shape.WriteString(tag[1] + " " + tag[2] + "\n")
	}
	return shape.String()
}

var opened = regexp.MustCompile(`<([a-z0-9]+)(?:[^>]*?\s(class="[^"]*"))?[^>]*>`)

// looksAround opens a page and looks at it, unless one that differs in texts alone was
// looked at on the same device.
func (v *visitor) looksAround(t *testing.T, looked map[string]bool, page seenPage, width int64, name string) {
	t.Helper()
	shape := fmt.Sprint(width, page.shape)
	if strings.HasSuffix(page.path, ".csv") || looked[shape] { // a file the browser saves
		return
	}
	looked[shape] = true
	v.open(t, page.path)
	v.at(t, page.path)
	v.fits(t, name)
	v.look(t, name)
}

// follows opens a page by its link in the sidebar, which is a drawer on a phone.
func (v *visitor) follows(t *testing.T, path string, width int64) {
	t.Helper()
	if width < 768 {
		v.click(t, `[popovertarget="sidebar"]`)
		browsertest.Eventually(t, v.ctx, `document.querySelector("#sidebar").matches(":popover-open") && document.getAnimations().every((animation) => animation.playState !== "running")`)
	}
	v.click(t, `#sidebar nav a[href="`+path+`"]`)
	v.at(t, path)
}

// submits presses a form's button. A message that lies over it on a phone is put away
// first.
func (v *visitor) submits(t *testing.T, form string) {
	t.Helper()
	browsertest.Evaluate[chromedp.Void](t, v.ctx, `{ document.querySelectorAll("#toasts [data-dismiss]").forEach((button) => button.click()) }`)
	v.click(t, form+` button[type="submit"]`)
}

// offers reports whether the open page has an element.
func (v *visitor) offers(t *testing.T, selector string) bool {
	t.Helper()
	return browsertest.Evaluate[bool](t, v.ctx, fmt.Sprintf(`document.querySelector(%q) !== null`, selector))
}

// works does what a role may do, from the dashboard on, and is refused the rest.
func (v *visitor) works(t *testing.T, role string, width int64) {
	t.Helper()
	manages, makes := role == "owner" || role == "admin", role != "viewer"
	v.open(t, "/acme/dashboard")
	v.at(t, "/acme/dashboard")
	v.follows(t, "/acme/projects", width)
	if makes {
		v.makesAProject(t, fmt.Sprintf("plan-%s-%d", role, width))
	} else if v.offers(t, `a[href="/acme/projects/new"], [data-check-all]`) {
		t.Errorf("a %s is offered to change projects", role)
	}
	v.follows(t, "/acme/members", width)
	if manages {
		v.invites(t, fmt.Sprintf("%s-%d@example.com", role, width))
	} else if v.offers(t, `a[href="/acme/members/invite"], [aria-label^="Revoke"]`) {
		t.Errorf("a %s is offered to invite", role)
	}
	v.open(t, "/acme/onboarding")
	v.at(t, "/acme/onboarding")
	v.fill(t, map[string]string{"phone": fmt.Sprintf("+1 555 %d", width)})
	v.submits(t, `#onboarding`)
	v.at(t, "/acme/dashboard")
	if manages {
		v.follows(t, "/acme/api-keys", width)
		v.makesAKey(t, fmt.Sprintf("key-%s-%d", role, width))
	}
	if role == "owner" {
		v.follows(t, "/acme/settings", width)
		v.click(t, `#settings [name="projects_public"]`)
		v.submits(t, `#settings`)
		v.says(t, "The settings were saved.")
	}
	for path, allowed := range map[string]bool{"/acme/projects/new": makes, "/acme/members/invite": manages, "/acme/api-keys": manages, "/acme/settings": role == "owner"} {
		if allowed {
			continue
		}
		if v.offers(t, `#sidebar a[href="`+path+`"]`) {
			t.Errorf("a %s is led to %s", role, path)
		}
		v.open(t, path)
		v.at(t, path)
		if status := browsertest.Evaluate[string](t, v.ctx, `document.querySelector(".error-status")?.innerText`); status != "403" || !v.offers(t, "#sidebar nav a") {
			t.Errorf("%s answers a %s %s, or without a way back", path, role, status)
		}
	}
}

// makesAProject goes from the list to a new project, changes it, and deletes it.
func (v *visitor) makesAProject(t *testing.T, slug string) {
	t.Helper()
	v.click(t, `main a[href="/acme/projects/new"]`)
	v.at(t, "/acme/projects/new")
	v.fill(t, map[string]string{"name": strings.ReplaceAll(slug, "-", " ")})
	v.submits(t, `#project`)
	v.at(t, "/acme/projects/"+slug)
	v.click(t, `main a[href$="/edit"]`)
	browsertest.Eventually(t, v.ctx, `document.activeElement.name === "name"`)
	v.fill(t, map[string]string{"description": "It was " + slug + "."})
	v.submits(t, `#project`)
	v.at(t, "/acme/projects/"+slug)
	v.says(t, "It was "+slug+".")
	v.submits(t, `form[action$="/status"]`)
	browsertest.Eventually(t, v.ctx, `document.querySelector('form[action$="/status"] [value="active"]') && document.documentElement.classList.contains("js")`)
	v.click(t, `[data-dialog="delete-project"]`)
	browsertest.Eventually(t, v.ctx, `document.querySelector("#delete-project").open`)
	browsertest.Do(t, v.ctx, chromedp.SendKeys(chromedp.CSS(`#delete-project [name="confirmation"]`), slug))
	v.submits(t, `#delete-project`)
	v.at(t, "/acme/projects")
	v.says(t, "was deleted.")
}

// invites somebody, and takes it back.
func (v *visitor) invites(t *testing.T, email string) {
	t.Helper()
	v.click(t, `main a[href="/acme/members/invite"]`)
	v.at(t, "/acme/members/invite")
	v.fill(t, map[string]string{"email": email})
	v.submits(t, `#invite`)
	v.says(t, "An invitation was sent to "+email)
	v.at(t, "/acme/members")
	v.click(t, `[aria-label="Revoke the invitation of `+email+`"]`)
	browsertest.Eventually(t, v.ctx, `location.pathname.endsWith("/revoke") && document.documentElement.classList.contains("js")`)
	v.submits(t, `main form`)
	v.at(t, "/acme/members")
	v.says(t, "was revoked")
}

// makesAKey makes one, and revokes it.
func (v *visitor) makesAKey(t *testing.T, name string) {
	t.Helper()
	v.click(t, `main a[href="/acme/api-keys/new"]`)
	v.at(t, "/acme/api-keys/new")
	v.fill(t, map[string]string{"name": name})
	v.click(t, `[value="projects:view:all"]`)
	v.submits(t, `#api-key`)
	v.says(t, "The key is made")
	v.click(t, `main .form-actions a`)
	v.at(t, "/acme/api-keys")
	v.click(t, `[aria-label="Revoke `+name+`"]`)
	v.says(t, "lose access at once")
	v.submits(t, `main form`)
	v.says(t, "was revoked")
}
