package audit

import (
	"context"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Service is what people and programs ask about the record.
type Service struct{ log Log }

// NewService returns the use cases over their port.
func NewService(log Log) *Service { return &Service{log: log} }

// Authorize returns nil for who may read the record, and otherwise
// [identity.ErrForbidden] or its like.
func (s *Service) Authorize(actor identity.Actor) error { return actor.Require(identity.AuditView) }

// List returns a page of the record, the newest entries first. Errors: those of
// [Service.Authorize], [fault.Invalid].
func (s *Service) List(ctx context.Context, actor identity.Actor, listing Listing) (Page, error) {
	if err := s.Authorize(actor); err != nil {
		return Page{}, err
	}
	listing, err := listing.parse()
	if err != nil {
		return Page{}, err
	}
	return s.page(ctx, listing)
}

func (s *Service) page(ctx context.Context, listing Listing) (Page, error) {
	limit := listing.Limit
	listing.Limit++ // one more tells whether there is a next page
	found, err := s.log.List(ctx, listing)
	switch {
	case err != nil:
		return Page{}, fault.Wrap("list audit log", err)
	case len(found) <= limit:
		return Page{Entries: found}, nil
	}
	return Page{Entries: found[:limit], Next: found[limit-1].Seq}, nil
}

// Get returns an entry. Errors: those of [Service.Authorize], [ErrNotFound].
func (s *Service) Get(ctx context.Context, actor identity.Actor, seq int64) (Entry, error) {
	if err := s.Authorize(actor); err != nil {
		return Entry{}, err
	}
	entry, err := s.log.BySeq(ctx, seq)
	return entry, fault.Wrap("get audit entry", err)
}

// Each calls fn with every entry that passes a filter, the newest first, until fn
// returns an error, which it returns. What is added meanwhile is left out. Errors:
// those of [Service.Authorize], [fault.Invalid].
func (s *Service) Each(ctx context.Context, actor identity.Actor, filter Filter, fn func(Entry) error) error {
	if err := s.Authorize(actor); err != nil {
		return err
	}
	listing, err := Listing{Filter: filter, Limit: MaxLimit}.parse()
	if err != nil {
		return err
	}
	for {
		page, err := s.page(ctx, listing)
		if err != nil {
			return err
		}
		for _, entry := range page.Entries {
			if err := fn(entry); err != nil {
				return err
			}
		}
		if page.Next == 0 {
			return nil
		}
		listing.Before = page.Next
	}
}

// About returns the newest entries about one thing, at most limit. Whoever may see
// the thing may see them: the caller has decided that.
func (s *Service) About(ctx context.Context, subject, id string, limit int) ([]Entry, error) {
	page, err := s.page(ctx, Listing{Filter: Filter{Action: subject, Subject: id}, Limit: limit})
	return page.Entries, err
}
