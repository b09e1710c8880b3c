// Command sleeper waits for messages as a program does that nobody looks at: it tells
// the server that it is inactive (XEP-0352), prints each message when it comes, and
// is not woken for who comes and goes or types meanwhile. A line on its input, after
// the password, has it look, and the next one sleep again; what was held back comes at
// the first, or in front of a message.
//
//	(echo PASSWORD; cat) | sleeper -jid me@localhost -addr localhost:5222 -ca propolis-data/cert.pem
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
	"net"
	"os"
	"os/signal"
	"strings"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/csi"
)

func main() {
	name := flag.String("jid", "", "the account, such as me@example.net")
	addr := flag.String("addr", "localhost:5222", "the server's address for STARTTLS")
	ca := flag.String("ca", "", "a file with the certificate to trust, in place of the system's")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, *name, *addr, *ca); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "sleeper:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, name, addr, ca string) error {
	account, err := jid.Parse(name)
	if err != nil {
		return err
	}
	input := bufio.NewScanner(os.Stdin)
	if !input.Scan() {
		return errors.Join(errors.New("no password"), input.Err())
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
	defer conn.Close()
	session, err := xmpp.NewClientSession(ctx, account, conn,
		xmpp.StartTLS(config), xmpp.SASL("", input.Text(), sasl.ScramSha256, sasl.ScramSha1), xmpp.BindResource())
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = session.Close() })() // it ends anyhow
	return run(ctx, session, input)
}

// run prints what comes until the session ends.
func run(ctx context.Context, session *xmpp.Session, input *bufio.Scanner) error {
	if err := session.Send(ctx, stanza.Presence{}.Wrap(nil)); err != nil {
		return err
	}
	var state csi.Client // remembers what the server was told
	if _, err := state.Started(ctx, session); err != nil {
		return err
	}
	told, err := state.Inactive(ctx)
	if err != nil {
		return err
	}
	if !told {
		fmt.Println("the server does not care whether anybody looks")
	}
	fmt.Println("asleep", session.LocalAddr())
	go turn(ctx, &state, input)
	return session.Serve(xmpp.HandlerFunc(show))
}

// turn changes between looking and sleeping with each line.
func turn(ctx context.Context, state *csi.Client, input *bufio.Scanner) {
	for input.Scan() {
		do, now := state.Active, "awake"
		if !state.IsInactive() {
			do, now = state.Inactive, "asleep"
		}
		if _, err := do(ctx); err != nil {
			return // the session has ended
		}
		fmt.Println(now)
	}
}

// show prints messages with a body, and presence.
func show(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	var in struct {
		From string `xml:"from,attr"`
		Type string `xml:"type,attr"`
		Body string `xml:"body"`
		Show string `xml:"show"`
	}
	if start.Name.Local == "iq" {
		return nil // it is for mellium to answer
	}
	if err := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), t)).Decode(&in); err != nil {
		return err
	}
	switch {
	case start.Name.Local == "presence":
		fmt.Println("presence", in.From, strings.TrimSpace(in.Type+" "+in.Show))
	case in.Body != "":
		fmt.Printf("message %s %q\n", in.From, in.Body)
	}
	return nil
}
