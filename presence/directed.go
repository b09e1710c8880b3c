package presence

import (
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"slices"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

var (
	// roomName is the child that joins a room (XEP-0045 §7.2).
	roomName = xml.Name{Space: "http://jabber.org/protocol/muc", Local: "x"}

	errTooMany = stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}
	errState   = errors.New("presence: saved state cannot be read")
)

// limit refuses presence to one address too many (core-im LIM-22).
func (x *Extension) limit(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	to := e.Stanza.To()
	if e.Session == nil || to.IsZero() || to.Bare() == e.Account || e.Stanza.Type() != "" {
		return mux.Pass, nil
	}
	st := x.state.Of(e.Session)
	if st.fits(to, x.opt.MaxDirected) {
		return mux.Pass, nil
	}
	if err := x.subs.Load(ctx, e); err != nil {
		return mux.Done, err
	}
	if from, _ := x.subs.Subscription(ctx, e, to); from && st.isAvailable() {
		return mux.Pass, nil
	}
	return mux.Done, errTooMany
}

// fits reports whether one more address can be kept, or is already.
func (st *state) fits(to mux.Address, limit int) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.directed) < limit || st.find(to) >= 0 || st.oldest() >= 0
}

// sentDirected keeps account of whom a client has sent presence to (RFC 6121
// §4.6.3). Such peers get no later presence, only its end.
func (x *Extension) sentDirected(ctx context.Context, e *mux.Event, available bool) {
	to := e.Stanza.To()
	if to.Bare() == e.Account {
		return // told anyway
	}
	st := x.state.Of(e.Session)
	if !available {
		if st.remove(to) {
			e.Work.Save(e.Session)
		}
		return
	}
	if from, _ := x.subs.Subscription(ctx, e, to); from && st.isAvailable() {
		return // a contact, told anyway
	}
	evicted, added := st.add(directed{to, e.Stanza.Has(roomName)}, x.opt.MaxDirected)
	if !evicted.IsZero() {
		x.send(ctx, e, mux.Make(mux.Head{Kind: mux.Presence, Type: "unavailable", From: e.Session.JID()}), evicted)
	}
	if added {
		e.Work.Save(e.Session)
	}
}

// find is the index of an address, -1 if it is not there; the lock is held.
func (st *state) find(to mux.Address) int {
	return slices.IndexFunc(st.directed, func(d directed) bool { return d.to == to })
}

// oldest is the index of the oldest that is no room; the lock is held.
func (st *state) oldest() int {
	return slices.IndexFunc(st.directed, func(d directed) bool { return !d.room })
}

// joined reports whether an address is that of a room that was joined; the lock
// is held.
func (st *state) joined(room mux.Address) bool {
	return slices.ContainsFunc(st.directed, func(d directed) bool { return d.room && d.to.Bare() == room })
}

// add notes an address. If there are too many the oldest that is no room gives
// way and is returned.
func (st *state) add(d directed, limit int) (evicted mux.Address, added bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	d.room = d.room || st.joined(d.to.Bare()) // under another name
	if i := st.find(d.to); i >= 0 {
		if !d.room || st.directed[i].room {
			return evicted, false
		}
		st.directed[i].room = true
		return evicted, true
	}
	if len(st.directed) >= limit {
		if i := st.oldest(); i >= 0 {
			evicted = st.directed[i].to
			st.directed = slices.Delete(st.directed, i, i+1)
		}
	}
	st.directed = append(st.directed, d)
	return evicted, true
}

// remove forgets an address, and reports whether it was there. Who leaves a room
// leaves it under all names.
func (st *state) remove(to mux.Address) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	n := len(st.directed)
	room := st.joined(to.Bare())
	st.directed = slices.DeleteFunc(st.directed, func(d directed) bool {
		return d.to == to || room && d.to.Bare() == to.Bare()
	})
	return len(st.directed) < n
}

// forget forgets all addresses of a contact, and reports whether there were any.
func (st *state) forget(contact mux.Address) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	n := len(st.directed)
	st.directed = slices.DeleteFunc(st.directed, func(d directed) bool { return d.to.Bare() == contact })
	return len(st.directed) < n
}

// Bits of a saved state and of each address in it.
const (
	savedVersion   = 1
	savedAvailable = 1
	savedRoom      = 1
)

// encodeState writes a version, flags, and for each address flags, length and
// text.
func encodeState(dst []byte, st *state) []byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	flags := byte(0)
	if st.available {
		flags = savedAvailable
	}
	dst = append(dst, savedVersion, flags)
	for _, d := range st.directed {
		flags = 0
		if d.room {
			flags = savedRoom
		}
		text := d.to.String()
		dst = binary.AppendUvarint(append(dst, flags), uint64(len(text)))
		dst = append(dst, text...)
	}
	return dst
}

func decodeState(src []byte, st *state) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(src) < 2 || src[0] != savedVersion {
		return errState
	}
	st.available, st.directed = src[1]&savedAvailable != 0, nil
	for src = src[2:]; len(src) > 0; {
		room := src[0]&savedRoom != 0
		n, k := binary.Uvarint(src[1:])
		if k <= 0 || n > uint64(len(src)-1-k) {
			return errState
		}
		to, err := mux.ParseAddress(string(src[1+k : 1+k+int(n)]))
		if err != nil {
			return errState
		}
		st.directed = append(st.directed, directed{to, room})
		src = src[1+k+int(n):]
	}
	return nil
}
