package register

import (
	"net"
	"net/netip"

	"github.com/propolis-im/propolis/mux"
)

// sourceOf asks the connection.
func sourceOf(st *mux.Stream) netip.Addr {
	c, ok := st.Conn().(interface{ RemoteAddr() net.Addr })
	if !ok {
		return netip.Addr{}
	}
	switch a := c.RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	case nil:
		return netip.Addr{}
	default:
		p, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return netip.Addr{}
		}
		return p.Addr().Unmap()
	}
}
