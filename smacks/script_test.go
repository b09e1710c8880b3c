package smacks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

// network is where a client's connections lead, each to a server that the test
// plays.
type network struct {
	t     *testing.T
	plain bool   // without stream management
	more  string // features

	mu    sync.Mutex
	down  bool
	hang  chan struct{} // dialling lasts until it is closed, if not nil
	all   []*script
	where []string // locations that were asked for
}

func (n *network) dial(ctx context.Context, location string) (net.Conn, error) {
	if n.hang != nil {
		select {
		case <-n.hang:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.where = append(n.where, location)
	if n.down {
		return nil, errors.New("no network")
	}
	ours, theirs := net.Pipe()
	s := &script{t: n.t, c: theirs, plain: n.plain, more: n.more}
	n.all = append(n.all, s)
	go s.read()
	return ours, nil
}

// script is the server's end of a connection. It answers until the client has
// authenticated, and leaves the rest to the test.
type script struct {
	t     *testing.T
	c     net.Conn
	plain bool
	more  string

	mu   sync.Mutex
	got  string
	head int
}

func (s *script) read() {
	b := make([]byte, 4096)
	for {
		n, err := s.c.Read(b)
		s.mu.Lock()
		s.got += string(b[:n])
		reply := s.login()
		s.mu.Unlock()
		if reply != "" {
			if _, err := io.WriteString(s.c, reply); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

const scriptHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net' id='1' version='1.0'>"

func (s *script) login() string {
	if s.head == 2 || !strings.Contains(s.got, "<stream:stream") || !strings.HasSuffix(s.got, ">") {
		return ""
	}
	s.got = ""
	if s.head++; s.head == 1 {
		return scriptHeader + "<stream:features><auth xmlns='urn:x:auth'/></stream:features>"
	}
	sm := "<sm xmlns='urn:xmpp:sm:3'/>"
	if s.plain {
		sm = ""
	}
	return scriptHeader + "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" + sm + s.more + "</stream:features>"
}

// last is the newest connection.
func (n *network) last() *script {
	n.t.Helper()
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.all) == 0 {
		n.t.Fatal("nobody connects")
	}
	return n.all[len(n.all)-1]
}

func (n *network) setDown(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// take is what the client has sent since.
func (s *script) take() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = ""
	return got
}

// want wants parts in what the client has sent since, in order, and nothing if
// there are none.
func (s *script) want(parts ...string) string {
	s.t.Helper()
	got := s.take()
	if len(parts) == 0 && got != "" {
		s.t.Fatalf("client says %s", got)
	}
	rest := got
	for _, p := range parts {
		i := strings.Index(rest, p)
		if i < 0 {
			s.t.Fatalf("client says %s, want %q", got, parts)
		}
		rest = rest[i+len(p):]
	}
	return got
}

func (s *script) say(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.c, text); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// binds answers the request for a resource, and to enable.
func (s *script) binds(token string) {
	s.t.Helper()
	got := s.want("<bind xmlns=")
	s.bound(got)
	if s.plain {
		return
	}
	s.want("<enable xmlns='urn:xmpp:sm:3' resume='true'")
	s.say("<message id='early'/><enabled xmlns='urn:xmpp:sm:3' id='" + token + "' resume='true' max='600' location='[2001:db8::1]:5222'/>")
}

func (s *script) bound(request string) {
	_, id, _ := strings.Cut(request, "id='")
	id, _, _ = strings.Cut(id, "'")
	s.say("<iq type='result' id='" + id + "'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@example.net/balcony</jid></bind></iq>")
}

// user is a client with an application that notes what it sees.
type user struct {
	*smacks.Client
	t       *testing.T
	net     *network
	session *xmpp.Session
	handler xmpp.Handler // in place of the user itself, if not nil
	served  chan error

	mu     sync.Mutex
	seen   []string
	events []string
	acked  []string
	busy   chan struct{} // handlers wait for it, if not nil
}

func newUser(t *testing.T, o smacks.ClientOptions) *user {
	u := &user{t: t, net: &network{t: t}}
	o.Dial = u.net.dial
	o.Features = []xmpp.StreamFeature{{
		Name: xml.Name{Space: "urn:x:auth", Local: "auth"}, Prohibited: xmpp.Authn,
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			return true, nil, d.Skip()
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			return xmpp.Authn, s.Conn(), nil
		},
	}}
	more := o.OnEvent
	o.OnEvent = func(e smacks.ClientEvent) {
		u.mu.Lock()
		u.events = append(u.events, e.Kind.String())
		u.mu.Unlock()
		if more != nil {
			more(e)
		}
	}
	acked := o.OnAcked
	o.OnAcked = func(list []smacks.Pending) {
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, p := range list {
			u.acked = append(u.acked, p.ID)
		}
		if acked != nil {
			u.mu.Unlock()
			defer u.mu.Lock()
			acked(list)
		}
	}
	u.Client = smacks.NewClient(jid.MustParse("juliet@example.net/balcony"), &o)
	t.Cleanup(func() {
		u.Detach()
		for _, s := range u.net.all {
			_ = s.c.Close() // it may be closed
		}
	})
	return u
}

// HandleXMPP implements xmpp.Handler.
func (u *user) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if _, err := xmlstream.Copy(xmlstream.Discard(), t); err != nil && err != io.EOF {
		return err
	}
	u.mu.Lock()
	busy := u.busy
	for _, a := range start.Attr {
		if a.Name.Local == "id" {
			u.seen = append(u.seen, a.Value)
		}
	}
	u.mu.Unlock()
	if busy != nil {
		<-busy
	}
	return nil
}

// connects has the client connect and serve, while the test plays the server.
func (u *user) connects() {
	served := make(chan error, 1)
	u.served = served
	go func() {
		s, err := u.Connect(u.t.Context())
		if err != nil {
			served <- err
			return
		}
		u.mu.Lock()
		u.session = s
		u.mu.Unlock()
		if u.handler != nil {
			served <- s.Serve(u.handler)
			return
		}
		served <- s.Serve(u)
	}()
}

func (u *user) begins(token string) *script {
	u.t.Helper()
	u.connects()
	s := u.net.last()
	s.binds(token)
	synctest.Wait()
	return s
}

func (u *user) send(ids ...string) {
	u.t.Helper()
	for _, id := range ids {
		if err := u.session.Send(u.t.Context(), stanza.Message{ID: id, Type: stanza.ChatMessage, To: jid.MustParse("romeo@example.net")}.Wrap(nil)); err != nil {
			u.t.Fatal(err)
		}
	}
}

func (u *user) check(what string, got *[]string, want ...string) {
	u.t.Helper()
	synctest.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	if !slices.Equal(*got, want) {
		u.t.Errorf("%s: got %q, want %q", what, *got, want)
	}
}
