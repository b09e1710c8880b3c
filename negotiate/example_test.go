package negotiate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
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
	n := negotiate.New(m, &negotiate.Options{SASL: saslTest{}}) // or a scram.Authenticator

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
