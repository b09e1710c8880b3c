// Command profile is a client that says who it is and watches who its contacts are, in
// the nodes of personal eventing (XEP-0163): it publishes an avatar (XEP-0084), a nickname
// (XEP-0172) and a device for OMEMO (XEP-0384), bookmarks a room (XEP-0402), and prints what
// contacts and its other devices change. It runs on a plain session of mellium.im/xmpp;
// what it does there is in package examples/internal/profile.
//
//	echo PASSWORD | profile -jid me@localhost -addr localhost:5222 -ca propolis-data/cert.pem -nick Me -avatar me.jpeg -room room@chat.example
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg" // what may be an avatar, beside PNG
	"net"
	"os"
	"os/signal"
	"strings"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/examples/internal/profile"
)

func main() {
	name := flag.String("jid", "", "the account, such as me@example.net")
	addr := flag.String("addr", "localhost:5222", "the server's address for STARTTLS")
	ca := flag.String("ca", "", "a file with the certificate to trust, in place of the system's")
	picture := flag.String("avatar", "", "a file with a picture")
	var w profile.Wishes
	flag.StringVar(&w.Nick, "nick", "", "what to be called")
	flag.StringVar(&w.Room, "room", "", "a chat room to bookmark")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if w.Picture, err = load(*picture); err == nil {
		err = start(ctx, *name, *addr, *ca, &w)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

// load reads the picture, if there is one.
func load(file string) (image.Image, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	return m, err
}

func start(ctx context.Context, name, addr, ca string, w *profile.Wishes) error {
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
	session, err := xmpp.NewClientSession(ctx, account, conn, xmpp.StartTLS(config),
		xmpp.SASL("", strings.TrimSpace(password), sasl.ScramSha256, sasl.ScramSha1), xmpp.BindResource())
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	return profile.Run(ctx, session, w, func(line string) { fmt.Println(line) })
}
