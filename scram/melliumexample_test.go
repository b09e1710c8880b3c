package scram_test

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net"
	"strings"

	"github.com/propolis-im/propolis/scram"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// A client without any XMPP: three calls, with whatever carries the messages in
// between.
func ExampleClient() {
	ctx := context.Background()
	offer := scram.Listing{Mechanisms: []string{"SCRAM-SHA-256", "PLAIN"}}
	local := scram.Local{} // scram.LocalTLS(&state) on a TLS connection
	options := &scram.ClientOptions{
		Username: "user", Password: scram.FixedPassword("pencil"),
		Nonce: func() string { return "rOprNGfwEbeRWgbNEkqO" }, // for this example only
	}
	choice, err := scram.Choose(offer, local, options.Policy, options.Pins)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := scram.NewClient(choice, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := client.First()
	fmt.Println(client.Mechanism(), string(first), err)
	final, err := client.Next(ctx, []byte("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
	fmt.Println(string(final), err)
	fmt.Println(client.Verify([]byte("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")))
	login := client.Login() // to be kept: login.Keys instead of the password, login.Pins
	fmt.Println(login.Iterations, login.Keys, login.Pins.NoPlain)
	// Output:
	// SCRAM-SHA-256 n,,n=user,r=rOprNGfwEbeRWgbNEkqO <nil>
	// c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ= <nil>
	// <nil>
	// 4096 SCRAM-SHA-256$4096 true
}

// The stream features of this package take the place of xmpp.SASL. A real client
// also lists xmpp.StartTLS and xmpp.BindResource, and connects with a dial.Dialer.
func ExampleFeatures() {
	var pins scram.Pins // as kept from the last login
	features := scram.Features(&scram.ClientOptions{
		Password: scram.FixedPassword("pencil"),
		Pins:     pins,
		Save: func(_ context.Context, l scram.Login) error {
			pins = l.Pins // write them, and l.Keys, where they last
			fmt.Println("logged in with", l.Mechanism)
			return nil
		},
	})
	me := jid.MustParse("user@example.net")
	session, err := xmpp.NewSession(context.Background(), me.Domain(), me, exampleServer(), xmpp.Secure,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: features}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.State()&xmpp.Ready != 0, pins.NoPlain)
	// Output:
	// logged in with SCRAM-SHA-512
	// true true
}

// A program that has its own list for xmpp.SASL replaces the mechanisms in it.
func ExampleMechanisms() {
	mechanisms := scram.Mechanisms(&scram.ClientOptions{Policy: scram.ClientPolicy{Binding: scram.BindingOff}})
	me := jid.MustParse("user@example.net")
	session, err := xmpp.NewSession(context.Background(), me.Domain(), me, exampleServer(), xmpp.Secure,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: []xmpp.StreamFeature{xmpp.SASL("", "pencil", mechanisms...)}}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.State()&xmpp.Ready != 0)
	// Output: true
}

// exampleServer is the other end of a connection: a server that knows one user and
// nothing but SASL.
func exampleServer() net.Conn {
	near, far := net.Pipe()
	store := new(scram.Memory)
	go func() {
		defer far.Close()
		ctx := context.Background()
		credentials, err := scram.NewCredentials("pencil", scram.Policy{Iterations: scram.MinIterations})
		if err != nil {
			return
		}
		if _, err := store.Create(ctx, "user@example.net", credentials); err != nil {
			return
		}
		auth := scram.New(store, nil)
		d := exampleHeader(far, "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>"+
			strings.Join(auth.Mechanisms(), "</mechanism><mechanism>")+"</mechanism></mechanisms>")
		var exchange *scram.Exchange
		for done := false; !done; {
			var e struct {
				Mechanism string `xml:"mechanism,attr"`
				Data      string `xml:",chardata"`
			}
			if err := d.Decode(&e); err != nil {
				return
			}
			if exchange == nil {
				if exchange, err = auth.Start(e.Mechanism, "example.net"); err != nil {
					return
				}
			}
			in, _ := base64.StdEncoding.DecodeString(e.Data)
			var out []byte
			if out, done, err = exchange.Step(ctx, in); err != nil {
				return
			}
			name := map[bool]string{false: "challenge", true: "success"}[done]
			fmt.Fprintf(far, "<%s xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%s</%[1]s>", name, base64.StdEncoding.EncodeToString(out))
		}
		exampleHeader(far, "")
	}()
	return near
}

// exampleHeader answers the header of a stream.
func exampleHeader(conn net.Conn, features string) *xml.Decoder {
	d := xml.NewDecoder(conn)
	for {
		token, err := d.Token()
		if _, ok := token.(xml.StartElement); ok || err != nil {
			break
		}
	}
	fmt.Fprintf(conn, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net'"+
		" to='user@example.net' id='1' version='1.0'><stream:features>%s</stream:features>", features)
	return d
}
