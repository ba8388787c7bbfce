package database

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"
)

const defaultConnectTimeout = 5 * time.Second

// target is where and as whom to connect.
type target struct {
	network, addr  string
	user, password string
	database       string
	application    string
	connectTimeout time.Duration
	tls            *tls.Config // nil = never
	tlsOptional    bool        // go on without TLS when the server has none
}

// CheckURL reports what [Open] would refuse about a URL, a file that it names and
// that is not there included. It connects to nothing, and its errors never show the
// password.
func CheckURL(url string) error {
	_, err := parseTarget(url)
	return err
}

// parseTarget reads a postgres:// URL. No error repeats any part of it that
// could be the password.
func parseTarget(text string) (target, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return target{}, errors.New("the URL is empty")
	case err != nil:
		return target{}, errors.New("not a URL (want postgres://user:password@host:port/database; special characters in the password need percent-encoding)")
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return target{}, errors.New("not a postgres:// URL")
	case u.Opaque != "" || u.Fragment != "":
		return target{}, errors.New("not a postgres:// URL of the form postgres://user:password@host:port/database (a # in the password must be written %23)")
	case u.User.Username() == "":
		return target{}, errors.New("the URL names no user")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return target{}, errors.New("the part behind the ? is malformed")
	}

	password, _ := u.User.Password()
	t := target{
		network:        "tcp",
		user:           u.User.Username(),
		password:       password,
		database:       strings.TrimPrefix(u.Path, "/"),
		connectTimeout: defaultConnectTimeout,
	}
	if t.database == "" {
		return target{}, errors.New("the URL names no database")
	}
	if strings.ContainsRune(t.user+t.password+t.database, 0) {
		return target{}, errors.New("the URL contains a zero byte")
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "5432"
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return target{}, errors.New("the port is not a number from 1 to 65535")
	}
	mode, files := "prefer", tlsFiles{}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "host":
			host = value
		case "sslmode":
			mode = value
		case "sslrootcert":
			files.root = value
		case "sslcert":
			files.cert = value
		case "sslkey":
			files.key = value
		case "application_name":
			t.application = value
		case "connect_timeout":
			seconds, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return target{}, errors.New("connect_timeout is not a number of seconds")
			}
			if seconds > 0 {
				t.connectTimeout = time.Duration(seconds) * time.Second
			}
		default:
			return target{}, fmt.Errorf("unknown parameter %q", name)
		}
	}
	switch {
	case strings.Contains(host, ","):
		return target{}, errors.New("the URL names several hosts; one is supported")
	case strings.HasPrefix(host, "/"):
		t.network, t.addr = "unix", host+"/.s.PGSQL."+port
		mode = "disable"
	case host == "":
		return target{}, errors.New("the URL names no host")
	default:
		t.addr = net.JoinHostPort(host, port)
	}
	t.tls, t.tlsOptional, err = tlsConfig(mode, host, files)
	return t, err
}

type tlsFiles struct{ root, cert, key string }

// tlsConfig gives sslmode the meaning it has in libpq ("SSL Support" in the
// manual), except that allow is treated as prefer, and that verify-ca and
// verify-full without sslrootcert trust the system's authorities.
func tlsConfig(mode, host string, files tlsFiles) (config *tls.Config, optional bool, err error) {
	config = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if files.root != "" {
		pem, err := os.ReadFile(files.root)
		if err != nil {
			return nil, false, fmt.Errorf("sslrootcert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, false, errors.New("sslrootcert: no certificate in the file")
		}
	}
	if (files.cert == "") != (files.key == "") {
		return nil, false, errors.New("sslcert and sslkey go together")
	}
	if files.cert != "" {
		cert, err := tls.LoadX509KeyPair(files.cert, files.key)
		if err != nil {
			return nil, false, fmt.Errorf("sslcert: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	switch mode {
	case "disable":
		return nil, false, nil
	case "allow", "prefer":
		config.InsecureSkipVerify = true
		return config, true, nil
	case "require":
		config.InsecureSkipVerify = true
		if files.root != "" {
			config.VerifyConnection = verifyChain(config.RootCAs)
		}
	case "verify-ca":
		config.InsecureSkipVerify = true
		config.VerifyConnection = verifyChain(config.RootCAs)
	case "verify-full":
	default:
		return nil, false, errors.New("sslmode is none of disable, allow, prefer, require, verify-ca, verify-full")
	}
	return config, false, nil
}

// verifyChain checks the server's certificate against roots whatever name it
// bears. It runs on resumed sessions too, which VerifyPeerCertificate does not.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server sent no certificate")
		}
		intermediates := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			intermediates.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
		return err
	}
}

// options configures pgdriver to log in over a connection that is dialled, and
// to leave every deadline to the connection's owner.
func (t *target) options(conn net.Conn) []pgdriver.Option {
	return []pgdriver.Option{
		pgdriver.WithAddr(t.addr),
		pgdriver.WithTLSConfig(nil),
		pgdriver.WithUser(t.user),
		pgdriver.WithPassword(t.password),
		pgdriver.WithDatabase(t.database),
		pgdriver.WithApplicationName(t.application),
		pgdriver.WithTimeout(0),
		pgdriver.WithTracing(false),
		func(config *pgdriver.Config) {
			config.Dialer = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		},
	}
}

// Request codes of the messages that come before a session.
const (
	sslRequestCode    = 80877103
	cancelRequestCode = 80877102
)

// dial connects and negotiates TLS. ctx bounds all of it and needs a deadline.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, t.network, t.addr)
	if err != nil {
		return nil, err
	}
	if t.tls == nil {
		return conn, nil
	}
	secured, err := t.secure(ctx, conn)
	if err != nil {
		_ = conn.Close()
		return nil, withContextError(ctx, fmt.Errorf("negotiate TLS with %s: %w", t.addr, err))
	}
	return secured, nil
}

func (t *target) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := binary.BigEndian.AppendUint32(nil, 8)
	request = binary.BigEndian.AppendUint32(request, sslRequestCode)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	// One byte and no more: what an attacker put behind it in plain text must
	// not be taken for the server's encrypted words.
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, err
	}
	switch {
	case answer[0] == 'S':
		secured := tls.Client(conn, t.tls)
		return secured, secured.HandshakeContext(ctx)
	case answer[0] == 'N' && t.tlsOptional:
		return conn, nil
	default:
		return nil, errors.New("the server does not offer TLS, which sslmode requires")
	}
}

// cancelStatement asks the server to stop what the session with that key is
// doing, and reports whether it was reached. Whether there was something to stop it
// does not say.
func (t *target) cancelStatement(pid, key uint32) bool {
	ctx, cancel := context.WithTimeout(context.Background(), cancelTimeout)
	defer cancel()
	conn, err := t.dial(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := binary.BigEndian.AppendUint32(nil, 16)
	request = binary.BigEndian.AppendUint32(request, cancelRequestCode)
	request = binary.BigEndian.AppendUint32(request, pid)
	request = binary.BigEndian.AppendUint32(request, key)
	if _, err := conn.Write(request); err != nil {
		return false
	}
	// The server closes once it has passed the request on.
	_, err = io.Copy(io.Discard, conn)
	return err == nil || ctx.Err() == nil // one that resets has read it, too
}
