package localpg

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// downloadVersion is the newest version that embedded-postgres knows by name.
const downloadVersion = embeddedpostgres.V18

// download fetches PostgreSQL's programs into the cache folder, unless an
// earlier call has; an empty repository is the library's own. The library can only fetch on the way to a start of its own,
// which root is refused and which nobody needs: what counts is what it has
// unpacked by then.
func download(ctx context.Context, log *slog.Logger, cache, repository string) (binaries, error) {
	dir := filepath.Join(cache, "postgresql-"+string(downloadVersion))
	if found, err := inspect(ctx, filepath.Join(dir, "bin")); err == nil {
		return found, nil
	}
	if err := makeFolder(cache); err != nil {
		return binaries{}, err
	}
	work, err := os.MkdirTemp(cache, "download-")
	if err != nil {
		return binaries{}, err
	}
	defer os.RemoveAll(work)
	port, err := freePort()
	if err != nil {
		return binaries{}, err
	}
	log.InfoContext(ctx, "downloading PostgreSQL, this once", "version", string(downloadVersion))
	unpacked := filepath.Join(work, "unpacked")
	fetched := make(chan error, 1)
	go func() {
		config := embeddedpostgres.DefaultConfig()
		if repository != "" {
			config = config.BinaryRepositoryURL(repository)
		}
		server := embeddedpostgres.NewDatabase(config.
			Version(downloadVersion).
			Port(uint32(port)).
			CachePath(work).
			BinariesPath(unpacked).
			RuntimePath(filepath.Join(work, "runtime")).
			DataPath(filepath.Join(work, "data")).
			Logger(io.Discard))
		err := server.Start()
		if err == nil {
			err = server.Stop()
		}
		fetched <- err
	}()
	var startErr error
	select {
	case startErr = <-fetched:
	case <-ctx.Done():
		return binaries{}, ctx.Err()
	}
	if _, err := inspect(ctx, filepath.Join(unpacked, "bin")); err != nil {
		if startErr != nil {
			return binaries{}, startErr
		}
		return binaries{}, err
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return binaries{}, err
	}
	// Another program may have been faster; its copy is as good.
	if err := os.Rename(unpacked, dir); err != nil && !os.IsExist(err) {
		return binaries{}, fmt.Errorf("keep the downloaded PostgreSQL: %w", err)
	}
	return inspect(ctx, filepath.Join(dir, "bin"))
}

// freePort returns a port that nobody listened on a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
