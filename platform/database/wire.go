package database

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Backend messages of the PostgreSQL protocol, version 3, that a connection of
// ours can meet ("Message Formats" in the manual's protocol chapter).
const (
	msgAuthentication  = 'R'
	msgBackendKeyData  = 'K'
	msgParameterStatus = 'S'
	msgNotice          = 'N'
	msgError           = 'E'
	msgCommandComplete = 'C'
	msgEmptyQuery      = 'I'
	msgRowDescription  = 'T'
	msgDataRow         = 'D'
	msgReadyForQuery   = 'Z'
)

// Transaction states that ReadyForQuery reports.
const (
	stateIdle    = 'I'
	stateInTx    = 'T'
	stateAborted = 'E'
)

var (
	errInterrupted    = errors.New("database: statement interrupted")
	errSeveralResults = errors.New("database: a query must return rows from one statement alone")
)

// wire reads along with pgdriver. The driver shows neither the backend's
// transaction state nor its cancel key, and can lose its place in a reply it
// does not expect; wire knows where every message starts and ends, so it can
// tell whether a connection is clean enough for the next tenant, and turns
// everything unforeseen into an error that sticks.
//
// All methods but interrupt are called by one goroutine at a time, as
// database/sql does with a connection.
type wire struct {
	net.Conn

	pid, key uint32
	state    byte // of the last ReadyForQuery
	ready    bool // nothing was sent since then
	// oneResult makes a second result in one reply an error: pgdriver would
	// take its description for data.
	oneResult bool
	results   int

	interrupted atomic.Bool
	err         error

	// The message being read: its header, then what is left of its body.
	header     [5]byte
	headerSize int
	left       uint32
	body       [8]byte
	bodySize   int
}

// clean reports whether the next statement would find the session idle, with
// nothing unread.
func (w *wire) clean() bool {
	return w.err == nil && !w.interrupted.Load() && w.ready && w.state == stateIdle
}

// silent reports whether the server neither closed an idle connection nor sent
// anything since, as it does before it closes one. It asks the kernel alone.
func (w *wire) silent() bool {
	conn := w.Conn
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, peeked = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		return true // never wait
	})
	return err == nil && errors.Is(peeked, syscall.EAGAIN)
}

// interrupt makes a read or write under way return at once and every later one
// fail. It is safe to call from any goroutine.
func (w *wire) interrupt() {
	w.interrupted.Store(true)
	_ = w.Conn.SetDeadline(time.Unix(1, 0))
}

func (w *wire) Read(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.Conn.Read(p)
	if w.interrupted.Load() {
		err = errInterrupted
	}
	if scanErr := w.scan(p[:n]); scanErr != nil {
		err = scanErr
	}
	if err != nil {
		// What came before the error is withheld, lest it be taken for a
		// whole reply.
		w.err = err
		return 0, err
	}
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	if w.interrupted.Load() {
		return 0, errInterrupted
	}
	w.ready, w.results = false, 0
	return w.Conn.Write(p)
}

// Deadlines are set by interrupt alone; pgdriver would extend them.
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// scan follows the messages in p, which may start and end anywhere in one.
func (w *wire) scan(p []byte) error {
	for len(p) > 0 {
		if w.headerSize < len(w.header) {
			n := copy(w.header[w.headerSize:], p)
			w.headerSize += n
			p = p[n:]
			if w.headerSize < len(w.header) {
				return nil
			}
			length := binary.BigEndian.Uint32(w.header[1:])
			if length < 4 {
				return fmt.Errorf("database: message %q of impossible length %d", w.header[0], length)
			}
			w.left, w.bodySize = length-4, 0
			if err := w.begin(); err != nil {
				return err
			}
		}
		n := min(uint32(len(p)), w.left)
		w.bodySize += copy(w.body[w.bodySize:], p[:n])
		w.left -= n
		p = p[n:]
		if w.left == 0 {
			w.headerSize = 0
			w.end()
		}
	}
	return nil
}

// begin looks at a message whose header is complete.
func (w *wire) begin() error {
	switch kind := w.header[0]; kind {
	case msgRowDescription:
		w.results++
		if w.oneResult && w.results > 1 {
			return errSeveralResults
		}
	case msgError:
		if w.ready {
			// The server ends an idle connection, and says why.
			w.state = stateAborted
		}
	case msgAuthentication, msgBackendKeyData, msgParameterStatus, msgNotice,
		msgCommandComplete, msgEmptyQuery, msgDataRow, msgReadyForQuery:
	default:
		return fmt.Errorf("database: unexpected message %q from the server", kind)
	}
	return nil
}

// end takes what is needed from a message that is complete.
func (w *wire) end() {
	switch w.header[0] {
	case msgBackendKeyData:
		w.pid = binary.BigEndian.Uint32(w.body[:4])
		w.key = binary.BigEndian.Uint32(w.body[4:])
	case msgReadyForQuery:
		w.state, w.ready = w.body[0], true
	}
}
