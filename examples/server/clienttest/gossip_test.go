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
	"regexp"
	"strconv"
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

	"github.com/propolis-im/propolis/examples/internal/scramclient"
	"github.com/propolis-im/propolis/smacks"
)

const carol = "carol@" + domain

// gossip is three clients that write to each other, and what they know.
type gossip struct {
	t       *testing.T
	seed    uint64
	config  *tls.Config
	stop    context.CancelFunc
	ctx     context.Context
	talkers []*talker
	running sync.WaitGroup
	first   sync.WaitGroup // sessions that there must be before anybody writes

	mu       sync.Mutex
	addr     map[string]string // of the server, by transport
	quiet    bool              // nobody writes any more
	messages map[string]*said
	order    []*said
	log      []string
}

// said is a message.
type said struct {
	id    string
	from  string
	to    *talker
	acked bool
	heard uint32 // what its sender had acknowledged before
	seen  []sight
}

// sight is that somebody has seen a message.
type sight struct {
	session  int // of so many that began anew
	number   uint32
	archived string // its stanza-id
	at       time.Time
}

// talker is one client.
type talker struct {
	g       *gossip
	account string
	via     string // transport

	// under the lock of gossip
	c        *smacks.Client
	stop     context.CancelFunc
	ended    chan struct{} // c has
	session  int
	online   *xmpp.Session
	n        int            // messages sent
	told     uint32         // the last acknowledgement written
	sure     map[int]uint32 // by session: up to this stanza the server certainly knows
	lastSeen map[string]int // by sender, in this session
	trace    []string       // of what it has seen
	wrong    []int          // where in the trace
	seen     int
}

func newGossip(t *testing.T, s *server, seed uint64) *gossip {
	t.Helper()
	pem, err := os.ReadFile(s.certificate)
	if err != nil {
		t.Fatal(err)
	}
	g := &gossip{t: t, seed: seed, messages: make(map[string]*said), config: &tls.Config{ServerName: domain, RootCAs: x509.NewCertPool()}}
	g.config.RootCAs.AppendCertsFromPEM(pem)
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.moved(s)
	for i, a := range []string{alice, bob, carol} {
		k := &talker{g: g, account: a, via: []string{"starttls", "starttls", "direct"}[i], sure: make(map[int]uint32)}
		g.talkers = append(g.talkers, k)
	}
	g.first.Add(len(g.talkers))
	for _, k := range g.talkers {
		k.begin()
	}
	g.first.Wait()
	return g
}

func (g *gossip) note(format string, a ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noteLocked(format, a...)
}

func (g *gossip) noteLocked(format string, a ...any) {
	g.log = append(g.log, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, a...))
}

// moved: the server listens elsewhere now.
func (g *gossip) moved(s *server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.addr = make(map[string]string)
	for _, via := range s.transports() {
		g.addr[via.name] = via.addr
	}
}

// begin begins a new session, without regard to any before.
func (k *talker) begin() {
	g := k.g
	g.mu.Lock()
	defer g.mu.Unlock()
	k.session++
	k.lastSeen, k.online, k.told = make(map[string]int), nil, 0
	g.noteLocked("%s begins session %d", k.account, k.session)
	login := xmpp.SASL("", password, sasl.ScramSha256)
	features := []xmpp.StreamFeature{xmpp.StartTLS(g.config), login}
	if k.via == "direct" {
		login.Necessary &^= xmpp.Secure // which mellium does not know of a connection that is watched
		features = []xmpp.StreamFeature{login}
	}
	login2 := scramclient.NewResuming(jid.MustParse(k.account+"/phone"), password, g.config).Login
	if k.account != bob { // who resumes and binds by SASL2
		login2 = nil
	}
	session := k.session
	c := smacks.NewClient(jid.MustParse(k.account+"/phone"), &smacks.ClientOptions{
		Dial:     func(ctx context.Context, _ string) (net.Conn, error) { return k.dial(ctx, session) },
		Features: features, Login: login2, MaxQueue: 20,
		Backoff: func(int, error) time.Duration { return 15 * time.Millisecond },
		OnAcked: func(done []smacks.Pending) { k.acked(session, done) },
		OnDropped: func(p smacks.Pending) smacks.Action {
			g.t.Errorf("%s lost a session with %s", k.account, p.ID)
			return smacks.Discard
		},
		OnEvent: func(e smacks.ClientEvent) {
			g.note("%s %s (session %d): %v", k.account, e.Kind, session, e.Err)
		},
	})
	ctx, stop := context.WithCancel(g.ctx)
	ended := make(chan struct{})
	k.c, k.stop, k.ended = c, stop, ended
	g.running.Go(func() {
		defer close(ended)
		_ = c.Run(ctx, func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error) { return k.start(ctx, session, s) })
	})
}

