package migrate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// indexStatement is a statement that a file marked txmode none may hold.
type indexStatement struct {
	drops bool
	name  string // the index, as it is in the catalog
	text  string
}

// What stands in front of a statement's first word, and an identifier.
const (
	blank      = `(?:\s|--[^\n]*\n|/\*.*?\*/)`
	identifier = `("(?:[^"]|"")+"|[a-zA-Z_\x80-\xff][a-zA-Z0-9_$\x80-\xff]*)`
)

var (
	createIndex = regexp.MustCompile(`(?is)^` + blank + `*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?` + identifier + `\s+ON\s`)
	dropIndex   = regexp.MustCompile(`(?is)^` + blank + `*DROP\s+INDEX\s+CONCURRENTLY\s+(?:IF\s+EXISTS\s+)?` + identifier + `(?:\s+RESTRICT)?\s*$`)
	concurrent  = regexp.MustCompile(`(?is)^(` + blank + `*(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX)\s+CONCURRENTLY\b`)
)

// parseIndexStatement accepts what can be finished by whoever finds it half
// done: an index has a name, and the catalog says whether it is there and valid.
func parseIndexStatement(text string) (indexStatement, error) {
	if match := createIndex.FindStringSubmatch(text); match != nil {
		return indexStatement{name: unquote(match[1]), text: text}, nil
	}
	if match := dropIndex.FindStringSubmatch(text); match != nil {
		return indexStatement{drops: true, name: unquote(match[1]), text: text}, nil
	}
	return indexStatement{}, errors.New("outside of a transaction there can only be CREATE INDEX CONCURRENTLY name ON … and DROP INDEX CONCURRENTLY name: everything else belongs in a file of its own, without txmode none")
}

func unquote(name string) string {
	if strings.HasPrefix(name, `"`) {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return strings.ToLower(name)
}

func withoutConcurrently(statement string) string {
	return concurrent.ReplaceAllString(statement, "$1")
}

// concurrentLockTimeout is how long a concurrent build waits for the
// transactions that are older than it. It keeps nobody from anything meanwhile.
const concurrentLockTimeout = 10 * time.Minute

var errSchemaGone = errors.New("its schema is gone from the database")

// errPooled is a direct URL that is none.
var errPooled = errors.New("the direct URL leads through a pooler, and a file that runs outside of transactions needs PostgreSQL itself")

// applyApart applies a file marked txmode none to one schema: a statement a
// message, on a connection of its own whose path is the schema, and last the
// record of it, the message final. Another engine's work on the same schema is
// waited for. What a killed engine left is finished: an index that is there and
// valid is kept, an invalid one is dropped and built again.
func (e *Engine) applyApart(ctx context.Context, schema string, s segment, checks []string, final string) error {
	if e.directURL == "" {
		return fmt.Errorf("%s runs outside of transactions and needs a direct connection to PostgreSQL, which was not configured", s.apart.File)
	}
	config, err := pgconn.ParseConfig(e.directURL)
	if err != nil {
		return errors.New("the direct URL is not a PostgreSQL URL") // pgconn's error may show the password
	}
	config.RuntimeParams["search_path"] = `"` + schema + `"`
	conn, err := pgconn.ConnectConfig(ctx, config)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == codeProtocolViolation {
		return errPooled // PgBouncer takes no search_path from a client
	}
	if err != nil {
		return fmt.Errorf("the direct connection: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	value := func(query string) (string, error) {
		results, err := conn.Exec(ctx, query).ReadAll()
		if err != nil || len(results) == 0 || len(results[len(results)-1].Rows) == 0 {
			return "", err
		}
		return string(results[len(results)-1].Rows[0][0]), nil
	}
	if current, err := value("SELECT current_schema()"); err != nil || current != schema {
		if err == nil && current == "" {
			err = errSchemaGone
		} else if err == nil {
			err = errPooled
		}
		return err
	}
	// A session's lock: on this connection it holds, and it must not be waited
	// for inside a statement, whose snapshot another one's build would wait for.
	for attempt := 1; ; attempt++ {
		locked, err := value("SELECT pg_try_advisory_lock(" + lockKey(schema) + ")")
		if err != nil {
			return err
		}
		if locked == "t" {
			break
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
	if _, err := value(guard(schema, checks...)); err != nil {
		return err
	}
	if _, err := value(fmt.Sprintf("SET lock_timeout = '%dms'", concurrentLockTimeout.Milliseconds())); err != nil {
		return err
	}
	for _, text := range s.apart.Statements {
		statement, err := parseIndexStatement(text)
		if err != nil {
			return err
		}
		valid, err := value("SELECT i.indisvalid FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname = " + literal(statement.name) +
			" AND c.relnamespace = " + literal(`"`+schema+`"`) + "::regnamespace")
		if err != nil {
			return err
		}
		switch {
		case statement.drops && valid == "", !statement.drops && valid == "t":
			continue
		case !statement.drops && valid == "f":
			if _, err := value(`DROP INDEX CONCURRENTLY "` + strings.ReplaceAll(statement.name, `"`, `""`) + `"`); err != nil {
				return err
			}
		}
		if _, err := value(statement.text); err != nil {
			return err
		}
	}
	_, err = value(final)
	return err
}
