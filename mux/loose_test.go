package mux_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// What was queued before anybody tracked is not the tracker's: if it is not
// written it is disposed of at the session's end, although sinks answer for the
// rest.
func TestQueuedBeforeTracking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		h, c := held(t, new(ledger), &smacks{keep: time.Hour}, st)
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		c.Hold()
		romeo.Send(send("1")...)
		juliet.Send("<enable xmlns='" + nsSM + "'/>")
		romeo.Send(send("2")...)
		juliet.ExpectNone() // all behind the gate
		juliet.Drop()
		c.Release()
		time.Sleep(time.Hour + 1)
		h.Settle()
		st.want(t, "1 replay delayed", "2 replay delayed")
		romeo.ExpectNone()
	})
}

// stuckConn holds a write up until it is released, and then fails it.
type stuckConn struct {
	nopConn
	entered, release chan struct{}
}

func (c *stuckConn) Write([]byte) error {
	close(c.entered)
	<-c.release
	return errTest
}

// A session that ends while a write of it is under way, which then fails: what
// was being written is in neither queue, and is not lost.
func TestEndDuringWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		h := muxtest.New(t, nil, st)
		romeo := h.Connect(t, romeoFull)
		h.AddAccount("juliet@example.net")
		conn := &stuckConn{entered: make(chan struct{}), release: make(chan struct{})}
		stream := h.Mux().NewStream(conn, mux.Client)
		stream.SetAccount(addr("juliet@example.net"))
		s, err := stream.Bind(t.Context(), &mux.BindOptions{Resource: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		romeo.Write(send("1")...)
		<-conn.entered
		s.Close(nil)
		if err := s.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		st.want(t)
		close(conn.release)
		h.Settle()
		st.want(t, "1 replay delayed")
		stream.Gone(false)
	})
}

// A message to the own bare JID, or without an address, is delivered like any
// other to the account, in the turn of the sender (core-im CORE-4, CORE-12).
func TestMessageToSelf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		a, b := h.Connect(t, romeoFull), h.Connect(t, "romeo@example.net/other")
		a.Send("<presence/>")
		b.Send("<presence/>")
		a.Send("<message id='1'><body>x</body></message>", "<message id='2' to='romeo@example.net'><body>x</body></message>",
			"<message id='3' to='romeo@example.net/other'><body>x</body></message>", "<iq type='get' id='4' to='romeo@example.net/other'><x xmlns='urn:x'/></iq>",
			"<iq type='get' id='5' to='romeo@example.net/none'><x xmlns='urn:x'/></iq>")
		one := "<message id='1' from='" + romeoFull + "' to='romeo@example.net'><body>x</body></message>"
		two := "<message id='2' from='" + romeoFull + "' to='romeo@example.net'><body>x</body></message>"
		a.Expect(one, two, refused("iq", "romeo@example.net/none", romeoFull, "5", "cancel", "service-unavailable"))
		a.ExpectNone()
		b.Expect(one, two, "<message id='3' from='"+romeoFull+"' to='romeo@example.net/other'><body>x</body></message>",
			"<iq type='get' id='4' from='"+romeoFull+"' to='romeo@example.net/other'><x xmlns='urn:x'/></iq>")
		b.Send("<iq type='result' id='4' to='" + romeoFull + "'/>")
		a.Expect("<iq type='result' id='4' from='romeo@example.net/other' to='" + romeoFull + "'/>")
		b.ExpectNone()
	})
}

// counting is an inbound sink that notes what passes.
type counting struct {
	label string
	log   *[]string
	next  mux.Sink
}

func (k counting) Put(it *mux.Item) error {
	*k.log = append(*k.log, k.label+" "+it.Stanza.ID())
	return k.next.Put(it)
}

// Sinks are passed in the order wire, Track, Hold on the way in and Hold, Track,
// wire on the way out; of one layer the first registered is passed first.
func TestSinkOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		bind := func(label string) func(*mux.Session, mux.Sink) mux.Sink {
			return func(_ *mux.Session, next mux.Sink) mux.Sink { return counting{label, &log, next} }
		}
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			for _, label := range []string{"1", "2"} {
				r.Inbound(mux.Track, bind("in track"+label))
				r.Outbound(mux.Track, bind("out track"+label))
				r.Inbound(mux.Hold, bind("in hold"+label))
				r.Outbound(mux.Hold, bind("out hold"+label))
			}
		}))
		h.Connect(t, romeoFull).Send("<message id='x'><body>x</body></message>", "<message id='y' to='"+romeoFull+"'/>")
		var in, out []string
		for _, l := range log {
			if l[:2] == "in" && l[len(l)-1] == 'y' {
				in = append(in, l[3:len(l)-2])
			} else if l[:3] == "out" && l[len(l)-1] == 'y' {
				out = append(out, l[4:len(l)-2])
			}
		}
		wantOrder(t, "in", in, "track1", "track2", "hold1", "hold2")
		wantOrder(t, "out", out, "hold1", "hold2", "track1", "track2")
	})
}

func wantOrder(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
