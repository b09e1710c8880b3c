package vcard_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/vcard"
)

// shelf is a server that keeps one card as it is written, or refuses to show it.
func shelf(t *testing.T, card *string, refuse string) *xmpp.Session {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		_, _ = io.WriteString(far, "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>")
		for d := xml.NewDecoder(far); ; {
			var q struct {
				ID    string `xml:"id,attr"`
				Type  string `xml:"type,attr"`
				Inner string `xml:",innerxml"`
			}
			if err := d.Decode(&q); err != nil {
				return
			}
			answer := "<iq type='result' id='" + q.ID + "'/>"
			switch {
			case q.Type == "set":
				*card = q.Inner
			case refuse != "":
				answer = "<iq type='error' id='" + q.ID + "'><error type='cancel'><" + refuse + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
			case *card != "":
				answer = "<iq type='result' id='" + q.ID + "'>" + *card + "</iq>"
			}
			if _, err := io.WriteString(far, answer); err != nil {
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
	s, err := xmpp.NewSession(t.Context(), jid.MustParse("example.net"), jid.MustParse(full), near, 0, negotiator)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(nil) }() // ends with the connection
	t.Cleanup(func() {
		near.Close()
		far.Close()
		synctest.Wait()
	})
	return s
}

// TestClientUpdate: a card is changed as a whole, and what nobody here knows stays.
func TestClientUpdate(t *testing.T) {
	t.Parallel()
	rename := func(c *vcard.Document) error {
		return errors.Join(c.Set("Romeo & Co", "FN"), c.Set("Montague", "N", "FAMILY"), c.Set("", "NICKNAME"))
	}
	synctest.Test(t, func(t *testing.T) {
		card := ""
		s := shelf(t, &card, "")
		if err := vcard.Update(t.Context(), s, rename); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(card, "Romeo &amp; Co") {
			t.Errorf("first %s", card)
		}
		card = "<vCard xmlns='vcard-temp' xmlns:p='urn:p'><FN>R</FN><X-ODD p:a='1'>odd<x xmlns='urn:x'/></X-ODD><NICKNAME>r</NICKNAME><PHOTO><TYPE>image/png</TYPE><BINVAL>AQ==</BINVAL></PHOTO></vCard>"
		if err := vcard.Update(t.Context(), s, func(c *vcard.Document) error {
			if c.Text("PHOTO", "TYPE") != "image/png" || c.Text("FN") != "R" || c.Text("TITLE") != "" {
				t.Errorf("got %+v", c)
			}
			return rename(c)
		}); err != nil {
			t.Fatal(err)
		}
		var v struct {
			FN     string
			Family string  `xml:"N>FAMILY"`
			Nick   *string `xml:"NICKNAME"`
			Odd    struct {
				A    string    `xml:"urn:p a,attr"`
				Text string    `xml:",chardata"`
				X    *struct{} `xml:"urn:x x"`
			} `xml:"X-ODD"`
			Photo string `xml:"PHOTO>BINVAL"`
		}
		if err := vcard.Get(t.Context(), s, jid.JID{}, &v); err != nil || v.FN != "Romeo & Co" || v.Family != "Montague" || v.Nick != nil ||
			v.Odd.A != "1" || v.Odd.Text != "odd" || v.Odd.X == nil || v.Photo != "AQ==" {
			t.Errorf("then %+v, error %v, of %s", v, err, card)
		}
		card = "<query xmlns='urn:x'><FN xmlns='vcard-temp'>R</FN></query>"
		if err := vcard.Update(t.Context(), s, rename); err == nil || !strings.HasPrefix(card, "<query") {
			t.Errorf("what is no card is replaced by %s", card)
		}
		before := card
		for _, f := range []func(c *vcard.Document) error{
			func(*vcard.Document) error { return io.ErrUnexpectedEOF },
			func(c *vcard.Document) error { return c.Set("\x01", "FN") },
		} {
			if err := vcard.Update(t.Context(), s, f); err == nil || card != before {
				t.Errorf("error %v, card %s", err, card)
			}
		}
	})
	for refuse, replaced := range map[string]bool{"item-not-found": true, "internal-server-error": false} {
		synctest.Test(t, func(t *testing.T) {
			card := ""
			err := vcard.Update(t.Context(), shelf(t, &card, refuse), rename)
			if replaced != (err == nil) || replaced != (card != "") || !replaced && !errors.Is(err, stanza.Error{Condition: stanza.InternalServerError}) {
				t.Errorf("%s: error %v, card %s", refuse, err, card)
			}
		})
	}
}
