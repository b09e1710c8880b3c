//go:build clients

package clienttest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

// cable leads connections on to a server, until it is pulled.
type cable struct {
	net.Listener
	mu    sync.Mutex
	to    string
	conns []net.Conn
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: l, to: to}
	t.Cleanup(func() { _ = l.Close(); c.pull("") }) // nothing more is led on
	go c.lead()
	return c
}

func (c *cable) lead() {
	for {
		a, err := c.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		b, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = a.Close() // as if nobody listened
			c.mu.Unlock()
			continue
		}
		c.conns = append(c.conns, a, b)
		c.mu.Unlock()
		for _, p := range [][2]net.Conn{{a, b}, {b, a}} {
			go func() {
				_, _ = io.Copy(p[0], p[1]) // until either breaks
				_ = p[0].Close()           // so does the other
			}()
		}
	}
}

// pull breaks all connections; later ones lead to another address.
func (c *cable) pull(to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.conns {
		_ = x.Close() // it may be closed
	}
	c.conns, c.to = nil, to
}

// TestResumebot pulls the bot's cable, and stops and kills its server: it answers
// each message once, and in order.
func TestResumebot(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	bin := filepath.Join(t.TempDir(), "resumebot")
	if out, err := exec.Command("go", "build", "-o", bin, "../../resumebot").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	bots, mine := newCable(t, s.c2s), newCable(t, s.c2s)
	cmd := exec.Command(bin, "-jid", bob+"/bot", "-addr", bots.Addr().String(), "-ca", s.certificate)
	cmd.Stdin = strings.NewReader(password + "\n")
	bot := start(t, "resumebot", cmd)
	bot.expect(t, "", limit)

	pem, err := os.ReadFile(s.certificate)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{ServerName: domain, RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	c := smacks.NewClient(jid.MustParse(alice), &smacks.ClientOptions{
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", mine.Addr().String())
		},
		Features: []xmpp.StreamFeature{xmpp.StartTLS(config), xmpp.SASL("", password, sasl.ScramSha256)},
	})
	answers := make(chan string, 100)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	session, err := c.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(time.Second)
	go session.Serve(mux.New(stanza.NSClient, mux.MessageFunc(stanza.ChatMessage, xml.Name{Local: "body"},
		func(m stanza.Message, _ xmlstream.TokenReadEncoder) error {
			answers <- m.ID
			return nil
		})))
	n := 0
	for _, how := range []string{"", "pull", "stop", "kill", "pull"} {
		switch how {
		case "stop":
			s.stop(t)
			s.launch(t)
		case "kill":
			s.kill(t)
			s.launch(t)
		}
		if how != "" {
			bots.pull(s.c2s)
			mine.pull(s.c2s)
		}
		for range 5 {
			n++
			m := struct {
				stanza.Message
				Body string `xml:"body"`
			}{stanza.Message{ID: fmt.Sprint(n), To: jid.MustParse(bob + "/bot"), Type: stanza.ChatMessage}, "x"}
			if err := session.Encode(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		for i := n - 4; i <= n; i++ {
			select {
			case got := <-answers:
				if want := fmt.Sprint("re-", i); got != want {
					t.Fatalf("%q: answer %s, want %s", how, got, want)
				}
			case <-ctx.Done():
				t.Fatalf("%q: no answer to %d\n%s", how, i, bot.tail())
			}
		}
	}
}
