package blocking_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
)

// asked is a request, or an answer, as a server sees it.
type asked struct {
	To      string `xml:"to,attr"`
	Type    string `xml:"type,attr"`
	ID      string `xml:"id,attr"`
	Payload struct {
		XMLName xml.Name
		Items   []struct {
			JID string `xml:"jid,attr"`
		} `xml:"urn:xmpp:blocking item"`
	} `xml:",any"`
}

func (a asked) String() string {
	s := a.Type + " " + a.Payload.XMLName.Local
	for _, i := range a.Payload.Items {
		s += " " + i.JID
	}
	return s
}

// far is the server's side of a session.
type far struct {
	t    *testing.T
	conn net.Conn
	d    *xml.Decoder
}

func (f *far) read() (a asked) {
	f.t.Helper()
	if err := f.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		f.t.Fatal(err)
	}
	if err := f.d.Decode(&a); err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *far) write(s string) {
	f.t.Helper()
	if _, err := io.WriteString(f.conn, s); err != nil {
		f.t.Fatal(err)
	}
}

// client is juliet's session, which is served with what handler makes of it.
func client(t *testing.T, handler func(s *xmpp.Session) xmpp.Handler) (*xmpp.Session, *far) {
	t.Helper()
	near, conn := net.Pipe()
	f := &far{t, conn, xml.NewDecoder(conn)}
	go func() {
		_, _ = io.WriteString(conn, "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>")
	}()
	negotiator := func(_ context.Context, _, _ *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Secure | xmpp.Ready, nil, nil, err
	}
	s, err := xmpp.NewSession(t.Context(), jid.MustParse("example.net"), jid.MustParse(julietFull), near, 0, negotiator)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	var h xmpp.Handler
	if handler != nil {
		h = handler(s)
	}
	go func() {
		defer close(served)
		_ = s.Serve(h) // ends with the connection
	}()
	t.Cleanup(func() {
		near.Close()
		conn.Close()
		<-served
	})
	return s, f
}

// asks runs a client's function against one answer, in which $ stands for the id.
func asks(t *testing.T, f func(ctx context.Context, s *xmpp.Session) error, answer string) (asked, error) {
	t.Helper()
	s, peer := client(t, nil)
	done := make(chan error, 1)
	go func() { done <- f(t.Context(), s) }()
	a := peer.read()
	peer.write(strings.ReplaceAll(answer, "$", a.ID))
	return a, <-done
}

const result = "<iq type='result' id='$'/>"

func TestClientSets(t *testing.T) {
	t.Parallel()
	romeo, iago := jid.MustParse("romeo@example.org"), jid.MustParse("shakespeare.lit/iago & <co>")
	for want, f := range map[string]func(ctx context.Context, s *xmpp.Session) error{
		"set block romeo@example.org shakespeare.lit/iago & <co>": func(ctx context.Context, s *xmpp.Session) error { return blocking.Block(ctx, s, romeo, iago) },
		"set unblock romeo@example.org":                           func(ctx context.Context, s *xmpp.Session) error { return blocking.Unblock(ctx, s, romeo) },
		"set unblock":                                             blocking.UnblockAll,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			a, err := asks(t, f, result)
			if err != nil || a.String() != want || a.To != "" || a.Payload.XMLName.Space != blocking.NS {
				t.Errorf("asked %+v, error %v", a, err)
			}
			_, err = asks(t, f, "<iq type='error' id='$'><error type='wait'><resource-constraint xmlns='"+mux.NSStanza+"'/></error></iq>")
			var se stanza.Error
			if !errors.As(err, &se) || se.Condition != stanza.ResourceConstraint {
				t.Errorf("error %v", err)
			}
			for _, from := range []string{"romeo@example.org", "example.org", "juliet@example.net/other", "@"} {
				if _, err := asks(t, f, "<iq type='result' id='$' from='"+from+"'/>"); !errors.Is(err, blocking.ErrSender) {
					t.Errorf("answered by %s: error %v", from, err)
				}
			}
		})
	}
}

