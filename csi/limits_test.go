package csi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const (
	active   = "<active xmlns='urn:xmpp:csi:0'/>"
	inactive = "<inactive xmlns='urn:xmpp:csi:0'/>"
	enable   = "<enable xmlns='urn:xmpp:sm:3'/>"
)

// phone is romeo's inactive client and a server from which others send to it.
func phone(t *testing.T, o csi.Options, more ...mux.Extension) (h *muxtest.Host, x *csi.Extension, c, org *muxtest.Client) {
	t.Helper()
	x = csi.New(&o)
	h = muxtest.New(t, &mux.Options{NoRecover: true}, append([]mux.Extension{x}, more...)...)
	if err := h.Mux().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = h.Connect(t, romeo)
	c.Send(inactive)
	return h, x, c, h.DialDomain(t, mux.Server, "example.org")
}

func shows(from, id string) string {
	return "<presence from='" + from + "@example.org/a' to='" + romeo + "' id='" + id + "'/>"
}

func says(from, id string) string {
	return "<message from='" + from + "@example.org/a' to='" + romeo + "' type='chat' id='" + id + "'><body>x</body></message>"
}

func shouts(from, id string) string {
	return "<message from='" + from + "@example.org/a' to='" + romeo + "' type='headline' id='" + id + "'/>"
}

// ids are those of all that has arrived, nonzas by their names.
func ids(t *testing.T, c *muxtest.Client) (ids []string) {
	t.Helper()
	for _, el := range c.Arrived() {
		if strings.HasPrefix(el, "</") || strings.HasPrefix(el, "<stream:") || el == muxtest.Dropped {
			ids = append(ids, el)
			continue
		}
		s := parse(t, el)
		if s.Kind() == mux.Nonza {
			ids = append(ids, s.Name().Local)
			continue
		}
		ids = append(ids, s.ID())
	}
	c.Clear()
	return ids
}

func wantIDs(t *testing.T, c *muxtest.Client, want ...string) {
	t.Helper()
	if got := ids(t, c); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// TestCountBound: CSI-21: one more than may be held has the others sent, in order.
func TestCountBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, x, c, org := phone(t, csi.Options{MaxHeld: 3})
		org.Send(shows("a", "1"), shows("b", "2"), shows("c", "3"), shows("b", "4"), shows("c", "5"))
		wantIDs(t, c)
		org.Send(shows("d", "6"))
		wantIDs(t, c, "1", "4", "5")
		org.Send(shows("d", "7"), shows("a", "8"))
		wantIDs(t, c)
		n := x.Stats()
		if n.Held != 8 || n.Collapsed != 3 || n.Holding != 2 || n.Inactive != 1 || n.Flushed[csi.ByOverflow] != (csi.Flushed{Times: 1, Stanzas: 3}) {
			t.Errorf("%+v", n)
		}
	})
}

// TestByteBound: CSI-21: octets count as well, and what is too big by itself is not held.
func TestByteBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, x, c, org := phone(t, csi.Options{MaxBytes: 2000})
		status := func(from, id string, n int) string {
			return strings.Replace(shows(from, id), "/>", "><status>"+strings.Repeat("x", n)+"</status></presence>", 1)
		}
		org.Send(status("a", "1", 500), status("b", "2", 500))
		wantIDs(t, c)
		org.Send(status("c", "3", 500))
		wantIDs(t, c, "1", "2")
		org.Send(status("d", "4", 5000))
		wantIDs(t, c, "3", "4")
		if n := x.Stats(); n.Holding != 0 || n.Bytes != 0 || n.Flushed[csi.ByOverflow].Stanzas != 3 {
			t.Errorf("%+v", n)
		}
	})
}

