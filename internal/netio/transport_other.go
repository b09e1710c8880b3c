//go:build !unix

package netio

import "net"

// newRaw returns nil: non-blocking system calls on sockets differ here.
func newRaw(net.Conn) transport { return nil }
