package smacks

import (
	"net"
	"time"
)

// Close implements [net.Conn] as [Client.Detach].
func (k *clientConn) Close() error {
	k.c.endOf(k)
	return nil
}

// SetReadDeadline implements [net.Conn].
func (k *clientConn) SetReadDeadline(t time.Time) error {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	k.until = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() {
			k.c.mu.Lock() // who is about to wait does by now
			defer k.c.mu.Unlock()
			k.c.change.Broadcast()
		})
	}
	return nil
}

// SetWriteDeadline implements [net.Conn]; writing does not wait for the network.
func (k *clientConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements [net.Conn] for reading.
func (k *clientConn) SetDeadline(t time.Time) error { return k.SetReadDeadline(t) }

// LocalAddr implements [net.Conn].
func (k *clientConn) LocalAddr() net.Addr { return nowhere{} }

// RemoteAddr implements [net.Conn].
func (k *clientConn) RemoteAddr() net.Addr { return nowhere{} }

// nowhere is the address of what is no connection.
type nowhere struct{}

// Network implements [net.Addr].
func (nowhere) Network() string { return "xmpp" }

// String implements [net.Addr].
func (nowhere) String() string { return "xmpp" }
