package clerkdev

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// The console: pages for whoever develops the application, to see what the
// instance knows and what it told the application, and to tell it again.

func (e *Emulator) mountConsole(mux *http.ServeMux) {
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /{$}":            e.showEvents,
		"GET /events/{event}": e.showEvent,
		"POST /events/replay": e.postReplay,
		"POST /delivery":      e.postDelivery,
		"GET /people":         e.showPeople,
		"POST /people/totp":   e.postTOTP,
		"POST /people/task":   e.postSetTask,
		"GET /organizations":  e.showOrganizations,
		"POST /organizations": e.postConsoleDomain,
		"GET /roles":          e.showRoles,
		"POST /roles":         e.postConsoleRole,
		"POST /roles/delete":  e.postDeleteRole,
		"GET /outage":         e.showOutage,
		"POST /outage":        e.postOutage,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		e.mountPage(mux, method+" "+mountPath+path, func(w http.ResponseWriter, r *http.Request) error {
			if err := r.ParseForm(); err != nil {
				return errUnreadableForm.WithCause(err)
			}
			return handle(w, r.WithContext(web.NewContext(r.Context(), consoleShell(r))))
		})
	}
}

func consoleShell(r *http.Request) *web.Shell {
	shell := &web.Shell{Tenant: &web.Tenant{Name: "Clerk emulator", Slug: "development only", Base: mountPath}}
	for _, item := range []web.NavigationItem{
		{Label: "Events", Icon: "webhook", Path: "/"},
		{Label: "People", Icon: "users", Path: "/people"},
		{Label: "Organizations", Icon: "building-2", Path: "/organizations"},
		{Label: "Roles", Icon: "shield-check", Path: "/roles"},
		{Label: "Outage", Icon: "triangle-alert", Path: "/outage"},
	} {
		item.Current = r.URL.Path == mountPath+item.Path || item.Path == "/" && strings.HasPrefix(r.URL.Path, mountPath+"/events/")
		shell.Navigation = append(shell.Navigation, item)
	}
	return shell
}

const (
	consoleRows = 50  // of events on a page
	consoleList = 200 // of people or organizations
)

// newestOf describes a list of which n are shown.
func newestOf(n, total int) string {
	if n == total {
		return "All that the instance knows, the newest first."
	}
	return fmt.Sprintf("The newest %d of %d.", n, total)
}

// console is what the page of events shows.
type console struct {
	events                   []Event // the newest first
	older                    string  // the address of the next page, "" for none
	total, waiting           int
	people, organizations    int
	webhookURL               string
	hold, duplicate, shuffle bool
	delay                    string // seconds, as they were typed
	refused                  *fault.Error
}

func (e *Emulator) showEvents(w http.ResponseWriter, r *http.Request) error {
	how := e.Delivery()
	return e.renderEvents(w, r, http.StatusOK, console{
		hold: how.Hold, duplicate: how.Duplicate, shuffle: how.Shuffle, delay: strconv.FormatFloat(how.Delay.Seconds(), 'f', -1, 64),
	})
}

// renderEvents fills in what the page shows beside the form of deliveries.
func (e *Emulator) renderEvents(w http.ResponseWriter, r *http.Request, status int, page console) error {
	page.webhookURL = e.webhookURL
	before := r.URL.Query().Get("before")
	e.view(func(s *state) {
		page.total, page.people, page.organizations = len(s.Events), len(s.Users), len(s.Organizations)
		reached := before == ""
		for _, event := range slices.Backward(s.Events) {
			if !event.Delivered() {
				page.waiting++
			}
			switch {
			case !reached:
				reached = event.ID == before
			case len(page.events) < consoleRows:
				page.events = append(page.events, *event)
			case page.older == "":
				page.older = mountPath + "/?before=" + page.events[consoleRows-1].ID
			}
		}
	})
	return web.Render(w, r, status, "Events", eventsPage(page))
}

func (e *Emulator) showEvent(w http.ResponseWriter, r *http.Request) error {
	var found *Event
	e.view(func(s *state) {
		if at := slices.IndexFunc(s.Events, func(event *Event) bool { return event.ID == r.PathValue("event") }); at >= 0 {
			found = new(*s.Events[at])
		}
	})
	if found == nil {
		return errNotFound("event")
	}
	var payload bytes.Buffer
	if err := json.Indent(&payload, found.Payload, "", "  "); err != nil {
		return fmt.Errorf("clerkdev: indent %s: %w", found.ID, err)
	}
	return web.Render(w, r, http.StatusOK, found.Type, eventPage(*found, payload.String()))
}

