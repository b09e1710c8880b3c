package offline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/xml"
	"strconv"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// toySmacks is as much of XEP-0198 as these tests need: sessions that enable it are kept
// for some time, also over a restart, with what their clients have not acknowledged.
type toySmacks struct {
	keep time.Duration
	key  mux.Key[smState]
}

type smState struct {
	on          bool
	sent, acked uint32
	queue       []mux.Item
	saved       [][]byte // items as they were saved, before the session is fed with them
}

const nsSM = "urn:xmpp:sm:3"

func (*toySmacks) Name() string { return "smacks" }

func (x *toySmacks) Register(r *mux.Registry) error {
	x.key = mux.PersistentSlot(r, "smacks", mux.Codec[smState]{Encode: encodeSM, Decode: decodeSM})
	r.Outbound(mux.Track, func(s *mux.Session, next mux.Sink) mux.Sink {
		st := x.key.Of(s)
		for _, b := range st.saved {
			it, err := s.Mux().RestoreItem(b)
			if err != nil {
				panic(err)
			}
			st.queue = append(st.queue, it)
		}
		st.saved = nil
		return &smSink{st, s, next}
	})
	r.Lifecycle(mux.Lifecycle{
		Attached: func(s *mux.Session) { s.SetTracked(x.key.Of(s).on) },
		Detached: func(s *mux.Session) time.Duration {
			if x.key.Of(s).on {
				return x.keep
			}
			return 0
		},
	})
	r.Nonza(xml.Name{Space: nsSM, Local: "enable"}, x.enable)
	r.Nonza(xml.Name{Space: nsSM, Local: "a"}, x.ack)
	r.Feature(mux.Feature{Name: "smacks", Needs: mux.Authenticated, Forbids: mux.Bound, Owns: []xml.Name{{Space: nsSM, Local: "resume"}}, Step: x.resume})
	return nil
}

func nonza(text string) *mux.Item {
	s, err := mux.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return &mux.Item{Stanza: s}
}

func (x *toySmacks) enable(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Session
	s.Sync(func() {
		x.key.Of(s).on = true
		s.SetTracked(true)
		_ = s.Wire().Put(nonza("<enabled xmlns='" + nsSM + "' id='" + s.ID().String() + "'/>"))
	})
	s.Mux().Go(s.Account(), func(_ context.Context, e *mux.Event) { e.Work.Save(s) })
	return mux.Done, nil
}

func count(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

func (x *toySmacks) ack(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	h := count(e.Stanza.Attr("h"))
	e.Session.Sync(func() { x.key.Of(e.Session).ackTo(h) })
	return mux.Done, nil
}

func (st *smState) ackTo(h uint32) {
	for st.acked != h && len(st.queue) > 0 {
		st.queue[0].Record.Arrived()
		st.queue = st.queue[1:]
		st.acked++
	}
}

func (x *toySmacks) resume(_ context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
	id, _ := mux.ParseSessionID(el.Attr("previd"))
	h := count(el.Attr("h"))
	return mux.Outcome{Become: &mux.Resumption{
		ID: id,
		Check: func(s *mux.Session) error {
			if s.Account() != st.Account() {
				return mux.ErrNoSession
			}
			return nil
		},
		Reply: func(s *mux.Session) xmlstream.Marshaler {
			x.key.Of(s).ackTo(h)
			return mux.Raw("<resumed xmlns='" + nsSM + "' h='" + strconv.Itoa(int(s.Handled())) + "' previd='" + el.Attr("previd") + "'/>")
		},
		Refused: func(error) xmlstream.Marshaler { return mux.Raw("<failed xmlns='" + nsSM + "'/>") },
	}}, nil
}

type smSink struct {
	st   *smState
	s    *mux.Session
	next mux.Sink
}

func (k *smSink) Put(it *mux.Item) error {
	if k.st.on {
		k.st.queue = append(k.st.queue, *it)
		k.st.sent++
	}
	return k.next.Put(it)
}

func (k *smSink) Replay() error {
	for _, it := range k.st.queue {
		if err := k.next.Put(&it); err != nil {
			return err
		}
	}
	return nil
}

func (k *smSink) Unacked() []mux.Item { return k.st.queue }

func encodeSM(dst []byte, st *smState) []byte {
	on := byte(0)
	if st.on {
		on = 1
	}
	dst = append(dst, on)
	dst = binary.AppendUvarint(dst, uint64(st.sent))
	dst = binary.AppendUvarint(dst, uint64(st.acked))
	for i := range st.queue {
		b := st.queue[i].AppendSaved(nil)
		dst = append(binary.AppendUvarint(dst, uint64(len(b))), b...)
	}
	return dst
}

func decodeSM(src []byte, st *smState) error {
	r := bytes.NewReader(src)
	on, _ := r.ReadByte()
	st.on = on == 1
	sent, _ := binary.ReadUvarint(r)
	acked, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	st.sent, st.acked = uint32(sent), uint32(acked)
	for r.Len() > 0 {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > uint64(r.Len()) {
			return bytes.ErrTooLarge
		}
		b := make([]byte, n)
		_, _ = r.Read(b)
		st.saved = append(st.saved, b)
	}
	return nil
}
