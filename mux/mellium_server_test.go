package mux_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// Two clients on mellium sessions talk; a request is answered by whom it was for,
// not by mellium.
func TestServe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, with(func(r *mux.Registry) { answers(r, "now", empty) }))
		romeo, juliet := serveClient(t, h, romeoFull, 0), serveClient(t, h, julietFull, 0)
		romeo.start()
		juliet.start()
		romeo.send(messageTo(julietFull, "1", "<body>a</body>")+" \n"+messageTo(julietFull, "2", "<x:y xmlns:x='urn:x' x:z='1'><body/></x:y>"),
			"<iq type='get' id='3' to='"+julietFull+"'><q xmlns='urn:q'/></iq>")
		from := "from='" + romeoFull + "' to='" + julietFull + "'"
		juliet.expect("<message "+from+" id='1'><body>a</body></message>",
			"<message "+from+" id='2'><x:y xmlns:x='urn:x' x:z='1'><body/></x:y></message>",
			"<iq type='get' id='3' "+from+"><q xmlns='urn:q'/></iq>")
		time.Sleep(time.Minute)
		romeo.expect()
		juliet.send("<iq type='result' id='3' to='"+romeoFull+"'><a xmlns='urn:q'/></iq>", messageTo(romeoFull, "4", "<body>b</body>"))
		back := "from='" + julietFull + "' to='" + romeoFull + "'"
		romeo.expect("<iq type='result' id='3' "+back+"><a xmlns='urn:q'/></iq>", "<message "+back+" id='4'><body>b</body></message>")
		romeo.send("<iq type='get' id='5' to='example.net'><now xmlns='" + nsToy + "'/></iq>")
		romeo.expect("<iq type='result' id='5' from='example.net' to='" + romeoFull + "'/>")
	})
}

func TestServeClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo, juliet := serveClient(t, h, romeoFull, 0), serveClient(t, h, julietFull, 0)
		romeo.start()
		juliet.start()
		session := romeo.st.Session()
		romeo.send(messageTo(romeoFull, "1", "") + messageTo(julietFull, "2", "") + closeTag)
		juliet.expect("<message from='" + romeoFull + "' to='" + julietFull + "' id='2'/>")
		romeo.expect("<message from='"+romeoFull+"' to='"+romeoFull+"' id='1'/>", closeTag, cut)
		if err, ok := ended(romeo.err); !ok || err != nil {
			t.Errorf("Serve: %v, %v", err, ok)
		}
		if session.State() != mux.Gone || len(h.Mux().Sessions(addr(romeoFull))) > 0 {
			t.Errorf("the session is %s", session.State())
		}
		juliet.st.Close(nil) // our own end
		juliet.expect(closeTag, cut)
		if _, ok := ended(juliet.err); !ok {
			t.Error("Serve goes on")
		}
	})
}

func TestServeErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sends string
		condition   string // of the stream error, if the peer gets one
		closed      bool   // properly
		err         error
	}{
		{"not well-formed in a stanza", "<message><body></message>", "not-well-formed", true, stream.NotWellFormed},
		{"not well-formed", "</iq>", "not-well-formed", true, stream.NotWellFormed},
		{"somebody else", "<message from='juliet@example.net'/>", "invalid-from", true, stream.InvalidFrom},
		{"unknown nonza", "<r xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type", true, stream.UnsupportedStanzaType},
		{"restricted XML in a stanza", "<message><!-- --></message>", "", false, nil}, // mellium has no error for it
		{"the peer's error", "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>" + closeTag, "", true, stream.Reset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil)
				romeo := serveClient(t, h, romeoFull, 0)
				romeo.start()
				session := romeo.st.Session()
				romeo.send(tt.sends)
				var want []string
				if tt.condition != "" {
					want = append(want, "<error xmlns='http://etherx.jabber.org/streams'><"+tt.condition+" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>")
				}
				if tt.closed {
					want = append(want, closeTag)
				}
				romeo.expect(append(want, cut)...)
				if err, _ := ended(romeo.err); err == nil || tt.err != nil && !errors.Is(err, tt.err) {
					t.Errorf("Serve: %v", err)
				}
				if session.State() != mux.Gone {
					t.Errorf("the session is %s", session.State())
				}
			})
		})
	}
}

