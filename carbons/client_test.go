package carbons_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
)

// asked is a request as a server sees it.
type asked struct {
	XMLName xml.Name
	To      string                     `xml:"to,attr"`
	Type    string                     `xml:"type,attr"`
	ID      string                     `xml:"id,attr"`
	Payload struct{ XMLName xml.Name } `xml:",any"`
}

// site is a server that is played by the test: answer is called for each element.
type site struct {
	far   net.Conn
	asked []asked
}

// dial makes romeo's session with a server.
func dial(t *testing.T, answer func(a asked) string) (*xmpp.Session, *site) {
	t.Helper()
	near, far := net.Pipe()
	p := &site{far: far}
	go func() {
		if _, err := io.WriteString(far, "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>"); err != nil {
			return
		}
		d := xml.NewDecoder(far)
		for {
			var a asked
			if err := d.Decode(&a); err != nil {
				return
			}
			p.asked = append(p.asked, a)
			if _, err := io.WriteString(far, answer(a)); err != nil {
				return
			}
		}
	}()
	negotiator := func(_ context.Context, _, _ *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Ready, nil, nil, err
	}
	s, err := xmpp.NewSession(t.Context(), jid.MustParse("example.net"), jid.MustParse(own.String()), near, 0, negotiator)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return s, p
}

const notAllowed = "<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

// answers answers requests: with features, a result or an error.
func answers(features []string, refuse bool) func(a asked) string {
	return func(a asked) string {
		switch {
		case a.XMLName.Local != "iq":
			return ""
		case refuse:
			return "<iq type='error' id='" + a.ID + "' from='" + a.To + "'>" + notAllowed + "</iq>"
		case a.Type == "get":
			vars := ""
			for _, f := range features {
				vars += "<feature var='" + f + "'/>"
			}
			return "<iq type='result' id='" + a.ID + "' from='" + a.To + "'><query xmlns='http://jabber.org/protocol/disco#info'>" + vars + "</query></iq>"
		}
		return "<iq type='result' id='" + a.ID + "'/>"
	}
}

// TestClientFunctions: what clients ask, and what comes of it.
func TestClientFunctions(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, p := dial(t, answers([]string{"urn:xmpp:ping", carbons.NS, carbons.NSRules}, refuse))
			go func() { _ = s.Serve(nil) }() // ends with the connection
			check := func(err error) {
				t.Helper()
				if refuse != errors.Is(err, stanza.Error{Condition: stanza.NotAllowed}) || !refuse && err != nil {
					t.Errorf("refused %t: error %v", refuse, err)
				}
			}
			check(carbons.Enable(t.Context(), s))
			check(carbons.Disable(t.Context(), s))
			copies, rules, err := carbons.Supported(t.Context(), s)
			check(err)
			if copies == refuse || rules == refuse {
				t.Errorf("refused %t: supported %t %t", refuse, copies, rules)
			}
			synctest.Wait()
			var got []string
			for _, a := range p.asked {
				got = append(got, a.Type+" "+a.To+" "+a.Payload.XMLName.Space+" "+a.Payload.XMLName.Local)
			}
			want := []string{"set  urn:xmpp:carbons:2 enable", "set  urn:xmpp:carbons:2 disable", "get example.net http://jabber.org/protocol/disco#info query"}
			if !slices.Equal(got, want) {
				t.Errorf("asked %q", got)
			}
			_ = p.far.Close()
			synctest.Wait()
		})
	}
}

// TestSupported: CC-18: copies without the rules.
func TestSupported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := dial(t, answers([]string{carbons.NS}, false))
		go func() { _ = s.Serve(nil) }()
		if copies, rules, err := carbons.Supported(t.Context(), s); !copies || rules || err != nil {
			t.Errorf("supported %t %t, error %v", copies, rules, err)
		}
		_ = p.far.Close()
		synctest.Wait()
	})
}

// client is a Client on a session, with what it and an extension behind it have seen.
type client struct {
	*carbons.Client
	p           *site
	got, passed []string
	answered    int
	err         error
}

