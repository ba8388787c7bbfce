package web

import (
	"net/http"
	"net/url"

	"github.com/a-h/templ"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/operations"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

const (
	eventsPath = "/admin/events"
	eventPath  = eventsPath + "/{event}"

	shownEvents = 50
)

// eventsView is what the list of events shows.
type eventsView struct {
	state   identity.InboxState // "" is every state
	records []identity.InboxRecord
	isFirst bool
	// next is the id of the last record when there are more, "" on the last page.
	next string
}

func (p *Pages) listEvents(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	view := eventsView{state: identity.InboxState(query.Get("state")), isFirst: query.Get("after") == ""}
	listing := identity.InboxListing{Limit: shownEvents + 1}
	if view.state != "" {
		listing.States = []identity.InboxState{view.state}
	}
	if !view.isFirst {
		last, err := p.eventOf(r, query.Get("after"))
		if err != nil {
			return err
		}
		listing.After = last.Position()
	}
	found, err := p.events.List(r.Context(), listing)
	switch {
	case fault.Is(err, fault.Invalid):
		return operations.ErrNotFound
	case err != nil:
		return err
	}
	view.records = found
	if len(found) > shownEvents {
		view.records, view.next = found[:shownEvents], found[shownEvents-1].ID
	}
	return web.Render(w, r, http.StatusOK, "Events", eventsPage(view))
}

func (p *Pages) eventOf(r *http.Request, id string) (identity.InboxRecord, error) {
	record, err := p.events.Get(r.Context(), id)
	if fault.Is(err, fault.NotFound) {
		err = operations.ErrNotFound
	}
	return record, err
}

func (p *Pages) event(w http.ResponseWriter, r *http.Request) error {
	record, err := p.eventOf(r, httpserver.PathParam(r, "event"))
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, record.Type, eventPage(record))
}

func (p *Pages) replay(w http.ResponseWriter, r *http.Request) error {
	record, err := p.eventOf(r, httpserver.PathParam(r, "event"))
	if err != nil {
		return err
	}
	if err := p.events.Replay(r.Context(), record.ID); err != nil {
		return err
	}
	web.Redirect(w, r, string(eventHref(record)), &web.Flash{Kind: ui.Success, Message: "The event is applied again."})
	return nil
}

func eventHref(r identity.InboxRecord) templ.SafeURL {
	return new(web.Shell).Link(eventsPath+"/%s", r.ID)
}

func stateHref(state identity.InboxState, after string) templ.SafeURL {
	query := url.Values{}
	for name, value := range map[string]string{"state": string(state), "after": after} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return eventsPath
	}
	return templ.SafeURL(eventsPath + "?" + query.Encode())
}

// stateVariant lets what needs somebody stand out.
func stateVariant(state identity.InboxState) ui.Variant {
	switch state {
	case identity.InboxDead:
		return ui.Destructive
	case identity.InboxPending:
		return ui.Secondary
	}
	return ui.Outline
}

// stateLabel is a state as a person reads it.
func stateLabel(state identity.InboxState) string {
	switch state {
	case identity.InboxPending:
		return "Pending"
	case identity.InboxApplied:
		return "Applied"
	case identity.InboxIgnored:
		return "Ignored"
	case identity.InboxDead:
		return "Dead"
	}
	return "All"
}
