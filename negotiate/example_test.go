package negotiate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/scram"
)

// village is a host with one domain and no neighbours.
type village struct{}

func (village) Local(domain string) bool { return domain == "example.net" }

func (village) Account(mux.Address) (exists, known bool) { return true, true }

func (village) LoadAccount(context.Context, mux.Address) (bool, error) { return true, nil }

func (village) Route(context.Context, *mux.Item) error { return errors.New("no other domains") }

// serve is the life of one connection.
func serve(ctx context.Context, m *mux.Mux, n *negotiate.Negotiator, c net.Conn) error {
	// With a certificate in ConnOptions.TLS in place of Trusted, STARTTLS is
	// required.
	t := negotiate.NewConnTransport(c, &negotiate.ConnOptions{Trusted: true})
	defer t.Finish()
	st := m.NewStream(t, mux.Client)
	if err := n.Serve(ctx, st, t); err != nil {
		st.Gone(errors.Is(err, io.EOF))
		return err
	}
	fmt.Println("bound", st.Session().JID())
	return t.Receive(ctx, st)
}

// A server for any net.Conn: its stream is negotiated, then read.
func Example() {
	m, err := mux.New(village{}, nil, negotiate.Extension())
	if err != nil {
		fmt.Println(err)
		return
	}
	n := negotiate.New(m, &negotiate.Options{SASL: saslTest{}}) // or package scram, see Negotiator.XMPP

	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- serve(context.Background(), m, n, server) }()
	go func() {
		_, _ = io.Copy(io.Discard, client) // a client that does not care for answers
	}()
	const open = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>"
	_, err = io.WriteString(client, open+
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>"+open+
		"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq></stream:stream>")
	fmt.Println(err, <-done)
	fmt.Println(m.Shutdown(context.Background()))
	// Output:
	// bound romeo@example.net/orchard
	// <nil> EOF
	// <nil>
}

// passwords lets this package authenticate with package scram.
type passwords struct{ auth *scram.Authenticator }

// on is what is offered on the connection of a stream.
func (p passwords) on(st *mux.Stream) *scram.Offer {
	return p.auth.On(scram.Connection{TLS: st.TLS(), Leaf: st.Certificate()})
}

// Mechanisms implements [negotiate.SASL].
func (p passwords) Mechanisms(st *mux.Stream) []string { return p.on(st).Mechanisms() }

// ChannelBindings implements [negotiate.ChannelBinder].
func (p passwords) ChannelBindings(st *mux.Stream) []string { return p.on(st).ChannelBindings() }

// Start implements [negotiate.SASL].
func (p passwords) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return p.on(st).Start(mechanism, domain)
}

// A server whose clients' streams are plain sessions of mellium.im/xmpp, with the
// passwords of package scram.
func ExampleNegotiator_XMPP() {
	ctx := context.Background()
	accounts := new(scram.Memory)
	err := scram.NewService(accounts, nil).Create(ctx, "romeo@example.net", "wherefore art thou")
	m, muxErr := mux.New(village{}, nil, negotiate.Extension())
	if err := errors.Join(err, muxErr); err != nil {
		fmt.Println(err)
		return
	}
	n := negotiate.New(m, &negotiate.Options{SASL: passwords{scram.New(accounts, nil)}})

	client, server := net.Pipe()
	go func() {
		const open = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>"
		_, _ = io.WriteString(client, open+"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHdoZXJlZm9yZSBhcnQgdGhvdQ==</auth>"+open+
			"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq></stream:stream>")
	}()
	go func() { _, _ = io.Copy(io.Discard, client) }()

	// With a certificate in ConnOptions.TLS in place of Trusted, STARTTLS is
	// required, and mechanisms with channel binding are offered behind it.
	var st *mux.Stream
	session, err := xmpp.ReceiveSession(ctx, server, 0, n.XMPP(&negotiate.ConnOptions{Trusted: true},
		func(bound *mux.Stream, _ *negotiate.ConnTransport) { st = bound }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Conn().Close()
	fmt.Println("session of", session.RemoteAddr())
	fmt.Println(mux.Serve(ctx, st, session)) // to its end
	// Output:
	// session of romeo@example.net/orchard
	// <nil>
}
