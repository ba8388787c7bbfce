package localpg

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// CreateDatabase makes a login and a database that it owns, on the server that a URL for
// its superuser names, as the operations guide asks for on each version of PostgreSQL:
// the login may make roles and databases and is no superuser, and nobody else may create
// in the schema public. A login or database that is there is no error, and keeps its
// password or owner.
func CreateDatabase(ctx context.Context, serverURL, name, login, password string) error {
	const (
		duplicateDatabase = "42P04"
		duplicateRole     = "42710"
	)
	conn, err := pgconn.Connect(ctx, serverURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	owner := identifier(login)
	for _, step := range []struct{ statement, unless string }{
		{"CREATE ROLE " + owner + " LOGIN CREATEROLE CREATEDB PASSWORD " + literal(password), duplicateRole},
		{"CREATE DATABASE " + identifier(name) + " OWNER " + owner, duplicateDatabase},
	} {
		_, err := conn.Exec(ctx, step.statement).ReadAll()
		if refused, ok := errors.AsType[*pgconn.PgError](err); err != nil && !(ok && refused.Code == step.unless) {
			return err
		}
	}
	major, _, _ := strings.Cut(conn.ParameterStatus("server_version"), ".")
	if version, err := strconv.Atoi(major); err == nil && version >= 15 {
		return nil // has the schema so from the start
	}
	address, err := url.Parse(serverURL)
	if err != nil {
		return err
	}
	address.Path = "/" + name
	return execute(ctx, address.String(), "ALTER SCHEMA public OWNER TO "+owner, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
}

// DropDatabase drops a database of the server that a URL for its superuser names, whoever
// is connected to it: their connections are ended. (WITH (FORCE) does that from
// PostgreSQL 13 on.)
func DropDatabase(ctx context.Context, serverURL, name string) error {
	return execute(ctx, serverURL,
		"ALTER DATABASE "+identifier(name)+" ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "+literal(name)+" AND backend_type = 'client backend'",
		"DROP DATABASE "+identifier(name)) // waits for those who were told to go
}

func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// execute sends each statement by itself: some refuse to be in a transaction.
func execute(ctx context.Context, serverURL string, statements ...string) error {
	conn, err := pgconn.Connect(ctx, serverURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}
