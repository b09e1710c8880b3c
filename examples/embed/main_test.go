package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

const patience = 20 * time.Second

// start runs the server until the test ends.
func start(t *testing.T) (addr string, config *tls.Config) {
	t.Helper()
	cert := filepath.Join(t.TempDir(), "cert.pem")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, "127.0.0.1:0", cert, []string{"alice:secret", "bob:secret"}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
		os.Stdout = stdout
		_, _ = w.Close(), r.Close() // nobody reads any more
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	config = &tls.Config{ServerName: domain, RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	return strings.TrimSpace(strings.TrimPrefix(line, "ready ")), config
}

// device is a client that resumes, and what it has got.
type device struct {
	*xmpp.Session
	got    chan string
	events chan smacks.ClientEventKind
	mu     sync.Mutex
	conn   net.Conn
}

func newDevice(t *testing.T, addr string, config *tls.Config, account string) *device {
	t.Helper()
	d := &device{got: make(chan string, 100), events: make(chan smacks.ClientEventKind, 100)}
	c := smacks.NewClient(jid.MustParse(account), &smacks.ClientOptions{
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.conn = conn
			return conn, err
		},
		Features: []xmpp.StreamFeature{xmpp.StartTLS(config), xmpp.SASL("", "secret", sasl.Plain)},
		OnEvent:  func(e smacks.ClientEvent) { d.events <- e.Kind },
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := c.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(time.Second) })
	d.Session = s
	go func() { _ = s.Serve(xmpp.HandlerFunc(d.handle)) }() // ends with the test
	if err := s.Send(ctx, stanza.Presence{}.Wrap(nil)); err != nil {
		t.Fatal(err)
	}
	if err := carbons.Enable(ctx, s); err != nil { // behind that it is available
		t.Fatal(err)
	}
	return d
}

func (d *device) handle(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if start.Name.Local != "message" {
		return nil
	}
	m, c, err := carbons.Read(*start, r, mux.AddressOf(d.LocalAddr()))
	switch {
	case err == nil:
		d.got <- c.Direction.String() + " " + c.Message.ID()
	case errors.Is(err, carbons.ErrNoCopy):
		d.got <- "message " + m.ID()
	default:
		return err
	}
	return nil
}

func (d *device) say(t *testing.T, id string, to jid.JID) {
	t.Helper()
	body := xmlstream.Wrap(xmlstream.Token(xml.CharData("x")), xml.StartElement{Name: xml.Name{Local: "body"}})
	if err := d.Send(t.Context(), stanza.Message{ID: id, To: to, Type: stanza.ChatMessage}.Wrap(body)); err != nil {
		t.Fatal(err)
	}
}

// wants is what has to come, all and in order.
func (d *device) wants(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if got := await(t, want+" for "+d.LocalAddr().String(), d.got); got != want {
			t.Fatalf("%s got %q, want %q", d.LocalAddr(), got, want)
		}
	}
}

func await[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return v
}

// TestEmbed: two devices of alice see both sides, also when one of them loses its
// connection again and again: it goes on, and has everything once and in order.
func TestEmbed(t *testing.T) {
	addr, config := start(t)
	phone := newDevice(t, addr, config, "alice@localhost/phone")
	desk := newDevice(t, addr, config, "alice@localhost/desk")
	bob := newDevice(t, addr, config, "bob@localhost/home")
	if got := await(t, "event", phone.events); got != smacks.Started {
		t.Fatalf("first event %s", got)
	}
	for range 3 {
		desk.say(t, "1", bob.LocalAddr().Bare())
		bob.wants(t, "message 1")
		phone.wants(t, "sent 1")
		bob.say(t, "2", desk.LocalAddr())
		desk.wants(t, "message 2")
		phone.mu.Lock()
		_ = phone.conn.Close() // as if somebody had pulled the cable
		phone.mu.Unlock()
		bob.say(t, "3", phone.LocalAddr())
		desk.wants(t, "received 3")
		phone.wants(t, "received 2", "message 3")
		for _, want := range []smacks.ClientEventKind{smacks.Detached, smacks.Resuming, smacks.Resumed} {
			if got := await(t, "event", phone.events); got != want {
				t.Fatalf("event %s, want %s", got, want)
			}
		}
		phone.say(t, "4", bob.LocalAddr().Bare())
		bob.wants(t, "message 4")
		desk.wants(t, "sent 4")
	}
}

// TestRefused: neither a wrong password nor a name that nobody has, nor somebody
// else's name.
func TestRefused(t *testing.T) {
	all := accounts{mux.MustParseAddress("alice@localhost"): "secret", mux.MustParseAddress("bob@localhost"): "other"}
	for in, want := range map[string]bool{
		"\x00alice\x00secret": true, "\x00Alice\x00secret": true, "\x00bob\x00other": true,
		"\x00alice\x00other": false, "\x00alice\x00": false, "\x00alice": false, "": false, "\x00nobody\x00": false,
		"bob@localhost\x00alice\x00secret": false, "\x00alice\x00secret\x00": false, "\x00alice@localhost\x00secret": false,
		"\x00localhost/x@localhost\x00": false,
	} {
		x, err := all.Start(nil, "PLAIN", domain)
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := x.Step(t.Context(), []byte(in)); done != want || (err == nil) != want {
			t.Errorf("%q: %t, %v", in, done, err)
		}
	}
	for _, people := range [][]string{{"alice"}, {"alice:"}, {":x"}, {"a@b:x"}} {
		if err := serve(t.Context(), "127.0.0.1:0", os.DevNull, people); err == nil {
			t.Errorf("%q: no error", people)
		}
	}
}
