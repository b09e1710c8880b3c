package carbons_test

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
)

var own = mux.MustParseAddress("romeo@example.net/orchard")

// wrapped is a copy.
func wrapped(attrs, way, inner string) string {
	return "<message" + attrs + "><" + way + " xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" + inner + "</forwarded></" + way + "></message>"
}

const (
	fromOwn = " from='romeo@example.net' to='romeo@example.net/orchard' type='chat'"
	arrived = "<message xmlns='jabber:client' from='juliet@example.org/x' to='romeo@example.net/home' type='chat' id='m'><body>x</body></message>"
	written = "<message xmlns='jabber:client' from='romeo@example.net/home' to='juliet@example.org' type='chat' id='m'><body>x</body></message>"
)

// forged are copies that must be ignored, with why.
var forged = []struct {
	name, text string
	err        error
}{
	{"stranger", wrapped(" from='tybalt@example.org/home' type='chat'", "received", arrived), carbons.ErrForeign},
	{"stranger's bare address", wrapped(" from='tybalt@example.org'", "received", arrived), carbons.ErrForeign},
	{"the contact itself", wrapped(" from='juliet@example.org'", "received", arrived), carbons.ErrForeign},
	{"own full address", wrapped(" from='romeo@example.net/orchard'", "sent", written), carbons.ErrForeign},
	{"another own session", wrapped(" from='romeo@example.net/home'", "sent", written), carbons.ErrForeign},
	{"own server", wrapped(" from='example.net'", "sent", written), carbons.ErrForeign},
	{"room", wrapped(" from='darkcave@rooms.example.net/romeo@example.net'", "received", arrived), carbons.ErrForeign},
	{"subdomain", wrapped(" from='romeo@x.example.net'", "sent", written), carbons.ErrForeign},
	{"longer domain", wrapped(" from='romeo@example.net.example.org'", "sent", written), carbons.ErrForeign},
	{"no address", wrapped(" from='romeo@example.net@'", "sent", written), carbons.ErrForeign},
	{"homograph", wrapped(" from='rom\u0435o@example.net'", "sent", written), carbons.ErrForeign},
	{"groupchat", wrapped(" from='romeo@example.net' type='groupchat'", "received", arrived), carbons.ErrMalformed},
	{"of groupchat", wrapped(fromOwn, "received", strings.Replace(arrived, "chat", "groupchat", 1)), carbons.ErrMalformed},
	{"in a request", "<iq type='set' id='1' from='romeo@example.net'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" + written + "</forwarded></sent></iq>", carbons.ErrMalformed},
	{"two messages", wrapped(fromOwn, "received", arrived+arrived), carbons.ErrMalformed},
	{"two forwarded", "<message" + fromOwn + "><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" + written + "</forwarded><forwarded xmlns='urn:xmpp:forward:0'>" + written + "</forwarded></sent></message>", carbons.ErrMalformed},
	{"two copies", "<message" + fromOwn + "><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" + written + "</forwarded></sent><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" + arrived + "</forwarded></received></message>", carbons.ErrMalformed},
	{"empty", wrapped(fromOwn, "received", ""), carbons.ErrMalformed},
	{"nothing forwarded", "<message" + fromOwn + "><received xmlns='urn:xmpp:carbons:2'>" + arrived + "</received></message>", carbons.ErrMalformed},
	{"no message", wrapped(fromOwn, "received", "<iq xmlns='jabber:client' from='juliet@example.org/x' to='romeo@example.net/home'/>"), carbons.ErrMalformed},
	{"namespace of the wrapper", wrapped(fromOwn, "received", strings.Replace(arrived, " xmlns='jabber:client'", "", 1)), carbons.ErrMalformed},
	{"no namespace", wrapped(fromOwn, "received", strings.Replace(arrived, "jabber:client", "", 1)), carbons.ErrMalformed},
	{"one of two in another namespace", wrapped(fromOwn, "received", arrived+"<message xmlns='urn:x'/>"), carbons.ErrMalformed},
	{"sent by somebody else", wrapped(fromOwn, "sent", arrived), carbons.ErrMalformed},
	{"received by somebody else", wrapped(fromOwn, "received", written), carbons.ErrMalformed},
	{"from nobody", wrapped(fromOwn, "received", strings.Replace(arrived, " from='juliet@example.org/x'", "", 1)), carbons.ErrMalformed},
	{"from no address", wrapped(fromOwn, "received", strings.Replace(arrived, "juliet@", "@@", 1)), carbons.ErrMalformed},
	{"nested", wrapped(fromOwn, "sent", strings.Replace(written, "<body>", "<received xmlns='urn:xmpp:carbons:2'/><body>", 1)), carbons.ErrMalformed},
}

