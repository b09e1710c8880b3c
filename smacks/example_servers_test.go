package smacks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// Between servers: example.org sends to example.net, both by plain sessions of mellium
// over a pipe.
func ExampleOutgoing() {
	ctx := context.Background()
	near, far := net.Pipe()

	// example.net counts what it gets, and says how much of that is handled.
	h := muxtest.New(quiet{}, nil, smacks.New(nil, nil))
	ended := make(chan error)
	go func() {
		s, err := xmpp.ReceiveSession(ctx, far, xmpp.S2S, federate("example.net", "example.org"))
		if err != nil {
			log.Fatal(err)
		}
		st := h.Mux().NewStream(mux.SessionConn(s, 0), mux.Server)
		st.Authorize("example.org") // which it has proved to be
		ended <- mux.Serve(ctx, st, s)
	}()

	// example.org keeps what it sends until it hears of that. Its Open is for the first
	// stream and those that follow.
	out := smacks.NewOutgoing(func(it mux.Item, err error) {
		fmt.Println("comes back:", mux.ErrorReply(it.Stanza, err).ID())
	}, nil)
	s, err := xmpp.NewSession(ctx, jid.MustParse("example.net"), jid.MustParse("example.org"), near, xmpp.S2S,
		federate("example.org", "example.net"))
	if err != nil {
		log.Fatal(err)
	}
	link, err := out.Open(mux.SessionConn(s, 0), true) // as the features of its stream offer
	if err != nil {
		log.Fatal(err)
	}
	gone := make(chan error)
	go func() {
		err := s.Serve(xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			el, err := mux.FromTokens(*start, t)
			if err != nil {
				return err
			}
			_, err = link.Receive(el)
			return err
		}))
		link.Gone()
		gone <- err
	}()

	for _, id := range []string{"1", "2"} {
		err = out.Send(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: id,
			From: mux.MustParseAddress("romeo@example.org/orchard"), To: mux.MustParseAddress("juliet@example.net")})})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(link.Wait(ctx))
	n, _ := out.Unacknowledged()
	fmt.Println(n, "stanzas are not acknowledged")
	fmt.Println(s.Close(), <-ended, <-gone)
	out.Close()
	// Output:
	// <nil>
	// 0 stanzas are not acknowledged
	// <nil> <nil> <nil>
}

// federate stands for the negotiation between two servers: it exchanges stream headers,
// no more.
func federate(local, remote string) xmpp.Negotiator {
	return func(_ context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		*in = stream.Info{XMLNS: stanza.NSServer, To: jid.MustParse(local), From: jid.MustParse(remote)}
		*out = stream.Info{XMLNS: stanza.NSServer, To: in.From, From: in.To}
		written := make(chan error, 1)
		go func() {
			_, err := io.WriteString(s.Conn(), "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
			written <- err
		}()
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Ready, nil, nil, errors.Join(err, <-written)
	}
}
