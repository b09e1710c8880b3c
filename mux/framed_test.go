package mux_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// framedConn notes each write.
type framedConn struct {
	mu     sync.Mutex
	writes []string
	end    []error
}

var _ mux.FramedConn = (*framedConn)(nil)

func (*framedConn) Framed()      {}
func (*framedConn) Pending() int { return 0 }

func (c *framedConn) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes = append(c.writes, string(p))
	return nil
}

func (c *framedConn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = append(c.end, err)
}

// take is what was written since it was last asked for.
func (c *framedConn) take() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.writes
	c.writes = nil
	return w
}

// expect compares the writes, octet for octet.
func (c *framedConn) expect(t *testing.T, want ...string) {
	t.Helper()
	got := c.take()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// bindFramed connects romeo by a framed connection.
func bindFramed(t *testing.T, h *muxtest.Host) (*framedConn, *mux.Stream) {
	t.Helper()
	h.AddAccount("romeo@example.net")
	c := new(framedConn)
	st := h.Mux().NewStream(c, mux.Client)
	st.SetAccount(addr("romeo@example.net"))
	if _, err := st.Bind(t.Context(), &mux.BindOptions{Resource: "orchard"}); err != nil {
		t.Fatal(err)
	}
	return c, st
}

// Each element is a write of its own and declares its namespace (RFC 7395 §3.3.3).
func TestFramed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, with(func(r *mux.Registry) { answers(r, "now", empty) }))
		c, st := bindFramed(t, h)
		juliet := h.Connect(t, julietFull)
		juliet.Send(messageTo(romeoFull, "1", "<body>a</body><x xmlns='urn:x'/>"), messageTo(romeoFull, "2", ""),
			"<presence to='"+romeoFull+"'/>")
		from := " from='" + julietFull + "' to='" + romeoFull + "'"
		c.expect(t, "<message xmlns='jabber:client'"+from+" id='1'><body>a</body><x xmlns='urn:x'/></message>",
			"<message xmlns='jabber:client'"+from+" id='2'/>", "<presence xmlns='jabber:client'"+from+"/>")

		// Two answers in one flush.
		for _, id := range []string{"3", "4"} {
			s, err := mux.Parse([]byte("<iq type='get' id='" + id + "'><now xmlns='" + nsToy + "'/></iq>"))
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Receive(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		}
		st.Flush()
		result := "<iq xmlns='jabber:client' from='romeo@example.net' to='" + romeoFull + "' type='result' id='%s'/>"
		c.expect(t, fmt.Sprintf(result, "3"), fmt.Sprintf(result, "4"))
	})
}

// A nonza is in its own namespace, with or without a prefix.
func TestFramedNonza(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		c, st := bindFramed(t, h)
		s := st.Session()
		s.Sync(func() {
			for _, raw := range []string{"<a xmlns='urn:xmpp:sm:3' h='1'/>", "<p:r xmlns:p='urn:xmpp:sm:3'/>", "<n xmlns='urn:n'><m/></n>"} {
				el, err := mux.Parse([]byte(raw))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Wire().Put(&mux.Item{Stanza: el}); err != nil {
					t.Error(err)
				}
			}
		})
		got := c.take()
		want := []string{"<a xmlns='urn:xmpp:sm:3' h='1'/>", "<p:r xmlns:p='urn:xmpp:sm:3'/>", "<n xmlns='urn:n'><m/></n>"}
		if len(got) != len(want) {
			t.Fatalf("got %q", got)
		}
		for i := range want {
			if err := muxtest.Match(want[i], got[i], nil); err != nil || strings.Count(got[i], " xmlns=") > 1 {
				t.Errorf("%v: got %s", err, got[i])
			}
		}
	})
}

// Writing waits for the store, and comes in frames then.
func TestFramedGated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: store}, with(func(r *mux.Registry) {
			r.Observe(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) {
				e.Work.Write(func(context.Context, mux.Tx) error { return nil })
			})
		}))
		c, _ := bindFramed(t, h)
		juliet := h.Connect(t, julietFull)
		store.Hold()
		juliet.Send(messageTo(romeoFull, "1", ""), messageTo(romeoFull, "2", ""), "<presence to='"+romeoFull+"'/>")
		c.expect(t)
		store.Release()
		from := " xmlns='jabber:client' from='" + julietFull + "' to='" + romeoFull + "'"
		c.expect(t, "<message"+from+" id='1'/>", "<message"+from+" id='2'/>", "<presence"+from+"/>")
	})
}

// Bulk, and what waits behind it.
func TestFramedFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		c, st := bindFramed(t, h)
		juliet := h.Connect(t, julietFull)
		page := 0
		st.Session().Feed(func(_ context.Context, emit func(mux.Item)) (bool, error) {
			if page++; page == 2 {
				juliet.Write(messageTo(romeoFull, "live", ""))
			}
			for i := range 3 {
				emit(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: fmt.Sprint(page, i)}), Extra: []byte("<d xmlns='urn:d'/>")})
			}
			return page < 3, nil
		})
		got := c.take()
		if len(got) != 10 || !strings.Contains(got[9], "id='live'") {
			t.Fatalf("got %q", got)
		}
		for i, el := range got[:9] {
			if want := fmt.Sprintf("<message xmlns='jabber:client' id='%d %d'><d xmlns='urn:d'/></message>", i/3+1, i%3); el != want {
				t.Errorf("got %s, want %s", el, want)
			}
		}
	})
}
