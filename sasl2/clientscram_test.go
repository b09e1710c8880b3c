package sasl2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// bound is package scram with channel binding and upgrades, in both profiles.
type bound struct{ *scram.Authenticator }

func (b bound) on(st *mux.Stream) *scram.Offer {
	return b.On(scram.Connection{TLS: st.TLS(), Leaf: st.Certificate()})
}

func (b bound) Mechanisms(st *mux.Stream) []string { return b.on(st).Mechanisms() }

func (b bound) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return b.on(st).Start(mechanism, domain)
}

func (b bound) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}

type boundOld struct{ bound }

func (b boundOld) ChannelBindings(st *mux.Stream) []string { return b.on(st).ChannelBindings() }

func (b boundOld) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return b.on(st).Start(mechanism, domain)
}

// relisted is a scram.Client that takes other lists.
type relisted struct{ *scram.Client }

func (r relisted) Relist(o sasl2.Offer) { r.Listed(listing(o)) }

func listing(o sasl2.Offer) scram.Listing {
	return scram.Listing{Profile: scram.SASL2, Mechanisms: o.Mechanisms, BindingTypes: o.BindingTypes}
}

// scramSite has TLS and package scram.
func scramSite(t *testing.T, keys ...scram.Hash) *site {
	t.Helper()
	accounts := new(scram.Memory)
	policy := scram.Policy{Iterations: 10_000, Floor: 4096}
	c, err := scram.NewCredentials("correct horse", scram.Policy{Iterations: 10_000, Floor: 4096, Hashes: keys})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.Create(t.Context(), "romeo@example.net", c); err != nil {
		t.Fatal(err)
	}
	auth := bound{scram.New(accounts, &scram.Options{Policy: policy, DisablePlain: true})}
	x := sasl2.New(auth, new(sasl2.Memory), &sasl2.Options{Secret: [32]byte{1}})
	s := &site{t: t, x: x, conn: negotiate.ConnOptions{TLS: certificate(t)}}
	s.host = muxtest.New(t, &mux.Options{NoRecover: true}, negotiate.Extension(), x)
	s.host.AddAccount("romeo@example.net")
	s.n = negotiate.New(s.host.Mux(), &negotiate.Options{SASL: boundOld{auth}})
	return s
}

// dial opens a connection to the site.
func (s *site) dial() (ours net.Conn, done chan struct{}) {
	ours, theirs := net.Pipe()
	t := negotiate.NewConnTransport(theirs, &s.conn)
	st := s.host.Mux().NewStream(t, mux.Client)
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer t.Finish()
		if err := s.n.Serve(context.Background(), st, t); err != nil {
			st.Gone(errors.Is(err, io.EOF))
			return
		}
		_ = t.Receive(context.Background(), st) // how it ends is the client's affair
	}()
	return ours, done
}

// scramProgram is a client with package scram.
type scramProgram struct {
	t     *testing.T
	state sasl2.ClientState
	pins  scram.Pins
	asked int
}

func (p *scramProgram) login(conn net.Conn, password string, change func(*sasl2.ClientOptions)) (sasl2.Login, error) {
	p.t.Helper()
	proof := scram.ClientOptions{Username: "romeo", Password: scram.FixedPassword(password), Pins: p.pins}
	o := &sasl2.ClientOptions{
		State: p.state, Save: func(_ context.Context, s sasl2.ClientState) error { p.state = s; return nil },
		Binding: scram.BindingData,
		Mechanism: func(_ context.Context, a sasl2.Attempt) (sasl2.Run, error) {
			p.asked++
			with := proof
			with.Policy.Tried = a.Tried
			choice, err := scram.Choose(listing(a.Offer), scram.LocalTLS(a.TLS), with.Policy, with.Pins)
			if err != nil {
				return nil, err
			}
			c, err := scram.NewClient(choice, &with)
			return relisted{c}, err
		},
		Upgrade: func(ctx context.Context, task string, salt []byte, iterations int) ([]byte, error) {
			if task != "UPGR-SCRAM-SHA-512" {
				return nil, errors.New("task " + task)
			}
			return scram.SaltPassword(ctx, scram.SHA512, password, salt, iterations)
		},
	}
	if change != nil {
		change(o)
	}
	s, l, err := sasl2.NewSession(context.Background(), jid.MustParse("romeo@example.net"), conn, o, xmpp.StartTLS(&tls.Config{InsecureSkipVerify: true}))
	if err == nil {
		if r, ok := l.Run.(relisted); ok {
			p.pins = r.Login().Pins
		}
		_ = s.Conn().Close()
	}
	return l, err
}

