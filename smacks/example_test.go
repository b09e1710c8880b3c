package smacks_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"log"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// On the server: sessions survive broken connections, and with a database that is
// the store of sessions as well, the process.
func ExampleNew() {
	h := muxtest.NewHost(quiet{})
	h.AddAccount("juliet@example.net")
	x := smacks.New(new(smacks.Memory), &smacks.Options{Window: 5 * time.Minute})
	m, err := mux.New(h, &mux.Options{Sessions: new(mux.MemorySessions)}, x)
	if err != nil {
		log.Fatal(err)
	}
	if err := m.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(x.Stats().Waiting, "sessions wait for their clients")
	// Output: 0 sessions wait for their clients
}

// In a client: a session that goes on whatever happens to its connections.
func ExampleClient_Run() {
	account := jid.MustParse("juliet@example.net")
	c := smacks.NewClient(account, &smacks.ClientOptions{
		Features: []xmpp.StreamFeature{
			xmpp.StartTLS(&tls.Config{ServerName: account.Domainpart()}),
			xmpp.SASL("", "secret", sasl.ScramSha256),
		},
		OnEvent: func(e smacks.ClientEvent) { log.Println(e.Kind, e.Err) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // this is an example
	err := c.Run(ctx, func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error) {
		err := s.Send(ctx, stanza.Presence{}.Wrap(nil))
		return xmppmux.New(stanza.NSClient, xmppmux.MessageFunc(stanza.ChatMessage, xml.Name{Local: "body"},
			func(m stanza.Message, _ xmlstream.TokenReadEncoder) error {
				log.Println("message from", m.From)
				return nil
			})), err
	})
	fmt.Println(err)
	// Output: context canceled
}

// A client that ends and goes on later keeps where it was.
func ExampleClientState() {
	state := smacks.ClientState{JID: jid.MustParse("juliet@example.net/balcony"), Token: "secret", In: 7}
	data, err := state.MarshalBinary()
	if err != nil {
		log.Fatal(err)
	}
	var again smacks.ClientState
	if err := again.UnmarshalBinary(data); err != nil {
		log.Fatal(err)
	}
	c := smacks.NewClient(again.JID.Bare(), &smacks.ClientOptions{State: &again})
	fmt.Println(c.State().JID, c.State().In)
	// Output: juliet@example.net/balcony 7
}

// quiet is a test that never fails.
type quiet struct{}

func (quiet) Helper()                   {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { log.Fatalf(f, a...) }
func (quiet) Cleanup(func())            {}