// A connection that breaks ends the stream without a word.
func TestServeCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo := serveClient(t, h, romeoFull, 0)
		romeo.start()
		romeo.send("<message><body>")
		romeo.conn.Close()
		if err, ok := ended(romeo.err); !ok || err == nil {
			t.Errorf("Serve: %v, %v", err, ok)
		}
		if n := len(h.Mux().Sessions(addr(romeoFull))); n > 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// A peer that does not read is given up, and nobody waits for it.
func TestServeSlowPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo, juliet := serveClient(t, h, romeoFull, 1000), serveClient(t, h, julietFull, 0)
		juliet.start()
		session := romeo.st.Session()
		body := "<body>" + strings.Repeat("x", 300) + "</body>"
		for i := range 2 {
			juliet.send(messageTo(romeoFull, fmt.Sprint(i), body))
		}
		if n := session.Stream().Conn().Pending(); n < 600 || n > 1000 || session.State() != mux.Live {
			t.Errorf("%d octets are pending, the session is %s", n, session.State())
		}
		for i := range 5 {
			juliet.send(messageTo(romeoFull, fmt.Sprint(i), body))
		}
		if err, ok := ended(romeo.err); !ok || err == nil {
			t.Errorf("Serve: %v, %v", err, ok)
		}
		if session.State() != mux.Gone {
			t.Errorf("the session is %s", session.State())
		}
		juliet.send(messageTo(julietFull, "last", ""))
		got := juliet.arrived()
		if last := got[len(got)-1]; !strings.Contains(last, "last") {
			t.Errorf("got %s", last)
		}
	})
}

func TestSessionConnClose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		err   error
		reads bool
		want  []string
	}{
		{"properly", nil, true, []string{"<a xmlns='urn:a'/>", "<b xmlns='urn:a'/>", closeTag, cut}},
		{"stream error", stream.Conflict, true, []string{"<a xmlns='urn:a'/>", "<b xmlns='urn:a'/>",
			"<error xmlns='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>", closeTag, cut}},
		{"at once", net.ErrClosed, true, []string{cut}},
		{"properly, nobody reads", nil, false, []string{cut}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, s := wired(t, "example.net", romeoFull, true)
				c := mux.SessionConn(s, 0)
				for _, el := range []string{"<a xmlns='urn:a'/>", "<b xmlns='urn:a'/>"} {
					if err := c.Write([]byte(el)); err != nil {
						t.Error(err)
					}
				}
				if n := c.Pending(); n != 36 {
					t.Errorf("%d octets are pending", n)
				}
				c.Close(tt.err)
				c.Close(errTest) // the first counts
				if err := c.Write([]byte("<c/>")); !errors.Is(err, mux.ErrClosed) {
					t.Errorf("Write: %v", err)
				}
				synctest.Wait()
				if !tt.reads {
					time.Sleep(6 * time.Second)
				}
				w.start()
				w.expect(tt.want...)
			})
		})
	}
}

// Bulk is pulled as the peer reads.
func TestSessionConnFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo := serveClient(t, h, romeoFull, 0)
		session := romeo.st.Session()
		var mu sync.Mutex
		pages := 0
		c := mux.RawChild(name("urn:x", "x"), "<x xmlns='urn:x'>"+strings.Repeat("y", 40<<10)+"</x>")
		session.Feed(func(_ context.Context, emit func(mux.Item)) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			pages++
			emit(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: fmt.Sprint(pages)}, c)})
			return pages < 10, nil
		})
		synctest.Wait()
		mu.Lock()
		if pages > 2 {
			t.Errorf("%d pages for a peer that does not read", pages)
		}
		mu.Unlock()
		romeo.start()
		if got := romeo.arrived(); len(got) != 10 {
			t.Errorf("%d pages arrived", len(got))
		}
	})
}

// What the mux writes and what others write through mellium do not mix.
func TestSessionConnInterleaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, s := wired(t, "example.net", romeoFull, true)
		w.start()
		c := mux.SessionConn(s, 0)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					if err := c.Write([]byte("<message id='raw'><body>a</body></message>")); err != nil {
						t.Error(err)
					}
				}
			})
			all.Go(func() {
				for range 50 {
					m := stanza.Message{ID: "tokens"}.Wrap(xmlstream.Wrap(nil, xml.StartElement{Name: name("urn:x", "x")}))
					if err := s.Send(t.Context(), m); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		got := w.arrived()
		raw := slices.DeleteFunc(slices.Clone(got), func(el string) bool { return !strings.Contains(el, "raw") })
		if len(got) != 400 || len(raw) != 200 {
			t.Errorf("%d elements, %d raw", len(got), len(raw))
		}
	})
}
