package private_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/private"
)

// asked is a request as a server sees it.
type asked struct {
	To    string `xml:"to,attr"`
	Type  string `xml:"type,attr"`
	ID    string `xml:"id,attr"`
	Query struct {
		Inner string `xml:",innerxml"`
	} `xml:"jabber:iq:private query"`
}

// client is a session with a server that answers one request, with ID for its id.
func client(t *testing.T, answer string) (*xmpp.Session, <-chan asked) {
	t.Helper()
	near, far := net.Pipe()
	got := make(chan asked, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := io.WriteString(far, "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>"); err != nil {
			return
		}
		var a asked
		if err := xml.NewDecoder(far).Decode(&a); err != nil {
			return
		}
		got <- a
		_, _ = io.WriteString(far, strings.ReplaceAll(answer, "ID", a.ID)) // a client that is gone does not mind
	}()
	negotiator := func(_ context.Context, _, _ *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Ready, nil, nil, err
	}
	s, err := xmpp.NewSession(t.Context(), jid.MustParse("example.net"), jid.MustParse(full), near, 0, negotiator)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(nil) // ends with the connection
	}()
	t.Cleanup(func() {
		near.Close()
		far.Close()
		<-ended
		<-served
	})
	return s, got
}

type exodus struct {
	XMLName xml.Name `xml:"exodus:prefs exodus"`
	Nick    string   `xml:"defaultnick"`
}

func TestClientGet(t *testing.T) {
	t.Parallel()
	s, got := client(t, "<iq type='result' id='ID'><query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus></query></iq>")
	var v exodus
	if err := private.Get(t.Context(), s, xml.Name{Space: "exodus:prefs", Local: "exodus"}, &v); err != nil || v.Nick != "Hamlet" {
		t.Errorf("got %+v, error %v", v, err)
	}
	if a := <-got; a.To != "" || a.Type != "get" || a.Query.Inner != `<exodus xmlns="exodus:prefs"></exodus>` {
		t.Errorf("asked %+v", a)
	}
}

func TestClientSet(t *testing.T) {
	t.Parallel()
	element := marshaler(func() xml.TokenReader {
		return xmlstream.Wrap(xmlstream.Token(xml.CharData("a <b>")), xml.StartElement{Name: xml.Name{Space: "x:y", Local: "a"}})
	})
	s, got := client(t, "<iq type='result' id='ID'/>")
	if err := private.Set(t.Context(), s, element); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.To != "" || a.Type != "set" || a.Query.Inner != `<a xmlns="x:y">a &lt;b&gt;</a>` {
		t.Errorf("asked %+v", a)
	}
	s, _ = client(t, "<iq type='error' id='ID'><error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	if err := private.Set(t.Context(), s, element); !errors.Is(err, stanza.Error{Condition: stanza.NotAcceptable}) {
		t.Errorf("error %v", err)
	}
}

type marshaler func() xml.TokenReader

func (m marshaler) TokenReader() xml.TokenReader { return m() }
