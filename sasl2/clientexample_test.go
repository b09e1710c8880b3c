package sasl2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/sasl2"
)

// plain is PLAIN as a [sasl2.Run]. A real client has SCRAM here: a scram.Client is a
// Run as it is; see the program examples/echobot.
type plain struct{ username, password string }

func (p plain) Mechanism() string { return "PLAIN" }

func (p plain) First() ([]byte, error) { return []byte("\x00" + p.username + "\x00" + p.password), nil }

func (p plain) Next(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("no challenge is expected")
}

func (p plain) Verify(data []byte) error {
	if len(data) > 0 {
		return errors.New("no data is expected")
	}
	return nil
}

var _ sasl2.Run = plain{}

// A client logs in, binds, and enables carbons, in one round trip after the
// features.
func ExampleNegotiator() {
	ours, theirs := net.Pipe()
	go func() { // a server in three lines
		say := func(s string) {
			_, _ = theirs.Read(make([]byte, 4096))
			_, _ = io.WriteString(theirs, s)
		}
		say("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='example.net' version='1.0'>" +
			"<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><inline><bind xmlns='urn:xmpp:bind:0'>" +
			"<inline><feature var='urn:xmpp:carbons:2'/></inline></bind></inline></authentication></stream:features>")
		say("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>romeo@example.net/bot/7</authorization-identifier>" +
			"<bound xmlns='urn:xmpp:bind:0'/></success><stream:features/>")
	}()
	account := jid.MustParse("romeo@example.net")
	options := &sasl2.ClientOptions{
		Mechanism: func(_ context.Context, a sasl2.Attempt) (sasl2.Run, error) {
			if len(a.Tried) > 0 {
				return nil, errors.New("nothing else to try")
			}
			return plain{"romeo", "secret"}, nil
		},
		Tag:    "bot",
		Enable: []string{"<enable xmlns='urn:xmpp:carbons:2'/>"},
		Done: func(_ context.Context, l sasl2.Login) error {
			fmt.Println(l.Mechanism, "as", l.JID)
			return nil
		},
	}
	// The pipe counts as secure; over a network NewSession sees to TLS.
	session, err := xmpp.NewSession(context.Background(), account.Domain(), account, ours, xmpp.Secure, sasl2.Negotiator(options))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("session of", session.LocalAddr())
	// Output:
	// PLAIN as romeo@example.net/bot/7
	// session of romeo@example.net/bot/7
}
