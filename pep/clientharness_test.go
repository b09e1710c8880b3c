package pep_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

const julietFull = "juliet@example.net/balcony"

// client is a client of an account on a stage, with mellium's mux.
func (s *stage) client(full string, o *pep.ClientOptions) *pep.Client {
	s.t.Helper()
	session := s.h.Session(full)
	c := pep.NewClient(session, o)
	go func() { _ = session.Serve(xmppmux.New(stanza.NSClient, c.Handle())) }() // ends with the connection
	s.t.Cleanup(c.Close)
	if s.sessions == nil {
		s.sessions = make(map[*pep.Client]*xmpp.Session)
	}
	s.sessions[c] = session
	return c
}

// present sends presence that says what a client of a stage watches.
func (s *stage) present(c *pep.Client) {
	s.t.Helper()
	var nodes []string
	for _, f := range c.Features() {
		nodes = append(nodes, strings.TrimSuffix(f, "+notify"))
	}
	caps := mux.Raw("<c xmlns='x:caps'>" + strings.Join(nodes, " ") + "</c>")
	if err := s.sessions[c].Send(s.t.Context(), stanza.Presence{}.Wrap(caps.TokenReader())); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// clientIQ is what a client has asked, as a played server sees it.
type clientIQ struct {
	XMLName xml.Name
	To      string `xml:"to,attr"`
	Type    string `xml:"type,attr"`
	ID      string `xml:"id,attr"`
	Inner   string `xml:",innerxml"`
}

// played is a server that is played by the test.
type played struct {
	t   testing.TB
	far net.Conn
	s   *xmpp.Session

	mu    sync.Mutex
	asked []clientIQ
	wrote bytes.Buffer // what the client has sent, as it is
}

// Write implements io.Writer for what the client has sent.
func (p *played) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrote.Write(b)
}

// dial makes juliet's session with a server that gives each request the answer that
// starts with what f returns: the payload of a result, an error element, or a whole stanza
// that starts with a blank; nothing for no answer.
func dial(t testing.TB, f func(q clientIQ) string) *played {
	t.Helper()
	t.Cleanup(synctest.Wait)
	return connect(t, f)
}

// connect is dial outside of bubbles.
func connect(t testing.TB, f func(q clientIQ) string) *played {
	t.Helper()
	near, far := net.Pipe()
	p := &played{t: t, far: far}
	go func() {
		if _, err := io.WriteString(far, "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>"); err != nil {
			return
		}
		d := xml.NewDecoder(io.TeeReader(far, p))
		for {
			t, err := d.Token()
			start, ok := t.(xml.StartElement)
			if err != nil {
				return
			}
			if !ok || start.Name.Local == "stream" {
				continue
			}
			var q clientIQ
			if err := d.DecodeElement(&q, &start); err != nil {
				return
			}
			p.mu.Lock()
			p.asked = append(p.asked, q)
			p.mu.Unlock()
			if q.XMLName.Local != "iq" || q.Type == "result" || q.Type == "error" {
				continue
			}
			a := f(q)
			switch {
			case a == "":
				continue
			case strings.HasPrefix(a, " "):
				a = strings.ReplaceAll(a, "${id}", q.ID)
			default:
				typ, from := "result", ""
				if strings.HasPrefix(a, "<error") {
					typ = "error"
				}
				if q.To != "" {
					from = " from='" + q.To + "'"
				}
				a = "<iq type='" + typ + "' id='" + q.ID + "'" + from + ">" + a + "</iq>"
			}
			if _, err := io.WriteString(far, a); err != nil {
				return
			}
		}
	}()
	negotiator := func(_ context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		in.XMLNS, out.XMLNS = stanza.NSClient, stanza.NSClient
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Ready, nil, nil, err
	}
	s, err := xmpp.NewSession(t.Context(), jid.MustParse("example.net"), jid.MustParse(julietFull), near, 0, negotiator)
	if err != nil {
		t.Fatal(err)
	}
	p.s = s
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return p
}

// client is a client on the played server.
func (p *played) client(o *pep.ClientOptions) *pep.Client {
	c := pep.NewClient(p.s, o)
	go func() { _ = p.s.Serve(xmppmux.New(stanza.NSClient, c.Handle())) }() // ends with the connection
	p.t.Cleanup(c.Close)
	return c
}

// send lets the server send.
func (p *played) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.far, text); err != nil {
		p.t.Fatal(err)
	}
	synctest.Wait()
}

// requests are those that came since.
func (p *played) requests() []clientIQ {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.asked
	p.asked = nil
	return l
}
