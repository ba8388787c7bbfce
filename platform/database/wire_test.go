package database

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// reply encodes one backend message.
func reply(kind byte, body ...byte) []byte {
	message := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(message, body...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// serverConn replays what a server sends, at most chunk bytes a read.
type serverConn struct {
	net.Conn
	io.Reader
}

func (c serverConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func readAll(stream []byte, chunk int, oneResult bool) (*wire, []byte, error) {
	w := &wire{Conn: serverConn{Reader: bytes.NewReader(stream)}, oneResult: oneResult}
	var got []byte
	buffer := make([]byte, chunk)
	for {
		n, err := w.Read(buffer)
		got = append(got, buffer[:n]...)
		if err == io.EOF {
			w.err = nil // the stream's end is the test's, not the server's
			return w, got, nil
		}
		if err != nil {
			return w, got, err
		}
	}
}

func TestWireFollowsMessages(t *testing.T) {
	t.Parallel()
	ready := func(state byte) []byte { return reply(msgReadyForQuery, state) }
	rowDescription := reply(msgRowDescription, 0, 0)
	tests := []struct {
		name      string
		stream    []byte
		oneResult bool
		clean     bool
		wantErr   error // errors.Is; errAny for any
	}{
		{"nothing", nil, false, false, nil},
		{"idle", ready(stateIdle), false, true, nil},
		{"in a transaction", ready(stateInTx), false, false, nil},
		{"aborted", ready(stateAborted), false, false, nil},
		{"rows", join(reply(msgCommandComplete, 'S', 'E', 'T', 0), rowDescription, reply(msgDataRow, 0, 0), ready(stateIdle)), true, true, nil},
		{"unfinished reply", join(rowDescription, reply(msgDataRow, 0, 0)), true, false, nil},
		{"ready byte inside a row", join(rowDescription, reply(msgDataRow, ready(stateIdle)...)), true, false, nil},
		{"two results of a query", join(rowDescription, rowDescription, ready(stateIdle)), true, false, errSeveralResults},
		{"two results of an exec", join(rowDescription, rowDescription, ready(stateIdle)), false, true, nil},
		{"error then ready", join(reply(msgError, 0), ready(stateIdle)), true, true, nil},
		{"error on an idle connection", join(ready(stateIdle), reply(msgError, 0)), true, false, nil},
		{"notification", reply('A', 0, 0, 0, 0, 0, 0), false, false, errAny},
		{"copy", reply('G', 0, 0, 0), false, false, errAny},
		{"impossible length", []byte{msgDataRow, 0, 0, 0, 3}, false, false, errAny},
	}
	for _, test := range tests {
		for _, chunk := range []int{1, 3, 4096} {
			w, got, err := readAll(test.stream, chunk, test.oneResult)
			switch {
			case test.wantErr == nil && err != nil, test.wantErr == errAny && err == nil,
				test.wantErr != nil && test.wantErr != errAny && !errors.Is(err, test.wantErr):
				t.Errorf("%s, chunks of %d: error %v, want %v", test.name, chunk, err, test.wantErr)
			case err == nil && !bytes.Equal(got, test.stream):
				t.Errorf("%s, chunks of %d: the stream was changed", test.name, chunk)
			case w.clean() != test.clean:
				t.Errorf("%s, chunks of %d: clean = %v, want %v", test.name, chunk, w.clean(), test.clean)
			}
			if err != nil {
				if _, again := w.Read(make([]byte, 1)); !errors.Is(again, err) {
					t.Errorf("%s: the error did not stick: %v", test.name, again)
				}
			}
		}
	}
}

var errAny = errors.New("any error")

func TestWireKeepsTheCancelKey(t *testing.T) {
	t.Parallel()
	w, _, err := readAll(reply(msgBackendKeyData, 0, 0, 1, 2, 3, 4, 5, 6), 1, false)
	if err != nil || w.pid != 0x0102 || w.key != 0x03040506 {
		t.Errorf("pid %#x, key %#x, error %v", w.pid, w.key, err)
	}
}

// FuzzWire reads any stream in any chunks: the outcome may not depend on where
// the network cuts it.
func FuzzWire(f *testing.F) {
	f.Add(join(reply(msgRowDescription, 0, 0), reply(msgDataRow, 0, 0), reply(msgReadyForQuery, stateIdle)), uint8(1))
	f.Add([]byte{msgReadyForQuery, 0, 0, 0, 4}, uint8(2))
	f.Add([]byte{msgReadyForQuery, 0xff, 0xff, 0xff, 0xff, stateIdle}, uint8(5))
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint8) {
		whole, _, wholeErr := readAll(stream, len(stream)+1, true)
		cut, _, cutErr := readAll(stream, int(chunk)+1, true)
		if (wholeErr == nil) != (cutErr == nil) || whole.clean() != cut.clean() || whole.pid != cut.pid {
			t.Errorf("whole: clean %v, %v; in chunks of %d: clean %v, %v",
				whole.clean(), wholeErr, chunk, cut.clean(), cutErr)
		}
	})
}
