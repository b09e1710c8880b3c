package mux_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// greeter answers requests with a greeting.
type greeter struct{}

func (greeter) Name() string { return "greeter" }

func (greeter) Register(r *mux.Registry) error {
	r.IQ(mux.AtSelf, stanza.GetIQ, xml.Name{Space: "urn:example:greet", Local: "greet"}, greet)
	return nil
}

func greet(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	return mux.Raw("<greeting xmlns='urn:example:greet'>Hello, " + e.Stanza.From().String() + "</greeting>"), nil
}

// An extension in a bot, on a plain mellium session. The other end of the pipe
// stands for the bot's server.
func Example_mellium() {
	ctx := context.Background()
	ours, theirs := net.Pipe()
	sessions := make(chan *xmpp.Session)
	go func() {
		s, err := xmpp.ReceiveSession(ctx, theirs, 0, open("example.net", "bot@example.net/pipe"))
		if err != nil {
			fmt.Println(err)
		}
		sessions <- s
	}()
	session, err := xmpp.NewSession(ctx, jid.MustParse("example.net"), jid.MustParse("bot@example.net/pipe"), ours, 0,
		open("bot@example.net/pipe", "example.net")) // a program logs in with xmpp.NewClientSession
	server := <-sessions
	if err != nil {
		fmt.Println(err)
		return
	}

	bot, err := mux.NewClientSession(ctx, session, nil, greeter{})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() {
		err := session.Serve(bot)
		bot.Close(err)
		done <- err
	}()

	go func() {
		_ = server.Serve(nil) // ends with the pipe
	}()
	var answer struct {
		Greeting string `xml:",chardata"`
	}
	request := stanza.IQ{Type: stanza.GetIQ, From: jid.MustParse("juliet@example.net/balcony"), To: jid.MustParse("bot@example.net/pipe")}
	err = server.UnmarshalIQElement(ctx, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:example:greet", Local: "greet"}}), request, &answer)
	fmt.Println(answer.Greeting, err)
	err = server.Close()
	fmt.Println(err, <-done)
	// Output:
	// Hello, juliet@example.net/balcony <nil>
	// <nil> <nil>
}

// open stands for a login: it exchanges stream headers, no more.
func open(local, remote string) xmpp.Negotiator {
	return func(_ context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		*in = stream.Info{XMLNS: stanza.NSClient, To: jid.MustParse(local), From: jid.MustParse(remote)}
		*out = stream.Info{XMLNS: stanza.NSClient, To: in.From, From: in.To}
		written := make(chan error, 1)
		go func() {
			_, err := io.WriteString(s.Conn(), "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
			written <- err
		}()
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Ready, nil, nil, errors.Join(err, <-written)
	}
}
