package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// oldestMajor is the oldest PostgreSQL that the product is tested on (GUIDE.md).
const oldestMajor = 12

// binaries is a folder of PostgreSQL's programs.
type binaries struct {
	dir     string
	version string // "15.14", "18beta1"
	major   int
}

func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }
func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }

// binaryFolders are where packages put PostgreSQL without putting it on PATH.
var binaryFolders = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // PGDG on Red Hat
	"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// findBinaries looks in the places that the package comment lists.
func findBinaries(ctx context.Context, log *slog.Logger) (binaries, error) {
	if dir := os.Getenv("TENON_POSTGRES_BIN"); dir != "" {
		found, err := inspect(ctx, dir)
		if err != nil {
			return binaries{}, fmt.Errorf("TENON_POSTGRES_BIN: %w", err)
		}
		return found, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		found, err := inspectProgram(ctx, path)
		if err == nil {
			return found, nil
		}
		log.DebugContext(ctx, "PATH's PostgreSQL is of no use", "reason", err)
	}
	if found, ok := newestOf(ctx, log, binaryFolders); ok {
		return found, nil
	}
	cache, err := cacheDir()
	if err != nil {
		return binaries{}, err
	}
	found, err := download(ctx, log, cache, "")
	if err != nil {
		return binaries{}, fmt.Errorf("no PostgreSQL %d or later on this machine, and none could be downloaded (%w): install it (apt-get install postgresql, dnf install postgresql-server, brew install postgresql), or name the folder of its postgres and initdb in TENON_POSTGRES_BIN, or set DATABASE_URL", oldestMajor, err)
	}
	return found, nil
}

// inspectProgram inspects the folder that a program really lies in: what is on
// PATH may be a link of its own, with no initdb or another version's beside it.
func inspectProgram(ctx context.Context, path string) (binaries, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return binaries{}, err
	}
	return inspect(ctx, filepath.Dir(real))
}

func newestOf(ctx context.Context, log *slog.Logger, patterns []string) (binaries, bool) {
	var found []binaries
	for _, pattern := range patterns {
		dirs, _ := filepath.Glob(pattern) // its only error is a malformed pattern
		for _, dir := range dirs {
			b, err := inspect(ctx, dir)
			if err != nil {
				log.DebugContext(ctx, "passing over a PostgreSQL", "reason", err)
				continue
			}
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		return binaries{}, false
	}
	return slices.MaxFunc(found, func(a, b binaries) int { return cmp.Compare(a.major, b.major) }), true
}

// inspect runs both programs: a file of the right name proves nothing.
func inspect(ctx context.Context, dir string) (binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return binaries{}, err
	}
	b := binaries{dir: dir}
	b.version, b.major, err = programVersion(ctx, b.postgres())
	if err != nil {
		return binaries{}, err
	}
	initdb, _, err := programVersion(ctx, b.initdb())
	if err != nil {
		return binaries{}, err
	}
	if initdb != b.version {
		return binaries{}, fmt.Errorf("%s holds postgres %s and initdb %s: they must be of one version", dir, b.version, initdb)
	}
	if b.major < oldestMajor {
		return binaries{}, fmt.Errorf("%s holds PostgreSQL %s: %d or later is needed", dir, b.version, oldestMajor)
	}
	return b, nil
}

func programVersion(ctx context.Context, path string) (version string, major int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	output, err := cmd.Output()
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", 0, fmt.Errorf("no %s: %w", path, os.ErrNotExist)
		}
		return "", 0, fmt.Errorf("run %s --version: %w", path, err)
	}
	version, major, ok := parseVersion(string(output))
	if !ok {
		return "", 0, fmt.Errorf("%s --version says %.80q, which is not PostgreSQL", path, output)
	}
	return version, major, nil
}

var versionPattern = regexp.MustCompile(`^\w+ \(PostgreSQL\) ((\d{1,4})(?:\.\d+)*(?:devel|beta\d+|rc\d+)?)\b`)

// parseVersion reads what postgres --version and initdb --version print.
func parseVersion(output string) (version string, major int, ok bool) {
	match := versionPattern.FindStringSubmatch(output)
	if match == nil {
		return "", 0, false
	}
	major, err := strconv.Atoi(match[2])
	return match[1], major, err == nil
}
