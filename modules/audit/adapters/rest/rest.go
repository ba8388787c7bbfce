// Package rest is the audit module's part of the REST API.
package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/httpserver"
)

const (
	collectionPath = "/audit-log"
	entryParam     = "entry"
	entryPath      = collectionPath + "/{" + entryParam + "}"
)

// AuditEntry is one change as the API shows it.
type AuditEntry struct {
	Seq     int64                  `json:"seq" doc:"Its place in the record: 1, 2, 3 and so on, without a gap."`
	At      time.Time              `json:"at"`
	Actor   AuditActor             `json:"actor"`
	Action  string                 `json:"action" example:"project.updated"`
	Subject string                 `json:"subject" doc:"The id of what was changed."`
	Label   string                 `json:"label" doc:"What that was called then; empty for people."`
	Changes map[string]AuditChange `json:"changes" nullable:"false" doc:"What is different, by field."`
	Hash    string                 `json:"hash" doc:"SHA-256 in hexadecimal, of the entry and the hash of the one before."`
}

// AuditActor is where a change came from.
type AuditActor struct {
	Kind      string `json:"kind" enum:"person,key,webhook,command,job,database" doc:"What the id is of: a user; a user whose API key was used; an event of the identity provider; a user of the operators' system; a job; a login of the database."`
	ID        string `json:"id"`
	APIKey    string `json:"api_key" doc:"The id of the API key, or empty."`
	IP        string `json:"ip" doc:"The client's address, or empty."`
	RequestID string `json:"request_id" doc:"The X-Request-Id of the answer to who did it, or empty."`
}

// AuditChange is a field before and after.
type AuditChange struct {
	Before any `json:"before,omitempty" doc:"Missing where there was none, and for personal data."`
	After  any `json:"after,omitempty" doc:"Missing where there is none, and for personal data."`
}

// AuditLog is a page of a tenant's record.
type AuditLog struct {
	Items []AuditEntry `json:"items" nullable:"false"`
	Next  *int64       `json:"next" doc:"The value of before that leads to the next page; null on the last one."`
}

func resourceOf(e audit.Entry) AuditEntry {
	resource := AuditEntry{
		Seq: e.Seq, At: e.At,
		Actor:  AuditActor{Kind: string(e.Origin.Kind), ID: e.Origin.Actor, APIKey: e.Origin.APIKey, IP: e.Origin.IP, RequestID: e.Origin.RequestID},
		Action: e.Action, Subject: e.Subject, Label: e.Label, Changes: map[string]AuditChange{}, Hash: e.Hash.String(),
	}
	for name, change := range e.Fields() {
		resource.Changes[name] = AuditChange{Before: valueOf(change.Before), After: valueOf(change.After)}
	}
	return resource
}

// valueOf is nil, which is left out, for no value and for null.
func valueOf(raw json.RawMessage) any {
	if raw == nil || string(raw) == "null" {
		return nil
	}
	return raw
}

// api holds the operations' handlers.
type api struct{ service *audit.Service }

// Register adds the module's operations to an API whose requests were let into a
// tenant.
func Register(to huma.API, service *audit.Service) {
	api := &api{service}
	register(to, operation{
		id: "list-audit-log", path: collectionPath, authorize: httpserver.Guard(func(ctx context.Context) error { return service.Authorize(identity.AccessOf(ctx).Actor()) }),
		summary: "List the audit log", description: "Lists who changed what, the newest first, in pages. The Link header leads to the first page and the next one. Owners and admins may see it.",
	}, api.list)
	register(to, operation{
		id: "get-audit-entry", path: entryPath,
		authorize: httpserver.GuardValue(entryKey{}, func(ctx context.Context, param func(string) string) (audit.Entry, error) {
			seq, err := strconv.ParseInt(param(entryParam), 10, 64)
			if err != nil {
				seq = 0 // which none has
			}
			return service.Get(ctx, identity.AccessOf(ctx).Actor(), seq)
		}),
		summary: "Get an entry of the audit log", description: "Gets one change.",
	}, api.get)
}

type entryKey struct{}

// operation is what sets one of this module's operations apart.
type operation struct {
	id, path, summary, description string
	// authorize decides whether the request may go on, before its input is
	// looked at.
	authorize func(huma.Context, func(huma.Context))
}

func register[I, O any](to huma.API, o operation, handler func(context.Context, *I) (*O, error)) {
	httpserver.Register(to, huma.Operation{
		OperationID: o.id, Method: http.MethodGet, Path: o.path, Summary: o.summary, Description: o.description,
		Tags: []string{"Audit log"}, Middlewares: huma.Middlewares{o.authorize},
	}, handler)
}

type listInput struct {
	Actor   string `query:"actor" maxLength:"200" doc:"The id of who did it, themselves or by an API key."`
	Action  string `query:"action" maxLength:"200" doc:"An action, or what it was done to." example:"project.updated"`
	Subject string `query:"subject" maxLength:"200" doc:"The id of what was changed; with an action, since projects and people have ids of their own."`
	From    string `query:"from" maxLength:"40" doc:"Not before this date, or time (RFC 3339)." example:"2026-01-31"`
	Until   string `query:"until" maxLength:"40" doc:"Before this date, or time (RFC 3339)." example:"2026-02-01T12:00:00Z"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Before  int64  `query:"before" minimum:"0" doc:"The next of the page before."`
}

func (in *listInput) listing() (audit.Listing, error) {
	from, until, err := audit.ParsePeriod(in.From, in.Until)
	return audit.Listing{
		Filter: audit.Filter{Actor: in.Actor, Action: in.Action, Subject: in.Subject, From: from, Until: until},
		Before: in.Before, Limit: in.Limit,
	}, err
}

// link returns the Link header of a page.
func (in *listInput) link(ctx context.Context, next int64) string {
	before := ""
	if next > 0 {
		before = strconv.FormatInt(next, 10)
	}
	return httpserver.PageLinks(httpserver.TenantAPIPath(identity.AccessOf(ctx).Tenant.Slug.String(), collectionPath), map[string]string{
		"actor": in.Actor, "action": in.Action, "subject": in.Subject, "from": in.From, "until": in.Until, "limit": strconv.Itoa(in.Limit),
	}, "before", before)
}

type listOutput struct {
	Link string `header:"Link" doc:"Where the first page is (rel=first) and the next one (rel=next), as RFC 8288 has it."`
	Body AuditLog
}

func (a *api) list(ctx context.Context, in *listInput) (*listOutput, error) {
	listing, err := in.listing()
	if err != nil {
		return nil, err
	}
	page, err := a.service.List(ctx, identity.AccessOf(ctx).Actor(), listing)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Link: in.link(ctx, page.Next), Body: AuditLog{Items: make([]AuditEntry, len(page.Entries))}}
	for i, entry := range page.Entries {
		out.Body.Items[i] = resourceOf(entry)
	}
	if page.Next > 0 {
		out.Body.Next = &page.Next
	}
	return out, nil
}

type entryInput struct {
	Entry string `path:"entry" doc:"The entry's number." example:"42"`
}

type entryOutput struct{ Body AuditEntry }

func (a *api) get(ctx context.Context, _ *entryInput) (*entryOutput, error) {
	entry, _ := ctx.Value(entryKey{}).(audit.Entry)
	return &entryOutput{Body: resourceOf(entry)}, nil
}
