// Command mirror prints both sides of everything that a person says on any device:
// what arrives, and by copies (XEP-0280) what goes to and from the others. It says
// nothing itself, so it can run beside them all, as a log or for another program.
//
//	echo PASSWORD | mirror -jid me@localhost -addr localhost:5222 -ca propolis-data/cert.pem
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

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
)

func main() {
	name := flag.String("jid", "", "the account, such as me@example.net")
	addr := flag.String("addr", "localhost:5222", "the server's address for STARTTLS")
	ca := flag.String("ca", "", "a file with the certificate to trust, in place of the system's")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, *name, *addr, *ca); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "mirror:", err)
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
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	session, err := xmpp.NewClientSession(ctx, account, conn,
		xmpp.StartTLS(config), xmpp.SASL("", strings.TrimSpace(password), sasl.ScramSha256, sasl.ScramSha1), xmpp.BindResource())
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = session.Close() })() // it ends anyhow
	return run(ctx, session)
}

// run prints what comes until the session ends.
func run(ctx context.Context, session *xmpp.Session) error {
	own := mux.AddressOf(session.LocalAddr())
	served := make(chan error, 1)
	go func() {
		served <- session.Serve(xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			return show(t, start, own)
		}))
	}()
	if err := carbons.Enable(ctx, session); err != nil {
		return fmt.Errorf("no copies: %w", err)
	}
	// Below zero: what is for the account is for other devices, and comes as a copy.
	priority := xmlstream.Wrap(xmlstream.Token(xml.CharData("-1")), xml.StartElement{Name: xml.Name{Local: "priority"}})
	if err := session.Send(ctx, stanza.Presence{}.Wrap(priority)); err != nil {
		return err
	}
	fmt.Println("mirror", own)
	return <-served
}

// show prints a message with a body. What claims to be a copy and is none is left out,
// and the rest of the stanzas are for mellium to answer.
func show(t xmlstream.TokenReadEncoder, start *xml.StartElement, own mux.Address) error {
	if start.Name.Local != "message" {
		return nil
	}
	m, c, err := carbons.Read(*start, t, own)
	switch {
	case err == nil:
		m = c.Message
	case errors.Is(err, carbons.ErrForeign), errors.Is(err, carbons.ErrMalformed):
		return nil // somebody would like to be believed (XEP-0280 §11)
	case !errors.Is(err, carbons.ErrNoCopy):
		return err
	}
	if body, ok := m.Child(xml.Name{Space: mux.NSClient, Local: "body"}); ok && m.Type() != "error" {
		fmt.Printf("%s -> %s %q\n", m.From(), m.To(), body.Text())
	}
	return nil
}
