package component

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"log/slog"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// The methods of this file are for whoever negotiates streams: they are the
// interface Components of package negotiate. All may be called concurrently.

// Known reports whether a prepared domain is that of a component.
func (x *Extension) Known(domain string) bool { return x.links[domain] != nil }

// Verify reports whether the component of a domain has proved who it is, with
// the content of its handshake element on the stream of that id (XEP-0114 §3).
func (x *Extension) Verify(domain, streamID, handshake string) bool {
	l := x.links[domain]
	return l != nil && subtle.ConstantTimeCompare([]byte(Handshake(streamID, l.secret)), []byte(handshake)) == 1
}

// Handshake is the content of the handshake element on a stream: the SHA-1 hash
// of the stream's id and the secret, in lower-case hexadecimal (XEP-0114 §3).
func Handshake(streamID string, secret []byte) string {
	h := sha1.New()
	_, _ = h.Write([]byte(streamID)) // never fails
	_, _ = h.Write(secret)
	return hex.EncodeToString(h.Sum(nil))
}

// Attach makes a stream that was verified the connection of its component. ready
// answers the handshake; it is called before anything else is written to the
// stream, and must not wait. The error is the stream error conflict if the
// component is connected already and is not to be replaced, or that of ready;
// otherwise Detach must be called when the connection has ended.
func (x *Extension) Attach(st *mux.Stream, domain string, ready func() error) error {
	l := x.links[domain]
	if l == nil {
		return stream.HostUnknown
	}
	p := &peer{link: l, st: st, conn: st.Conn()}
	l.mu.Lock()
	old := l.peer
	if old != nil && !x.opt.Replace {
		l.mu.Unlock()
		return stream.Conflict // core-im COMP-3
	}
	l.peer = p
	l.mu.Unlock()
	if old != nil {
		old.st.Close(stream.Conflict)
	}
	x.mu.Lock()
	x.streams[st] = p
	x.mu.Unlock()
	if err := ready(); err != nil {
		x.Detach(st)
		return err
	}
	x.opt.Logger.Debug("component attached", slog.String("component", domain))
	l.mu.Lock()
	p.open()
	done := l.flush()
	l.mu.Unlock()
	x.finish(done)
	return nil
}

// Drained tells that little waits to be written to a stream.
func (x *Extension) Drained(st *mux.Stream) {
	p := x.peer(st)
	if p == nil {
		return
	}
	p.link.mu.Lock()
	p.prune()
	done := p.link.flush()
	p.link.mu.Unlock()
	x.finish(done)
}

// Detach tells that the connection of a stream has ended. What it did not take
// comes back to its senders (core-im COMP-4). A stream that was never attached is
// no error.
func (x *Extension) Detach(st *mux.Stream) {
	p := x.peer(st)
	if p == nil {
		return
	}
	x.mu.Lock()
	delete(x.streams, st)
	x.mu.Unlock()
	l := p.link
	l.mu.Lock()
	p.prune()
	var done outcome
	for _, s := range p.inflight {
		done.lost = append(done.lost, s.item)
	}
	p.inflight = nil
	if l.peer == p {
		l.peer = nil
		rest := l.flush()
		done.lost = append(done.lost, rest.lost...)
	}
	l.mu.Unlock()
	x.finish(done)
	x.opt.Logger.Debug("component gone", slog.String("component", l.addr.Domain()), slog.Int("unsent", len(done.lost)))
}

func (x *Extension) peer(st *mux.Stream) *peer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.streams[st]
}

// errSlow: the component takes less than is sent to it.
var errSlow = errors.New("component: too much waits to be written")

// finish does what must not be done under a link's lock.
func (x *Extension) finish(o outcome) {
	x.bounce(o.lost)
	if o.broken != nil {
		o.broken.Close(o.err)
	}
}
