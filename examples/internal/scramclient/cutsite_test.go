package scramclient

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/smacks"
)

const (
	julietBare = "juliet@example.net"
	romeoFull  = "romeo@example.net/orchard"
)

// older lets package negotiate authenticate with package scram, and newer package sasl2,
// as in the reference server.
type (
	older struct{ *scram.Authenticator }
	newer struct{ older }
)

var (
	_ negotiate.SASL          = older{}
	_ negotiate.ChannelBinder = older{}
	_ sasl2.SASL              = newer{}
	_ sasl2.Binder            = newer{}
	_ sasl2.Statuser          = newer{}
	_ sasl2.Upgrader          = newer{}
)

func (s older) on(st *mux.Stream) *scram.Offer {
	return s.On(scram.Connection{TLS: st.TLS(), Leaf: st.Certificate()})
}

func (s older) Mechanisms(st *mux.Stream) []string { return s.on(st).Mechanisms() }

func (s older) ChannelBindings(st *mux.Stream) []string { return s.on(st).ChannelBindings() }

func (s older) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return s.on(st).Start(mechanism, domain)
}

func (s newer) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return s.on(st).Start(mechanism, domain)
}

func (s newer) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}

// keys are one certificate and one account's credentials, for all sites.
type keys struct {
	server, client *tls.Config
	credentials    scram.Credentials
}

// policy is the cheapest.
var policy = scram.Policy{Iterations: scram.MinIterations, Floor: scram.MinIterations, Hashes: []scram.Hash{scram.SHA256}}

// newKeys is called outside of bubbles, whose clocks begin in the year 2000.
func newKeys(t *testing.T) *keys {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{muxtest.Domain}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	c, err := scram.NewCredentials(password, policy)
	if err != nil {
		t.Fatal(err)
	}
	return &keys{
		credentials: c,
		server: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			SessionTicketsDisabled: true, CurvePreferences: []tls.CurveID{tls.X25519}},
		client: &tls.Config{RootCAs: roots, ServerName: muxtest.Domain, CurvePreferences: []tls.CurveID{tls.X25519}},
	}
}

// cut says where a connection breaks: after so many octets, inside TLS, that the
// client has read or written; below zero nowhere.
type cut struct {
	writing bool
	after   int
}

var uncut = cut{after: -1}

// site is a server in memory, and juliet's client.
type site struct {
	t      *testing.T
	keys   *keys
	config config
	host   *muxtest.Host
	sm     *smacks.Extension
	n      *negotiate.Negotiator

	login  *Resuming
	client *smacks.Client
	stop   context.CancelFunc
	ended  chan error

	mu    sync.Mutex // guards what follows
	down  bool
	next  []cut // of the next connections
	pipes []net.Conn
	facts
}

// facts are what has come of it.
type facts struct {
	wires   []*wire
	asked   int // for the password
	started int // sessions
	session *xmpp.Session
	seen    []string // messages, by ids
}

// now is what there is when all has come to rest.
func (s *site) now() facts {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.wires, f.seen = slices.Clone(f.wires), slices.Clone(f.seen)
	return f
}

const password = "correct horse"

// config says what juliet's client does and does not.
type config struct{ upgrades, pipelines, noTokens bool }

func newSite(t *testing.T, k *keys, c config) *site {
	s := &site{t: t, keys: k, config: c}
	accounts := new(scram.Memory)
	if _, err := accounts.Create(t.Context(), julietBare, k.credentials); err != nil {
		t.Fatal(err)
	}
	s.host = muxtest.NewHost(t)
	s.host.AddAccount(julietBare, "romeo@example.net")
	s.sm = smacks.New(new(smacks.Memory), &smacks.Options{Window: time.Minute})
	policy := policy
	if c.upgrades {
		policy = scram.Policy{Iterations: scram.DefaultFloor} // less is no upgrade
	}
	auth := older{scram.New(accounts, &scram.Options{Policy: policy})}
	x := sasl2.New(newer{auth}, new(sasl2.Memory), &sasl2.Options{Secret: [32]byte{1}, TokenRotation: time.Minute})
	s.host.Open(&mux.Options{NoRecover: true, Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)},
		negotiate.Extension(), x, s.sm, offline.New(new(offline.Memory), nil))
	s.n = negotiate.New(s.host.Mux(), &negotiate.Options{SASL: auth})
	s.installs()
	return s
}

// installs makes a program that has never logged in.
func (s *site) installs() {
	s.login = NewResuming(jid.MustParse(julietBare+"/balcony"), password, s.keys.client)
	s.login.options.Pipeline = s.config.pipelines
	if s.config.noTokens {
		s.login.options.Tokens = []string{}
	}
	s.login.proof.Password = func(context.Context) (string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked++
		return password, nil
	}
	// Connections break inside TLS.
	for i, f := range s.login.older {
		if f.Name.Space != "urn:ietf:params:xml:ns:xmpp-tls" {
			continue
		}
		s.login.older[i].Negotiate = func(ctx context.Context, session *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
			mask, rw, err := f.Negotiate(ctx, session, data)
			if c, ok := rw.(*tls.Conn); ok && err == nil {
				rw = s.wire(c)
			}
			return mask, rw, err
		}
	}
}

