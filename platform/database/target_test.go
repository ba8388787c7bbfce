package database

import (
	"strings"
	"testing"
	"time"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url  string
		want target // compared without tls
		tls  string // "", "any", "chain", "full"
	}{
		{"postgres://u:p@db:6543/app?sslmode=disable", target{network: "tcp", addr: "db:6543", user: "u", password: "p", database: "app", connectTimeout: 5 * time.Second}, ""},
		{"postgresql://u@db/app", target{network: "tcp", addr: "db:5432", user: "u", database: "app", connectTimeout: 5 * time.Second, tlsOptional: true}, "any"},
		{"postgres://u@db/app?sslmode=require&connect_timeout=2&application_name=x", target{network: "tcp", addr: "db:5432", user: "u", database: "app", connectTimeout: 2 * time.Second, application: "x"}, "any"},
		{"postgres://u@[::1]:5/app?sslmode=verify-full", target{network: "tcp", addr: "[::1]:5", user: "u", database: "app", connectTimeout: 5 * time.Second}, "full"},
		{"postgres://u@db/app?sslmode=verify-ca", target{network: "tcp", addr: "db:5432", user: "u", database: "app", connectTimeout: 5 * time.Second}, "chain"},
		{"postgres://u:p%2Fa%23b@/app?host=/run/pg", target{network: "unix", addr: "/run/pg/.s.PGSQL.5432", user: "u", password: "p/a#b", database: "app", connectTimeout: 5 * time.Second}, ""},
	}
	for _, test := range tests {
		got, err := parseTarget(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		kind := ""
		switch {
		case got.tls != nil && !got.tls.InsecureSkipVerify:
			kind = "full"
		case got.tls != nil && got.tls.VerifyConnection != nil:
			kind = "chain"
		case got.tls != nil:
			kind = "any"
		}
		got.tls = nil
		if got != test.want || kind != test.tls {
			t.Errorf("%s:\n got %+v, TLS %q\nwant %+v, TLS %q", test.url, got, kind, test.want, test.tls)
		}
	}
}

const secret = "s3cr3t"

var malformedURLs = []string{
	"",
	"s3cr3t",
	"mysql://u:s3cr3t@db/app",
	"postgres:u:s3cr3t@db/app",
	"postgres://u:s3cr3t@db:port/app",
	"postgres://u:/s3cr3t@db/app",
	"postgres://u:s3cr3t#x@db/app",
	"postgres://u:%zzs3cr3t@db/app",
	"postgres://u:s3cr3t@db:0/app",
	"postgres://u:s3cr3t@db:65536/app",
	"postgres://u:s3cr3t@db",
	"postgres://:s3cr3t@db/app",
	"postgres://u:s3cr3t@/app",
	"postgres://u:s3cr3t@a,b/app",
	"postgres://u:s3cr3t@db/app?sslmode=s3cr3t",
	"postgres://u:s3cr3t@db/app?pool_max_conns=s3cr3t",
	"postgres://u:s3cr3t@db/app?connect_timeout=s3cr3t",
	"postgres://u:s3cr3t@db/app?%zz=s3cr3t",
	"postgres://u:s3cr3t%00@db/app",
	"postgres://u:s3cr3t@db/app?sslrootcert=/does/not/exist",
	"postgres://u:s3cr3t@db/app?sslcert=/does/not/exist",
	"postgres://u:s3cr3t@db/app?sslcert=/does/not/exist&sslkey=/does/not/exist",
}

func TestOpenRefusesMalformedURLs(t *testing.T) {
	t.Parallel()
	for _, url := range malformedURLs {
		db, err := Open(Config{URL: url})
		if err == nil {
			_ = db.Close()
			t.Errorf("Open(%q) succeeded", url)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("Open(%q): the error shows the password: %v", url, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, url := range malformedURLs {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if strings.Contains(url, "ssl") {
			t.Skip("names files")
		}
		got, err := parseTarget(url)
		if err == nil && (got.user == "" || got.database == "" || got.addr == "") {
			t.Errorf("parseTarget(%q) = %+v, which cannot be connected to", url, got)
		}
		if err != nil && strings.Contains(url, ":"+secret) && strings.Contains(err.Error(), secret) {
			t.Errorf("parseTarget(%q): the error shows the password: %v", url, err)
		}
	})
}
