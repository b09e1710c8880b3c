//go:build unix

package netio

import (
	"net"
	"syscall"
	"testing"
)

// TestParksWithoutMemory looks at the moment between a read that finds nothing
// and the park.
func TestParksWithoutMemory(t *testing.T) {
	t.Parallel()
	c, _ := links[0].open(t, Options{})
	r, ok := c.t.(*raw)
	if !ok {
		t.Fatalf("transport is %T", c.t)
	}
	r.into = &c.in
	defer func() { r.into = nil }()
	must(t, r.rc.Control(func(fd uintptr) {
		if r.readable(fd) {
			t.Error("does not park")
		}
	}))
	if c.in.mem != nil {
		t.Error("parks with a buffer")
	}
}

// TestTransportChoice: the fast path is for sockets, if not forbidden.
func TestTransportChoice(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	pipe, other := net.Pipe()
	for _, c := range []net.Conn{server, client, pipe, other} {
		t.Cleanup(func() { _ = c.Close() })
	}
	tests := []struct {
		name     string
		conn     net.Conn
		portable bool
		want     bool
	}{
		{"tcp", server, false, true},
		{"tcp portable", server, true, false},
		{"pipe", pipe, false, false},
		{"wrapper without SyscallConn", trickle{client}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, ok := tt.conn.(syscall.Conn); ok != (tt.name[:3] == "tcp") {
				t.Errorf("has SyscallConn: %t", ok)
			}
			if _, got := newTransport(tt.conn, tt.portable).(*raw); got != tt.want {
				t.Errorf("fast = %t, want %t", got, tt.want)
			}
		})
	}
}
