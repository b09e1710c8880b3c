package main

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	melliumcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/component"
	"github.com/propolis-im/propolis/examples/server/internal/config"
)

const (
	chat    = "chat.localhost"
	gateway = "gateway.localhost"
	secret  = "from <a> file"
	limit   = 30 * time.Second
)

// startComponents runs the server with a listener for the components chat and
// gateway, and returns its address.
func startComponents(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load([]string{"-data", filepath.Join(t.TempDir(), "data"), "-store", "memory", "-c2s", "off", "-c2s-tls", "off", "-http", "off",
		"-component", "127.0.0.1:0", "-component-secret", chat + "=" + file, "-component-secret", gateway + "=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, cfg, func() (*config.Config, error) { return cfg, nil }, w)
		_ = w.Close() // never fails
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the server ended: %v", err)
		}
		if strings.Contains(line, secret) {
			t.Errorf("the log has the secret: %s", line)
		}
		if _, addr, ok := strings.Cut(strings.TrimSpace(line), "component="); ok && strings.HasPrefix(line, "ready ") {
			go func() { _, _ = io.Copy(io.Discard, lines) }() // until the server ends
			return addr
		}
	}
}

// connect connects a component of mellium.im/xmpp/component.
func connect(t *testing.T, addr, domain, secret string) (*xmpp.Session, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most are closed already
	return melliumcomponent.NewSession(ctx, jid.MustParse(domain), []byte(secret), conn)
}

// served is a connected component with what it gets that is no answer.
type served struct {
	*xmpp.Session
	got  chan string
	done chan error
}

func serve(t *testing.T, addr, domain string) *served {
	t.Helper()
	session, err := connect(t, addr, domain, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{session, make(chan string, 1000), make(chan error, 1)}
	go func() {
		s.done <- session.Serve(xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			var b strings.Builder
			e := xml.NewEncoder(&b)
			if _, err := xmlstream.Copy(e, xmlstream.MultiReader(xmlstream.Token(*start), r)); err != nil {
				return err
			}
			if err := e.Flush(); err != nil {
				return err
			}
			s.got <- b.String()
			return nil
		}))
	}()
	return s
}

func wait[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(limit):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// TestMelliumComponent: a component written with mellium.im/xmpp/component
// attaches, asks the server, and exchanges messages with another one.
func TestMelliumComponent(t *testing.T) {
	t.Parallel()
	addr := startComponents(t)
	a, b := serve(t, addr, chat), serve(t, addr, gateway)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var items struct {
		Item []struct {
			JID string `xml:"jid,attr"`
		} `xml:"item"`
	}
	query := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "http://jabber.org/protocol/disco#items", Local: "query"}})
	err := a.UnmarshalIQElement(ctx, query, stanza.IQ{Type: stanza.GetIQ, From: jid.MustParse("any@" + chat), To: jid.MustParse("localhost")}, &items)
	if err != nil || len(items.Item) != 2 || items.Item[0].JID != chat || items.Item[1].JID != gateway {
		t.Errorf("items %+v, error %v", items, err)
	}
	body := func(text string) xml.TokenReader {
		return xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), xml.StartElement{Name: xml.Name{Local: "body"}})
	}
	for _, way := range []struct {
		from, to       *served
		sender, getter string
	}{{a, b, "x@" + chat + "/r", "y@" + gateway}, {b, a, gateway, "room@" + chat}} {
		m := stanza.Message{From: jid.MustParse(way.sender), To: jid.MustParse(way.getter), Type: stanza.ChatMessage}
		if err := way.from.Send(ctx, m.Wrap(body("<hello>"))); err != nil {
			t.Fatal(err)
		}
		got := wait(t, way.to.got, "a message")
		for _, part := range []string{`<message`, `from="` + way.sender + `"`, `to="` + way.getter + `"`, "&lt;hello&gt;"} {
			if !strings.Contains(got, part) {
				t.Errorf("got %s, want %s in it", got, part)
			}
		}
	}
	// The other goes, and says so.
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(t, b.done, "the end"); err != nil {
		t.Errorf("Serve: %v", err)
	}
	m := stanza.Message{ID: "gone", From: jid.MustParse(chat), To: jid.MustParse(gateway), Type: stanza.ChatMessage}
	if err := a.Send(ctx, m.Wrap(body("x"))); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, a.got, "the error"); !strings.Contains(got, "remote-server-timeout") || !strings.Contains(got, `id="gone"`) {
		t.Errorf("got %s", got)
	}
	// Another's name.
	m.From = jid.MustParse("someone@localhost")
	if err := a.Send(ctx, m.Wrap(body("x"))); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, a.done, "the end"); !errors.Is(err, stream.InvalidFrom) {
		t.Errorf("Serve: %v, want invalid-from", err)
	}
}

// TestMelliumComponentRefused: wrong secrets, unknown names and second connections
// get the stream error that XEP-0114 names.
func TestMelliumComponentRefused(t *testing.T) {
	t.Parallel()
	addr := startComponents(t)
	serve(t, addr, gateway)
	for name, tt := range map[string]struct {
		domain, secret string
		want           stream.Error
	}{
		"wrong secret":   {chat, "guess", stream.NotAuthorized},
		"connected":      {gateway, secret, stream.Conflict},
		"unknown domain": {"x.localhost", secret, stream.HostUnknown},
	} {
		if _, err := connect(t, addr, tt.domain, tt.secret); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
}

// TestComponentBreaks: of what is sent to a component that stops reading, each
// message has either reached its connection or comes back, none both.
func TestComponentBreaks(t *testing.T) {
	t.Parallel()
	addr := startComponents(t)
	a := serve(t, addr, gateway)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(conn)
	next := func() xml.StartElement {
		for {
			tok, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			if start, ok := tok.(xml.StartElement); ok {
				return start
			}
		}
	}
	open := "<stream:stream xmlns='" + component.NS + "' xmlns:stream='" + stream.NS + "' to='" + chat + "'>"
	if _, err := io.WriteString(conn, open); err != nil {
		t.Fatal(err)
	}
	id := ""
	for _, at := range next().Attr {
		if at.Name.Local == "id" {
			id = at.Value
		}
	}
	if _, err := io.WriteString(conn, "<handshake>"+component.Handshake(id, []byte(secret))+"</handshake>"); err != nil {
		t.Fatal(err)
	}
	if got := next().Name.Local; got != "handshake" {
		t.Fatalf("got %s", got)
	}

	const all = 300
	body := strings.Repeat("x", 100<<10)
	for i := range all {
		_, err := fmt.Fprintf(a.Conn(), "<message from='%s' to='%s' id='%d'><body>%s</body></message>", gateway, chat, i, body)
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]string)
	note := func(id, how string) {
		if seen[id] != "" {
			t.Errorf("message %s: %s and %s", id, seen[id], how)
		}
		seen[id] = how
	}
	bounced := func() {
		var m stanza.Message
		if err := xml.Unmarshal([]byte(wait(t, a.got, "an error")), &m); err != nil || m.Type != stanza.ErrorMessage {
			t.Fatalf("got %+v, error %v", m, err)
		}
		note(m.ID, "came back")
	}
	bounced() // the connection has been given up
	arrived := 0
	for {
		var m stanza.Message
		if err := d.Decode(&m); err != nil {
			break // the end of what the kernel had, in the middle of a message
		}
		arrived++
		note(m.ID, "arrived")
	}
	for len(seen) < all {
		bounced()
	}
	t.Logf("%d of %d arrived", arrived, all)
	if arrived == 0 || arrived == all {
		t.Error("the test has not tested anything")
	}
}
