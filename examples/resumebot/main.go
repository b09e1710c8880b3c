// Command resumebot is a bot that survives broken connections: it answers every
// chat message with its own text, once, whatever happens to the network or to the
// server in between (XEP-0198). Compare echobot, which ends with its connection.
//
//	echo PASSWORD | resumebot -jid bot@localhost -addr localhost:5222 -ca propolis-data/cert.pem
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

func main() {
	name := flag.String("jid", "", "the account, such as bot@example.net")
	addr := flag.String("addr", "localhost:5222", "the server's address for STARTTLS")
	ca := flag.String("ca", "", "a file with the certificate to trust, in place of the system's")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, *name, *addr, *ca); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "resumebot:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, name, addr, ca string) error {
	account, err := jid.Parse(name)
	if err != nil {
		return err
	}
	password, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the password: %w", err)
	}
	config := &tls.Config{ServerName: account.Domainpart(), MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return errors.New("no certificate in " + ca)
		}
	}
	c := smacks.NewClient(account, &smacks.ClientOptions{
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
		Features: []xmpp.StreamFeature{
			xmpp.StartTLS(config),
			xmpp.SASL("", strings.TrimSpace(password), sasl.ScramSha256, sasl.ScramSha1),
		},
		OnEvent: func(e smacks.ClientEvent) { slog.Info(e.Kind.String(), "err", e.Err) },
	})
	return run(ctx, c)
}

// run serves one session after another; mostly there is just one.
func run(ctx context.Context, c *smacks.Client) error {
	return c.Run(ctx, func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error) {
		var err error
		if c.Outcome().Kind != smacks.OutcomeResumed { // needed in a new session only
			err = s.Send(ctx, stanza.Presence{}.Wrap(nil))
		}
		return mux.New(stanza.NSClient, mux.MessageFunc(stanza.ChatMessage, xml.Name{Local: "body"}, echo)), err
	})
}

// message is as much of one as is needed here.
type message struct {
	stanza.Message
	Body string `xml:"body"`
}

func echo(in stanza.Message, t xmlstream.TokenReadEncoder) error {
	m := message{Message: in}
	if err := xml.NewTokenDecoder(t).Decode(&m); err != nil || m.Body == "" {
		return err
	}
	// What is written is kept until the server has acknowledged it.
	return t.Encode(message{Message: stanza.Message{To: in.From, ID: "re-" + in.ID, Type: stanza.ChatMessage}, Body: m.Body})
}
