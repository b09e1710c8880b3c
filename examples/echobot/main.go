// Command echobot is a client that answers every chat message with its own text:
// the smallest program that runs extensions of this library on a client session
// of mellium.im/xmpp. It also says which software it is (XEP-0092) and answers
// pings (XEP-0199), with the same packages that a server uses, and logs in with the
// clients of packages sasl2 and scram. With a file for its state the second login
// takes one round trip, and no password.
//
//	echo PASSWORD | echobot -jid bot@localhost -addr localhost:5222 -ca propolis-data/cert.pem -state bot.json
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/examples/internal/scramclient"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/ping"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/version"
)

func main() {
	name := flag.String("jid", "", "the account, such as bot@example.net")
	addr := flag.String("addr", "localhost:5222", "the server's address for STARTTLS")
	ca := flag.String("ca", "", "a file with the certificate to trust, in place of the system's")
	file := flag.String("state", "", "a file for what logs in the next time; as secret as the password")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, *name, *addr, *ca, *file); err != nil {
		fmt.Fprintln(os.Stderr, "echobot:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, name, addr, ca, file string) error {
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
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	k, err := openKeeper(file)
	if err != nil {
		return err
	}
	return run(ctx, conn, account, strings.TrimSpace(password), config, k, func(mux.Address) {})
}

// run logs in over a connection and echoes until ctx or the stream ends. online
// is called with the bot's full JID when others can write to it.
func run(ctx context.Context, conn net.Conn, account jid.JID, password string, config *tls.Config, k *keeper, online func(mux.Address)) error {
	// Package scram proves the password, in either profile.
	proof := &scram.ClientOptions{Username: account.Localpart(), Password: scram.FixedPassword(password), Pins: k.Pins}
	proof.Save = func(_ context.Context, l scram.Login) error { return k.keepPins(l.Pins) }
	o := scramclient.Options(proof)
	o.Software, o.Tag = "echobot", "echobot"
	if k.file != "" {
		o.State, o.Save, o.Pipeline = k.State, k.keepState, true
	}
	o.Done = func(_ context.Context, l sasl2.Login) error {
		if kept, ok := scramclient.Login(l); ok {
			return k.keepPins(kept.Pins)
		}
		return nil
	}
	session, _, err := sasl2.NewSession(ctx, account, conn, o, append(scram.Features(proof), xmpp.StartTLS(config))...)
	if err != nil {
		return err
	}
	bot, err := mux.NewClientSession(ctx, session, nil, echo{}, ping.New(), version.New("echobot", "1", nil))
	if err != nil {
		return err
	}
	defer bot.Close(nil)
	stopped := context.AfterFunc(ctx, func() { bot.Close(nil) })
	defer stopped()
	self := bot.Session().Account()
	bot.Mux().Go(self, func(ctx context.Context, e *mux.Event) {
		e.Send(ctx, mux.Make(mux.Head{Kind: mux.Presence})) // to the server: available
		online(bot.Session().JID())
	})
	err = session.Serve(bot)
	if ctx.Err() != nil {
		return nil // that was the reason
	}
	return err
}