func startClient(t *testing.T, manual, refuse bool) *client {
	t.Helper()
	s, p := dial(t, answers(nil, refuse))
	c := &client{p: p}
	c.Client = carbons.NewClient(func(_ context.Context, _ *mux.Event, cp carbons.Copy) {
		c.got = append(c.got, cp.Direction.String()+" "+cp.Message.ID())
	}, &carbons.ClientOptions{Manual: manual, Answered: func(_ context.Context, _ *mux.Event, err error) {
		c.answered++
		c.err = err
	}})
	m, err := mux.NewClientSession(t.Context(), s, nil, c.Client, ext(func(r *mux.Registry) {
		r.Observe(mux.FromPeer, mux.Message, func(_ context.Context, e *mux.Event) { c.passed = append(c.passed, e.Stanza.ID()) })
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(nil) })
	go func() { _ = s.Serve(m) }()
	synctest.Wait()
	return c
}

// send lets the server send.
func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c.p.far, text); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// TestClient: CC-32, CC-38: a session enables carbons; copies go to their handler, and
// what claims to be one reaches nobody.
func TestClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, false, false)
		if !c.Enabled() || c.answered != 1 || c.err != nil || len(c.p.asked) != 1 || c.p.asked[0].Payload.XMLName.Local != "enable" {
			t.Errorf("enabled %t, answered %d, error %v, asked %+v", c.Enabled(), c.answered, c.err, c.p.asked)
		}
		for name, text := range genuine {
			c.send(t, text)
			if len(c.got) != 1 || !strings.HasSuffix(c.got[0], " m") {
				t.Errorf("%s: got %q", name, c.got)
			}
			c.got = nil
		}
		for _, tt := range forged {
			if strings.HasPrefix(tt.text, "<message") {
				c.send(t, tt.text)
			}
		}
		c.send(t, wrapped(" from='a@@b'", "sent", written))
		if len(c.got)+len(c.passed) > 0 {
			t.Errorf("got %q, passed %q", c.got, c.passed)
		}
		c.send(t, "<message from='juliet@example.org/x' id='m1'><body>x</body></message>")
		if !slices.Equal(c.passed, []string{"m1"}) || len(c.got) > 0 {
			t.Errorf("got %q, passed %q", c.got, c.passed)
		}
		if len(c.p.asked) != 1 {
			t.Errorf("the server got %+v", c.p.asked[1:]) // an answer to what was dropped
		}
	})
}

// TestClientRefused: a server that makes no copies, and a client that does not ask.
func TestClientRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, false, true)
		if c.Enabled() || c.answered != 1 || !errors.Is(c.err, stanza.Error{Condition: stanza.NotAllowed}) {
			t.Errorf("enabled %t, answered %d, error %v", c.Enabled(), c.answered, c.err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if c := startClient(t, true, false); c.Enabled() || c.answered != 0 || len(c.p.asked) > 0 {
			t.Errorf("enabled %t, answered %d", c.Enabled(), c.answered)
		}
	})
	if _, err := mux.New(nil, nil, carbons.NewClient(nil, nil)); err == nil {
		t.Error("a client that does nothing with copies")
	}
}

// TestPrivate: CC-37.
func TestPrivate(t *testing.T) {
	t.Parallel()
	s, err := carbons.Private(parse(t, "<message to='juliet@example.org/x'><body>x</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(s.Append(nil, "")); got != "<message to='juliet@example.org/x'><body>x</body><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/></message>" {
		t.Errorf("got %s", got)
	}
	for _, to := range []string{"", " to='juliet@example.org'"} {
		if _, err := carbons.Private(parse(t, "<message"+to+"/>")); !errors.Is(err, carbons.ErrBare) {
			t.Errorf("to %q: error %v", to, err)
		}
	}
}

// TestReadOnSession: a session of mellium gives its handler a copy with an empty
// sender, since that is the own account; forged ones keep theirs.
func TestReadOnSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := dial(t, func(asked) string { return "" })
		var got []string
		go func() {
			_ = s.Serve(xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
				_, c, err := carbons.Read(*start, r, own)
				if err != nil {
					got = append(got, err.Error())
					return nil
				}
				got = append(got, c.Direction.String()+" "+c.Message.ID())
				return nil
			})) // ends with the connection
		}()
		_, err := io.WriteString(p.far, wrapped(fromOwn, "sent", written)+wrapped(" from='romeo@example.net/home'", "sent", written)+
			wrapped(" from='tybalt@example.org'", "received", arrived)+wrapped("", "received", arrived))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []string{"sent m", carbons.ErrForeign.Error(), carbons.ErrForeign.Error(), "received m"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		_ = p.far.Close()
		synctest.Wait()
	})
}