func TestClientList(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, items, want, err string }{
		{"", "", "[]", ""},
		{"", "<item jid='romeo@example.org'/><item jid='example.com/a&lt;b'/>", "[romeo@example.org example.com/a<b]", ""},
		{"juliet@example.net", "<item jid='a.org'/>", "[a.org]", ""},
		{julietFull, "<item jid='a.org'/>", "[a.org]", ""},
		{"example.net", "<item jid='a.org'/>", "[a.org]", ""},
		{"", "<item jid='a.org'/><item jid='@'/><item jid='b.org'/>", "[a.org b.org]", `address "@"`},
		{"", "<item jid='a.org'/><item/>", "[]", "malformed payload"},
		{"romeo@example.org", "<item jid='a.org'/>", "[]", blocking.ErrSender.Error()},
	} {
		t.Run(tt.from+" "+tt.items, func(t *testing.T) {
			t.Parallel()
			var list []jid.JID
			from := ""
			if tt.from != "" {
				from = " from='" + tt.from + "'"
			}
			a, err := asks(t, func(ctx context.Context, s *xmpp.Session) (err error) {
				list, err = blocking.List(ctx, s)
				return err
			}, "<iq type='result' id='$'"+from+"><blocklist xmlns='urn:xmpp:blocking'>"+tt.items+"</blocklist></iq>")
			if fmt.Sprint(list) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, error %v, want %s, error %s", list, err, tt.want, tt.err)
			}
			if a.String() != "get blocklist" || a.To != "" {
				t.Errorf("asked %+v", a)
			}
		})
	}
	for _, answer := range []string{result, "<iq type='result' id='$'><block xmlns='urn:xmpp:blocking'/></iq>", "<iq type='result' id='$'>text</iq>"} {
		if _, err := asks(t, func(ctx context.Context, s *xmpp.Session) error { _, err := blocking.List(ctx, s); return err }, answer); err == nil {
			t.Errorf("%s: no error", answer)
		}
	}
}

// TestClientNone: nothing is sent, in particular no wish to unblock all.
func TestClientNone(t *testing.T) {
	t.Parallel()
	s, _ := client(t, nil)
	for _, err := range []error{
		blocking.Block(t.Context(), s), blocking.Unblock(t.Context(), s),
		blocking.Block(t.Context(), s, jid.JID{}), blocking.Unblock(t.Context(), s, jid.MustParse("a.org"), jid.JID{}),
	} {
		if !errors.Is(err, blocking.ErrNone) {
			t.Errorf("error %v", err)
		}
	}
}

// TestWatch: pushes count if they come from the account itself, in both muxes.
func TestWatch(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(w *blocking.Watcher, s *xmpp.Session) xmpp.Handler{
		"mellium": func(w *blocking.Watcher, _ *xmpp.Session) xmpp.Handler {
			return xmppmux.New(stanza.NSClient, w.Handle())
		},
		"client session": func(w *blocking.Watcher, s *xmpp.Session) xmpp.Handler {
			c, err := mux.NewClientSession(t.Context(), s, nil, w)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close(nil) })
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 10)
			_, f := client(t, func(s *xmpp.Session) xmpp.Handler {
				return handler(blocking.Watch(s.LocalAddr(), func(c blocking.Change) { got <- fmt.Sprint(c.Blocked, c.Addresses) }), s)
			})
			for _, tt := range []struct{ from, payload, want string }{
				{"", "<block xmlns='urn:xmpp:blocking'><item jid='romeo@example.org'/><item jid='a.org'/></block>", "true [romeo@example.org a.org]"},
				{"juliet@example.net", "<unblock xmlns='urn:xmpp:blocking'><item jid='romeo@example.org'/></unblock>", "false [romeo@example.org]"},
				{"", "<unblock xmlns='urn:xmpp:blocking'/>", "false []"},
				{"romeo@example.org", "<unblock xmlns='urn:xmpp:blocking'/>", ""},
				{"example.net", "<unblock xmlns='urn:xmpp:blocking'/>", ""},
				{"juliet@example.net/other", "<block xmlns='urn:xmpp:blocking'><item jid='a.org'/></block>", ""},
				{"", "<block xmlns='urn:xmpp:blocking'/>", ""},
				{"", "<unblock xmlns='urn:xmpp:blocking'><item jid='@'/></unblock>", ""},
				{"", "<unblock xmlns='urn:xmpp:blocking'><all/></unblock>", ""},
			} {
				from := ""
				if tt.from != "" {
					from = " from='" + tt.from + "'"
				}
				f.write("<iq type='set' id='1'" + from + " to='" + julietFull + "'>" + tt.payload + "</iq>")
				a := f.read()
				switch {
				case a.ID != "1" || (a.Type == "result") != (tt.want != ""):
					t.Errorf("%+v: answered %+v", tt, a)
				case tt.want == "":
				default:
					if c := <-got; c != tt.want {
						t.Errorf("%+v: got %s", tt, c)
					}
				}
			}
			if len(got) > 0 {
				t.Errorf("got also %s", <-got)
			}
		})
	}
}
