package clerkdev

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/web"
)

// The account portal: where people sign in and up, and choose, create and join
// organizations. Every form works without JavaScript and comes back with what
// was typed when something is wrong with it.

const redirectParam = "redirect_url"

// visit is one request of the portal's.
type visit struct {
	w http.ResponseWriter
	r *http.Request
	browser
	back *url.URL // where the person goes in the end
	left string   // where the person was sent once the form was accepted
}

func (e *Emulator) mountPortal(mux *http.ServeMux) {
	for pattern, handle := range map[string]func(*visit) error{
		"GET /sign-in":              e.showSignIn,
		"POST /sign-in":             e.postSignIn,
		"GET /sign-up":              e.showSignUp,
		"POST /sign-up":             e.postSignUp,
		"GET /create-organization":  e.showCreateOrganization,
		"POST /create-organization": e.postCreateOrganization,
		"GET /select-organization":  e.showSelectOrganization,
		"POST /select-organization": e.postSelectOrganization,
		"GET /accept-invitation":    e.showInvitation,
		"POST /accept-invitation":   e.postInvitationAnswer,
		"GET /tasks":                e.showTask,
		"POST /tasks":               e.postTask,
		"GET /sign-out":             e.showSignOut,
		"POST /sign-out":            e.postSignOut,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		e.mountPage(mux, method+" "+mountPath+path, func(w http.ResponseWriter, r *http.Request) error { return e.visit(w, r, handle) })
	}
	e.mountPage(mux, mountPath+"/", func(http.ResponseWriter, *http.Request) error { return errNotFound("page") })
}

// mountPage serves a page for people, with the headers that pages have.
func (e *Emulator) mountPage(mux *http.ServeMux, pattern string, handle func(http.ResponseWriter, *http.Request) error) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", web.ContentSecurityPolicy(e.formActions()...))
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r = r.WithContext(web.NewContext(r.Context(), new(web.Shell)))
		if err := handle(w, r); err != nil {
			e.showError(w, r, err)
		}
	})
}

var errUnreadableForm = fault.New(fault.Invalid, "The form could not be read.")

func (e *Emulator) visit(w http.ResponseWriter, r *http.Request, handle func(*visit) error) error {
	if err := r.ParseForm(); err != nil {
		return errUnreadableForm.WithCause(err)
	}
	back, err := e.ownURL(r.Form.Get(redirectParam))
	if err != nil {
		return fault.New(fault.Invalid, "The address to go back to is not this application's.").WithCause(err)
	}
	v := &visit{w: w, r: r, back: back}
	e.view(func(s *state) { v.browser = e.browserOf(s, r) })
	if key := r.PostForm.Get(submissionParam); key != "" && len(key) <= 64 {
		return e.once(v, key, handle)
	}
	return handle(v)
}

// submissionParam names one rendering of a form, so that sending it twice, by a
// double click or by loading the page again, does what it does once.
const submissionParam = "submission"

const submissionLifetime = 10 * time.Minute

// submissions are the forms that were accepted lately.
type submissions struct {
	mu       sync.Mutex
	accepted map[string]submission
}

type submission struct {
	clientID string // who sent it, as it was afterwards
	left     string
	expires  time.Time
}

// once handles a form, or answers one that was accepted before as it was
// answered then. The second of two at the same time waits for the first.
func (e *Emulator) once(v *visit, key string, handle func(*visit) error) error {
	e.submissions.mu.Lock()
	defer e.submissions.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(e.submissions.accepted, func(_ string, s submission) bool { return s.expires.Before(now) })
	if known, ok := e.submissions.accepted[key]; ok {
		return e.repeat(v, known)
	}
	err := handle(v)
	if err == nil && v.left != "" && v.client != nil {
		e.submissions.accepted[key] = submission{v.client.ID, v.left, now.Add(submissionLifetime)}
	}
	return err
}

