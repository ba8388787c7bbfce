package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// form is a project as somebody entered it.
type form struct {
	name, slug, description, status string
	public                          bool
	// version is the state of the project that was edited, "" for a new one.
	version string
}

func formOf(project projects.Project) form {
	return form{
		name: project.Name, slug: project.Slug.String(), description: project.Description, status: string(project.Status), public: project.Public,
		version: projects.VersionOf(project).String(),
	}
}

func parseForm(r *http.Request) (form, error) {
	if err := httpserver.ParseForm(r); err != nil {
		return form{}, err
	}
	// Browsers send the line breaks of a text as CR LF, whatever was typed.
	description := strings.ReplaceAll(r.PostForm.Get("description"), "\r\n", "\n")
	return form{
		name: r.PostForm.Get("name"), slug: r.PostForm.Get("slug"), description: description,
		status: r.PostForm.Get("status"), public: r.PostForm.Get("is_public") != "", version: r.PostForm.Get("version"),
	}, nil
}

// versions are the states that the form may overwrite: the one it was filled
// from. A form that names none overwrites whatever is there.
func (f form) versions() projects.Versions {
	if f.version == "" {
		return nil
	}
	versions := projects.Versions{}
	if version, ok := projects.ParseVersion(f.version); ok {
		versions = append(versions, version)
	}
	return versions
}

func (f form) change() projects.Change {
	return projects.Change{Name: &f.name, Slug: &f.slug, Description: &f.description, Public: &f.public, Status: &f.status}
}

// refusal returns err when a form has to be shown again because of it, and nil
// otherwise.
func refusal(err error) *fault.Error {
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		return fault.As(err)
	}
	return nil
}

func (p *Pages) showNew(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.AuthorizeCreate(access.Actor()); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "New project", newPage(form{public: access.Tenant.ProjectsPublic}, nil))
}

func (p *Pages) create(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.AuthorizeCreate(access.Actor()); err != nil {
		return err
	}
	entered, err := parseForm(r)
	if err != nil {
		return err
	}
	project, err := p.service.Create(r.Context(), access.Actor(), projects.Draft{
		Name: entered.name, Slug: entered.slug, Description: entered.description, Public: entered.public,
	})
	if refused := refusal(err); refused != nil {
		return web.Render(w, r, http.StatusUnprocessableEntity, "New project", newPage(entered, refused))
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "Project “"+project.Name+"” was created.", "/projects/%s", project.Slug)
}

// detailsTarget is the id of the part of a project's page that its form takes the
// place of, and that holds the form on a page of its own.
const detailsTarget = "project-details"

func (p *Pages) show(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Get(r.Context(), access.Actor(), slugOf(r))
	if err != nil {
		return err
	}
	names, err := p.names(r.Context(), []string{project.CreatedBy})
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, project.Name, projectPage(access, project, names[project.CreatedBy]))
}

// editView is a project's form.
type editView struct {
	project projects.Project // as it is stored
	entered form
	refused *fault.Error
	// isConflict shows beside the form what somebody else has stored since.
	isConflict bool
}

func (p *Pages) showEdit(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionEdit)
	if err != nil {
		return err
	}
	return renderEdit(w, r, http.StatusOK, editView{project: project, entered: formOf(project)})
}

func renderEdit(w http.ResponseWriter, r *http.Request, status int, view editView) error {
	return web.Render(w, r, status, "Edit "+view.project.Name, editPage(view))
}

func (p *Pages) update(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionEdit)
	if errors.Is(err, projects.ErrNotFound) {
		return p.missed(w, r, access, err)
	}
	if err != nil {
		return err
	}
	entered, err := parseForm(r)
	if err != nil {
		return err
	}
	changed, err := p.service.Update(r.Context(), access.Actor(), slugOf(r), entered.versions(), entered.change())
	switch refused := refusal(err); {
	case refused != nil:
		return renderEdit(w, r, http.StatusUnprocessableEntity, editView{project: project, entered: entered, refused: refused})
	case errors.Is(err, projects.ErrChanged), errors.Is(err, projects.ErrNotFound):
		return p.missed(w, r, access, err)
	case err != nil:
		return err
	}
	return redirect(w, r, "Your changes were saved.", "/projects/%s", changed.Slug)
}

