package sasl2_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
)

// What transcripts abbreviate.
var short = strings.NewReplacer(
	"{open}", "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>",
	"{romeo}", "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='romeo@example.net' to='example.net' version='1.0'>",
	"{2}", " xmlns='urn:xmpp:sasl:2'",
	"{1}", " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'",
	"{bind2}", " xmlns='urn:xmpp:bind:0'",
	"{fast}", " xmlns='urn:xmpp:fast:0'",
	"{sm}", " xmlns='urn:xmpp:sm:3'",
	"{stanzas}", " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'",
	"{agent}", "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Hive</software><device>Phone</device></user-agent>",
	"{plain}", "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AHJvbWVvAHNlY3JldA==</initial-response>",
	"{wrong}", "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AHJvbWVvAHdyb25n</initial-response></authenticate>",
	"{scram}", "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-TEST'><initial-response>cm9tZW8=</initial-response>",
	"{who}", "<challenge xmlns='urn:xmpp:sasl:2'>d2hvPw==</challenge>",
	"{secret}", "<response xmlns='urn:xmpp:sasl:2'>c2VjcmV0</response>",
	"{end}", "</authenticate>",
	"{ok}", "<success xmlns='urn:xmpp:sasl:2'>",
	"{is}", "<authorization-identifier>romeo@example.net</authorization-identifier>",
	"{full}", "<authorization-identifier>FULL</authorization-identifier>",
	"{ready}", "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><required/></bind><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><limits/></stream:features>",
	"{bound}", "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><limits/></stream:features>",
	"{token}", "<token xmlns='urn:xmpp:fast:0' EXPIRY token='TOKEN'/>",
)

var (
	failure     = regexp.MustCompile(`\{fail ([a-z-]+)\}`)
	streamError = regexp.MustCompile(`\{error ([a-z-]+)\}`)
	encoded     = regexp.MustCompile(`\{64 ([^}]*)\}`)
)

func expand(s string) string {
	s = short.Replace(s)
	s = failure.ReplaceAllString(s, "<failure xmlns='urn:xmpp:sasl:2'><$1 xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>")
	s = streamError.ReplaceAllString(s, "<stream:error><$1 xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
	return encoded.ReplaceAllStringFunc(s, func(m string) string {
		return base64.StdEncoding.EncodeToString([]byte(m[4 : len(m)-1]))
	})
}

// setup says what a peer finds.
type setup struct {
	auth  *auth
	store sasl2.Store
	opt   sasl2.Options
	neg   negotiate.Options
	mux   mux.Options
	exts  []mux.Extension
	clear bool // TLS is needed and is not there
}

// site is a server, inside a bubble.
type site struct {
	t     *testing.T
	host  *muxtest.Host
	n     *negotiate.Negotiator
	x     *sasl2.Extension
	auth  *auth
	store sasl2.Store
	conn  negotiate.ConnOptions
	setup setup
}

func newSite(t *testing.T, s setup) *site {
	if s.auth == nil {
		s.auth = newAuth()
	}
	if s.store == nil {
		s.store = new(sasl2.Memory)
	}
	if s.opt.Secret == [32]byte{} {
		s.opt.Secret[0] = 1
	}
	s.mux.NoRecover = true
	site := &site{t: t, auth: s.auth, store: s.store, conn: negotiate.ConnOptions{Trusted: !s.clear}, setup: s}
	site.host = muxtest.New(t, &s.mux, site.extensions()...)
	site.host.AddAccount("romeo@example.net", "mallory@example.net")
	site.negotiates()
	return site
}

func (s *site) extensions() []mux.Extension {
	s.x = sasl2.New(s.auth, s.store, &s.setup.opt)
	return append([]mux.Extension{negotiate.Extension(), s.x}, s.setup.exts...)
}

func (s *site) negotiates() {
	s.setup.neg.SASL = oldSASL{s.auth}
	s.n = negotiate.New(s.host.Mux(), &s.setup.neg)
}

// restart stops the server and starts another one on the same stores.
func (s *site) restart() {
	s.host.Restart(s.extensions()...)
	s.negotiates()
}

// oldSASL offers the mechanisms by RFC 6120's profile, too.
type oldSASL struct{ *auth }

func (o oldSASL) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return o.auth.Start(st, mechanism, domain)
}

// peer is the client's end of a connection.
type peer struct {
	t    *testing.T
	c    net.Conn
	st   *mux.Stream
	done chan struct{} // the server has let go

	token, full, version, expiry string // told last

	mu  sync.Mutex
	got bytes.Buffer
	all bytes.Buffer
	eof bool
}

func (s *site) connect() *peer {
	ours, theirs := net.Pipe()
	p := &peer{t: s.t, c: ours, done: make(chan struct{})}
	t := negotiate.NewConnTransport(theirs, &s.conn)
	p.st = s.host.Mux().NewStream(t, mux.Client)
	go func() {
		defer close(p.done)
		defer t.Finish()
		if err := s.n.Serve(context.Background(), p.st, t); err != nil {
			p.st.Gone(errors.Is(err, io.EOF))
			return
		}
		_ = t.Receive(context.Background(), p.st) // how it ends is seen on the wire
	}()
	go p.read()
	return p
}

func (p *peer) read() {
	b := make([]byte, 4096)
	for {
		n, err := p.c.Read(b)
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

// send sends what was abbreviated, in one write.
func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := p.c.Write([]byte(expand(s))); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Fatalf("sending %s: %v", s, err)
	}
}

