package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/parallel"
	"github.com/tenonhq/tenon/platform/web"
)

// madeByMe is the value of the list's filter for one's own projects; others are
// the ids of members.
const madeByMe = "me"

// The values of the list's filter for who sees the projects.
const (
	visibilityPublic  = "public"
	visibilityPrivate = "private"
)

// viewCards shows the list as cards; every other value as a table.
const viewCards = "cards"

// listQuery is what the list's address says, as it was typed.
type listQuery struct{ search, status, visibility, madeBy, sort, view, after string }

func listQueryOf(values url.Values) listQuery {
	return listQuery{
		search: values.Get("q"), status: values.Get("status"), visibility: values.Get("visibility"), madeBy: values.Get("by"),
		sort: values.Get("sort"), view: values.Get("view"), after: values.Get("after"),
	}
}

// String is the query of the list's address, with its question mark, and "" for
// the whole list as it is at first.
func (q listQuery) String() string {
	return string(web.Query(map[string]string{
		"q": q.search, "status": q.status, "visibility": q.visibility, "by": q.madeBy, "sort": q.sort, "view": q.view, "after": q.after,
	}))
}

func (q listQuery) link(shell *web.Shell) templ.SafeURL {
	return shell.Link("/projects") + templ.SafeURL(q.String())
}

// from returns the query for the part of the list after a place.
func (q listQuery) from(after projects.Cursor) listQuery {
	q.after = after.String()
	return q
}

// as returns the query for the same part of the list in another view.
func (q listQuery) as(view string) listQuery {
	q.view = view
	return q
}

// unfiltered returns the query for the whole list, as it is shown.
func (q listQuery) unfiltered() listQuery { return listQuery{sort: q.sort, view: q.view} }

func (q listQuery) isFiltered() bool {
	return q.search != "" || q.status != "" || q.visibility != "" || q.madeBy != ""
}

func (q listQuery) isCards() bool { return q.view == viewCards }

// showsChanges reports whether the list tells when projects were changed instead
// of when they were created.
func (q listQuery) showsChanges() bool {
	field, _ := projects.Order(q.sort).Field()
	return field == "updated_at"
}

func (q listQuery) listing(actor identity.Actor) (projects.Listing, error) {
	after, err := projects.ParseCursor(q.after)
	if err != nil {
		return projects.Listing{}, err
	}
	listing := projects.Listing{
		After: after, Order: projects.Order(q.sort),
		Filter: projects.Filter{Search: q.search, Status: projects.Status(q.status), CreatedBy: q.madeBy},
	}
	if q.madeBy == madeByMe {
		listing.CreatedBy = actor.AccountID
	}
	switch q.visibility {
	case "":
	case visibilityPublic, visibilityPrivate:
		listing.Public = new(q.visibility == visibilityPublic)
	default:
		return projects.Listing{}, fault.InvalidFields(fault.Field{Name: "visibility", Message: "Use public or private."})
	}
	return listing, nil
}

// listView is the list as it is shown.
type listView struct {
	query listQuery
	page  projects.Page
	names map[string]string // of the makers
	// makers are those to choose from, the person aside, in the order of their
	// names.
	makers  []string
	refused *fault.Error // nil when the address is good
}

// listTarget is the id of the part of the page that a search replaces.
const listTarget = "project-list"

func (p *Pages) list(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	view := listView{query: listQueryOf(r.URL.Query())}
	isPart := web.IsFragmentRequest(r) && r.Header.Get("HX-Target") == listTarget
	err := p.fillList(r.Context(), access.Actor(), &view, !isPart)
	status := http.StatusOK
	switch {
	case fault.Is(err, fault.Invalid): // the page says so beside its filter
		status, view.refused = http.StatusUnprocessableEntity, fault.As(err)
	case err != nil:
		return err
	}
	return web.Render(w, r, status, "Projects", listPage(access, view))
}

// fillList finds the projects of the view's query, and if need be whose projects
// could be asked for, both at once. A query that is not good leaves the projects
// out.
func (p *Pages) fillList(ctx context.Context, actor identity.Actor, view *listView, withMakers bool) error {
	listing, invalid := view.query.listing(actor)
	var makers []string
	err := parallel.Do(ctx, func(ctx context.Context) error {
		if invalid == nil {
			view.page, invalid = p.service.List(ctx, actor, listing)
		}
		if fault.Is(invalid, fault.Invalid) {
			return nil
		}
		return invalid
	}, func(ctx context.Context) (err error) {
		if withMakers {
			makers, err = p.service.Makers(ctx, actor)
		}
		return err
	})
	if err != nil {
		return err
	}
	names, err := p.names(ctx, append(makersOf(view.page.Projects), makers...))
	if err != nil {
		return err
	}
	view.names = names
	view.makers = slices.DeleteFunc(makers, func(id string) bool { return id == actor.AccountID })
	slices.SortFunc(view.makers, func(a, b string) int {
		return cmp.Or(strings.Compare(strings.ToLower(names[a]), strings.ToLower(names[b])), strings.Compare(a, b))
	})
	return invalid
}

// searchProblem says what is wrong with a value of the list's address. Nobody types
// a cursor, so that one is told in other words than a program gets.
func searchProblem(field fault.Field) string {
	switch field.Name {
	case "after":
		return "This page of the list does not exist."
	case "sort":
		return "The list cannot be sorted that way."
	}
	return field.Message
}

// orderLabels are the orders of the list as a person reads them, in the order of
// [projects.Orders].
var orderLabels = map[projects.Order]string{
	projects.NewestFirst:          "Newest first",
	projects.OldestFirst:          "Oldest first",
	projects.RecentlyChangedFirst: "Recently changed",
	projects.RecentlyChangedLast:  "Longest unchanged",
	projects.ByName:               "Name, A to Z",
	projects.ByNameBackwards:      "Name, Z to A",
}

// orderValue is the order in an address, where the usual one is left out.
func orderValue(order projects.Order) string {
	if order == projects.NewestFirst {
		return ""
	}
	return string(order)
}

// isOrder reports whether the address asks for an order, by its name or by none.
func (q listQuery) isOrder(order projects.Order) bool {
	return cmp.Or(projects.Order(q.sort), projects.NewestFirst) == order
}

// knowsMaker reports whether the person that the address names can be chosen.
func (v listView) knowsMaker(actor identity.Actor) bool {
	return v.query.madeBy == "" || isMine(v.query.madeBy, actor) || slices.Contains(v.makers, v.query.madeBy)
}

func isMine(madeBy string, actor identity.Actor) bool {
	return madeBy == madeByMe || madeBy == actor.AccountID
}

// mayBulk reports whether any project of the list can be changed by the person.
func mayBulk(access identity.Access, list []projects.Project) bool {
	return slices.ContainsFunc(list, func(p projects.Project) bool { return mayChoose(access, p) })
}

// mayChoose reports whether anything that is done in bulk can be done to p.
func mayChoose(access identity.Access, p projects.Project) bool {
	return may(access, projects.ActionEdit, p) || may(access, projects.ActionDelete, p)
}
