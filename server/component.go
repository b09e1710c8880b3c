package server

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// ServeComponents accepts external components (XEP-0114), those that
// Options.Components knows. Nothing is encrypted: the listener is for the loopback
// interface or a tunnel. It returns ErrClosed after Shutdown.
func (s *Server) ServeComponents(l net.Listener) error {
	if s.opt.Components == nil {
		return errors.New("server: no components are configured")
	}
	return s.accept(l, component)
}

// role is what the peers of the listener are.
func (c *conn) role() mux.Role {
	if c.kind == component {
		return mux.Component
	}
	return mux.Client
}

// rates bound the input. A component is trusted not to flood: what it has in
// progress is bounded (core-im LIM-23), its rate is not.
func (c *conn) rates() (stanzas, octets bucket) {
	if c.kind == component {
		return newBucket(-1, 0), newBucket(-1, 0)
	}
	l := c.srv.lim
	return newBucket(l.StanzasPerSecond, l.StanzasBurst), newBucket(l.BytesPerSecond, l.BytesBurst)
}

// content is the content namespace of the listener's streams.
func (c *conn) content() string {
	if c.kind == component {
		return "jabber:component:accept"
	}
	return mux.NSClient
}

// stanzaBytes bounds a stanza of a peer that has authenticated.
func (c *conn) stanzaBytes() int {
	if c.kind == component {
		return c.srv.lim.ComponentBytes
	}
	return c.srv.lim.StanzaBytes
}

// Sent is how many octets have gone to the network, so that it is known what
// has not when the connection breaks.
func (c *conn) Sent() uint64 { return c.nc.Sent() }

// negotiateComponent is the first half of a component's connection.
func (c *conn) negotiateComponent(ctx context.Context) error {
	if err := c.srv.neg.ServeComponent(ctx, c.st, c, c.srv.opt.Components); err != nil {
		return err
	}
	if err := c.setDeadline(time.Time{}); err != nil {
		return err
	}
	c.srv.log.Info("component connected", "component", c.st.Domain(), "addr", c.nc.RemoteAddr().String())
	return nil
}
