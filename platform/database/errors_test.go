package database_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

func TestClassifyForeignErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want fault.Kind
	}{
		{driver.ErrBadConn, fault.Unavailable},
		{io.EOF, fault.Unavailable},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), fault.Unavailable},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, fault.Unavailable},
		{context.DeadlineExceeded, fault.Unavailable},
		{fmt.Errorf("%w: %w", context.Canceled, io.EOF), fault.Canceled},
		{sql.ErrNoRows, fault.Internal},
		{database.ErrNoTenant, fault.Internal},
		{fault.New(fault.Conflict, "x").WithCause(io.EOF), fault.Conflict},
	} {
		got := database.Classify(test.err)
		if fault.KindOf(got) != test.want || !errors.Is(got, test.err) {
			t.Errorf("Classify(%v) = %v of kind %v, want %v", test.err, got, fault.KindOf(got), test.want)
		}
	}
	if database.Classify(nil) != nil || database.IsUniqueViolation(nil, "") {
		t.Error("nil must stay nil")
	}
}

func TestClassifyServerErrors(t *testing.T) {
	t.Parallel()
	db := openTenants(t, localpgtest.NewDatabase(t))
	raise := func(code string) error {
		_, err := db.Owner().ExecContext(inA(t), "DO $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '"+code+"'; END $$")
		return err
	}
	for code, want := range map[string]fault.Kind{
		"40001": fault.Conflict, "40P01": fault.Conflict,
		"53300": fault.Unavailable, "57P01": fault.Unavailable, "57P03": fault.Unavailable,
		"57014": fault.Unavailable, "55P03": fault.Unavailable, "08006": fault.Unavailable,
		"23505": fault.Internal, "42P01": fault.Internal,
	} {
		err := raise(code)
		if err == nil || !strings.Contains(err.Error(), code) {
			t.Fatalf("%s: the server raised %v", code, err)
		}
		classified := database.Classify(err)
		if fault.KindOf(classified) != want {
			t.Errorf("%s: kind %v, want %v", code, fault.KindOf(classified), want)
		}
		if strings.Contains(fault.As(classified).Message, "secret") {
			t.Errorf("%s: the message for clients shows the server's", code)
		}
	}
}

func TestClassifyRefusedConnections(t *testing.T) {
	t.Parallel()
	databaseURL := localpgtest.NewDatabase(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	parsed, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Path = "/no_such_database"
	for name, test := range map[string]struct {
		url  string
		want fault.Kind
	}{
		"nobody listens":      {"postgres://u:s3cr3t@" + closed.Addr().String() + "/app", fault.Unavailable},
		"no such database":    {parsed.String(), fault.Internal},
		"unresolvable domain": {"postgres://u:s3cr3t@db.invalid/app", fault.Unavailable},
	} {
		err := databasetest.Open(t, test.url).Ping(t.Context())
		if err == nil || fault.KindOf(err) != test.want || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v of kind %v, want %v and no password", name, err, fault.KindOf(err), test.want)
		}
	}
}

func TestIsUniqueViolation(t *testing.T) {
	t.Parallel()
	db := openTenants(t, localpgtest.NewDatabase(t))
	insert := func(project projectRow) error {
		_, err := db.Tenants().NewInsert().Model(&project).Exec(inA(t))
		return fault.Wrap("insert", err)
	}
	if err := insert(projectRow{Slug: "s", CreatedBy: "user_1"}); err != nil {
		t.Fatal(err)
	}
	duplicate := insert(projectRow{Slug: "s", CreatedBy: "user_1"})
	foreign := insert(projectRow{Slug: "t", CreatedBy: "nobody"})
	for _, test := range []struct {
		err        error
		constraint string
		want       bool
	}{
		{duplicate, "", true},
		{duplicate, "projects_slug_key", true},
		{duplicate, "projects_pkey", false},
		{foreign, "", false},
		{sql.ErrNoRows, "", false},
	} {
		if got := database.IsUniqueViolation(test.err, test.constraint); got != test.want {
			t.Errorf("IsUniqueViolation(%v, %q) = %v", test.err, test.constraint, got)
		}
	}
}
