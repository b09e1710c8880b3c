package main

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/propolis-im/propolis/examples/server/internal/config"
)

// webConnsOf bounds the connections of one IPv4 address or IPv6 /64 network, so that
// nobody takes all that there are.
const webConnsOf = 50

// shared bounds what each network has of the connections of a listener, but on the
// loopback interface, where others do not come or through a proxy.
func shared(ln net.Listener, cfg *config.Config) net.Listener {
	if config.IsLoopback(cfg.HTTP) || !cfg.Limits {
		return ln
	}
	return &sharedListener{Listener: ln, most: webConnsOf, proxies: cfg.HTTPProxies, open: make(map[netip.Prefix]int)}
}

// sharedListener refuses connections of networks that have many already.
type sharedListener struct {
	net.Listener
	most    int
	proxies []netip.Prefix // have no bound

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// Accept implements [net.Listener].
func (l *sharedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, ip := networkOf(c.RemoteAddr())
		if slices.ContainsFunc(l.proxies, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			return c, nil
		}
		if l.enter(from) {
			return &sharedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		_ = c.Close() // there is nobody to tell
	}
}

func (l *sharedListener) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

func (l *sharedListener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] <= 0 {
		delete(l.open, from)
	}
}

// networkOf is what counts as one, an IPv4 address or an IPv6 /64, and the address.
func networkOf(a net.Addr) (netip.Prefix, netip.Addr) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, netip.Addr{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // invalid for an invalid address
	return p, ip
}

// sharedConn tells when it is closed.
type sharedConn struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (c *sharedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
