package mux_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// smacks is as much of XEP-0198 as the kernel's tests need.
type smacks struct {
	keep time.Duration
	key  mux.Key[smState]
}

type smState struct {
	on    bool
	sent  uint32
	acked uint32
	queue []mux.Item
	asked int
}

func (x *smacks) Name() string { return "smacks" }

const nsSM = "urn:xmpp:sm:3"

func nonza(text string) *mux.Item {
	s, err := mux.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return &mux.Item{Stanza: s}
}

func (x *smacks) Register(r *mux.Registry) error {
	x.key = mux.PersistentSlot(r, "smacks", mux.Codec[smState]{Encode: encodeSM, Decode: decodeSM})
	r.Outbound(mux.Track, func(s *mux.Session, next mux.Sink) mux.Sink { return &smSink{x.key.Of(s), s, next} })
	r.Lifecycle(mux.Lifecycle{
		Attached: func(s *mux.Session) { s.SetTracked(x.key.Of(s).on) },
		Detached: func(s *mux.Session) time.Duration {
			if x.key.Of(s).on {
				return x.keep
			}
			return 0
		},
	})
	r.Nonza(name(nsSM, "enable"), x.enable)
	r.Nonza(name(nsSM, "a"), x.ack)
	r.Nonza(name(nsSM, "r"), x.request)
	r.Feature(mux.Feature{Name: "smacks", Needs: mux.Authenticated, Forbids: mux.Bound, Owns: []xml.Name{name(nsSM, "resume")}, Step: x.resume})
	return nil
}

func (x *smacks) enable(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Session
	s.Sync(func() {
		x.key.Of(s).on = true
		s.SetTracked(true)
		_ = s.Wire().Put(nonza("<enabled xmlns='" + nsSM + "' id='" + s.ID().String() + "'/>"))
	})
	return mux.Done, nil
}

func (x *smacks) request(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Session
	s.OnHandled(s.Received(), func() {
		s.Sync(func() { _ = s.Wire().Put(nonza("<a xmlns='" + nsSM + "' h='" + utoa(s.Handled()) + "'/>")) })
	})
	return mux.Done, nil
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func hOf(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

func (x *smacks) ack(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	h := hOf(e.Stanza.Attr("h"))
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

func (x *smacks) resume(_ context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
	id, _ := mux.ParseSessionID(el.Attr("previd"))
	h := hOf(el.Attr("h"))
	return mux.Outcome{Become: &mux.Resumption{
		ID: id,
		Check: func(s *mux.Session) error {
			q := x.key.Of(s)
			if s.Account() != st.Account() || h-q.acked > q.sent-q.acked {
				return mux.ErrNoSession
			}
			return nil
		},
		Reply: func(s *mux.Session) xmlstream.Marshaler {
			x.key.Of(s).ackTo(h)
			return mux.Raw("<resumed xmlns='" + nsSM + "' h='" + utoa(s.Handled()) + "' previd='" + el.Attr("previd") + "'/>")
		},
		Refused: func(error) xmlstream.Marshaler { return mux.Raw("<failed xmlns='" + nsSM + "'/>") },
	}}, nil
}

// smSink keeps what was sent until it is acknowledged.
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

func (k *smSink) Ask() {
	k.st.asked++
	_ = k.s.Wire().Put(nonza("<r xmlns='" + nsSM + "'/>"))
}

func encodeSM(dst []byte, st *smState) []byte {
	dst = append(dst, utoa(st.sent)+" "+utoa(st.acked)+" "+strconv.FormatBool(st.on)...)
	for _, it := range st.queue {
		dst = append(dst, '\n')
		dst = it.Append(dst, "")
	}
	return dst
}

func decodeSM(src []byte, st *smState) error {
	head, rest, _ := strings.Cut(string(src), "\n")
	if _, err := fmt.Sscan(head, &st.sent, &st.acked, &st.on); err != nil {
		return err
	}
	for rest != "" {
		var el string
		el, rest, _ = strings.Cut(rest, "\n")
		s, err := mux.Parse([]byte(el))
		if err != nil {
			return err
		}
		st.queue = append(st.queue, mux.Item{Stanza: s})
	}
	if int(st.sent-st.acked) != len(st.queue) {
		return errors.New("bad queue")
	}
	return nil
}