// TestAgeBound: CSI-21: nothing is held longer than allowed, as long as there is
// somebody to get it.
func TestAgeBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, x, c, org := phone(t, csi.Options{MaxAge: time.Minute}, new(tracker))
		pass := func(d time.Duration) { time.Sleep(d); h.Settle() }
		c.Send(enable)
		c.Clear()
		org.Send(shows("a", "1"))
		pass(30 * time.Second)
		org.Send(shows("b", "2"))
		pass(20 * time.Second)
		org.Send(shows("a", "3"))
		pass(20 * time.Second)
		wantIDs(t, c)
		pass(21 * time.Second)
		wantIDs(t, c, "2", "3")
		org.Send(shows("a", "4"))
		c.Drop()
		pass(5 * time.Minute)
		if n := x.Stats(); n.Holding != 1 || n.Flushed[csi.ByAge] != (csi.Flushed{Times: 1, Stanzas: 2}) {
			t.Errorf("%+v", n)
		}
	})
}

// TestPerSender: CSI-15: with the option something important takes along what is held
// from its sender, of all resources, and nothing else; while the radio is awake order
// is kept for each sender.
func TestPerSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _, c, org := phone(t, csi.Options{PerSender: true})
		org.Send(shows("a", "1"), shows("b", "2"), strings.Replace(shows("a", "3"), "/a'", "/b'", 1))
		org.Send(says("a", "4"))
		wantIDs(t, c, "1", "3", "4")
		org.Send(shows("b", "5"))
		wantIDs(t, c, "2", "5")
		org.Send(shows("c", "6"))
		wantIDs(t, c, "6")
		time.Sleep(9 * time.Second)
		h.Settle()
		org.Send(shows("a", "7"), shows("b", "8"))
		wantIDs(t, c)
		c.Send("<message to='a@example.org' id='m'/>")
		wantIDs(t, c, "7", "8")
		org.Send(shows("d", "9")) // although nothing was answered
		wantIDs(t, c, "9")
		h.Routed("example.org")
	})
}

// TestAwakeOff: the time in which everything passes can be none.
func TestAwakeOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, c, org := phone(t, csi.Options{Awake: -1})
		org.Send(says("a", "1"), shows("a", "2"))
		wantIDs(t, c, "1")
		c.Send("<iq type='get' id='i' to='example.net'><x xmlns='urn:x'/></iq>")
		wantIDs(t, c, "2", "i")
		org.Send(shows("a", "3"))
		wantIDs(t, c)
	})
}

// TestProbe: CSI-22: the server's own ping to an inactive client, and the answer, wake
// nothing; those of others do.
func TestProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _, c, org := phone(t, csi.Options{})
		ping := func(from, answer string) {
			t.Helper()
			iq := mux.Make(mux.Head{Kind: mux.IQ, Type: "get", From: mux.MustParseAddress(from), To: mux.MustParseAddress(romeo)},
				mux.RawChild(pingName, "<ping xmlns='urn:xmpp:ping'/>"))
			h.Mux().Go(mux.MustParseAddress("romeo@example.net"), func(ctx context.Context, e *mux.Event) {
				e.Query(ctx, iq, func(context.Context, *mux.Event, *mux.Stanza, error) {})
			})
			h.Settle()
			c.Send(strings.ReplaceAll(answer, "ID", c.Recv().ID()))
		}
		org.Send(shows("a", "1"))
		ping("example.net", "<iq type='result' to='example.net' id='ID'/>")
		ping("example.net", "<iq type='error' id='ID'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		wantIDs(t, c)
		time.Sleep(time.Hour)
		c.Send("<iq type='result' to='example.net' id='other'/>") // not that
		wantIDs(t, c, "1")
	})
}

// TestSilence: CSI-4, CSI-6: nobody is told. Nothing leaves because a client says how
// it is, and probes, discovery and requests are answered as before.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, x, c, _ := phone(t, csi.Options{})
		desk := h.Connect(t, "romeo@example.net/desk")
		desk.Send("<presence/>")
		desk.Clear()
		for range 3 {
			c.Send(active, inactive, inactive)
			if !x.Inactive(c.Session) || x.Inactive(desk.Session) {
				t.Error("wrong state")
			}
			c.Send(active, active)
			if x.Inactive(c.Session) {
				t.Error("wrong state")
			}
		}
		c.ExpectNone()
		desk.ExpectNone()
		if got := h.Routed("example.org"); len(got) > 0 {
			t.Errorf("sent %q", got)
		}
	})
}
