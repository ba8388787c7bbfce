package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/audit/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// exitTampered is what a verification ends with that found something.
const exitTampered = 3

func auditCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "verify and cut the tenants' audit logs",
		Description: "Works on DATABASE_URL; without it, on the database of `tenon dev`. The database itself writes who changed what, see\n" +
			"platform/decisions/0006-the-database-writes-the-audit-log.md.",
		Commands:     []*cli.Command{verifyAuditCommand(s), cutAuditCommand(s), auditKeyCommand(s)},
		OnUsageError: onUsageError,
		Action:       chooseCommand,
	}
}

// auditKeys reads the keys from the environment; own is nil without one.
func auditKeys(s surroundings) (own ed25519.PrivateKey, trusted []ed25519.PublicKey, err error) {
	if texts := variable(s.environ, "AUDIT_TRUSTED_KEYS"); texts != "" {
		if trusted, err = audit.ParsePublicKeys(strings.Split(texts, ",")); err != nil {
			return nil, nil, usageError("AUDIT_TRUSTED_KEYS is not valid; want base64 of public keys of 32 bytes, separated by commas")
		}
	}
	if text := variable(s.environ, "AUDIT_SIGNING_KEY"); text != "" {
		if own, err = audit.ParseKey(text); err != nil {
			return nil, nil, usageError("AUDIT_SIGNING_KEY is not valid; want base64 of 32 bytes, as `tenon audit key` prints it")
		}
		trusted = append(trusted, audit.PublicKeyOf(own))
	}
	return own, trusted, nil
}

// verificationLine is what was found of one tenant, for programs, and what --heads
// reads later.
type verificationLine struct {
	Tenant   string   `json:"tenant"` // the organization's id, which never changes
	Slug     string   `json:"slug"`
	Entries  int      `json:"entries"`
	Seq      int64    `json:"seq"`
	Hash     string   `json:"hash"`
	Problems []string `json:"problems"`
}

func verifyAuditCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "check that nothing in the audit logs was altered or removed",
		Description: "Follows each tenant's chain of hashes from its beginning. What was cut off on purpose has to be signed by\n" +
			"AUDIT_SIGNING_KEY or one of AUDIT_TRUSTED_KEYS. An end that was cut off leaves no gap: keep what --json prints somewhere\n" +
			"else, and hand it to --heads the next time.\n\n" +
			"Exit codes: 0 all is whole; 3 something is not; 1 it could not be checked.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tenant", Usage: "only the tenant with this `SLUG|ID`"},
			&cli.StringFlag{Name: "heads", Usage: "check that each log still has what an earlier --json in `FILE` ended with", TakesFile: true},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object a tenant, for programs and for --heads"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			_, trusted, err := auditKeys(s)
			if err != nil {
				return err
			}
			heads, err := readHeads(cmd.String("heads"))
			if err != nil {
				return err
			}
			return withOperator(ctx, s, func(o operator) error {
				return verifyAudit(ctx, s, cmd, o, trusted, heads)
			})
		},
	}
}

// readHeads reads what an earlier verification printed; "" is no file.
func readHeads(name string) (map[string]audit.Head, error) {
	heads := map[string]audit.Head{}
	if name == "" {
		return heads, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, usageError("--heads: %v", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		var line verificationLine
		hash := []byte(nil)
		err := json.Unmarshal(lines.Bytes(), &line)
		if err == nil {
			hash, err = hex.DecodeString(line.Hash)
		}
		if err != nil || line.Tenant == "" || line.Seq < 0 || len(hash) != len(audit.Hash{}) {
			return nil, usageError("--heads: line %d of %s is not what `tenon audit verify --json` prints", number, name)
		}
		heads[line.Tenant] = audit.Head{Seq: line.Seq, Hash: audit.Hash(hash)}
	}
	if err := lines.Err(); err != nil {
		return nil, usageError("--heads: %v", err)
	}
	return heads, nil
}

func verifyAudit(ctx context.Context, s surroundings, cmd *cli.Command, o operator, trusted []ed25519.PublicKey, heads map[string]audit.Head) error {
	log, name := bunrepo.NewLog(o.db), cmd.String("tenant")
	lines, table := json.NewEncoder(s.stdout), tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	entries, broken := 0, 0
	looked, err := o.eachLog(ctx, s, name, func(ctx context.Context, t tenancy.Tenant) (done, failed string, err error) {
		var wanted *audit.Head
		if head, ok := heads[t.ID]; ok {
			wanted = &head
			delete(heads, t.ID)
		}
		found, err := audit.Verify(ctx, log, trusted, wanted)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", t.Slug, err)
		}
		entries += found.Entries
		if len(found.Problems) > 0 {
			broken++
		}
		if cmd.Bool("json") {
			err = lines.Encode(verificationLine{t.ID, t.Slug.String(), found.Entries, found.Head.Seq, found.Head.Hash.String(), append([]string{}, found.Problems...)})
		} else {
			for _, problem := range found.Problems {
				fmt.Fprintf(table, "%s\t%s\n", t.Slug, problem)
			}
		}
		return fmt.Sprintf("%d entries", entries), fmt.Sprintf("%d not whole", broken), err
	})
	if err := errors.Join(err, table.Flush()); err != nil {
		return err
	}
	if name == "" {
		for id := range heads {
			fmt.Fprintf(s.stderr, "There is no tenant %s any more; it may have been purged.\n", printable(id))
		}
	}
	fmt.Fprintf(s.stderr, "%s with %d entries looked at, %d not whole.\n", count(looked), entries, broken)
	if broken > 0 {
		return cli.Exit("", exitTampered)
	}
	return nil
}

