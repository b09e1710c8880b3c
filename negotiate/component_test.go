package negotiate_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// rooms is the one component there is; its secret is secret.
type rooms struct {
	taken    bool
	attached *mux.Stream
	detached int
}

const roomsDomain = "chat.example.net"

func handshake(id, secret string) string {
	h := sha1.Sum([]byte(id + secret))
	return hex.EncodeToString(h[:])
}

func (c *rooms) Known(domain string) bool { return domain == roomsDomain }

func (c *rooms) Verify(domain, id, got string) bool {
	return domain == roomsDomain && got == handshake(id, "secret")
}

func (c *rooms) Attach(st *mux.Stream, _ string, ready func() error) error {
	if c.taken {
		return stream.Conflict
	}
	c.attached = st
	return ready()
}

func (c *rooms) Drained(*mux.Stream) {}
func (c *rooms) Detach(*mux.Stream)  { c.detached++ }

// component begins the connection of a component, in a bubble.
func (s *site) component(c *rooms) *peer {
	ours, theirs := net.Pipe()
	p := &peer{t: s.t, site: s, c: ours, done: make(chan struct{})}
	t := negotiate.NewConnTransport(theirs, &s.conn)
	p.st = s.host.Mux().NewStream(t, mux.Component)
	go func() {
		defer close(p.done)
		defer t.Finish()
		defer c.Detach(p.st)
		if p.err = s.n.ServeComponent(context.Background(), p.st, t, c); p.err != nil {
			p.st.Gone(errors.Is(p.err, io.EOF))
			return
		}
		p.err = t.Receive(context.Background(), p.st)
	}()
	go p.read(ours)
	return p
}

var componentID = regexp.MustCompile(` id='([A-Z2-7]{26})'`)

// componentOpen is the header of a component.
func componentOpen(content, to string) string {
	return "<stream:stream xmlns='" + content + "' xmlns:stream='http://etherx.jabber.org/streams' to='" + to + "'>"
}

const (
	accept     = "jabber:component:accept"
	acceptHead = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'"
)

// TestComponent: XEP-0114 §3. ID in what is sent stands for the handshake of the
// stream's id, BAD for that of another secret.
func TestComponent(t *testing.T) {
	for _, tt := range []struct {
		name       string
		taken      bool
		send       []string
		want       string // after the header
		from       bool   // in the header
		err        string
		authorized bool
	}{
		{name: "right", send: []string{componentOpen(accept, roomsDomain), "<handshake>ID</handshake>"}, from: true, want: "<handshake/>", authorized: true},
		{name: "in one piece with a stanza", send: []string{componentOpen(accept, roomsDomain), "\n<handshake>ID</handshake>\n <message from='chat.example.net' to='romeo@example.net'/> "},
			from: true, want: "<handshake/>", authorized: true},
		{name: "unusual prefix", send: []string{"<s:stream xmlns='jabber:component:accept' xmlns:s='http://etherx.jabber.org/streams' to='chat.example.net'>", "<handshake>ID</handshake>"},
			from: true, want: "<handshake/>", authorized: true},
		{name: "prepared domain", send: []string{componentOpen(accept, "CHAT.example.net"), "<handshake>ID</handshake>"}, from: true, want: "<handshake/>", authorized: true},
		{name: "wrong secret", send: []string{componentOpen(accept, roomsDomain), "<handshake>BAD</handshake>"}, from: true, want: "{error not-authorized}", err: "not-authorized"},
		{name: "empty handshake", send: []string{componentOpen(accept, roomsDomain), "<handshake/>"}, from: true, want: "{error not-authorized}", err: "not-authorized"},
		{name: "a stanza first", send: []string{componentOpen(accept, roomsDomain), "<message from='chat.example.net' to='romeo@example.net'/>"}, from: true,
			want: "{error not-authorized}", err: "not-authorized"},
		{name: "SASL", send: []string{componentOpen(accept, roomsDomain), "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>"}, from: true,
			want: "{error not-authorized}", err: "not-authorized"},
		{name: "another handshake", send: []string{componentOpen(accept, roomsDomain), "<handshake xmlns='urn:example:x'>ID</handshake>"}, from: true,
			want: "{error not-authorized}", err: "not-authorized"},
		{name: "unknown domain", send: []string{componentOpen(accept, "gateway.example.net")}, want: "{error host-unknown}", err: "host-unknown"},
		{name: "a served domain", send: []string{componentOpen(accept, "example.net")}, want: "{error host-unknown}", err: "host-unknown"},
		{name: "no domain", send: []string{componentOpen(accept, "")}, want: "{error host-unknown}", err: "host-unknown"},
		{name: "an address", send: []string{componentOpen(accept, "a@"+roomsDomain)}, want: "{error host-unknown}", err: "host-unknown"},
		{name: "a client", send: []string{componentOpen("jabber:client", roomsDomain)}, from: true, want: "{error invalid-namespace}", err: "invalid-namespace"},
		{name: "the other way round", send: []string{componentOpen("jabber:component:connect", roomsDomain)}, from: true, want: "{error invalid-namespace}", err: "invalid-namespace"},
		{name: "no stream", send: []string{"<handshake xmlns='jabber:component:accept'>"}, want: "{error invalid-namespace}", err: "invalid-namespace"},
		{name: "not well-formed", send: []string{componentOpen(accept, roomsDomain), "<handshake></message>"}, from: true, want: "{error not-well-formed}", err: "not-well-formed"},
		{name: "a comment", send: []string{componentOpen(accept, roomsDomain), "<!-- x -->"}, from: true, want: "{error restricted-xml}", err: "restricted-xml"},
		{name: "too big", send: []string{componentOpen(accept, roomsDomain), "<handshake>" + strings.Repeat("x", 33<<10)}, from: true,
			want: "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><stanza-too-big xmlns='urn:xmpp:errors'/></stream:error></stream:stream>", err: "too"},
		{name: "connected already", taken: true, send: []string{componentOpen(accept, roomsDomain), "<handshake>ID</handshake>"}, from: true, want: "{error conflict}", err: "conflict", authorized: true},
		{name: "a stream error", send: []string{componentOpen(accept, roomsDomain), "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"}, from: true,
			want: "</stream:stream>", err: "from the peer"},
		{name: "closes at once", send: []string{componentOpen(accept, roomsDomain), "</stream:stream>"}, from: true, want: "</stream:stream>", err: "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, trusted())
				c := &rooms{taken: tt.taken}
				p := s.component(c)
				head, got := "", ""
				for _, text := range tt.send {
					id := ""
					if m := componentID.FindStringSubmatch(head); m != nil {
						id = m[1]
					}
					p.send(strings.NewReplacer("ID", handshake(id, "secret"), "BAD", handshake(id, "guess")).Replace(text))
					synctest.Wait()
					p.mu.Lock()
					got += p.got.String()
					p.got.Reset()
					p.mu.Unlock()
					head = got
				}
				want := acceptHead
				if tt.from {
					want += " from='" + roomsDomain + "'"
				}
				lang := ""
				if tt.name == "no stream" {
					lang = " xml:lang='en'"
				}
				want += " id='ID'" + lang + ">" + expand(tt.want)
				if got = componentID.ReplaceAllString(got, " id='ID'"); got != want {
					t.Errorf("server sent\n%s\nwant\n%s", got, want)
				}
				p.stop()
				if tt.err == "" != (p.err == nil || errors.Is(p.err, io.ErrUnexpectedEOF)) || p.err != nil && !strings.Contains(p.err.Error(), tt.err) {
					t.Errorf("error %v, want %q", p.err, tt.err)
				}
				if got := p.st.State()&mux.Authenticated != 0; got != tt.authorized {
					t.Errorf("authorized %t", got)
				}
				if c.detached != 1 {
					t.Errorf("detached %d times", c.detached)
				}
			})
		})
	}
}

