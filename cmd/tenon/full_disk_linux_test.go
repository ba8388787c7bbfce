package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestFullDisk fills the disk that PostgreSQL is on under load, and makes room again.
func TestFullDisk(t *testing.T) {
	data := dataDir(t)
	disk := filepath.Dir(data)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=192m,mode=711"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	_, address := startPostgres(t, data)
	c := newCable(t, address.Host)
	address.Host = c.listener.Addr().String()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := startCommand(t, []string{"DATABASE_URL=" + address.String()}, "--no-seed")
	i := startInstance(t, p)
	eventually(t, "the instance", i.ready)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &load{acknowledged: map[string]bool{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx, t, p, i.url, 4)
	}()
	acknowledged := func(more int) {
		t.Helper()
		before := l.kept()
		eventually(t, "acknowledged writes", func() bool { return l.kept() >= before+more })
	}
	acknowledged(20)
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	eventually(t, "refusals", func() bool { _, refused := l.count(); return refused >= 10 })
	if response, err := http.Get(i.url + "/healthz"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("the process is well, whatever the database is: %v %v", response, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	// A server that could not write its log has stopped, and is started as an
	// operator would.
	direct, err := pgx.Connect(t.Context(), address.String())
	if err != nil {
		t.Logf("PostgreSQL has stopped: %v", err)
		var again *url.URL
		_, again = startPostgres(t, data)
		c.lead(again.Host)
	} else if err := direct.Close(t.Context()); err != nil {
		t.Error(err)
	}
	acknowledged(20)
	_, before := l.count()
	acknowledged(20)
	if _, now := l.count(); now > before {
		t.Errorf("%d requests failed when there was room again", now-before)
	}
	cancel()
	<-done
	l.checkRefused(t, "a full disk")
	l.checkKept(t, p, p.owner(t, "acme"))
}

// fill writes to a file until the disk has no room.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk does not fill: %v", err)
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