func (k *talker) start(ctx context.Context, session int, s *xmpp.Session) (xmpp.Handler, error) {
	g := k.g
	g.mu.Lock()
	if k.session != session || k.online != nil {
		again := k.online != nil
		g.mu.Unlock()
		if again {
			g.t.Errorf("%s could not resume", k.account)
		}
		return nil, net.ErrClosed
	}
	k.online = s
	g.mu.Unlock()
	err := s.Send(ctx, stanza.Presence{}.Wrap(nil))
	if session == 1 { // who always resumes is never sent what was stored
		if err = k.c.RequestAck(ctx); err != nil {
			return nil, err
		}
		g.first.Done()
		g.first.Wait()
	}
	for _, to := range g.talkers {
		if to != k {
			g.running.Go(func() { k.talk(session, s, to) })
		}
	}
	return mux.New(stanza.NSClient, mux.MessageFunc(stanza.ChatMessage, xml.Name{Local: "body"},
		func(_ stanza.Message, r xmlstream.TokenReadEncoder) error { return k.sees(session, r) })), err
}

// talk writes one message after another.
func (k *talker) talk(session int, s *xmpp.Session, to *talker) {
	g := k.g
	for {
		g.mu.Lock()
		if g.quiet || k.session != session {
			g.mu.Unlock()
			return
		}
		k.n++
		m := &said{id: fmt.Sprintf("%s-%d", k.account, k.n), from: k.account, to: to, heard: k.told}
		g.messages[m.id] = m
		g.order = append(g.order, m)
		g.mu.Unlock()
		err := s.Encode(g.ctx, struct {
			stanza.Message
			Body string `xml:"body"`
		}{stanza.Message{ID: m.id, To: jid.MustParse(to.account), Type: stanza.ChatMessage}, m.id})
		if err != nil {
			return
		}
		wait(time.Millisecond)
	}
}

// acked: the server has these messages, and with them what was acknowledged to it
// before they were sent.
func (k *talker) acked(session int, done []smacks.Pending) {
	k.g.mu.Lock()
	defer k.g.mu.Unlock()
	for _, p := range done {
		if m := k.g.messages[p.ID]; m != nil {
			m.acked = true
			k.sure[session] = max(k.sure[session], m.heard)
		}
	}
}

// sees is the handler of messages.
func (k *talker) sees(session int, r xml.TokenReader) error {
	var el struct {
		stanza.Message
		Archived []struct {
			ID string `xml:"id,attr"`
		} `xml:"urn:xmpp:sid:0 stanza-id"`
		Delay struct {
			Stamp string `xml:"stamp,attr"`
		} `xml:"urn:xmpp:delay delay"`
	}
	if err := xml.NewTokenDecoder(r).Decode(&el); err != nil && err != io.EOF {
		return err
	}
	g := k.g
	state := k.client().State()
	g.mu.Lock()
	defer g.mu.Unlock()
	if state == nil || k.session != session {
		return nil // it was given up meanwhile
	}
	m := g.messages[el.ID]
	if m == nil || m.to != k {
		g.t.Errorf("%s has seen %q, which nobody has sent to it", k.account, el.ID)
		return nil
	}
	now := sight{session: session, number: state.In + 1, at: time.Now()}
	if len(el.Archived) == 1 {
		now.archived = el.Archived[0].ID
	}
	k.seen++
	k.trace = append(k.trace, fmt.Sprintf("%s session %d, stanza %d: %s (%s, %s), seen %d times before",
		now.at.Format("15:04:05.000"), session, now.number, m.id, now.archived, el.Delay.Stamp, len(m.seen)))
	_, number, _ := strings.Cut(m.id, "-")
	switch n, _ := strconv.Atoi(number); { // it was made here
	case n > k.lastSeen[m.from]:
		k.lastSeen[m.from] = n
	case k.account == carol && el.Delay.Stamp != "":
		// It was stored, and on its way to her when the connection broke: what
		// came meanwhile is with her session already, and this says how old it is.
	default:
		g.t.Errorf("%s, session %d: %s comes after %d", k.account, session, m.id, k.lastSeen[m.from])
		k.wrong = append(k.wrong, len(k.trace)-1)
	}
	for _, before := range m.seen {
		wrong := true
		switch sure := k.sure[before.session]; {
		case before.session == session:
			g.t.Errorf("%s has seen %s twice in session %d", k.account, m.id, session)
		case before.number <= sure:
			g.t.Errorf("%s sees %s again in session %d: stanza %d of session %d, of which %d were acknowledged",
				k.account, m.id, session, before.number, before.session, sure)
		case before.archived != now.archived:
			g.t.Errorf("%s sees %s with the IDs %q and %q", k.account, m.id, before.archived, now.archived)
		default:
			wrong = false
		}
		if wrong {
			k.wrong = append(k.wrong, len(k.trace)-1)
		}
	}
	m.seen = append(m.seen, now)
	return nil
}

func (k *talker) client() *smacks.Client {
	k.g.mu.Lock()
	defer k.g.mu.Unlock()
	return k.c
}

// carolAnew has carol forget her session and begin another.
func (g *gossip) carolAnew() {
	k := g.talkers[2]
	g.mu.Lock()
	old := *k
	g.mu.Unlock()
	g.note("carol forgets her session")
	old.c.Detach()
	old.stop() // if there was none yet
	<-old.ended
	k.begin()
}