// lateness is how late a late event is: long enough for others to overtake it,
// and to watch.
const lateness = 10 * time.Second

// replays are the ways to send events again, in the order of their buttons.
var replays = []struct {
	name, label, icon, done string
	how                     Delivery
}{
	{"again", "Send again", "send", "sent again", Delivery{}},
	{"twice", "Send twice", "copy", "sent twice", Delivery{Duplicate: true}},
	{"late", "Send 10 seconds late", "clock", "sent in 10 seconds", Delivery{Delay: lateness}},
	{"shuffled", "Send out of order", "workflow", "sent out of order", Delivery{Shuffle: true}},
}

func (e *Emulator) postReplay(w http.ResponseWriter, r *http.Request) error {
	ids := r.PostForm["event"]
	back := mountPath + "/"
	if len(ids) == 0 {
		web.Redirect(w, r, back, &web.Flash{Kind: ui.Error, Message: "Choose the events to send first."})
		return nil
	}
	for _, replay := range replays {
		if replay.name != r.PostForm.Get("how") {
			continue
		}
		// As they happened, whatever the order of the boxes.
		known := e.Events()
		place := map[string]int{}
		for n, event := range known {
			place[event.ID] = n
		}
		slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(place[a], place[b]) })
		if err := e.Replay(replay.how, slices.Compact(ids)...); err != nil {
			return err
		}
		web.Redirect(w, r, back, &web.Flash{Kind: ui.Success, Message: "Events to be " + replay.done + ": " + strconv.Itoa(len(slices.Compact(ids))) + "."})
		return nil
	}
	return errValue("how", "The form does not say how to send the events.")
}

const longestDelay = time.Hour

func (e *Emulator) postDelivery(w http.ResponseWriter, r *http.Request) error {
	is := func(name string) bool { return r.PostForm.Has(name) }
	page := console{hold: is("hold"), duplicate: is("duplicate"), shuffle: is("shuffle"), delay: strings.TrimSpace(r.PostForm.Get("delay"))}
	seconds, err := strconv.ParseFloat(cmp.Or(page.delay, "0"), 64)
	if err != nil || !(seconds >= 0 && seconds <= longestDelay.Seconds()) { // so that NaN is refused
		page.refused = fault.InvalidFields(fault.Field{Name: "delay", Message: "Enter seconds, from 0 to 3600."})
		return e.renderEvents(w, r, http.StatusUnprocessableEntity, page)
	}
	e.SetDelivery(Delivery{Hold: page.hold, Duplicate: page.duplicate, Shuffle: page.shuffle, Delay: time.Duration(seconds * float64(time.Second))})
	web.Redirect(w, r, mountPath+"/", &web.Flash{Kind: ui.Success, Message: "From now on events are delivered like this."})
	return nil
}

// consolePerson is one row of the page of people.
type consolePerson struct {
	id, name, email string
	banned, totp    bool
	task            string
	memberships     []string
	lastSignIn      time.Time
}

func (e *Emulator) showPeople(w http.ResponseWriter, r *http.Request) error {
	var people []consolePerson
	total := 0
	e.view(func(s *state) {
		users := s.newestUsers()
		total = len(users)
		for _, u := range users[:min(total, consoleList)] {
			p := consolePerson{id: u.ID, name: u.name(), email: u.primaryEmail(), banned: u.Banned, totp: u.TOTP, task: u.Task}
			for _, m := range s.membershipsOf(u.ID) {
				p.memberships = append(p.memberships, s.Organizations[m.OrganizationID].Name+" ("+s.roleName(m.Role)+")")
			}
			if u.LastSignInAt != nil {
				p.lastSignIn = time.UnixMilli(*u.LastSignInAt)
			}
			people = append(people, p)
		}
	})
	return web.Render(w, r, http.StatusOK, "People", peoplePage(people, newestOf(len(people), total)))
}

