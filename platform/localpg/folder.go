package localpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tenonhq/tenon/platform/localpg/internal/process"
)

// ErrInUse is returned, wrapped, when a server runs on a data folder, or another
// program prepares it, and the call needs the folder to itself.
var ErrInUse = errors.New("a PostgreSQL server is running on the data folder")

const lockText = "A PostgreSQL data folder of Tenon's. Delete it, or let Tenon reset it, while no server runs.\n"

// folder is a data folder that exists and is ours.
type folder struct {
	path    string // canonical: as the server reports its data_directory
	account *process.Account
}

func (f folder) cluster() string  { return filepath.Join(f.path, "cluster") }
func (f folder) password() string { return filepath.Join(f.path, "password") }
func (f folder) log() string      { return filepath.Join(f.path, "server.log") }
func (f folder) lockFile() string { return filepath.Join(f.path, "tenon.lock") }

// cacheDir is where everything lies that nobody named a place for.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/tenon", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder to keep PostgreSQL's data in: %w", err)
	}
	return filepath.Join(dir, "tenon"), nil
}

// folderMode keeps others out, except that root's folders must let the server's
// account through.
func folderMode() fs.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// makeFolder makes a folder and those above it, with folderMode whatever the
// umask says. Folders that exist keep their mode.
func makeFolder(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, folderMode()); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(path, folderMode())
}

// dataDir returns the folder that the configuration names or implies.
func (cfg Config) dataDir(major int) (string, error) {
	if cfg.DataDir != "" {
		return filepath.Abs(cfg.DataDir)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	name := "data-" + strconv.Itoa(major)
	if cfg.Instance != "" {
		if cfg.Instance != filepath.Base(cfg.Instance) {
			return "", fmt.Errorf("instance %q is not a plain name", cfg.Instance)
		}
		name = cfg.Instance + "-" + strconv.Itoa(major)
	}
	return filepath.Join(cache, name), nil
}

// openFolder makes the folder when there is none, or takes an empty one, or one
// that was ours before. It touches no other.
func openFolder(path string) (folder, error) {
	account, err := process.Unprivileged()
	if err != nil {
		return folder{}, err
	}
	if err := makeFolder(path); err != nil {
		return folder{}, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return folder{}, err
	}
	f := folder{path: path, account: account}
	if err := f.checkOurs(); err != nil {
		return folder{}, err
	}
	if err := account.Reaches(path); err != nil {
		return folder{}, err
	}
	return f, nil
}

// checkOurs refuses a folder of somebody else's: another program's, which would
// be lost in a reset, or another user's, who could read what is written there.
func (f folder) checkOurs() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user (uid %d)", f.path, owner.Uid)
	}
	entries, err := os.ReadDir(f.path)
	if err != nil || len(entries) == 0 {
		return err
	}
	marker, err := os.Lstat(f.lockFile())
	if err != nil || !marker.Mode().IsRegular() {
		return fmt.Errorf("%s is not empty and was not made by Tenon (it holds %s but no tenon.lock): name an empty folder", f.path, entries[0].Name())
	}
	return nil
}

// tryLock takes the folder's lock. It returns [ErrInUse] when another holds it.
// Closing the file gives the lock back, unless a server has inherited it.
func (f folder) tryLock() (*os.File, error) {
	file, err := os.OpenFile(f.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w %s", ErrInUse, f.path)
		}
		return nil, fmt.Errorf("lock %s: %w", f.lockFile(), err)
	}
	if info, err := file.Stat(); err == nil && info.Size() == 0 {
		if _, err := file.WriteString(lockText); err != nil {
			file.Close()
			return nil, fmt.Errorf("mark the data folder: %w", err)
		}
	}
	return file, nil
}

// clusterMajor returns the major version that the cluster was made by, 0 when
// there is no cluster yet.
func (f folder) clusterMajor() (int, error) {
	content, err := os.ReadFile(filepath.Join(f.cluster(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(f.cluster()); errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		return 0, fmt.Errorf("the data folder %s is damaged (its cluster has no PG_VERSION): reset it", f.path)
	}
	if err != nil {
		return 0, fmt.Errorf("read the data folder: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || major <= 0 {
		return 0, fmt.Errorf("the data folder %s is damaged (its PG_VERSION holds %.20q): reset it", f.path, content)
	}
	return major, nil
}

// readPassword returns the password that [folder.newPassword] wrote.
func (f folder) readPassword() (string, error) {
	content, err := os.ReadFile(f.password())
	if err != nil {
		return "", fmt.Errorf("read the server's password: %w", err)
	}
	if len(content) == 0 {
		return "", fmt.Errorf("the data folder %s is damaged (its password is empty): reset it", f.path)
	}
	return string(content), nil
}

func (f folder) newPassword() (string, error) {
	password := rand.Text()
	// A file left by an interrupted start may be of any mode.
	if err := os.Remove(f.password()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.WriteFile(f.password(), []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("keep the server's password: %w", err)
	}
	return password, nil
}

// Reset removes everything from the data folder but the lock that marks it, so
// that the next [Start] makes a new cluster. It returns [ErrInUse] while a
// server runs on the folder, and refuses a folder that is not one of ours. A
// folder that does not exist needs no reset.
func Reset(cfg Config) error {
	var major int
	if cfg.DataDir == "" {
		found, err := findBinaries(context.Background(), cfg.logger())
		if err != nil {
			return fmt.Errorf("reset local PostgreSQL: %w", err)
		}
		major = found.major
	}
	path, err := cfg.dataDir(major)
	if err == nil {
		err = reset(path)
	}
	if err != nil {
		return fmt.Errorf("reset local PostgreSQL: %w", err)
	}
	return nil
}

func reset(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	f := folder{path: path}
	if err := f.checkOurs(); err != nil {
		return err
	}
	lock, err := f.tryLock()
	if err != nil {
		return err
	}
	defer lock.Close()
	return f.empty()
}

// empty removes what [Start] made. Whatever else somebody put there stays.
func (f folder) empty() error {
	lent, err := filepath.Glob(filepath.Join(f.path, lentPattern))
	if err != nil {
		return err
	}
	for _, path := range append(lent, f.cluster(), f.newCluster(), f.password(), f.log()) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