var (
	noCopies = []string{
		"<message from='juliet@example.org/x'><body>x</body></message>",
		"<message from='juliet@example.org/x'><received xmlns='urn:xmpp:receipts' id='1'/></message>",
		"<message from='juliet@example.org/x'><forwarded xmlns='urn:xmpp:forward:0'>" + arrived + "</forwarded></message>",
		"<message from='juliet@example.org/x'><private xmlns='urn:xmpp:carbons:2'/></message>",
		"<presence from='juliet@example.org/x'/>",
	}
	genuine = map[string]string{
		"received":               wrapped(fromOwn, "received", arrived),
		"sent":                   wrapped(fromOwn, "sent", written),
		"no sender":              wrapped(" type='chat'", "sent", written),
		"not normalised":         wrapped(" from='ROMEO@Example.NET'", "sent", strings.ReplaceAll(written, "romeo@", "Romeo@")),
		"delay":                  wrapped(fromOwn, "sent", "<delay xmlns='urn:xmpp:delay' stamp='2026-06-01T10:00:00.123Z'/>"+written),
		"prefixes":               "<message xmlns:c='urn:xmpp:carbons:2' xmlns:f='urn:xmpp:forward:0' xmlns:j='jabber:client'" + fromOwn + "><c:sent><f:forwarded><j:message from='romeo@example.net/home' to='juliet@example.org' id='m'><j:body>x</j:body></j:message></f:forwarded></c:sent></message>",
		"error":                  wrapped(strings.Replace(fromOwn, "chat", "error", 1), "received", strings.Replace(arrived, "chat", "error", 1)),
		"something else with it": strings.Replace(wrapped(fromOwn, "sent", written), "</sent>", "</sent><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='romeo@example.net'/>", 1),
	}
)

func parse(t testing.TB, text string) *mux.Stanza {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// TestForged: CC-32 to CC-34, FI-46, CVE-2017-5589 and those like it.
func TestForged(t *testing.T) {
	t.Parallel()
	for _, tt := range forged {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := carbons.Unwrap(parse(t, tt.text), own)
			if !errors.Is(err, tt.err) || c != (carbons.Copy{}) {
				t.Errorf("got %+v, error %v, want %v", c, err, tt.err)
			}
		})
	}
	for _, text := range noCopies {
		if c, err := carbons.Unwrap(parse(t, text), own); !errors.Is(err, carbons.ErrNoCopy) || c != (carbons.Copy{}) {
			t.Errorf("%s: got %+v, error %v", text, c, err)
		}
	}
	if _, err := carbons.Unwrap(parse(t, genuine["no sender"]), mux.Address{}); !errors.Is(err, carbons.ErrForeign) {
		t.Errorf("without an own address: error %v", err)
	}
}

// TestUnwrap: what is a copy.
func TestUnwrap(t *testing.T) {
	t.Parallel()
	for name, text := range genuine {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := carbons.Unwrap(parse(t, text), own)
			if err != nil {
				t.Fatal(err)
			}
			want := carbons.Sent
			if strings.Contains(text, "<received") {
				want = carbons.Received
			}
			if bodies := c.Message.Children(); c.Direction != want || c.Message.ID() != "m" || len(bodies) != 1 || bodies[0].Text() != "x" {
				t.Errorf("got %s %s", c.Direction, c.Message.Append(nil, ""))
			}
			var at time.Time
			if name == "delay" {
				at = time.Date(2026, 6, 1, 10, 0, 0, 123e6, time.UTC)
			}
			if !c.Delay.Equal(at) {
				t.Errorf("delay %v", c.Delay)
			}
		})
	}
}

// read has an element read as mellium hands it over.
func read(t testing.TB, text string) (*mux.Stanza, carbons.Copy, error) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader("<stream xmlns='jabber:client'>" + text))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	return carbons.Read(tok.(xml.StartElement), d, own)
}

// TestRead: the same for elements as tokens, where a sender that is no address is
// not taken for none.
func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range forged {
		if _, c, err := read(t, tt.text); !errors.Is(err, tt.err) || c != (carbons.Copy{}) {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
	for name, text := range genuine {
		if s, c, err := read(t, text); err != nil || c.Message == nil || c.Message.ID() != "m" || s == nil {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, text := range noCopies {
		if s, c, err := read(t, text); !errors.Is(err, carbons.ErrNoCopy) || c.Message != nil || s == nil {
			t.Errorf("%s: error %v", text, err)
		}
	}
	for _, from := range []string{" ", "@@", "romeo@example.net/", "a@b@c"} {
		if _, c, err := read(t, wrapped(" from='"+from+"'", "sent", written)); !errors.Is(err, carbons.ErrForeign) || c.Message != nil {
			t.Errorf("from %q: error %v", from, err)
		}
	}
	if _, _, err := carbons.Read(xml.StartElement{Name: xml.Name{Local: "message"}}, xml.NewDecoder(strings.NewReader("<a>")), own); err == nil {
		t.Error("read what is cut off")
	}
}

// FuzzUnwrap: whatever a peer sends, a message comes out only if the wrapper is from
// the own bare address or from nobody, and the message is from or for the account.
func FuzzUnwrap(f *testing.F) {
	for _, tt := range forged {
		f.Add(tt.text)
	}
	for _, text := range genuine {
		f.Add(text)
	}
	for _, text := range noCopies {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := mux.Parse([]byte(text))
		if err != nil {
			return
		}
		c, err := carbons.Unwrap(s, own)
		if (err == nil) != (c.Message != nil) {
			t.Fatalf("message %v, error %v", c.Message, err)
		}
		if err != nil {
			return
		}
		end := c.Message.To()
		if c.Direction == carbons.Sent {
			end = c.Message.From()
		}
		if from := s.From(); !from.IsZero() && from != own.Bare() || end.Bare() != own.Bare() ||
			c.Message.From().IsZero() || c.Message.Kind() != mux.Message || s.Kind() != mux.Message {
			t.Fatalf("took %s", c.Message.Append(nil, ""))
		}
		if _, err := carbons.Unwrap(c.Message, own); !errors.Is(err, carbons.ErrNoCopy) {
			t.Fatalf("a copy in a copy: %s", c.Message.Append(nil, ""))
		}
		if _, err := mux.Parse(c.Message.Append(nil, mux.NSClient)); err != nil {
			t.Fatal(err)
		}
	})
}