// postTOTP turns somebody's second factor on, or off again.
func (e *Emulator) postTOTP(w http.ResponseWriter, r *http.Request) error {
	message := ""
	err := e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) error {
		known := t.Users[r.PostForm.Get("user_id")]
		if known == nil {
			return errNotFound("user")
		}
		changed := *known
		changed.setTOTP(!known.TOTP, t.now)
		if message = "signs in without a second factor now."; changed.TOTP {
			message = "signs in with a second factor now."
		}
		message = changed.primaryEmail() + " " + message
		return t.replaceUser(changed)
	})
	if err != nil {
		return err
	}
	web.Redirect(w, r, mountPath+"/people", &web.Flash{Kind: ui.Success, Message: message})
	return nil
}

// postSetTask gives somebody a task, or takes it back.
func (e *Emulator) postSetTask(w http.ResponseWriter, r *http.Request) error {
	task := r.PostForm.Get("task")
	err := e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) error { return t.setTask(r.PostForm.Get("user_id"), task) })
	if err != nil {
		return err
	}
	message := "Nothing keeps their sessions pending."
	if task != "" {
		message = "Their sessions are pending until this is done: " + task + "."
	}
	web.Redirect(w, r, mountPath+"/people", &web.Flash{Kind: ui.Success, Message: message})
	return nil
}

// consoleOrganization is one row of the page of organizations.
type consoleOrganization struct {
	id, name, slug       string
	members, invitations int64
	domains              []*domain
	createdAt            time.Time
}

// postConsoleDomain gives an organization a domain.
func (e *Emulator) postConsoleDomain(w http.ResponseWriter, r *http.Request) error {
	name := strings.ToLower(strings.TrimSpace(r.PostForm.Get("name")))
	err := e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) error {
		o := t.Organizations[r.PostForm.Get("organization_id")]
		if o == nil {
			return errNotFound("organization")
		}
		_, err := t.createDomain(o, domain{Name: name, Enrollment: r.PostForm.Get("enrollment_mode"), Verified: r.PostForm.Has("verified")})
		return err
	})
	if known, ok := errors.AsType[*apiError](err); ok && known.param != "" {
		shown, _ := formFault(err)
		return e.renderOrganizations(w, r, http.StatusUnprocessableEntity, shown)
	}
	if err != nil {
		return err
	}
	web.Redirect(w, r, mountPath+"/organizations", &web.Flash{Kind: ui.Success, Message: "The domain " + name + " was added."})
	return nil
}

func (e *Emulator) showOrganizations(w http.ResponseWriter, r *http.Request) error {
	return e.renderOrganizations(w, r, http.StatusOK, nil)
}

func (e *Emulator) renderOrganizations(w http.ResponseWriter, r *http.Request, status int, refused *fault.Error) error {
	var organizations []consoleOrganization
	e.view(func(s *state) {
		for _, o := range s.Organizations {
			organizations = append(organizations, consoleOrganization{
				o.ID, o.Name, o.Slug, s.memberCount(o.ID), s.pendingInvitationCount(o.ID), s.domainsOf(o.ID), time.UnixMilli(o.CreatedAt),
			})
		}
	})
	slices.SortFunc(organizations, func(a, b consoleOrganization) int { return b.createdAt.Compare(a.createdAt) })
	total := len(organizations)
	organizations = organizations[:min(total, consoleList)]
	return web.Render(w, r, status, "Organizations", organizationsPage(organizations, newestOf(len(organizations), total), r.PostForm, refused))
}

// consoleRole is one row of the page of roles.
type consoleRole struct {
	roleResource
	users int
}

func (e *Emulator) showRoles(w http.ResponseWriter, r *http.Request) error {
	return e.renderRoles(w, r, http.StatusOK, nil)
}

func (e *Emulator) renderRoles(w http.ResponseWriter, r *http.Request, status int, refused *fault.Error) error {
	var roles []consoleRole
	e.view(func(s *state) {
		for _, role := range s.allRoles("") {
			roles = append(roles, consoleRole{role, s.usersOfRole(role.Key)})
		}
	})
	return web.Render(w, r, status, "Roles", rolesPage(roles, r.PostForm, refused))
}