// repeat gives the browser the cookies of the first answer again, which it threw
// away when it sent the form a second time.
func (e *Emulator) repeat(v *visit, known submission) (err error) {
	var directives []string
	e.view(func(s *state) {
		if c := s.Clients[known.clientID]; c != nil {
			directives, err = e.clientDirectives(s, s.browserOf(c))
		}
	})
	if err != nil {
		return err
	}
	return v.leaveTo(known.left, directives)
}

// showError answers what is no mistake in a form.
func (e *Emulator) showError(w http.ResponseWriter, r *http.Request, err error) {
	status, shown := http.StatusInternalServerError, fault.As(err)
	if known, ok := errors.AsType[*apiError](err); ok {
		status, shown = known.status, fault.New(fault.Invalid, known.long)
		if known.status == http.StatusNotFound {
			shown = fault.New(fault.NotFound, known.long)
		}
	} else if shown.Kind == fault.Invalid {
		status = http.StatusBadRequest
	}
	if status == http.StatusInternalServerError {
		e.logger.ErrorContext(r.Context(), "clerkdev: a page failed", slog.Any("error", err))
	}
	web.ErrorPage(w, r, status, shown, "")
}

// formActions are where forms of these pages lead to beside their own host.
func (e *Emulator) formActions() []string {
	if e.domain == "" {
		return nil
	}
	tenants := *e.publicURL
	tenants.Host = "*." + e.domain
	if port := e.publicURL.Port(); port != "" {
		tenants.Host += ":" + port
	}
	return []string{e.publicURL.String(), tenants.String()}
}

// leave sends the person back to the application.
func (v *visit) leave(directives []string) error { return v.leaveTo(v.back.String(), directives) }

func (v *visit) leaveTo(address string, directives []string) error {
	v.left = address
	setCookies(v.w, directives)
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
	return nil
}

// to is another page of the portal, which leads back to the same address.
func (v *visit) to(page string) string {
	return mountPath + page + "?" + url.Values{redirectParam: {v.back.String()}}.Encode()
}

// needsSignIn leads somebody who is not signed in to do so and come back here.
func (v *visit) needsSignIn() (led bool) {
	if v.session != nil {
		return false
	}
	http.Redirect(v.w, v.r, mountPath+"/sign-in?"+url.Values{redirectParam: {v.here()}}.Encode(), http.StatusSeeOther)
	return true
}

// here is the page that was asked for.
func (v *visit) here() string {
	return (&url.URL{Path: v.r.URL.Path, RawQuery: v.r.URL.RawQuery}).String()
}

// formFault turns the mistake in a form into what its fields show; ok is false
// for an error that no field is to blame for.
func formFault(err error) (shown *fault.Error, ok bool) {
	known, ok := errors.AsType[*apiError](err)
	if !ok || known.status >= http.StatusInternalServerError {
		return nil, false
	}
	if known.param == "" {
		return fault.New(fault.Invalid, known.long), true
	}
	return fault.InvalidFields(fault.Field{Name: known.param, Message: known.long}), true
}

// knownPerson is somebody to sign in as by one click.
type knownPerson struct {
	id, name, email string
	organizations   []string
}

const maxKnown = 50

func (e *Emulator) knownPeople() (people []knownPerson) {
	e.view(func(s *state) {
		users := s.newestUsers()
		slices.Reverse(users)
		for _, u := range users[:min(len(users), maxKnown)] {
			p := knownPerson{id: u.ID, name: u.name(), email: u.primaryEmail()}
			for _, m := range s.membershipsOf(u.ID) {
				p.organizations = append(p.organizations, s.Organizations[m.OrganizationID].Name)
			}
			people = append(people, p)
		}
	})
	return people
}

func (e *Emulator) showSignIn(v *visit) error {
	if v.session != nil {
		return e.leaveFresh(v)
	}
	return web.Render(v.w, v.r, http.StatusOK, "Sign in", signInPage(v, e.knownPeople(), nil))
}

// leaveFresh sends somebody who is signed in already back with fresh cookies.
func (e *Emulator) leaveFresh(v *visit) (err error) {
	var directives []string
	e.view(func(s *state) { directives, err = e.directives(s, v.browser) })
	if err != nil {
		return err
	}
	return v.leave(directives)
}

