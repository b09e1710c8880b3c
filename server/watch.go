package server

import (
	"context"
	"encoding/xml"
	"math/rand/v2"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

var errShutdown = stream.Error{Err: "system-shutdown"}

// watch looks for clients that are silent for too long (core-im LC-22, LC-23),
// in place of a timer for each.
func (s *Server) watch() {
	defer s.readers.Done()
	every := min(s.lim.Idle, s.lim.Probe) / 8
	for s.wait(every) {
		now := time.Now()
		for _, c := range s.all() {
			c.check(now)
		}
	}
}

// check probes a silent client, or gives it up.
func (c *conn) check(now time.Time) {
	sess := c.st.Session()
	if sess == nil || c.slow.Load() || c.st.Waiting() {
		return // negotiation has its own limit; or we are the silent ones (LC-30)
	}
	idle, probed := c.srv.lim.Idle, c.probe.Load()
	switch {
	case probed != 0:
		if now.Sub(time.Unix(0, probed)) >= c.srv.lim.Probe {
			c.srv.log.Info("client does not answer", "account", sess.Account().String(), "addr", c.nc.RemoteAddr().String())
			c.dead()
		}
	case now.Sub(time.Unix(0, c.last.Load())) >= idle+jitter(idle):
		c.probe.Store(now.UnixNano())
		ping(sess)
	}
}

// Paused reports whether the client is left unread for a while, so that nobody
// takes its silence for absence (core-im LC-30).
func (c *conn) Paused() bool { return c.slow.Load() }

// jitter spreads probes by ±10 % (core-im LC-30).
func jitter(d time.Duration) time.Duration {
	return time.Duration((rand.Float64()*0.2 - 0.1) * float64(d))
}

// dead ends a connection whose peer is gone: its session is kept if it can be
// resumed.
func (c *conn) dead() {
	sess := c.st.Session()
	if sess == nil {
		return
	}
	c.st.Abandon(stream.ConnectionTimeout)
}

const nsPing = "urn:xmpp:ping"

// ping sends an XEP-0199 ping, whose answer, even an error, shows that the client
// lives; the reading notes that.
func ping(s *mux.Session) {
	if s.Ask() {
		return // core-im LC-22
	}
	domain, err := mux.ParseAddress(s.Account().Domain())
	if err != nil {
		return
	}
	iq := mux.Make(mux.Head{Kind: mux.IQ, Type: "get", From: domain, To: s.JID()},
		mux.RawChild(pingName, "<ping xmlns='"+nsPing+"'/>"))
	s.Mux().Go(s.Account(), func(ctx context.Context, e *mux.Event) {
		e.Query(ctx, iq, func(context.Context, *mux.Event, *mux.Stanza, error) {})
	})
}

var pingName = xml.Name{Space: nsPing, Local: "ping"}