func (e *Emulator) postConsoleRole(w http.ResponseWriter, r *http.Request) error {
	key, name := strings.TrimSpace(r.PostForm.Get("key")), strings.TrimSpace(r.PostForm.Get("name"))
	err := e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) error {
		return t.createRole(key, role{Name: name, Permissions: strings.Fields(r.PostForm.Get("permissions"))})
	})
	if shown, ok := formFault(err); ok {
		return e.renderRoles(w, r, http.StatusUnprocessableEntity, shown)
	}
	if err != nil {
		return err
	}
	web.Redirect(w, r, mountPath+"/roles", &web.Flash{Kind: ui.Success, Message: "People can be " + name + " now."})
	return nil
}

func (e *Emulator) postDeleteRole(w http.ResponseWriter, r *http.Request) error {
	key := r.PostForm.Get("key")
	err := e.update(senderOf(r.RemoteAddr, r.UserAgent()), func(t *tx) error {
		if t.Roles[key] == nil {
			return errNotFound("organization role")
		}
		_, err := t.deleteRole(key)
		return err
	})
	flash := &web.Flash{Kind: ui.Success, Message: "The role was deleted."}
	if refused, ok := errors.AsType[*apiError](err); ok && refused.status == http.StatusForbidden {
		flash = &web.Flash{Kind: ui.Error, Message: refused.long}
	} else if err != nil {
		return err
	}
	web.Redirect(w, r, mountPath+"/roles", flash)
	return nil
}

// consoleOutage is what the form of the outage shows, as it was typed.
type consoleOutage struct {
	answer, retryAfter, delay, calls, path string
	late                                   bool
	refused                                *fault.Error
}

// The ways in which a call is answered, beside statuses.
const (
	answersAsEver  = "as-ever"
	answersNothing = "nothing"
)

func (e *Emulator) showOutage(w http.ResponseWriter, r *http.Request) error {
	now := e.Outage()
	shown := consoleOutage{
		answer: answersAsEver, late: now.Late, path: now.Path, calls: strconv.Itoa(now.Calls),
		retryAfter: strconv.Itoa(now.RetryAfter), delay: strconv.FormatFloat(now.Delay, 'f', -1, 64),
	}
	switch {
	case now.Silent:
		shown.answer = answersNothing
	case now.Status != 0:
		shown.answer = strconv.Itoa(now.Status)
	}
	return web.Render(w, r, http.StatusOK, "Outage", outagePage(now, shown))
}

func (e *Emulator) postOutage(w http.ResponseWriter, r *http.Request) error {
	value := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	page := consoleOutage{
		answer: value("answer"), retryAfter: value("retry_after"), delay: value("delay"), calls: value("calls"), path: value("path"), late: r.PostForm.Has("late"),
	}
	asked := Outage{Silent: page.answer == answersNothing, Late: page.late, Path: page.path}
	var unreadable []fault.Field
	number := func(name, text string) int {
		n, err := strconv.Atoi(cmp.Or(text, "0"))
		if err != nil {
			unreadable = append(unreadable, fault.Field{Name: name, Message: "Enter a whole number."})
		}
		return n
	}
	if page.answer != answersAsEver && page.answer != answersNothing {
		asked.Status = number("answer", page.answer)
	}
	asked.RetryAfter, asked.Calls = number("retry_after", page.retryAfter), number("calls", page.calls)
	var err error
	if asked.Delay, err = strconv.ParseFloat(cmp.Or(page.delay, "0"), 64); err != nil {
		unreadable = append(unreadable, fault.Field{Name: "delay", Message: "Enter seconds, from 0 to 3600."})
	}
	if len(unreadable) > 0 {
		page.refused = fault.InvalidFields(unreadable...)
	} else if shown, ok := formFault(e.SetOutage(asked)); ok {
		for n := range shown.Fields {
			if shown.Fields[n].Name == "status" {
				shown.Fields[n].Name = "answer"
			}
		}
		page.refused = shown
	}
	if page.refused != nil {
		return web.Render(w, r, http.StatusUnprocessableEntity, "Outage", outagePage(e.Outage(), page))
	}
	message := "From now on the Backend API fails like this."
	if asked.isOver() {
		message = "The Backend API answers as ever."
	}
	web.Redirect(w, r, mountPath+"/outage", &web.Flash{Kind: ui.Success, Message: message})
	return nil
}
