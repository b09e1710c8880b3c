package csi

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// savedVersion begins what is saved of an inactive client; of an active one nothing
// is.
const savedVersion = 1

var errSaved = errors.New("csi: saved state cannot be read")

// encode writes what is held. It runs under the session's lock.
func encode(dst []byte, st *state) []byte {
	h := st.held
	if h == nil || !st.is(inactive) && h.queue.n == 0 {
		return dst
	}
	h.saved = h.queue.n > 0
	dst = append(dst, savedVersion)
	dst = binary.AppendUvarint(dst, uint64(h.queue.n))
	for i := range h.queue.entries {
		if it := &h.queue.entries[i].item; it.Stanza != nil {
			saved := it.AppendSaved(nil)
			dst = append(binary.AppendUvarint(dst, uint64(len(saved))), saved...)
		}
	}
	return dst
}

// decode takes it apart; making stanzas of it needs the mux.
func decode(src []byte, st *state) error {
	if len(src) == 0 {
		return nil
	}
	if src[0] != savedVersion {
		return errSaved
	}
	src = src[1:]
	n, src, ok := uvarint(src)
	if !ok || n > uint64(len(src)) {
		return errSaved
	}
	h := new(held)
	for range n {
		var size uint64
		if size, src, ok = uvarint(src); !ok || size > uint64(len(src)) {
			return errSaved
		}
		h.raw = append(h.raw, append([]byte(nil), src[:size]...))
		src = src[size:]
	}
	if len(src) > 0 {
		return errSaved
	}
	h.saved = n > 0
	st.held = h
	st.set(inactive|wants, true)
	return nil
}

func uvarint(src []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(src)
	if n <= 0 {
		return 0, nil, false
	}
	return v, src[n:], true
}

// Start implements [mux.Starter]: it gives restored sessions what was held for them.
func (x *Extension) Start(ctx context.Context, m *mux.Mux) error {
	x.m = m
	for s := range m.AllSessions() {
		s.Sync(func() { x.refill(ctx, m, s) })
	}
	return nil
}

// refill runs under the session's lock. The policy may be another one than before.
func (x *Extension) refill(ctx context.Context, m *mux.Mux, s *mux.Session) {
	h := x.key.Of(s).held
	if h == nil {
		return
	}
	for _, raw := range h.raw {
		it, err := m.RestoreItem(raw)
		if err != nil {
			x.opt.Logger.LogAttrs(ctx, slog.LevelError, "csi: held stanza cannot be read",
				slog.String("account", s.Account().String()), slog.Any("err", err))
			continue
		}
		d := x.decide(&it)
		if d.Action != Hold {
			d = Decision{}
		}
		h.queue.push(entry{item: it, key: d.Key, sender: senderOf(&it), since: time.Now()}, d.Fence)
	}
	h.raw = nil
}