// TestClientScram: with package scram at both ends over TLS: channel binding, an
// upgrade, a token, and all of it in one flight.
func TestClientScram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scramSite(t, scram.SHA256)
		p := &scramProgram{t: t}
		login := func(change func(*sasl2.ClientOptions)) sasl2.Login {
			t.Helper()
			conn, done := s.dial()
			defer func() { <-done }()
			l, err := p.login(conn, "correct horse", change)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		first := login(nil)
		// That the account lacks the stronger hash is told by a refusal.
		if p.asked != 2 || first.Mechanism != "SCRAM-SHA-256-PLUS" || !reflect.DeepEqual(first.Upgraded, []string{"UPGR-SCRAM-SHA-512"}) {
			t.Errorf("first %+v", first)
		}
		if got := p.state.Tokens; len(got) != 1 || got[0].Mechanism != "HT-SHA-256-EXPR" {
			t.Errorf("tokens %v", got)
		}
		if l := login(func(o *sasl2.ClientOptions) { o.Pipeline = true }); !l.Token || l.Mechanism != "HT-SHA-256-EXPR" || p.state.Offer == nil {
			t.Errorf("token: %+v", l)
		}
		p.state.Tokens = nil
		if l := login(func(o *sasl2.ClientOptions) { o.Pipeline = true }); l.Token || l.Mechanism != "SCRAM-SHA-512-PLUS" || len(l.Upgraded) != 0 {
			t.Errorf("upgraded: %+v", l)
		}
		if !p.pins.SASL2 || p.pins.Binding != scram.TLSExporter {
			t.Errorf("pins %+v", p.pins)
		}
	})
}

// relay is somebody in between who has a certificate that the client accepts, and a
// connection of his own to the server.
func (s *site) relay() (forClient net.Conn, stop func()) {
	s.t.Helper()
	server, done := s.dial()
	talk := func(send, until string) {
		if _, err := io.WriteString(server, expand(send)); err != nil {
			s.t.Fatal(err)
		}
		b := make([]byte, 4096)
		for got := ""; !strings.Contains(got, until); {
			n, err := server.Read(b)
			if err != nil {
				s.t.Fatal(err)
			}
			got += string(b[:n])
		}
	}
	talk("{romeo}", "</stream:features>")
	talk("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed")
	toServer := tls.Client(server, &tls.Config{InsecureSkipVerify: true})
	ours, theirs := net.Pipe()
	toClient := tls.Server(theirs, certificate(s.t))
	var ended [2]chan struct{}
	for i, c := range [2][2]net.Conn{{toServer, toClient}, {toClient, toServer}} {
		ended[i] = make(chan struct{})
		go func() {
			defer close(ended[i])
			_, _ = io.Copy(c[0], c[1]) // until one of them hangs up
			_ = server.Close()
			_ = theirs.Close()
		}()
	}
	return tls.Client(ours, &tls.Config{InsecureSkipVerify: true}), func() {
		_ = ours.Close()
		<-ended[0]
		<-ended[1]
		<-done
	}
}

// TestClientInBetween: who relays a login that is bound to the connection gets
// nowhere, neither with a token nor with the password (scenarios 1, 8, 23).
func TestClientInBetween(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scramSite(t, scram.SHA512, scram.SHA256)
		p := &scramProgram{t: t}
		conn, stop := s.relay()
		if _, err := p.login(conn, "correct horse", nil); !errors.Is(err, sasl2.ErrNotAuthorized) {
			t.Errorf("password: %v", err)
		}
		stop()
		conn, done := s.dial()
		if _, err := p.login(conn, "correct horse", nil); err != nil || len(p.state.Tokens) != 1 {
			t.Fatalf("directly: %v, %v", err, p.state.Tokens)
		}
		<-done
		for _, pipeline := range []bool{false, true} {
			q := *p
			q.asked = 0
			conn, stop = s.relay()
			if _, err := q.login(conn, "correct horse", func(o *sasl2.ClientOptions) { o.Pipeline = pipeline }); !errors.Is(err, sasl2.ErrNotAuthorized) || q.asked == 0 {
				t.Errorf("token: %v", err)
			}
			stop()
		}
	})
}
