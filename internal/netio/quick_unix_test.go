//go:build unix

package netio

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
)

// TestQuick: what the quick calls say is what those of package syscall do.
func TestQuick(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	a, b := pair[0], pair[1]
	defer func() { _ = syscall.Close(a) }()
	must(t, syscall.SetNonblock(a, true))

	n, err := quickRead(a, make([]byte, 10))
	if n > 0 || err != syscall.EAGAIN {
		t.Errorf("nothing there: %d, %v", n, err)
	}
	if n, err := quickRead(a, nil); n != 0 || err != nil {
		t.Errorf("no room: %d, %v", n, err)
	}
	for _, size := range []int{0, 1, 1000, 70_000} {
		p := pattern(size)
		n, err := quickWrite(a, p)
		must(t, err)
		if n == 0 && size > 0 || n > size {
			t.Fatalf("%d written of %d", n, size)
		}
		got := make([]byte, n)
		for read := 0; read < n; {
			more, err := syscall.Read(b, got[read:])
			must(t, err)
			read += more
		}
		if !bytes.Equal(got, p[:n]) {
			t.Errorf("%d octets arrive as others", size)
		}
	}
	_, err = syscall.Write(b, []byte("hello"))
	must(t, err)
	p := make([]byte, 10)
	if n, err := quickRead(a, p); err != nil || string(p[:max(n, 0)]) != "hello" {
		t.Errorf("got %q, %v", p, err)
	}
	must(t, syscall.Close(b))
	if n, err := quickRead(a, p); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := quickWrite(a, p); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("nobody there: %v", err)
	}
}
