package register_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"testing"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/register"
)

// asked is a request as a server sees it.
type asked struct {
	To    string `xml:"to,attr"`
	Type  string `xml:"type,attr"`
	ID    string `xml:"id,attr"`
	Query struct {
		Username *string   `xml:"jabber:iq:register username"`
		Password *string   `xml:"jabber:iq:register password"`
		Remove   *struct{} `xml:"jabber:iq:register remove"`
	} `xml:"jabber:iq:register query"`
}

// client is romeo's session with a server that answers one request.
func client(t *testing.T, state xmpp.SessionState, answer func(id string) string) (*xmpp.Session, <-chan asked) {
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
		_, _ = io.WriteString(far, answer(a.ID)) // a client that is gone does not mind
	}()
	s, served := serve(t, near, state)
	t.Cleanup(func() {
		near.Close()
		far.Close()
		<-ended
		<-served
	})
	return s, got
}

// serve is romeo's session over a connection whose other side sends a header, and serves
// until it ends.
func serve(t *testing.T, near net.Conn, state xmpp.SessionState) (*xmpp.Session, <-chan struct{}) {
	t.Helper()
	negotiator := func(_ context.Context, _, _ *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return state | xmpp.Ready, nil, nil, err
	}
	s, err := xmpp.NewSession(t.Context(), jid.MustParse(domain), jid.MustParse(romeo+"/orchard"), near, 0, negotiator)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(nil) // ends with the connection
	}()
	return s, served
}

func result(id string) string { return "<iq type='result' id='" + id + "'/>" }

func TestClientChangePassword(t *testing.T) {
	t.Parallel()
	s, got := client(t, xmpp.Secure, result)
	if err := register.ChangePassword(t.Context(), s, "a <b> & c"); err != nil {
		t.Fatal(err)
	}
	a := <-got
	if a.To != "" || a.Type != "set" || a.Query.Remove != nil || a.Query.Username == nil || *a.Query.Username != "romeo" ||
		a.Query.Password == nil || *a.Query.Password != "a <b> & c" {
		t.Errorf("asked %+v", a)
	}
}

func TestClientRemove(t *testing.T) {
	t.Parallel()
	s, got := client(t, xmpp.Secure, result)
	if err := register.Remove(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.To != "" || a.Type != "set" || a.Query.Remove == nil || a.Query.Username != nil || a.Query.Password != nil {
		t.Errorf("asked %+v", a)
	}
}

func TestClientRefused(t *testing.T) {
	t.Parallel()
	s, _ := client(t, xmpp.Secure, func(id string) string {
		return "<iq type='error' id='" + id + "'><error code='405' type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
	})
	err := register.Remove(t.Context(), s)
	var se stanza.Error
	if !errors.As(err, &se) || se.Condition != stanza.NotAllowed {
		t.Errorf("error %v", err)
	}
}

// TestClientInsecure: RG-13, nothing is sent without TLS.
func TestClientInsecure(t *testing.T) {
	t.Parallel()
	s, got := client(t, 0, result)
	if err := register.ChangePassword(t.Context(), s, password); !errors.Is(err, register.ErrInsecure) {
		t.Errorf("error %v", err)
	}
	if err := register.Remove(t.Context(), s); !errors.Is(err, register.ErrInsecure) {
		t.Errorf("error %v", err)
	}
	select {
	case a := <-got:
		t.Errorf("asked %+v", a)
	default:
	}
}
