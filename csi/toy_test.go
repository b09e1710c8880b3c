package csi_test

import (
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"strconv"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// tracker is as much of XEP-0198 as these tests need: it numbers and keeps what it is
// given until that is acknowledged.
type tracker struct {
	key mux.Key[tracked]
	max int // stanzas kept without a connection; 0 for no bound
}

type tracked struct {
	on    bool
	sent  int
	queue []mux.Item
	raw   [][]byte
}

const nsSM = "urn:xmpp:sm:3"

func smName(local string) xml.Name { return xml.Name{Space: nsSM, Local: local} }

func (*tracker) Name() string { return "tracker" }

func (x *tracker) Register(r *mux.Registry) error {
	x.key = mux.PersistentSlot(r, "tracker", mux.Codec[tracked]{Encode: encodeTracked, Decode: decodeTracked})
	r.Outbound(mux.Track, func(s *mux.Session, next mux.Sink) mux.Sink { return &trackSink{x, x.key.Of(s), s, next} })
	r.Lifecycle(mux.Lifecycle{
		Attached: func(s *mux.Session) { s.SetTracked(x.key.Of(s).on) },
		Detached: func(s *mux.Session) time.Duration {
			if x.key.Of(s).on {
				return 10 * time.Minute
			}
			return 0
		},
	})
	r.Nonza(smName("enable"), x.enable)
	r.Nonza(smName("a"), x.ack)
	r.Nonza(smName("r"), x.request)
	r.Feature(mux.Feature{Name: "tracker", Needs: mux.Authenticated, Forbids: mux.Bound, Owns: []xml.Name{smName("resume")}, Step: x.resume})
	return nil
}

func nonza(text string) *mux.Item {
	s, err := mux.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return &mux.Item{Stanza: s}
}

func (x *tracker) enable(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Session
	s.Sync(func() {
		x.key.Of(s).on = true
		s.SetTracked(true)
		_ = s.Wire().Put(nonza("<enabled xmlns='" + nsSM + "' id='" + s.ID().String() + "'/>"))
	})
	return mux.Done, nil
}

func (x *tracker) request(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Session
	s.Sync(func() {
		_ = s.Wire().Put(nonza("<a xmlns='" + nsSM + "' h='" + strconv.Itoa(int(s.Handled())) + "'/>"))
	})
	return mux.Done, nil
}

func (x *tracker) ack(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	h, err := strconv.Atoi(e.Stanza.Attr("h"))
	e.Session.Sync(func() { x.key.Of(e.Session).ackTo(h) })
	return mux.Done, err
}

func (st *tracked) ackTo(h int) {
	for st.sent-len(st.queue) < h {
		st.queue[0].Record.Arrived()
		st.queue = st.queue[1:]
	}
}

func (x *tracker) resume(_ context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
	id, _ := mux.ParseSessionID(el.Attr("previd"))
	h, err := strconv.Atoi(el.Attr("h"))
	return mux.Outcome{Become: &mux.Resumption{
		ID: id,
		Reply: func(s *mux.Session) xmlstream.Marshaler {
			x.key.Of(s).ackTo(h)
			return mux.Raw("<resumed xmlns='" + nsSM + "' h='" + strconv.Itoa(int(s.Handled())) + "'/>")
		},
		Refused: func(error) xmlstream.Marshaler { return mux.Raw("<failed xmlns='" + nsSM + "'/>") },
	}}, err
}

// Start gives restored sessions what they had.
func (x *tracker) Start(_ context.Context, m *mux.Mux) (err error) {
	for s := range m.AllSessions() {
		s.Sync(func() {
			st := x.key.Of(s)
			for _, raw := range st.raw {
				it, broken := m.RestoreItem(raw)
				err = errors.Join(err, broken)
				st.queue = append(st.queue, it)
			}
			st.raw = nil
			s.SetTracked(st.on)
		})
	}
	return err
}

func encodeTracked(dst []byte, st *tracked) []byte {
	if !st.on {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(st.sent))
	for _, it := range st.queue {
		raw := it.AppendSaved(nil)
		dst = append(binary.AppendUvarint(dst, uint64(len(raw))), raw...)
	}
	return dst
}

func decodeTracked(src []byte, st *tracked) error {
	for first := true; len(src) > 0; first = false {
		v, n := binary.Uvarint(src)
		src = src[n:]
		if first {
			st.on, st.sent = true, int(v)
			continue
		}
		st.raw = append(st.raw, append([]byte(nil), src[:v]...))
		src = src[v:]
	}
	return nil
}

// trackSink is the tracker on a session's way out.
type trackSink struct {
	x    *tracker
	st   *tracked
	s    *mux.Session
	next mux.Sink
}

func (k *trackSink) Put(it *mux.Item) error {
	if !k.st.on || it.Stanza.Kind() == mux.Nonza {
		return k.next.Put(it)
	}
	if k.x.max > 0 && k.s.Stream() == nil && len(k.st.queue) >= k.x.max {
		return mux.ErrOverflow
	}
	k.st.queue = append(k.st.queue, *it)
	k.st.sent++
	return k.next.Put(it)
}

func (k *trackSink) Replay() error {
	for _, it := range k.st.queue {
		it.StampDelay()
		if err := k.next.Put(&it); err != nil {
			return err
		}
	}
	return nil
}

func (k *trackSink) Unacked() []mux.Item { return k.st.queue }

func (k *trackSink) Ask() {
	if k.st.on {
		_ = k.s.Wire().Put(nonza("<r xmlns='" + nsSM + "'/>"))
	}
}

// keeper keeps messages that nobody took, by id, as an offline store would.
type keeper struct{ ids []string }

func (*keeper) Name() string { return "keeper" }

func (x *keeper) Register(r *mux.Registry) error {
	r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		x.ids = append(x.ids, e.Stanza.ID())
		return mux.Done, nil
	})
	return nil
}