// traffic waits until everybody has seen so many messages more.
func (g *gossip) traffic(t *testing.T, n int) {
	t.Helper()
	g.mu.Lock()
	goal := make(map[*talker]int)
	for _, k := range g.talkers {
		goal[k] = k.seen + n
	}
	g.mu.Unlock()
	g.until(t, "messages", func() bool {
		for k, n := range goal {
			if k.seen < n {
				return false
			}
		}
		return true
	})
}

// until waits for a condition, which is asked under the lock.
func (g *gossip) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); ; wait(5 * time.Millisecond) {
		g.mu.Lock()
		ok := is()
		g.mu.Unlock()
		switch {
		case ok:
			return
		case time.Now().After(end):
			g.end()
			g.print(t)
			t.Fatalf("no %s within %v", what, limit)
		}
	}
}

// finish brings everything to rest.
func (g *gossip) finish(t *testing.T) {
	t.Helper()
	g.note("the end")
	g.mu.Lock()
	g.quiet = true
	g.mu.Unlock()
	for _, k := range g.talkers {
		g.until(t, "rest of "+k.account, func() bool { return k.online != nil && len(k.c.Pending()) == 0 })
	}
	g.until(t, "last messages", func() bool {
		for _, m := range g.order {
			if m.acked && len(m.seen) == 0 {
				return false
			}
		}
		return true
	})
	for _, k := range g.talkers { // what is still under way comes before the answer
		if err := k.client().RequestAck(t.Context()); err != nil {
			t.Errorf("%s: %v", k.account, err)
		}
	}
}

// check says what is wrong in the end.
func (g *gossip) check(t *testing.T) {
	g.mu.Lock()
	acked, doubles := 0, 0
	for _, m := range g.order {
		n := len(m.seen)
		if m.acked {
			acked++
		}
		switch {
		case n == 0 && m.acked:
			t.Errorf("%s to %s was acknowledged, and is lost", m.id, m.to.account)
		case n == 0 && m.from != carol:
			t.Errorf("%s to %s was never acknowledged", m.id, m.to.account)
		case n > 1 && m.to.account != carol:
			t.Errorf("%s has seen %s %d times", m.to.account, m.id, n)
		case n > 1:
			doubles += n - 1
		}
	}
	t.Logf("seed %d: %d messages, %d acknowledged, %d sessions of carol, in which %d came again", g.seed, len(g.order), acked, g.talkers[2].session, doubles)
	g.mu.Unlock()
	if t.Failed() {
		g.print(t)
	}
}

// print prints what happened.
func (g *gossip) print(t *testing.T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.Logf("seed %d\n%s", g.seed, strings.Join(g.log, "\n"))
	shown := 0
	for _, m := range g.order {
		if len(m.seen) == 0 && m.acked && shown < 20 {
			shown++
			t.Logf("%s to %s was acknowledged and not seen:\n%s", m.id, m.to.account, m.to.around(m.id))
		}
	}
	for _, k := range g.talkers {
		for _, i := range k.wrong[:min(len(k.wrong), 3)] {
			t.Logf("%s saw:\n%s", k.account, strings.Join(k.trace[max(i-20, 0):i+1], "\n"))
		}
	}
}

// around is what was seen when a message should have been: before the next one of its
// sender.
func (k *talker) around(id string) string {
	from, number, _ := strings.Cut(id, "-")
	n, _ := strconv.Atoi(number) // it was made here
	for i, line := range k.trace {
		_, rest, _ := strings.Cut(line, ": "+from+"-")
		if later, err := strconv.Atoi(strings.SplitN(rest, " ", 2)[0]); err == nil && later > n {
			return strings.Join(k.trace[max(i-10, 0):i+1], "\n")
		}
	}
	return strings.Join(k.trace[max(len(k.trace)-10, 0):], "\n")
}

// end ends all clients.
func (g *gossip) end() {
	g.mu.Lock()
	g.quiet = true
	g.mu.Unlock()
	for _, k := range g.talkers {
		k.client().Detach()
	}
	g.stop()
	g.running.Wait()
}

// dial connects to where the server is now.
func (k *talker) dial(ctx context.Context, session int) (net.Conn, error) {
	g := k.g
	g.mu.Lock()
	addr := g.addr[k.via]
	g.mu.Unlock()
	if k.via != "direct" {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	c, err := (&tls.Dialer{Config: g.config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &watched{Conn: c, k: k, session: session}, nil
}

// watched is a connection that notes what is acknowledged over it.
type watched struct {
	net.Conn
	k       *talker
	session int
}

var acknowledgement = regexp.MustCompile(`<a xmlns='urn:xmpp:sm:3' h='([0-9]+)'/>`)

// Write implements [io.Writer].
func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	for _, a := range acknowledgement.FindAllSubmatch(p, -1) {
		if h, bad := strconv.ParseUint(string(a[1]), 10, 32); bad == nil && err == nil {
			w.k.g.mu.Lock()
			if w.k.session == w.session {
				w.k.told = max(w.k.told, uint32(h))
			}
			w.k.g.mu.Unlock()
		}
	}
	return n, err
}