// eachLog does work for the tenant that is named, or for all, and shows how far it is:
// what work says was done and what was not. It returns how many tenants were done.
func (o operator) eachLog(ctx context.Context, s surroundings, name string, work func(ctx context.Context, t tenancy.Tenant) (done, failed string, err error)) (looked int, err error) {
	service, total := o.tenancy(), 0
	report := newProgress(s.stderr)
	defer report.finish()
	one := func(ctx context.Context, t tenancy.Tenant) error {
		done, failed, err := work(ctx, t)
		if err != nil {
			return err
		}
		looked++
		report.show(looked, max(looked, total), done, failed)
		return nil
	}
	if name != "" {
		t, err := findTenant(ctx, service, name)
		if err != nil {
			return 0, err
		}
		err = one(tenant.NewContext(ctx, t.Schema), t)
		return looked, err
	}
	status, err := o.engine.Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, version := range status.Versions {
		total += version.Tenants
	}
	err = audit.Tenants(ctx, service, one)
	return looked, err
}

func cutAuditCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "cut",
		Usage: "remove old entries from the audit logs, and sign for it",
		Description: "Needs AUDIT_SIGNING_KEY. A signed anchor stays in place of what is cut off, so that the rest still verifies. A log\n" +
			"that is not whole is left as it is. Servers do this by themselves where AUDIT_RETENTION is set.\n\n" +
			"Exit codes: 0 all is cut; 5 some logs were left as they are; 1 it failed, and the same command goes on.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tenant", Usage: "only the tenant with this `SLUG|ID`"},
			&cli.DurationFlag{Name: "older-than", Required: true, Usage: "remove entries that are older than `DURATION`, such as 8760h for a year"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			age := cmd.Duration("older-than")
			if age < 0 {
				return usageError("--older-than wants a duration, such as 8760h")
			}
			key, trusted, err := auditKeys(s)
			if err != nil {
				return err
			}
			if key == nil {
				return usageError("AUDIT_SIGNING_KEY is not set: what is cut off has to be signed for; `tenon audit key` makes one")
			}
			return withOperator(ctx, s, func(o operator) error {
				return cutAudit(ctx, s, o, cmd.String("tenant"), audit.NewCutter(bunrepo.NewLog(o.db), key, trusted...), time.Now().Add(-age))
			})
		},
	}
}

func cutAudit(ctx context.Context, s surroundings, o operator, name string, cutter *audit.Cutter, before time.Time) error {
	removed, left := 0, 0
	looked, err := o.eachLog(ctx, s, name, func(ctx context.Context, t tenancy.Tenant) (done, failed string, err error) {
		n, err := cutter.Cut(ctx, before)
		if fault.Is(err, fault.Conflict) {
			left++
			fmt.Fprintf(s.stdout, "%s: %s\n", t.Slug, fault.As(err).Message)
			err = nil
		}
		removed += n
		return fmt.Sprintf("%d entries cut off", removed), fmt.Sprintf("%d left as they are", left), err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "%s looked at, %d entries cut off, %d logs left as they are.\n", count(looked), removed, left)
	if left > 0 {
		return cli.Exit("", exitDriftLeft)
	}
	return nil
}

func auditKeyCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:         "key",
		Usage:        "make a key for AUDIT_SIGNING_KEY",
		Description:  "Prints lines for an environment file. When you replace a key, its public half goes into AUDIT_TRUSTED_KEYS.",
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(context.Context, *cli.Command) error {
			key, text := audit.NewKey()
			_, err := io.WriteString(s.stdout, "AUDIT_SIGNING_KEY="+text+"\n# its public half: "+audit.PublicKeyText(audit.PublicKeyOf(key))+"\n")
			return err
		},
	}
}