// TestComponentTimeout: the time for the handshake is bounded (core-im LC-20).
func TestComponentTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, trusted()).component(new(rooms))
		p.send(componentOpen(accept, roomsDomain))
		p.take()
		time.Sleep(time.Minute)
		p.expect(expand("{error connection-timeout}"))
		p.stop()
	})
}

// TestComponentGuess: a wrong handshake counts as a failed login (core-im LIM-11).
func TestComponentGuess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := trusted()
		failures := 0
		set.opt.OnFailure = func(_ context.Context, _ *mux.Stream, f negotiate.AuthFailure) time.Duration {
			if failures++; f.Mechanism != "handshake" {
				t.Errorf("failure %+v", f)
			}
			return 10 * time.Second
		}
		p := newSite(t, set).component(new(rooms))
		p.send(componentOpen(accept, roomsDomain) + "<handshake>x</handshake>")
		p.take()
		time.Sleep(9 * time.Second)
		p.expect("")
		time.Sleep(2 * time.Second)
		p.expect(expand("{error not-authorized}"))
		p.stop()
		if failures != 1 {
			t.Errorf("%d failures", failures)
		}
	})
}

// TestComponentRole: each kind of stream is negotiated in its own way.
func TestComponentRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, trusted())
		for _, role := range []mux.Role{mux.Client, mux.Component} {
			c, _ := net.Pipe()
			tr := negotiate.NewConnTransport(c, &s.conn)
			st := s.host.Mux().NewStream(tr, role)
			err := s.n.Serve(t.Context(), st, tr)
			if role == mux.Client {
				err = s.n.ServeComponent(t.Context(), st, tr, new(rooms))
			}
			if err == nil {
				t.Errorf("%s: no error", role)
			}
			st.Gone(false)
			tr.Finish()
		}
	})
}

// FuzzComponent: whatever a component sends before its handshake costs its
// stream only, and lets nobody in.
func FuzzComponent(f *testing.F) {
	for _, s := range []string{
		componentOpen(accept, roomsDomain) + "<handshake>32532c0f7dbf1253c095b18b18e36d38d94c1256</handshake>",
		componentOpen("jabber:client", roomsDomain), "<?xml version='1.0'?>", "</stream:stream>",
		componentOpen(accept, roomsDomain) + "<message from='chat.example.net' to='romeo@example.net'/>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, trusted())
			c := new(rooms)
			p := s.component(c)
			go func() { _, _ = p.c.Write([]byte(text)) }()
			synctest.Wait()
			p.stop()
			if c.attached != nil {
				t.Error("attached")
			}
			if p.err == nil {
				t.Error("no error")
			}
		})
	})
}
