package vcard_test

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

	"github.com/propolis-im/propolis/vcard"
)

// asked is a request as a server sees it.
type asked struct {
	To   string `xml:"to,attr"`
	Type string `xml:"type,attr"`
	ID   string `xml:"id,attr"`
	Card struct {
		Inner string `xml:",innerxml"`
	} `xml:"vcard-temp vCard"`
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

func TestClientGet(t *testing.T) {
	t.Parallel()
	for to, of := range map[string]jid.JID{"": {}, "romeo@example.net": jid.MustParse("romeo@example.net/orchard")} {
		s, got := client(t, "<iq type='result' id='ID' from='"+to+"'><vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard></iq>")
		var v struct {
			FN string
		}
		if err := vcard.Get(t.Context(), s, of, &v); err != nil || v.FN != "Romeo" {
			t.Errorf("%q: got %+v, error %v", to, v, err)
		}
		if a := <-got; a.To != to || a.Type != "get" || a.Card.Inner != "" {
			t.Errorf("asked %+v", a)
		}
	}
	occupant := jid.MustParse("room@chat.example/romeo")
	s, got := client(t, "<iq type='result' id='ID' from='room@chat.example/romeo'><vCard xmlns='vcard-temp'/></iq>")
	if err := vcard.GetAt(t.Context(), s, occupant, &struct{}{}); err != nil {
		t.Error(err)
	}
	if a := <-got; a.To != occupant.String() {
		t.Errorf("asked %+v", a)
	}
	s, _ = client(t, "<iq type='error' id='ID'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	if err := vcard.Get(t.Context(), s, jid.JID{}, nil); !errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}) {
		t.Errorf("error %v", err)
	}
}

func TestClientSet(t *testing.T) {
	t.Parallel()
	s, got := client(t, "<iq type='result' id='ID'/>")
	err := vcard.Set(t.Context(), s, marshaler(func() xml.TokenReader {
		fn := xmlstream.Wrap(xmlstream.Token(xml.CharData("a <b>")), xml.StartElement{Name: xml.Name{Local: "FN"}})
		return xmlstream.Wrap(fn, xml.StartElement{Name: vcard.Name})
	}))
	if err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.To != "" || a.Type != "set" || a.Card.Inner != "<FN>a &lt;b&gt;</FN>" {
		t.Errorf("asked %+v", a)
	}
}

type marshaler func() xml.TokenReader

func (m marshaler) TokenReader() xml.TokenReader { return m() }