var (
	header    = regexp.MustCompile(`^<\?xml version='1\.0'\?><stream:stream [^>]*>`)
	offer     = regexp.MustCompile(`<stream:features>.*?<authentication .*?</stream:features>`)
	limits    = regexp.MustCompile(`<limits xmlns='urn:xmpp:stream-limits:0'>.*?</limits>`)
	tokenAt   = regexp.MustCompile(`expiry='([^']*)' token='([^']*)'`)
	fullAt    = regexp.MustCompile(`<authorization-identifier>([^/<]*/[^<]*)</`)
	versionAt = regexp.MustCompile(`<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='([^']*)'/>`)
)

// take is what the server has sent since, with what is random noted and made plain;
// header and first features are left out.
func (p *peer) take() string {
	p.t.Helper()
	s := header.ReplaceAllString(p.raw(), "")
	if m := tokenAt.FindStringSubmatch(s); m != nil {
		p.expiry, p.token = m[1], m[2]
	}
	if m := fullAt.FindStringSubmatch(s); m != nil {
		p.full = m[1]
	}
	if m := versionAt.FindStringSubmatch(s); m != nil {
		p.version = m[1]
	}
	s = offer.ReplaceAllString(s, "")
	s = limits.ReplaceAllString(s, "<limits/>")
	s = tokenAt.ReplaceAllString(s, "EXPIRY token='TOKEN'")
	return fullAt.ReplaceAllString(s, "<authorization-identifier>FULL</")
}

func (p *peer) raw() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.got.String()
	p.got.Reset()
	return s
}

// output is all that the server has sent.
func (p *peer) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if got := p.take(); got != expand(want) {
		p.t.Fatalf("server sent\n%s\nwant\n%s", got, expand(want))
	}
}

// closed reports whether the server has ended the connection, when the client has
// closed its stream.
func (p *peer) closed() bool {
	p.send("</stream:stream>")
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

// run plays a transcript: lines of "C: " are sent in one write each, lines of "S: "
// are all that the server sends before it rests, but for headers and the features
// that are offered first. "END" says that the server closes the connection.
func (p *peer) run(transcript string) {
	p.t.Helper()
	var want string
	check := func() {
		p.t.Helper()
		p.expect(want)
		want = ""
	}
	for line := range strings.Lines(transcript) {
		line = strings.Trim(line, "\n\t")
		switch {
		case line == "":
		case line == "END":
			check()
			if !p.closed() {
				p.t.Fatal("the server has not closed the connection")
			}
			return
		case strings.HasPrefix(line, "S: "):
			want += line[3:]
		case strings.HasPrefix(line, "C: "):
			check()
			p.send(line[3:])
		default:
			p.t.Fatalf("line %q", line)
		}
	}
	check()
}

// transcript is one scenario.
type transcript struct {
	name string
	with func(*setup)
	text string
}

func play(t *testing.T, list []transcript) {
	t.Helper()
	for _, tt := range list {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s setup
				if tt.with != nil {
					tt.with(&s)
				}
				p := newSite(t, s).connect()
				defer p.stop()
				p.run(tt.text)
			})
		})
	}
}

// members are inline members like those of other extensions: a resumption, a
// feature with an answer, and two of one feature without.
type members struct {
	keep time.Duration
	seen *[]string // what was stepped, in order
}

func (*members) Name() string { return "members" }

func (m *members) Register(r *mux.Registry) error {
	note := func(s string) { *m.seen = append(*m.seen, s) }
	r.Inline(mux.Inline{Name: name("urn:xmpp:sm:3", "resume"), At: mux.InAuthenticate,
		Offer: func(context.Context, *mux.Stream) xmlstream.Marshaler { return mux.Raw("<sm xmlns='urn:xmpp:sm:3'/>") },
		Step: func(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
			note("resume")
			id, ok := mux.ParseSessionID(e.Element.Attr("previd"))
			if !ok {
				return mux.Raw("<failed xmlns='urn:xmpp:sm:3'/>"), nil
			}
			e.Become = &mux.Resumption{ID: id,
				Check: func(s *mux.Session) error {
					if s.Account() != e.Account {
						return mux.ErrNoSession
					}
					return nil
				},
				Reply:   func(*mux.Session) xmlstream.Marshaler { return mux.Raw("<resumed xmlns='urn:xmpp:sm:3'/>") },
				Refused: func(error) xmlstream.Marshaler { return mux.Raw("<failed xmlns='urn:xmpp:sm:3'/>") },
			}
			return nil, nil
		}})
	r.Inline(mux.Inline{Name: name("urn:xmpp:sm:3", "enable"), At: mux.InBind,
		Step: func(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
			note("enable " + e.Session.JID().Bare().String())
			return mux.Raw("<enabled xmlns='urn:xmpp:sm:3'/>"), nil
		}})
	for _, local := range []string{"active", "inactive"} {
		r.Inline(mux.Inline{Name: name("urn:xmpp:csi:0", local), At: mux.InBind,
			Step: func(context.Context, *mux.InlineEvent) (xmlstream.Marshaler, error) {
				note(local)
				return nil, nil
			}})
	}
	r.Inline(mux.Inline{At: mux.InBind, Step: func(context.Context, *mux.InlineEvent) (xmlstream.Marshaler, error) {
		note("bind")
		return nil, nil
	}})
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return m.keep }})
	return nil
}

func withMembers(s *setup) *members {
	m := &members{seen: new([]string), keep: time.Minute}
	s.exts = append(s.exts, m)
	return m
}
