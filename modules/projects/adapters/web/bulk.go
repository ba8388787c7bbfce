package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// bulkWord is typed before projects are deleted in bulk.
const bulkWord = "delete"

// bulkForm is what the list's form asks for.
type bulkForm struct {
	bulk  projects.Bulk
	slugs []string
	list  listQuery // of the list to go back to
}

func bulkFormOf(values url.Values) bulkForm {
	list, _ := url.ParseQuery(strings.TrimPrefix(values.Get("list"), "?")) // what is no query narrows nothing
	return bulkForm{bulk: projects.Bulk(values.Get("action")), slugs: values["project"], list: listQueryOf(list)}
}

// bulkView is the question before something is done in bulk, or the answer to it.
type bulkView struct {
	form bulkForm
	// fit are the projects that it can be done to, or was done to, unfit the
	// others.
	fit, unfit []projects.Outcome
}

func bulkViewOf(form bulkForm, outcomes []projects.Outcome) bulkView {
	view := bulkView{form: form}
	for _, o := range outcomes {
		if o.Err == nil {
			view.fit = append(view.fit, o)
		} else {
			view.unfit = append(view.unfit, o)
		}
	}
	return view
}

func (p *Pages) confirmBulk(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	return p.askBulk(w, r, access, http.StatusOK, bulkFormOf(r.URL.Query()), "")
}

// askBulk renders the question, with what is wrong with the last answer to it.
func (p *Pages) askBulk(w http.ResponseWriter, r *http.Request, access identity.Access, status int, form bulkForm, refused string) error {
	outcomes, err := p.service.PreviewBulk(r.Context(), access.Actor(), form.bulk, form.slugs)
	if fault.Is(err, fault.Invalid) {
		return renderNoBulk(w, r, form, err)
	}
	if err != nil {
		return err
	}
	view := bulkViewOf(form, outcomes)
	return web.Render(w, r, status, view.title(), bulkQuestion(view, refused))
}

// renderNoBulk answers a form that says nothing which could be done.
func renderNoBulk(w http.ResponseWriter, r *http.Request, form bulkForm, err error) error {
	return web.Render(w, r, http.StatusUnprocessableEntity, "Nothing to do", noBulkPage(form, fault.As(err)))
}

func (p *Pages) doBulk(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.AuthorizeBulk(access.Actor()); err != nil {
		return err
	}
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	form := bulkFormOf(r.PostForm)
	if form.bulk == projects.BulkDelete && !isTyped(r, bulkWord) {
		return p.askBulk(w, r, access, http.StatusUnprocessableEntity, form, "Type the word, exactly as it is shown.")
	}
	outcomes, err := p.service.DoBulk(r.Context(), access.Actor(), form.bulk, form.slugs)
	if fault.Is(err, fault.Invalid) {
		return renderNoBulk(w, r, form, err)
	}
	if err != nil {
		return err
	}
	view := bulkViewOf(form, outcomes)
	switch {
	case len(view.unfit) == 0:
		web.Redirect(w, r, string(form.list.link(web.FromContext(r.Context()))), &web.Flash{Kind: ui.Success, Message: view.result() + "."})
		return nil
	case len(view.fit) == 0:
		return web.Render(w, r, http.StatusConflict, view.result(), bulkResult(view))
	}
	return web.Render(w, r, http.StatusOK, view.result(), bulkResult(view))
}

// doneWords are what was done, as a person reads it.
var doneWords = map[projects.Bulk]string{
	projects.BulkArchive: "archived", projects.BulkRestore: "restored", projects.BulkDelete: "deleted",
}

func (v bulkView) title() string {
	return label(string(v.form.bulk)) + " " + countProjects(len(v.fit)) + "?"
}

func (v bulkView) result() string {
	if len(v.fit) == 0 {
		return "Nothing was " + doneWords[v.form.bulk]
	}
	if len(v.fit) == 1 {
		return "1 project was " + doneWords[v.form.bulk]
	}
	return countProjects(len(v.fit)) + " were " + doneWords[v.form.bulk]
}

func (v bulkView) question(shell *web.Shell, refused string) ui.ConfirmProps {
	question := ui.ConfirmProps{
		ID: "bulk", Title: v.title(), Action: shell.Link("/projects/bulk"), ConfirmLabel: label(string(v.form.bulk)) + " " + countProjects(len(v.fit)),
		CancelHref: v.form.list.link(shell), Error: refused, Variant: ui.Primary,
	}
	switch v.form.bulk {
	case projects.BulkArchive:
		question.Description = "Archived projects stay where they are and can be restored at any time."
	case projects.BulkRestore:
		question.Description = "They become active again."
	case projects.BulkDelete:
		question.Description = "They are gone for good, for everybody in the organization. Archive them instead to keep them."
		question.Typed, question.Variant = bulkWord, ui.Destructive
	}
	return question
}

func countProjects(n int) string {
	if n == 1 {
		return "1 project"
	}
	return strconv.Itoa(n) + " projects"
}

// reason says why nothing becomes of a project.
func reason(err error) string {
	if fault.Is(err, fault.Forbidden) {
		return "Your role does not allow that."
	}
	return "It is not there any more, or you may not see it."
}
