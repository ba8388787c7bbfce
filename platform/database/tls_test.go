package database_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tenonhq/tenon/platform/database"
)

// authority is a certificate authority of the test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "root.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, file}
}

func (a authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func message(kind byte, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// serveLogin is as much of a PostgreSQL server as a login and a ping need. A
// nil cert is a server without TLS; early is sent in plain text together with
// the answer to the request for TLS, as an attacker in between would.
func serveLogin(t *testing.T, cert *tls.Certificate, early []byte) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				login(conn, cert, early)
			})
		}
	})
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}

func login(conn net.Conn, cert *tls.Certificate, early []byte) {
	readStartup := func() (code uint32) {
		var header [8]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return 0
		}
		_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(header[:4]))-8)
		return binary.BigEndian.Uint32(header[4:])
	}
	const sslRequest = 80877103
	if code := readStartup(); code == sslRequest {
		if cert == nil {
			_, _ = conn.Write([]byte("N"))
		} else {
			_, _ = conn.Write(append([]byte("S"), early...))
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}})
		}
		if readStartup() == 0 {
			return
		}
	}
	ready := message('Z', 'I')
	_, _ = conn.Write(append(message('R', 0, 0, 0, 0), ready...))
	for reader := bufio.NewReader(conn); ; {
		kind, err := reader.ReadByte()
		if err != nil || kind != 'Q' {
			return
		}
		var length [4]byte
		_, _ = io.ReadFull(reader, length[:])
		_, _ = io.CopyN(io.Discard, reader, int64(binary.BigEndian.Uint32(length[:]))-4)
		_, _ = conn.Write(append(message('C', 'S', 'E', 'T', 0), ready...))
	}
}

func TestTLSModes(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	right, wrongName, unknown := ours.issue(t, "localhost"), ours.issue(t, "elsewhere"), theirs.issue(t, "localhost")
	ports := map[string]string{
		"no TLS":            serveLogin(t, nil, nil),
		"right":             serveLogin(t, &right, nil),
		"wrong name":        serveLogin(t, &wrongName, nil),
		"unknown authority": serveLogin(t, &unknown, nil),
		"injected answer":   serveLogin(t, &right, message('R', 0, 0, 0, 0)),
	}
	withRoot := "&sslrootcert=" + ours.file
	accepted := map[string]map[string]bool{
		"disable":                {"no TLS": true, "right": true, "wrong name": true, "unknown authority": true, "injected answer": true},
		"prefer":                 {"no TLS": true, "right": true, "wrong name": true, "unknown authority": true},
		"allow":                  {"no TLS": true, "right": true, "wrong name": true, "unknown authority": true},
		"require":                {"right": true, "wrong name": true, "unknown authority": true},
		"require" + withRoot:     {"right": true, "wrong name": true},
		"verify-ca" + withRoot:   {"right": true, "wrong name": true},
		"verify-full" + withRoot: {"right": true},
		"verify-ca":              {},
		"verify-full":            {},
	}
	for mode, accepts := range accepted {
		for server, port := range ports {
			db, err := database.Open(database.Config{URL: "postgres://u:p@localhost:" + port + "/app?sslmode=" + mode})
			if err != nil {
				t.Fatal(err)
			}
			err = db.Ping(t.Context())
			if (err == nil) != accepts[server] {
				t.Errorf("sslmode=%s, server %q: error %v, want accepted=%v", mode, server, err, accepts[server])
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestConnectingToASilentServerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, mode := range []string{"disable", "require"} {
		db, err := database.Open(database.Config{URL: "postgres://u@" + listener.Addr().String() + "/app?sslmode=" + mode})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := db.Ping(ctx); err == nil || ctx.Err() == nil {
			t.Errorf("sslmode=%s: error %v", mode, err)
		}
		cancel()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
