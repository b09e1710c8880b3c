package csi_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// dial makes a client's session with a server that is played by the test and offers
// features; got is what it has read.
func dial(t *testing.T, features string) (s *xmpp.Session, got func() string, cut func()) {
	t.Helper()
	near, far := net.Pipe()
	cut = func() { near.Close(); far.Close() }
	t.Cleanup(cut)
	var read strings.Builder
	go func() {
		r := bufio.NewReader(far)
		for range 2 { // the declaration and the stream's header
			if _, err := r.ReadString('>'); err != nil {
				return
			}
		}
		if _, err := io.WriteString(far, "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' id='1' from='example.net' version='1.0'><stream:features><bind xmlns='urn:x'/>"+
			features+"</stream:features>"); err != nil {
			return
		}
		_, _ = io.Copy(&read, r) // until it is cut
	}()
	bind := xmpp.StreamFeature{Name: xml.Name{Space: "urn:x", Local: "bind"},
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			return true, nil, d.Skip()
		},
		Negotiate: func(context.Context, *xmpp.Session, any) (xmpp.SessionState, io.ReadWriter, error) {
			return xmpp.Ready, nil, nil
		}}
	negotiator := xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: []xmpp.StreamFeature{bind}}
	})
	s, err := xmpp.NewSession(t.Context(), jid.MustParse("example.net"), jid.MustParse(romeo), near, 0, negotiator)
	if err != nil {
		t.Fatal(err)
	}
	return s, func() string {
		synctest.Wait()
		text := read.String()
		read.Reset()
		return text
	}, cut
}

const offer = "<csi xmlns='urn:xmpp:csi:0'/>"

// said writes what a client has sent by local names, and checks their namespace.
func said(t *testing.T, text string) string {
	t.Helper()
	var names []string
	for text != "" {
		i := strings.Index(text, "></") + 1
		if i == 0 {
			t.Fatalf("no element: %q", text)
		}
		i += strings.IndexByte(text[i:], '>') + 1
		s := parse(t, text[:i])
		if s.Name().Space != csi.NS || s.Kind() != mux.Nonza || len(s.Children()) > 0 {
			t.Errorf("sent %s", text[:i])
		}
		names, text = append(names, s.Name().Local), text[i:]
	}
	return strings.Join(names, " ")
}

// TestClientFunctions: CSI-1, API-11: an element is sent where it is supported, and it
// is no error if it is not.
func TestClientFunctions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, features := range []string{"", offer} {
			s, got, _ := dial(t, features)
			supported := features != ""
			if csi.Supported(s) != supported {
				t.Errorf("%q: wrong support", features)
			}
			if told, err := csi.Inactive(t.Context(), s); told != supported || err != nil {
				t.Errorf("%q: told %t, %v", features, told, err)
			}
			if told, err := csi.Active(t.Context(), s); told != supported || err != nil {
				t.Errorf("%q: told %t, %v", features, told, err)
			}
			want := ""
			if supported {
				want = "inactive active"
			}
			if g := said(t, got()); g != want {
				t.Errorf("sent %q, want %q", g, want)
			}
		}
	})
}

// TestClient: CSI-24: real changes only, and what the client is again on each stream.
func TestClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c csi.Client
		want := func(told, wantTold bool, err error, got func() string, sent string) {
			t.Helper()
			if told != wantTold || err != nil {
				t.Errorf("told %t, %v", told, err)
			}
			if got == nil {
				return
			}
			if g := said(t, got()); g != sent {
				t.Errorf("sent %q, want %q", g, sent)
			}
		}
		told, err := c.Inactive(t.Context())
		want(told, false, err, nil, "") // there is no stream yet
		s, got, cut := dial(t, offer)
		told, err = c.Started(t.Context(), s)
		want(told, true, err, got, "inactive")
		told, err = c.Inactive(t.Context())
		want(told, false, err, got, "")
		told, err = c.Active(t.Context())
		want(told, true, err, got, "active")
		cut()
		if told, err = c.Inactive(t.Context()); told || err == nil {
			t.Errorf("told %t, %v", told, err)
		}
		c.Lost()
		told, err = c.Inactive(t.Context())
		want(told, false, err, nil, "")
		s, got, _ = dial(t, "") // goes on inside SASL2, without features
		told, err = c.Resumed(t.Context(), s)
		want(told, true, err, got, "inactive")
		s, got, _ = dial(t, "")
		told, err = c.Started(t.Context(), s)
		want(told, false, err, got, "")
		s, got, _ = dial(t, "")
		told, err = c.Bound(t.Context(), s, true)
		want(told, false, err, got, "")
		told, err = c.Active(t.Context())
		want(told, true, err, got, "active")
		if c.IsInactive() {
			t.Error("it is active")
		}
		s, got, _ = dial(t, offer)
		told, err = c.Started(t.Context(), s) // active as every stream
		want(told, false, err, got, "")
	})
}

// TestInitial: API-11: the member of Bind 2.
func TestInitial(t *testing.T) {
	t.Parallel()
	for inactive, want := range map[bool]string{true: "inactive", false: "active"} {
		b, err := xmlwrite.AppendTokens(nil, csi.Initial(inactive).TokenReader(), mux.NSClient)
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, string(b)); got.Name().Local != want || got.Name().Space != csi.NS {
			t.Errorf("got %s", b)
		}
	}
}
