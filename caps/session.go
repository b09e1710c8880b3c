package caps

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/propolis-im/propolis/mux"
)

// closed is told of the end of a session, whose client may not have said anything.
func (x *Extension) closed(ctx context.Context, e *mux.Event) {
	r := x.own.Of(e.Session)
	who := subject{e.Account, e.Session.JID()}
	if r.hash != (Hash{}) {
		x.mu.Lock()
		x.failures.drop(failureKey{who.full, r.hash.key()}) // the next session is another
		x.mu.Unlock()
	}
	x.lose(ctx, e, who, r)
}

// attached is told of a client that has come back. What it did not answer it is asked
// again. Under the session's lock.
func (x *Extension) attached(s *mux.Session) {
	r := x.own.Of(s)
	x.mu.Lock()
	open := r.hash != (Hash{}) && r.caps == nil && (r.state == unasked || r.state == failed)
	x.mu.Unlock()
	if !open {
		return
	}
	who := subject{s.Account(), s.JID()}
	s.Mux().Go(who.account, func(ctx context.Context, e *mux.Event) {
		r, now := x.find(e, who)
		if now != s || r.hash == (Hash{}) || r.state == known || r.state == waiting {
			return
		}
		x.mu.Lock()
		x.failures.drop(failureKey{who.full, r.hash.key()})
		x.settle(ctx, e, who, r, ownLimit)
	})
}

// restored looks up what a restored session has announced. If it is not known, the client
// is asked when it is back.
func (x *Extension) restored(s *mux.Session) {
	r := x.own.Of(s)
	x.mu.Lock()
	if r.hash == (Hash{}) || r.state == known {
		x.mu.Unlock()
		return
	}
	c := x.cache.get(r.hash.key())
	if c != nil {
		x.set(r, c, known)
	}
	x.mu.Unlock()
	if n := c.notify(); len(n) > 0 {
		r.notify = n
		x.opt.Restored(s.JID(), n)
	}
}

const savedVersion = 1

var errSaved = errors.New("caps: saved state cannot be read")

// encode writes the hash that a session has announced: a version, the protocol, and each
// text with its length.
func (x *Extension) encode(dst []byte, r *resource) []byte {
	x.mu.Lock()
	h := r.hash
	x.mu.Unlock()
	if h == (Hash{}) {
		return dst
	}
	dst = append(dst, savedVersion, byte(h.Proto))
	for _, t := range []string{h.Algo, h.Value, h.Node} {
		dst = binary.AppendUvarint(dst, uint64(len(t)))
		dst = append(dst, t...)
	}
	return dst
}

func decode(src []byte, r *resource) error {
	if len(src) == 0 {
		return nil
	}
	if len(src) < 2 || src[0] != savedVersion {
		return errSaved
	}
	h := Hash{Proto: Proto(src[1])}
	src = src[2:]
	for _, t := range []*string{&h.Algo, &h.Value, &h.Node} {
		n, k := binary.Uvarint(src)
		if k <= 0 || n > uint64(len(src)-k) {
			return errSaved
		}
		*t = string(src[k : k+int(n)])
		src = src[k+int(n):]
	}
	if len(src) > 0 || !h.plausible() || h.Proto != XEP0115 && h.Proto != XEP0390 {
		return errSaved
	}
	r.hash = h
	return nil
}