var errWrongPassword = &apiError{http.StatusUnprocessableEntity, "form_password_incorrect", "is incorrect", "The email address or the password is not right. Try again, or choose somebody from the list.", ""}

func (e *Emulator) postSignIn(v *visit) error {
	form := v.r.PostForm
	directives, err := e.signIn(v, func(t *tx) (*user, error) {
		if id := form.Get("user_id"); id != "" {
			if u := t.Users[id]; u != nil {
				return u, nil
			}
			return nil, errWrongPassword
		}
		u := t.userByEmail(form.Get("email_address"))
		if u == nil || bcrypt.CompareHashAndPassword(u.PasswordHash, []byte(form.Get("password"))) != nil {
			return nil, errWrongPassword
		}
		return u, nil
	})
	if shown, ok := formFault(err); ok {
		return web.Render(v.w, v.r, http.StatusUnprocessableEntity, "Sign in", signInPage(v, e.knownPeople(), shown))
	}
	if err != nil {
		return err
	}
	return v.leave(directives)
}

func (e *Emulator) showSignUp(v *visit) error {
	if v.session != nil {
		return e.leaveFresh(v)
	}
	return web.Render(v.w, v.r, http.StatusOK, "Sign up", signUpPage(v, nil))
}

func (e *Emulator) postSignUp(v *visit) error {
	if v.session != nil {
		return e.leaveFresh(v) // sent twice
	}
	value := func(name string) *string {
		if text := strings.TrimSpace(v.r.PostForm.Get(name)); text != "" {
			return &text
		}
		return nil
	}
	directives, err := e.signIn(v, func(t *tx) (*user, error) {
		email, password := value("email_address"), v.r.PostForm.Get("password")
		switch {
		case email == nil:
			return nil, errFormat("email_address", "Enter your email address.")
		case password == "":
			return nil, errFormat("password", "Choose a password of at least 8 characters.")
		}
		return t.createUser(newUser{firstName: value("first_name"), lastName: value("last_name"), emails: []string{*email}, password: &password})
	})
	if shown, ok := formFault(err); ok {
		return web.Render(v.w, v.r, http.StatusUnprocessableEntity, "Sign up", signUpPage(v, shown))
	}
	if err != nil {
		return err
	}
	// Who has no organization yet is led to make one by the application, which
	// knows where that ends.
	return v.leave(directives)
}

func (e *Emulator) showCreateOrganization(v *visit) error {
	if v.needsSignIn() {
		return nil
	}
	return web.Render(v.w, v.r, http.StatusOK, "Create an organization", createOrganizationPage(v, nil, e.publicURL.Host))
}

func (e *Emulator) postCreateOrganization(v *visit) error {
	if v.needsSignIn() {
		return nil
	}
	var directives []string
	err := e.update(senderOf(v.r.RemoteAddr, v.r.UserAgent()), func(t *tx) error {
		name, slug := strings.TrimSpace(v.r.PostForm.Get("name")), strings.TrimSpace(v.r.PostForm.Get("slug"))
		if name == "" {
			return errFormat("name", "Enter the organization's name.")
		}
		o, err := t.createOrganization(newOrganization{name: name, slug: slug, createdBy: v.user.ID})
		if err != nil {
			return err
		}
		directives, err = e.activate(t, v.browser, o.ID)
		return err
	})
	if shown, ok := formFault(err); ok {
		return web.Render(v.w, v.r, http.StatusUnprocessableEntity, "Create an organization", createOrganizationPage(v, shown, e.publicURL.Host))
	}
	if err != nil {
		return err
	}
	return v.leave(directives)
}

// choice is one organization to choose.
type choice struct {
	id, name, slug, role string
	active               bool
}

func (e *Emulator) showSelectOrganization(v *visit) error {
	if v.needsSignIn() {
		return nil
	}
	return web.Render(v.w, v.r, http.StatusOK, "Choose an organization", selectOrganizationPage(v, e.choicesOf(v)))
}

