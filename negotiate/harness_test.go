package negotiate_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
)

// What transcripts abbreviate.
var short = strings.NewReplacer(
	"{lf}", "\n",
	"{open}", "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>",
	"{head}", "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net' id='ID' version='1.0' xml:lang='en'>",
	"{clear}", "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>{limits}</stream:features>",
	"{auth}", "<stream:features>{mechanisms}{limits}</stream:features>",
	"{bind}", "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><required/></bind>{session}{more}</stream:features>",
	"{mechanisms}", "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>ASKS</mechanism><mechanism>FAILS</mechanism></mechanisms>",
	"{session}", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>",
	"{limits}", "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>32768</max-bytes></limits>",
	"{more}", "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>300</idle-seconds></limits>",
	"{romeo}", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>",
	"{success}", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
	"{tls}", " xmlns='urn:ietf:params:xml:ns:xmpp-tls'",
	"{sasl}", " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'",
	"{ns}", " xmlns='urn:ietf:params:xml:ns:xmpp-bind'",
	"{stanzas}", " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'",
	"{end}", "</stream:stream>",
)

func expand(s string) string {
	for {
		// Abbreviations nest.
		t := short.Replace(s)
		if t == s {
			break
		}
		s = t
	}
	return regexp.MustCompile(`\{error ([a-z-]+)\}`).ReplaceAllString(s,
		"<stream:error><$1 xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
}

// setup says what a peer finds.
type setup struct {
	opt  negotiate.Options
	conn negotiate.ConnOptions
	mux  mux.Options
	exts []mux.Extension
}

// site is a host with its negotiator, inside a bubble.
type site struct {
	t    *testing.T
	host *muxtest.Host
	n    *negotiate.Negotiator
	conn negotiate.ConnOptions
	ids  map[string]bool
}

func newSite(t *testing.T, s setup) *site {
	h := muxtest.New(t, &s.mux, append([]mux.Extension{negotiate.Extension()}, s.exts...)...)
	h.AddAccount("romeo@example.net")
	if s.opt.SASL == nil {
		s.opt.SASL = saslTest{}
	}
	if s.opt.Domains == nil {
		s.opt.Domains = func() []string { return []string{"example.net"} }
	}
	return &site{t: t, host: h, n: negotiate.New(h.Mux(), &s.opt), conn: s.conn, ids: make(map[string]bool)}
}

// peer is the client's end of a connection.
type peer struct {
	t    *testing.T
	site *site
	c    net.Conn
	st   *mux.Stream

	client *tls.Config   // nil for any certificate
	done   chan struct{} // the server has let go
	err    error         // of Serve, or of Receive after it

	mu  sync.Mutex
	got bytes.Buffer
	all bytes.Buffer
	eof bool
}

// connect begins a connection and its life on the server.
func (s *site) connect() *peer {
	ours, theirs := net.Pipe()
	p := &peer{t: s.t, site: s, c: ours, done: make(chan struct{})}
	t := negotiate.NewConnTransport(theirs, &s.conn)
	p.st = s.host.Mux().NewStream(t, mux.Client)
	go func() {
		defer close(p.done)
		defer t.Finish()
		if p.err = s.n.Serve(context.Background(), p.st, t); p.err != nil {
			p.st.Gone(errors.Is(p.err, io.EOF))
			return
		}
		p.err = t.Receive(context.Background(), p.st)
	}()
	go p.read(ours)
	return p
}

// read collects what the server sends.
func (p *peer) read(c net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		p.mu.Lock()
		p.got.Write(b[:n])
		p.all.Write(b[:n])
		p.eof = p.eof || err != nil
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := p.c.Write([]byte(s)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Fatalf("sending %s: %v", s, err)
	}
}

var (
	streamID = regexp.MustCompile(` id='([A-Z2-7]{26})' version=`)
	resource = regexp.MustCompile(`/[A-Z2-7]{26}(['<])`)
)

// take is what the server has sent since, with what is random made plain.
func (p *peer) take() string {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.got.String()
	p.got.Reset()
	for _, m := range streamID.FindAllStringSubmatch(s, -1) {
		if p.site.ids[m[1]] {
			p.t.Errorf("stream id %s was used before", m[1])
		}
		p.site.ids[m[1]] = true
	}
	s = streamID.ReplaceAllString(s, " id='ID' version=")
	return resource.ReplaceAllString(s, "/RANDOM$1")
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if got := p.take(); got != want {
		p.t.Fatalf("server sent\n%s\nwant\n%s", got, want)
	}
}

// output is all that the server has sent in clear or inside TLS.
func (p *peer) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

// closed reports whether the server has ended the connection.
func (p *peer) closed() bool {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.eof
}

// stop ends the connection and waits for the server to let go.
func (p *peer) stop() {
	p.c.Close()
	<-p.done
}

// startTLS makes the handshake as a client.
func (p *peer) startTLS() {
	p.t.Helper()
	// The collector must not take what is TLS's: it is interrupted.
	if err := p.c.SetReadDeadline(time.Now()); err != nil {
		p.t.Fatal(err)
	}
	synctest.Wait()
	if err := p.c.SetReadDeadline(time.Time{}); err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.eof = false
	p.mu.Unlock()
	if p.client == nil {
		p.client = &tls.Config{InsecureSkipVerify: true}
	}
	c := tls.Client(newPump(p.c), p.client)
	if err := c.Handshake(); err != nil {
		p.t.Fatalf("handshake: %v", err)
	}
	p.c = c
	go p.read(c)
}

// pump reads as soon as there is something: the server sends session tickets
// before it reads the end of the handshake, and a pipe holds nothing.
type pump struct {
	net.Conn
	mu   sync.Mutex
	more sync.Cond
	got  bytes.Buffer
	err  error
}

func newPump(c net.Conn) *pump {
	p := &pump{Conn: c}
	p.more.L = &p.mu
	go func() {
		b := make([]byte, 4096)
		for p.err == nil { // written here alone
			n, err := c.Read(b)
			p.mu.Lock()
			p.got.Write(b[:n])
			p.err = err
			p.mu.Unlock()
			p.more.Signal()
		}
	}()
	return p
}

func (p *pump) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.got.Len() == 0 && p.err == nil {
		p.more.Wait()
	}
	if p.got.Len() > 0 {
		return p.got.Read(b)
	}
	return 0, p.err
}

// run plays a transcript: lines of "C: " are sent in one write each, lines of
// "S: " are all that the server sends before it rests. "TLS" makes a handshake,
// "END" says that the server closes the connection once the client has closed
// its stream.
func (p *peer) run(transcript string) {
	p.t.Helper()
	var want string
	check := func() {
		p.t.Helper()
		if want != "" {
			p.expect(expand(want))
			want = ""
		}
	}
	for line := range strings.Lines(transcript) {
		line = strings.TrimSpace(line)
		text := strings.TrimPrefix(strings.TrimPrefix(line, "C:"), "S:")
		text = strings.TrimPrefix(text, " ")
		switch {
		case line == "":
		case line == "TLS":
			check()
			p.startTLS()
		case line == "END":
			check()
			p.send("</stream:stream>")
			if !p.closed() {
				p.t.Fatal("the server has not closed the connection")
			}
		case strings.HasPrefix(line, "S:"):
			want += text
		default:
			check()
			p.send(expand(text))
		}
	}
	check()
}

// certificate makes one for example.net, valid by the bubble's clock.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.net"},
		DNSNames: []string{"example.net"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// trusted is a setup in which no TLS is needed.
func trusted() setup { return setup{conn: negotiate.ConnOptions{Trusted: true}} }
