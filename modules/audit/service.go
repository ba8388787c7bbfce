package audit

import (
	"context"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Service is what people and programs ask about the record.
type Service struct {
	log Log
	now func() time.Time
}

// NewService returns the use cases over their port.
func NewService(log Log) *Service { return &Service{log: log, now: time.Now} }

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

// Day is how much was changed on a day.
type Day struct {
	// Date is its first moment in UTC.
	Date    time.Time
	Changes int
}

// Activity returns how much was changed on each of the last days, today the last.
// Errors: those of [Service.Authorize].
func (s *Service) Activity(ctx context.Context, actor identity.Actor, days int) ([]Day, error) {
	if err := s.Authorize(actor); err != nil {
		return nil, err
	}
	today := s.now().UTC().Truncate(24 * time.Hour)
	first := today.AddDate(0, 0, 1-days)
	counts, err := s.log.Daily(ctx, first)
	if err != nil {
		return nil, fault.Wrap("count audit log", err)
	}
	activity := make([]Day, days)
	for i := range activity {
		date := first.AddDate(0, 0, i)
		activity[i] = Day{Date: date, Changes: counts[date]}
	}
	return activity, nil
}
