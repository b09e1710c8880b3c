package mux_test

import (
	"context"
	"fmt"
	"testing"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// three are extensions that look at every message and leave it alone: as
// carbons, csi and stream management do with what does not concern them.
func three() []mux.Extension {
	return []mux.Extension{
		ext{"carbons", func(r *mux.Registry) {
			key := mux.Slot[bool](r)
			r.IQ(mux.AtSelf, stanza.SetIQ, name("urn:xmpp:carbons:2", "enable"), empty)
			look := func(_ context.Context, e *mux.Event) {
				for _, s := range e.Sessions() {
					if *key.Of(s) {
						panic("not enabled")
					}
				}
			}
			r.Observe(mux.FromAccount, mux.Message, look)
			r.Observe(mux.ToAccount, mux.Message, look)
		}},
		ext{"blocking", func(r *mux.Registry) {
			pass := func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Pass, nil }
			r.Guard(mux.FromAccount, mux.AnyStanza, pass)
			r.Guard(mux.ToAccount, mux.AnyStanza, pass)
			r.Modify(mux.ToAccount, mux.Message, pass)
		}},
		&csi{},
	}
}

// wireBench is one sender and a number of recipients' sessions on connections
// that forget.
type wireBench struct {
	t      muxtest.TB
	h      *muxtest.Host
	sender *mux.Stream
	conns  []*nopConn
	msg    *mux.Stanza
}

func newWireBench(t muxtest.TB, sessions int, to, kind string, exts ...mux.Extension) *wireBench {
	w := &wireBench{t: t, h: muxtest.New(t, &mux.Options{MaxSessions: sessions + 1}, exts...)}
	w.sender, _ = w.bind(romeoFull)
	for i := range sessions {
		st, c := w.bind(fmt.Sprintf("juliet@example.net/r%d", i))
		w.conns = append(w.conns, c)
		w.receive(st, "<presence/>")
	}
	s, err := mux.Parse([]byte("<message to='" + to + "' type='" + kind + "' id='purple3ac3'><body>Wherefore art thou, Romeo? Deny thy father and refuse thy name; " +
		"or if thou wilt not, be but sworn my love and I'll no longer be a Capulet.</body><active xmlns='http://jabber.org/protocol/chatstates'/>" +
		"<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='purple3ac3'/></message>"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	w.msg = s
	return w
}

func (w *wireBench) bind(full string) (*mux.Stream, *nopConn) {
	c := new(nopConn)
	st := w.h.Mux().NewStream(c, mux.Client)
	a := mux.MustParseAddress(full)
	w.h.AddAccount(a.Bare().String())
	st.SetAccount(a.Bare())
	if _, err := st.Bind(context.Background(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		w.t.Fatalf("%v", err)
	}
	return st, c
}

func (w *wireBench) receive(st *mux.Stream, text string) {
	s, err := mux.Parse([]byte(text))
	if err == nil {
		err = st.Receive(context.Background(), s)
	}
	st.Flush()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

// send lets the sender's stream receive the message, which after the first time
// is stamped already, and writes what it leads to.
func (w *wireBench) send() {
	if err := w.sender.Receive(context.Background(), w.msg); err != nil {
		w.t.Fatalf("%v", err)
	}
	w.sender.Flush()
}

func (w *wireBench) delivered() (n int64) {
	for _, c := range w.conns {
		n += c.writes.Load()
	}
	return n
}

// An untouched message costs no allocation from Receive to the recipient's
// connection, with three extensions that look at it.
func TestAllocUntouchedMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := newWireBench(t, 1, "juliet@example.net/r0", "chat", three()...)
	w.send()
	before := w.delivered()
	if n := testing.AllocsPerRun(200, w.send); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := w.delivered() - before; got != 201 {
		t.Errorf("%d of 201 messages were delivered", got)
	}
}

// The same for a message to the bare JID that fifty sessions get.
func TestAllocFanout(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := newWireBench(t, 50, "juliet@example.net", "headline", three()...)
	w.send()
	before := w.delivered()
	if n := testing.AllocsPerRun(100, w.send); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := w.delivered() - before; got != 101*50 {
		t.Errorf("%d of %d messages were delivered", got, 101*50)
	}
}

// Parsing keeps one copy of the text and one value.
func TestAllocParse(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	raw := newWireBench(t, 0, "juliet@example.net", "chat").msg.Append(nil, "")
	if n := testing.AllocsPerRun(200, func() { _, _ = mux.Parse(raw) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, bb := range []struct {
		name string
		exts []mux.Extension
	}{{"none", nil}, {"three", three()}} {
		b.Run(bb.name, func(b *testing.B) {
			w := newWireBench(b, 1, "juliet@example.net/r0", "chat", bb.exts...)
			b.SetBytes(int64(w.msg.Size()))
			b.ReportAllocs()
			for b.Loop() {
				w.send()
			}
		})
	}
}

func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1, 50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWireBench(b, n, "juliet@example.net", "headline", three()...)
			b.SetBytes(int64(n * w.msg.Size()))
			b.ReportAllocs()
			for b.Loop() {
				w.send()
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	raw := newWireBench(b, 0, "juliet@example.net", "chat").msg.Append(nil, "")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mux.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
