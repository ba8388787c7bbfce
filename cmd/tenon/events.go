package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	"github.com/tenonhq/tenon/platform/fault"
)

func eventsCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "events",
		Usage: "see what Clerk's webhooks brought, and apply it again",
		Description: "Works on DATABASE_URL; without it, on the database of `tenon dev`. An event is pending until it was applied, ignored\n" +
			"when it says nothing that matters here, and dead when it failed too often or cannot be read. Servers delete those\n" +
			"that were applied or ignored 30 days ago; what they hold is personal data.",
		Commands: []*cli.Command{
			listEventsCommand(s),
			showEventCommand(s),
			replayEventsCommand(s),
		},
		OnUsageError: onUsageError,
		Action:       chooseCommand,
	}
}

// withEvents gives a command the inbox.
func withEvents(ctx context.Context, s surroundings, work func(events *identity.Events) error) error {
	db, closeDB, err := operatorDatabase(ctx, s)
	if err != nil {
		return err
	}
	defer closeDB()
	return work(identity.NewEvents(bunrepo.NewInbox(db), func() {})) // servers look every second
}

// eventLine is an event for programs. The payload is not in it: it is personal.
type eventLine struct {
	ID            string          `json:"id"`
	Type          string          `json:"type"`
	State         string          `json:"state"`
	Attempts      int             `json:"attempts"`
	LastError     string          `json:"last_error"`
	OccurredAt    time.Time       `json:"occurred_at"`
	ReceivedAt    time.Time       `json:"received_at"`
	NextAttemptAt *time.Time      `json:"next_attempt_at"`
	FinishedAt    *time.Time      `json:"finished_at"`
	Payload       json.RawMessage `json:"payload,omitempty"`
}

func eventLineOf(r identity.InboxRecord) eventLine {
	line := eventLine{
		ID: r.ID, Type: r.Type, State: string(r.State), Attempts: r.Attempts, LastError: r.LastError,
		OccurredAt: r.OccurredAt.UTC(), ReceivedAt: r.ReceivedAt.UTC(), FinishedAt: timeOrNil(r.FinishedAt),
	}
	if r.State == identity.InboxPending {
		line.NextAttemptAt = timeOrNil(r.NextAttemptAt)
	}
	return line
}

func stateFlag() *cli.StringFlag {
	return &cli.StringFlag{Name: "state", Usage: "only those that are `pending, applied, ignored or dead`", Validator: func(state string) error {
		if state != "" && !slices.Contains(identity.InboxStates(), identity.InboxState(state)) {
			return fmt.Errorf("want pending, applied, ignored or dead")
		}
		return nil
	}}
}

// listingOf returns what the flags of a command ask for.
func listingOf(cmd *cli.Command) identity.InboxListing {
	listing := identity.InboxListing{Limit: identity.MaxEventLimit}
	if state := cmd.String("state"); state != "" {
		listing.States = []identity.InboxState{identity.InboxState(state)}
	}
	if eventType := cmd.String("type"); eventType != "" {
		listing.Types = []string{eventType}
	}
	return listing
}

// eachEvent calls do with the events of a listing, the newest first, up to a
// number of them; 0 is all.
func eachEvent(ctx context.Context, events *identity.Events, listing identity.InboxListing, limit int, do func(identity.InboxRecord) error) error {
	for n := 0; ; {
		records, err := events.List(ctx, listing)
		if err != nil {
			return err
		}
		for _, record := range records {
			if n++; limit > 0 && n > limit {
				return nil
			}
			if err := do(record); err != nil {
				return err
			}
		}
		if len(records) < listing.Limit {
			return nil
		}
		listing.After = records[len(records)-1].Position()
	}
}

func listEventsCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list events, those received last first",
		Flags: []cli.Flag{
			stateFlag(),
			&cli.StringFlag{Name: "type", Usage: "only those of a `TYPE`, such as user.created"},
			&cli.IntFlag{Name: "limit", Value: 50, Usage: "at most `NUMBER`; 0 is all", Validator: func(limit int) error {
				if limit < 0 {
					return fmt.Errorf("want a number from 0")
				}
				return nil
			}},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line, for programs"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withEvents(ctx, s, func(events *identity.Events) error {
				table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
				lines := json.NewEncoder(s.stdout)
				if !cmd.Bool("json") {
					fmt.Fprintln(table, "RECEIVED\tTYPE\tSTATE\tATTEMPTS\tID\tERROR")
				}
				err := eachEvent(ctx, events, listingOf(cmd), cmd.Int("limit"), func(r identity.InboxRecord) error {
					if cmd.Bool("json") {
						return lines.Encode(eventLineOf(r))
					}
					fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%.100s\n", r.ReceivedAt.UTC().Format(time.DateTime), printable(r.Type), r.State, r.Attempts, printable(r.ID), printable(r.LastError))
					return nil
				})
				return cmp.Or(err, table.Flush())
			})
		},
	}
}

// eventNotFound says what to do about an id that is none.
func eventNotFound(id string, err error) error {
	if fault.Is(err, fault.NotFound) {
		return cli.Exit(fmt.Sprintf("there is no event with the id %q; see `tenon events list`", id), exitFailed)
	}
	return err
}

func showEventCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show what became of an event",
		ArgsUsage: "ID",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "payload", Usage: "with what Clerk sent, which is personal data"},
		},
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usageError("%s wants an event's id; see `%s --help`", cmd.FullName(), cmd.FullName())
			}
			return withEvents(ctx, s, func(events *identity.Events) error {
				record, err := events.Get(ctx, cmd.Args().First())
				if err != nil {
					return eventNotFound(cmd.Args().First(), err)
				}
				line := eventLineOf(record)
				if cmd.Bool("payload") {
					line.Payload = record.Payload
				}
				encoder := json.NewEncoder(s.stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(line)
			})
		},
	}
}

func replayEventsCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "apply events again",
		ArgsUsage: "[ID …]",
		Description: "Servers apply them within a second or so. Doing it to an event that was applied is harmless: what it says is merged\n" +
			"as it was the first time, and nothing that came later is undone.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dead", Usage: "all that are dead, beside those that are named"},
		},
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() && !cmd.Bool("dead") {
				return usageError("%s wants the ids of events, or --dead; see `%s --help`", cmd.FullName(), cmd.FullName())
			}
			return withEvents(ctx, s, func(events *identity.Events) error {
				ids := slices.Clone(cmd.Args().Slice())
				if cmd.Bool("dead") {
					dead := identity.InboxListing{States: []identity.InboxState{identity.InboxDead}, Limit: identity.MaxEventLimit}
					if err := eachEvent(ctx, events, dead, 0, func(r identity.InboxRecord) error {
						ids = append(ids, r.ID)
						return nil
					}); err != nil {
						return err
					}
				}
				for _, id := range ids {
					if err := events.Replay(ctx, id); err != nil {
						return eventNotFound(id, err)
					}
					fmt.Fprintln(s.stdout, printable(id))
				}
				fmt.Fprintf(s.stderr, "%d events are applied again.\n", len(ids))
				return nil
			})
		},
	}
}
