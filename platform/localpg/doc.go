// Package localpg runs a PostgreSQL server of one's own: for development, where
// nothing should have to be configured, and for tests.
//
// # Binaries
//
// [Start] uses the first of these folders that holds both a postgres and an
// initdb of the same version, 12 or later: TENON_POSTGRES_BIN (which must be
// good when set), the one that PATH's postgres really lies in, the newest of the
// places where Debian, Red Hat and Homebrew put them. Without any it downloads
// the ones that github.com/fergusstrange/embedded-postgres offers into the cache
// folder, once.
//
// # Data folder
//
// A data folder holds the cluster, the server's log of its last run
// (server.log), the generated password and tenon.lock, which marks the folder as
// one of ours. By default it lies in the user's cache folder, for root in
// /var/cache/tenon: PostgreSQL refuses root, so the server runs as the account
// postgres or nobody, which cannot enter root's home. Its name ends in the major
// version, because a cluster can be read by no other.
//
// tenon.lock is locked (flock) by whoever prepares the folder and the lock is
// inherited by the server, so it is held until the server's last process has
// gone, whatever becomes of the program that started it. No process id is ever
// taken for proof that a server runs.
//
// # Who may connect
//
// The server listens on 127.0.0.1 alone, has no Unix socket, and asks everyone
// for a password (SCRAM) that was generated with the cluster and that only the
// user who started it can read. Another user of the machine, or a page in a
// browser that posts to local ports, gets nothing.
//
// # Life
//
// The server belongs to the program that started it and shuts down cleanly when
// that ends, by whatever signal. A program that starts a server on a folder
// where one runs already joins it and leaves it alone on Stop.
//
// Development settings differ from PostgreSQL's own in one way that can lose
// something: synchronous_commit is off, so a crash of the machine (not of a
// program) may take the last half second of commits. It never corrupts.
package localpg
