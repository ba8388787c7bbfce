package clerkdev

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/web"
)

// The tasks that Clerk has: what somebody has to do after signing in, before
// their session counts. Until then its tokens say sts: pending.
const (
	taskChooseOrganization = "choose-organization"
	taskResetPassword      = "reset-password"
	taskSetUpMFA           = "setup-mfa"
)

var tasks = []string{taskChooseOrganization, taskResetPassword, taskSetUpMFA}

type taskResource struct {
	Key string `json:"key"`
}

// tasksOf are the open ones, as the Frontend API lists them.
func (u *user) tasksOf() []taskResource {
	if u.Task == "" {
		return []taskResource{}
	}
	return []taskResource{{Key: u.Task}}
}

// SetTask makes the user's sessions pending, now and later, until the task
// ("choose-organization", "reset-password" or "setup-mfa") is done; "" takes it
// back.
func (e *Emulator) SetTask(userID, task string) error {
	return e.update(sender{}, func(t *tx) error { return t.setTask(userID, task) })
}

func (t *tx) setTask(userID, task string) error {
	known := t.Users[userID]
	switch {
	case known == nil:
		return errNotFound("user")
	case task != "" && !slices.Contains(tasks, task):
		return errValue("task", "Use one of "+strings.Join(tasks, ", ")+".")
	}
	changed := *known
	changed.Task, changed.UpdatedAt = task, t.now
	t.Users[userID] = &changed
	if task == "" {
		return nil
	}
	for _, v := range t.Sessions {
		if v.UserID != userID || v.status() != "active" {
			continue
		}
		pending := *v
		pending.UpdatedAt = t.now
		if task == taskChooseOrganization {
			pending.OrganizationID = ""
		}
		t.Sessions[v.ID] = &pending
		if err := t.emitSession("session.pending", &pending); err != nil {
			return err
		}
	}
	return nil
}

// fulfil closes a task of the user's, if it is the open one.
func (u *user) fulfil(task string) {
	if u.Task == task {
		u.Task = ""
	}
}

func (e *Emulator) showTask(v *visit) error { return e.renderTask(v, http.StatusOK, nil) }

// renderTask shows what is left to do, and leads on who has nothing to.
func (e *Emulator) renderTask(v *visit, status int, refused *fault.Error) error {
	switch {
	case v.needsSignIn():
		return nil
	case v.user.Task == "":
		return e.leaveFresh(v)
	}
	return web.Render(v.w, v.r, status, "One more step", taskPage(v, e.choicesOf(v), refused))
}

func (e *Emulator) postTask(v *visit) error {
	if v.session == nil || v.user.Task == "" {
		return e.renderTask(v, http.StatusOK, nil)
	}
	var directives []string
	err := e.update(senderOf(v.r.RemoteAddr, v.r.UserAgent()), func(t *tx) (err error) {
		changed := *t.Users[v.user.ID]
		switch changed.Task {
		case taskChooseOrganization:
			id := v.r.PostForm.Get("organization_id")
			if id == "" {
				return errMissing("organization_id")
			}
			directives, err = e.activate(t, v.browser, id)
			return err
		case taskResetPassword:
			if err := changed.setPassword(v.r.PostForm.Get("password"), t.now); err != nil {
				return err
			}
		case taskSetUpMFA:
			changed.setTOTP(true, t.now)
		}
		if err := t.replaceUser(changed); err != nil {
			return err
		}
		directives, err = e.directives(t.state, t.browserOf(v.client))
		return err
	})
	if shown, ok := formFault(err); ok {
		return e.renderTask(v, http.StatusUnprocessableEntity, shown)
	}
	if err != nil {
		return err
	}
	return v.leave(directives)
}
