//go:build unix

package netio

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// maxWrite bounds one write; some systems refuse lengths above 31 bits.
const maxWrite = 1 << 30

// raw is the transport over a socket's non-blocking system calls. The function
// values given to RawConn are made once, and their arguments and results
// passed in fields, so that calls allocate nothing.
type raw struct {
	conn net.Conn
	rc   syscall.RawConn

	// Reading half.
	onRead  func(fd uintptr) bool
	into    *buffer // read into its memory, or
	rp      []byte  // if into is nil, here
	rn      int
	readErr error

	// Writing half.
	onTry, onWrite func(fd uintptr) bool
	wp             []byte
	wn             int
	within         time.Duration
	armed          bool // the write deadline is set
	writeErr       error
}

var _ transport = (*raw)(nil)

// newRaw returns nil if the connection offers no RawConn.
func newRaw(c net.Conn) transport {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	t := &raw{conn: c, rc: rc}
	t.onRead, t.onTry = t.readable, t.try
	return t
}

func (t *raw) wait(b *buffer) error { return t.fill(b) }

func (t *raw) fill(b *buffer) error {
	t.into = b
	_, err := t.doRead()
	t.into = nil
	return err
}

func (t *raw) read(p []byte) (int, error) {
	t.rp = p
	n, err := t.doRead()
	t.rp = nil
	return n, err
}

func (t *raw) doRead() (int, error) {
	t.rn, t.readErr = 0, nil
	if err := t.rc.Read(t.onRead); err != nil {
		return 0, t.fromRaw("read", err)
	}
	if t.readErr != nil {
		return 0, t.fromSyscall("read", t.readErr)
	}
	if t.rn == 0 {
		return 0, io.EOF
	}
	return t.rn, nil
}

// readable tries to read. It must try even if the last read emptied the
// socket: RawConn forgets what became readable before it was called. Returning
// false parks the goroutine, which then holds no memory.
func (t *raw) readable(fd uintptr) bool {
	p := t.rp
	if t.into != nil {
		p = t.into.take()
	}
	n, err := quickRead(int(fd), p)
	for err == syscall.EINTR {
		n, err = quickRead(int(fd), p)
	}
	if t.into != nil {
		t.into.filled(n)
	}
	if err == syscall.EAGAIN {
		return false
	}
	t.rn, t.readErr = max(n, 0), err
	return true
}

func (t *raw) tryWrite(p []byte) (int, error) {
	return t.doWrite(p, t.onTry)
}

// try writes and never parks.
func (t *raw) try(fd uintptr) bool {
	t.write(fd)
	return true
}

func (t *raw) writeSome(p []byte, within time.Duration) (int, error) {
	if t.onWrite == nil { // most peers take all at once
		t.onWrite = t.writable
	}
	t.within = within
	n, err := t.doWrite(p, t.onWrite)
	if t.armed && err == nil {
		t.armed = false
		err = t.conn.SetWriteDeadline(time.Time{}) // for the next call
	}
	return n, err
}

// writable writes, and parks with the deadline running if nothing is taken. A
// wake-up for nothing does not move the deadline.
func (t *raw) writable(fd uintptr) bool {
	if t.write(fd) {
		return true
	}
	if t.within > 0 && !t.armed {
		t.armed = true
		if err := t.conn.SetWriteDeadline(time.Now().Add(t.within)); err != nil {
			t.writeErr = err
			return true
		}
	}
	return false
}

// write makes the system call and says whether it did anything.
func (t *raw) write(fd uintptr) bool {
	n, err := quickWrite(int(fd), t.wp)
	for err == syscall.EINTR {
		n, err = quickWrite(int(fd), t.wp)
	}
	if err == syscall.EAGAIN {
		return false
	}
	t.wn, t.writeErr = max(n, 0), err
	return true
}

func (t *raw) doWrite(p []byte, f func(fd uintptr) bool) (int, error) {
	t.wp, t.wn, t.writeErr = p[:min(len(p), maxWrite)], 0, nil
	err := t.rc.Write(f)
	t.wp = nil
	if err != nil {
		return 0, t.fromRaw("write", err)
	}
	if t.writeErr != nil {
		return t.wn, t.fromSyscall("write", t.writeErr)
	}
	return t.wn, nil
}

// fromSyscall gives an error of a system call the form package net uses.
func (t *raw) fromSyscall(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, errno)
	}
	return t.opError(op, err)
}

// fromRaw replaces the operation names of RawConn, "raw-read", "raw-write".
func (t *raw) fromRaw(op string, err error) error {
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	return t.opError(op, err)
}

func (t *raw) opError(op string, err error) error {
	local := t.conn.LocalAddr()
	oe := &net.OpError{Op: op, Source: local, Addr: t.conn.RemoteAddr(), Err: err}
	if local != nil {
		oe.Net = local.Network()
	}
	return oe
}