// choicesOf are the organizations of whoever visits.
func (e *Emulator) choicesOf(v *visit) (choices []choice) {
	e.view(func(s *state) {
		for _, m := range s.membershipsOf(v.user.ID) {
			o := s.Organizations[m.OrganizationID]
			choices = append(choices, choice{o.ID, o.Name, o.Slug, s.roleName(m.Role), o.ID == v.session.OrganizationID})
		}
	})
	return choices
}

func (e *Emulator) postSelectOrganization(v *visit) error {
	if v.needsSignIn() {
		return nil
	}
	var directives []string
	err := e.update(senderOf(v.r.RemoteAddr, v.r.UserAgent()), func(t *tx) (err error) {
		directives, err = e.activate(t, v.browser, v.r.PostForm.Get("organization_id"))
		return err
	})
	if err != nil {
		return err
	}
	return v.leave(directives)
}

// invitationOf returns the invitation that the visit's ticket belongs to. It also
// says where the visit ends, unless its own address does.
func invitationOf(s *state, v *visit) (*invitation, error) {
	ticket := v.r.Form.Get(ticketParam)
	for _, i := range s.Invitations {
		if ticket == "" || i.Ticket != ticket {
			continue
		}
		if i.RedirectURL != "" && v.r.Form.Get(redirectParam) == "" {
			target, err := resolveOwn(v.back, i.RedirectURL)
			if err != nil {
				return nil, err
			}
			v.back = target
		}
		return i, nil
	}
	return nil, errNotFound("invitation")
}

// invited is what the invitation's page shows.
type invited struct {
	organization, email, role, ticket string
}

func (e *Emulator) showInvitation(v *visit) (err error) {
	var shown invited
	joined, known := false, false
	e.view(func(s *state) {
		var i *invitation
		if i, err = invitationOf(s, v); err != nil {
			return
		}
		if joined = v.user != nil && s.hasJoined(i, v.user); joined {
			return
		}
		err = i.invites(time.Now().UnixMilli())
		known = s.userByEmail(i.EmailAddress) != nil
		shown = invited{s.Organizations[i.OrganizationID].Name, i.EmailAddress, s.roleName(i.Role), i.Ticket}
	})
	switch {
	case err != nil:
		return err
	case joined:
		return e.leaveFresh(v)
	case v.session == nil && !known:
		http.Redirect(v.w, v.r, mountPath+"/sign-up?"+url.Values{redirectParam: {v.here()}, "email_address": {shown.email}}.Encode(), http.StatusSeeOther)
		return nil
	case v.needsSignIn():
		return nil
	}
	return web.Render(v.w, v.r, http.StatusOK, "Accept the invitation", invitationPage(v, shown))
}

func (e *Emulator) postInvitationAnswer(v *visit) error {
	if v.needsSignIn() {
		return nil
	}
	var directives []string
	err := e.update(senderOf(v.r.RemoteAddr, v.r.UserAgent()), func(t *tx) error {
		i, err := invitationOf(t.state, v)
		if err != nil {
			return err
		}
		if err := t.acceptInvitation(i, v.user); err != nil {
			return err
		}
		directives, err = e.activate(t, v.browser, i.OrganizationID)
		return err
	})
	if err != nil {
		return err
	}
	return v.leave(directives)
}

func (e *Emulator) showSignOut(v *visit) error {
	return web.Render(v.w, v.r, http.StatusOK, "Sign out", signOutPage(v))
}

func (e *Emulator) postSignOut(v *visit) error {
	var directives []string
	err := e.update(senderOf(v.r.RemoteAddr, v.r.UserAgent()), func(t *tx) (err error) {
		if v.session != nil {
			if err := t.endSession(v.session, "removed"); err != nil {
				return err
			}
		}
		directives, err = e.directives(t.state, browser{})
		return err
	})
	if err != nil {
		return err
	}
	return v.leave(directives)
}