// wire is the connection that was dialled last, inside TLS.
func (s *site) wire(c *tls.Conn) *wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &wire{Conn: c, cut: uncut, raw: s.pipes[len(s.pipes)-1]}
	if len(s.next) > 0 {
		w.cut, s.next = s.next[0], s.next[1:]
	}
	s.wires = append(s.wires, w)
	return w
}

// dial is a connection to the server.
func (s *site) dial(context.Context, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("no network")
	}
	ours, theirs := net.Pipe()
	s.pipes = append(s.pipes, ours)
	t := negotiate.NewConnTransport(theirs, &negotiate.ConnOptions{TLS: s.keys.server})
	st := s.host.Mux().NewStream(t, mux.Client)
	go func() {
		defer t.Finish()
		if err := s.n.Serve(context.Background(), st, t); err != nil {
			st.Gone(errors.Is(err, io.EOF))
			return
		}
		_ = t.Receive(context.Background(), st) // how it ends is the client's affair
	}()
	return ours, nil
}

// breaks breaks what connection there is; with down there is no other.
func (s *site) breaks(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	_ = s.pipes[len(s.pipes)-1].Close() // it may be closed
}

// comesBack has the network be there again, with connections that break.
func (s *site) comesBack(next []cut) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.next = false, next
}

// runs has the program run, which goes on with a session if there is one.
func (s *site) runs(state *smacks.ClientState) {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.stop, s.ended = cancel, make(chan error, 1)
	c := smacks.NewClient(jid.MustParse(julietBare), &smacks.ClientOptions{
		Dial: s.dial, Login: s.login.Login, State: state,
		Backoff: func(int, error) time.Duration { return time.Second },
	})
	s.client = c
	ended := s.ended
	go func() { ended <- c.Run(ctx, s.start) }()
}

// ends has the program end, properly.
func (s *site) ends() {
	s.t.Helper()
	s.stop()
	if err := <-s.ended; !errors.Is(err, context.Canceled) {
		s.t.Errorf("it ends with %v", err)
	}
	synctest.Wait()
}

func (s *site) start(_ context.Context, session *xmpp.Session) (xmpp.Handler, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = session
	s.started++
	_, err := session.Conn().Write([]byte("<presence/>"))
	return s, err
}

// HandleXMPP implements [xmpp.Handler].
func (s *site) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if _, err := xmlstream.Copy(xmlstream.Discard(), t); err != nil && err != io.EOF {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range start.Attr {
		if a.Name.Local == "id" && start.Name.Local == "message" {
			s.seen = append(s.seen, a.Value)
		}
	}
	return nil
}

// bound are the sessions that the server has of juliet.
func (s *site) bound() []*mux.Session {
	synctest.Wait()
	return s.host.Mux().Sessions(mux.MustParseAddress(julietBare))
}

// toJuliet has romeo write to the account, and to each session the server has of it.
func (s *site) toJuliet(romeo *muxtest.Client, id string) (ids []string) {
	to := []string{julietBare}
	for _, session := range s.bound() {
		to = append(to, session.JID().String())
	}
	for _, a := range to {
		ids = append(ids, id)
		romeo.Send("<message to='" + a + "' type='chat' id='" + id + "'><body>x</body></message>")
		id += "f"
	}
	return ids
}

// got are the messages that romeo has got, by their ids.
func got(t *testing.T, romeo *muxtest.Client) (ids []string) {
	t.Helper()
	synctest.Wait()
	for _, el := range romeo.Arrived() {
		p, err := mux.Parse([]byte(el))
		if err != nil {
			t.Fatal(err)
		}
		if p.Kind() == mux.Message {
			ids = append(ids, p.ID()+strings.TrimPrefix(p.Type(), "chat"))
		}
	}
	romeo.Clear()
	return ids
}

func (s *site) expect(what string, got, want []string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// wire is a connection inside TLS, which breaks.
type wire struct {
	*tls.Conn
	raw net.Conn

	mu  sync.Mutex
	cut cut
	in  []byte // read
	out int    // octets written
}

var errCut = errors.New("cut")

// left is how many more octets may pass, at most n.
func (w *wire) left(writing bool, done, n int) int {
	if w.cut.after < 0 || w.cut.writing != writing {
		return n
	}
	return min(n, w.cut.after-done)
}

// Read implements [net.Conn].
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	n := w.left(false, len(w.in), len(p))
	w.mu.Unlock()
	if n == 0 && len(p) > 0 {
		_ = w.raw.Close() // it is broken
		return 0, errCut
	}
	n, err := w.Conn.Read(p[:n])
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in = append(w.in, p[:n]...)
	return n, err
}

// Write implements [net.Conn].
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	n := w.left(true, w.out, len(p))
	w.out += n
	w.mu.Unlock()
	m, err := w.Conn.Write(p[:n])
	if n < len(p) {
		_ = w.raw.Close() // it is broken
		return m, errCut
	}
	return m, err
}

// carried is what was read, and how much was written.
func (w *wire) carried() (in string, out int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.in), w.out
}
