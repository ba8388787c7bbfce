// Package web has the page that shows the audit log, and its export.
package web

import (
	"context"
	"encoding/csv"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/origin"
	"github.com/tenonhq/tenon/platform/parallel"
	"github.com/tenonhq/tenon/platform/web"
)

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate

// Members returns those of the members of the tenant in ctx that exist, by id.
type Members func(ctx context.Context, ids ...string) (map[string]identity.Member, error)

// Pages are the pages about a tenant's audit log.
type Pages struct {
	service *audit.Service
	members Members
	errors  *httpserver.ErrorWriter
}

// NewPages returns the pages. What they cannot answer is answered by errors.
func NewPages(service *audit.Service, members Members, errors *httpserver.ErrorWriter) *Pages {
	return &Pages{service: service, members: members, errors: errors}
}

// Mount adds the pages to a router whose requests were let into a tenant.
func (p *Pages) Mount(r chi.Router) {
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request, identity.Access) error{
		"/audit-log":            p.list,
		"/audit-log/export.csv": p.export,
		"/activity":             p.activity,
	} {
		r.Get(pattern, p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
			access := identity.AccessOf(r.Context())
			return handle(w, r, access)
		}))
	}
}

// query is what the address says, as it was typed.
type query struct{ actor, action, subject, from, until, before string }

func queryOf(r *http.Request) query {
	values := r.URL.Query()
	return query{values.Get("actor"), values.Get("action"), values.Get("subject"), values.Get("from"), values.Get("until"), values.Get("before")}
}

func (q query) isFiltered() bool {
	return q.actor != "" || q.action != "" || q.subject != "" || q.from != "" || q.until != ""
}

func (q query) listing() (audit.Listing, error) {
	from, until, noPeriod := audit.ParsePeriod(q.from, q.until)
	if _, notDate := time.Parse(time.DateOnly, strings.TrimSpace(q.until)); notDate == nil {
		until = until.AddDate(0, 0, 1) // the day that a person picks is meant to be in it
	}
	before, noSeq := audit.ParseSeq(q.before)
	return audit.Listing{
		Filter: audit.Filter{Actor: q.actor, Action: q.action, Subject: q.subject, From: from, Until: until}, Before: before,
	}, fault.JoinInvalid(noPeriod, noSeq)
}

func (p *Pages) list(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.Authorize(access.Actor()); err != nil {
		return err
	}
	query := queryOf(r)
	listing, err := query.listing()
	var page audit.Page
	if err == nil {
		page, err = p.service.List(r.Context(), access.Actor(), listing)
	}
	status := http.StatusOK
	refused := fault.As(err)
	switch {
	case fault.Is(err, fault.Invalid): // the page says so beside its filter
		status = http.StatusUnprocessableEntity
	case err != nil:
		return err
	}
	people, err := p.people(r.Context(), query.actor, page.Entries...)
	if err != nil {
		return err
	}
	return web.Render(w, r, status, "Audit log", listPage(access, query, page, people, refused))
}

// people returns the members whom entries name, and one more.
func (p *Pages) people(ctx context.Context, also string, entries ...audit.Entry) (map[string]identity.Member, error) {
	var ids []string
	if also != "" {
		ids = append(ids, also)
	}
	for _, entry := range entries {
		if isPerson(entry.Origin.Kind) {
			ids = append(ids, entry.Origin.Actor)
		}
		if subjectOf(entry) == "member" {
			ids = append(ids, entry.Subject)
		}
	}
	slices.Sort(ids)
	people, err := p.members(ctx, slices.Compact(ids)...)
	return people, fault.Wrap("name the people of the audit log", err)
}

func isPerson(kind origin.Kind) bool { return kind == origin.Person || kind == origin.Key }

func subjectOf(e audit.Entry) string {
	subject, _, _ := strings.Cut(e.Action, ".")
	return subject
}

// What the page of activity shows.
const (
	activityDays    = 30
	activityEntries = 8
)

// activity shows what was changed lately, in the tenant or about one thing: by itself,
// and within other pages, which ask for it once they are there.
func (p *Pages) activity(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.service.Authorize(access.Actor()); err != nil {
		return err
	}
	query := queryOf(r)
	listing, err := query.listing()
	if err != nil {
		return err
	}
	listing.Limit = activityEntries
	var page audit.Page
	var days []audit.Day
	err = parallel.Do(r.Context(), func(ctx context.Context) (err error) {
		page, err = p.service.List(ctx, access.Actor(), listing)
		return err
	}, func(ctx context.Context) (err error) {
		if !query.isFiltered() {
			days, err = p.service.Activity(ctx, access.Actor(), activityDays)
		}
		return err
	})
	if err != nil {
		return err
	}
	people, err := p.people(r.Context(), "", page.Entries...)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Activity", activityPage(query, days, page.Entries, people))
}

// exportHead names the columns of an export.
var exportHead = []string{"seq", "at", "actor_kind", "actor", "api_key", "ip", "request_id", "action", "subject", "label", "changes", "hash"}

// export sends everything that passes the filter as CSV (RFC 4180).
func (p *Pages) export(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	listing, err := queryOf(r).listing()
	if authorized := p.service.Authorize(access.Actor()); authorized != nil {
		return authorized
	}
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	begun := false
	begin := func() {
		if !begun {
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			w.Header().Set("Cache-Control", "private, no-store")
			w.Header().Set("Content-Disposition", `attachment; filename="audit-log-`+access.Tenant.Slug.String()+`.csv"`)
			_ = out.Write(exportHead) // whatever fails, Error tells at the end
			begun = true
		}
	}
	err = p.service.Each(r.Context(), access.Actor(), listing.Filter, func(e audit.Entry) error {
		begin()
		return out.Write(record(e))
	})
	if err != nil {
		w.Header().Del("Content-Disposition")
		return err // before the first line was sent it is answered, behind it the answer breaks off
	}
	begin()
	out.Flush()
	return out.Error()
}

func record(e audit.Entry) []string {
	fields := []string{
		formatSeq(e.Seq), e.At.Format(time.RFC3339Nano), string(e.Origin.Kind), e.Origin.Actor, e.Origin.APIKey, e.Origin.IP, e.Origin.RequestID,
		e.Action, e.Subject, e.Label, e.Changes, e.Hash.String(),
	}
	for i, field := range fields {
		// Spreadsheets run what begins like a formula.
		if strings.HasPrefix(field, "=") || strings.HasPrefix(field, "+") || strings.HasPrefix(field, "-") || strings.HasPrefix(field, "@") ||
			strings.HasPrefix(field, "\t") || strings.HasPrefix(field, "\r") {
			fields[i] = "'" + field
		}
	}
	return fields
}