// missed answers a change of a project that is no longer as its form knew it, or
// no longer where it was, or no longer there. Nothing of what was typed is lost.
// A form of a project that nobody can know of is answered by err.
func (p *Pages) missed(w http.ResponseWriter, r *http.Request, access identity.Access, err error) error {
	entered, unreadable := parseForm(r)
	if unreadable != nil {
		return err
	}
	version, ok := projects.ParseVersion(entered.version)
	if !ok && !errors.Is(err, projects.ErrChanged) {
		return err
	}
	var current projects.Project
	var lookup error
	if ok {
		current, lookup = p.service.Current(r.Context(), access.Actor(), version)
	} else {
		current, lookup = p.service.Get(r.Context(), access.Actor(), slugOf(r))
	}
	switch {
	case errors.Is(lookup, projects.ErrNotFound) && mayCreate(access):
		keepInPlace(w)
		return web.Render(w, r, http.StatusNotFound, "Project is gone", gonePage(entered))
	case lookup != nil:
		return lookup
	case !may(access, projects.ActionEdit, current):
		return identity.ErrForbidden
	}
	entered.version = projects.VersionOf(current).String()
	if entered == formOf(current) { // sent twice, or the other person had the same idea
		return redirect(w, r, "Your changes were saved.", "/projects/%s", current.Slug)
	}
	keepInPlace(w)
	return renderEdit(w, r, http.StatusConflict, editView{project: current, entered: entered, isConflict: true})
}

// keepInPlace makes htmx show an answer where the form was, whatever its status.
func keepInPlace(w http.ResponseWriter) { w.Header().Set("HX-Retarget", "#"+detailsTarget) }

// setStatus and setVisibility change one thing about a project, by a button.

func (p *Pages) setStatus(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	return p.set(w, r, access, func(value string) (projects.Change, string) {
		message := "The project is active again."
		if value == string(projects.StatusArchived) {
			message = "The project was archived."
		}
		return projects.Change{Status: &value}, message
	})
}

func (p *Pages) setVisibility(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	return p.set(w, r, access, func(value string) (projects.Change, string) {
		switch value {
		case visibilityPublic:
			return projects.Change{Public: new(true)}, "The project is public: everybody in the organization sees it."
		case visibilityPrivate:
			return projects.Change{Public: new(false)}, "The project is private."
		}
		return projects.Change{}, ""
	})
}

var errNoSuchValue = fault.InvalidFields(fault.Field{Name: "to", Message: "Use one of the buttons on the project’s page."})

// set makes the change that the form's value "to" asks for.
func (p *Pages) set(w http.ResponseWriter, r *http.Request, access identity.Access, changeTo func(string) (projects.Change, string)) error {
	if _, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionEdit); err != nil {
		return err
	}
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	change, message := changeTo(r.PostForm.Get("to"))
	if change == (projects.Change{}) {
		return errNoSuchValue
	}
	project, err := p.service.Update(r.Context(), access.Actor(), slugOf(r), nil, change)
	if err != nil {
		return err
	}
	return redirect(w, r, message, "/projects/%s", project.Slug)
}

func (p *Pages) confirmDelete(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionDelete)
	if err != nil {
		return err
	}
	return renderDelete(w, r, http.StatusOK, project, "")
}

func renderDelete(w http.ResponseWriter, r *http.Request, status int, project projects.Project, refused string) error {
	question := deletion(web.FromContext(r.Context()), project)
	question.Error = refused
	return web.Render(w, r, status, "Delete "+project.Name, ui.Confirm(question))
}

func (p *Pages) delete(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	project, err := p.service.Authorize(r.Context(), access.Actor(), slugOf(r), projects.ActionDelete)
	if err != nil {
		return err
	}
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	if !isTyped(r, project.Slug.String()) {
		return renderDelete(w, r, http.StatusUnprocessableEntity, project, "Type the project’s address, exactly as it is shown.")
	}
	project, err = p.service.Delete(r.Context(), access.Actor(), slugOf(r), nil)
	if err != nil {
		return err
	}
	return redirect(w, r, "Project “"+project.Name+"” was deleted.", "/projects")
}

// deletion is the question before a project is deleted.
func deletion(shell *web.Shell, project projects.Project) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "delete-project",
		Title:        "Delete “" + project.Name + "”?",
		Description:  "The project is gone for good, for everybody in the organization. Archive it instead to keep it.",
		Action:       shell.Link("/projects/%s/delete", project.Slug),
		ConfirmLabel: "Delete project",
		CancelHref:   shell.Link("/projects/%s", project.Slug),
		Typed:        project.Slug.String(),
	}
}
