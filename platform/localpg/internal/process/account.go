package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Account is the operating-system account that a server runs as. Nil means the
// account of the current process.
type Account struct {
	Name     string
	UID, GID int
}

// Unprivileged returns an account to run a server as: nil for an ordinary user,
// and for root the account postgres, or nobody where there is none. Both
// PostgreSQL and PgBouncer refuse root, and initdb looks its account up in the
// passwd database.
func Unprivileged() (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(found.Uid)
		gid, gidErr := strconv.Atoi(found.Gid)
		if uidErr != nil || gidErr != nil {
			continue
		}
		return &Account{Name: name, UID: uid, GID: gid}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it as: run as an ordinary user")
}

// Own makes the account the owner of a file.
func (a *Account) Own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, a.UID, a.GID)
}

// Reaches returns an error that names the first folder on the way to path,
// path included, which the account may not pass through.
func (a *Account) Reaches(path string) error {
	if a == nil {
		return nil
	}
	for folder := path; ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		if err != nil {
			return err
		}
		passes := info.Mode()&0o001 != 0
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			switch {
			case int(owner.Uid) == a.UID:
				passes = info.Mode()&0o100 != 0
			case int(owner.Gid) == a.GID:
				passes = info.Mode()&0o010 != 0
			}
		}
		if !passes {
			return fmt.Errorf("the account %s, which PostgreSQL runs as because it refuses root, may not pass through %s (mode %#o): choose another folder, or chmod o+x it", a.Name, folder, info.Mode().Perm())
		}
		if folder == filepath.Dir(folder) {
			return nil
		}
	}
}

func (a *Account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID)}
}
