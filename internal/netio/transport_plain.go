package netio

import (
	"io"
	"net"
	"time"
)

// plain is the transport over Read and Write of a connection.
type plain struct {
	conn net.Conn
	one  [1]byte
}

var _ transport = (*plain)(nil)

// wait reads one byte only, so that memory is taken after the wait.
func (t *plain) wait(b *buffer) error {
	n, err := t.read(t.one[:])
	if err != nil {
		return err
	}
	copy(b.take(), t.one[:])
	b.filled(n)
	return nil
}

func (t *plain) fill(b *buffer) error {
	n, err := t.read(b.take())
	b.filled(n)
	return err
}

// read hides the readers that return 0 bytes and no error, which io.Reader
// allows, and bytes together with an error, which will come again.
func (t *plain) read(p []byte) (int, error) {
	for range 100 {
		n, err := t.conn.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// tryWrite leaves everything to writeSome: Write could block.
func (t *plain) tryWrite([]byte) (int, error) { return 0, nil }

func (t *plain) writeSome(p []byte, within time.Duration) (int, error) {
	if err := t.conn.SetWriteDeadline(deadlineAfter(within)); err != nil {
		return 0, err
	}
	n, err := t.conn.Write(p)
	if n > 0 && isTimeout(err) {
		return n, nil // progress: the time begins anew
	}
	return n, err
}
