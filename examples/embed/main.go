// Command embed is somebody else's server: connections, TLS and accounts are its own,
// its clients' streams are plain sessions of mellium.im/xmpp, and of the extensions of
// this library it has two, so that all devices of a person see both sides of what is
// said (XEP-0280), and go on where they were when a connection broke (XEP-0198).
//
//	go run ./examples/embed -cert cert.pem alice:secret bob:secret
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/smacks"
)

const domain = "localhost"

func main() {
	addr := flag.String("addr", "127.0.0.1:5222", "where to listen")
	cert := flag.String("cert", os.DevNull, "a file to write the certificate to, for clients to trust")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, *addr, *cert, flag.Args()); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, addr, cert string, people []string) error {
	all := accounts{}
	for _, p := range people {
		name, password, _ := strings.Cut(p, ":")
		a, err := mux.ParseAddress(name + "@" + domain)
		if err != nil || password == "" {
			return fmt.Errorf("%q is not NAME:PASSWORD", p)
		}
		all[a] = password
	}
	// Sessions wait for their clients in memory, until this process ends.
	m, err := mux.New(all, nil, negotiate.Extension(), carbons.New(nil), smacks.New(nil, nil))
	config, certErr := selfSigned(cert)
	l, listenErr := net.Listen("tcp", addr)
	if err := errors.Join(err, certErr, listenErr); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })() // Accept ends
	if err := m.Start(ctx); err != nil {
		return err
	}
	n := negotiate.New(m, &negotiate.Options{SASL: all, Domains: func() []string { return []string{domain} }})
	fmt.Println("ready " + l.Addr().String())
	for {
		c, err := l.Accept()
		if err != nil {
			return errors.Join(err, m.Shutdown(context.WithoutCancel(ctx)))
		}
		go session(n, c, &negotiate.ConnOptions{TLS: config})
	}
}

// session is the life of one connection.
func session(n *negotiate.Negotiator, c net.Conn, o *negotiate.ConnOptions) {
	var st *mux.Stream
	s, err := xmpp.ReceiveSession(context.Background(), c, 0, n.XMPP(o, func(bound *mux.Stream, _ *negotiate.ConnTransport) { st = bound }))
	if err != nil {
		return // the client was told
	}
	defer s.Conn().Close()
	_ = mux.Serve(context.Background(), st, s) // likewise
}

// accounts are those of the domain with their passwords: the host of the mux, and
// what authenticates for the negotiator.
type accounts map[mux.Address]string

func (accounts) Local(name string) bool                                     { return name == domain }
func (accounts) Mechanisms(*mux.Stream) []string                            { return []string{"PLAIN"} } // inside TLS
func (all accounts) Account(a mux.Address) (exists, known bool)             { return all[a] != "", true }
func (all accounts) LoadAccount(context.Context, mux.Address) (bool, error) { return false, nil } // it knows all
func (all accounts) Start(*mux.Stream, string, string) (negotiate.Exchange, error) {
	return &login{all: all}, nil
}
func (accounts) Route(context.Context, *mux.Item) error {
	return stanza.Error{Type: stanza.Cancel, Condition: stanza.RemoteServerNotFound}
}

// login is one exchange of PLAIN (RFC 4616).
type login struct {
	all     accounts
	account string
}

func (l *login) Account() string { return l.account }
func (l *login) Step(_ context.Context, in []byte) ([]byte, bool, error) {
	if in == nil {
		return nil, false, nil // the client wants to be asked
	}
	own, inOwnName := strings.CutPrefix(string(in), "\x00")
	name, password, _ := strings.Cut(own, "\x00")
	a, err := mux.ParseAddress(name + "@" + domain)
	l.account = a.String()
	if !inOwnName || err != nil || l.all[a] == "" || subtle.ConstantTimeCompare([]byte(password), []byte(l.all[a])) == 0 {
		return nil, false, refused{}
	}
	return nil, true, nil
}

// refused is the answer to a wrong name or password.
type refused struct{}

func (refused) Error() string         { return "refused" }
func (refused) SASLCondition() string { return "not-authorized" }

// selfSigned makes a certificate for a day and writes it to a file.
func selfSigned(file string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{domain}, NotAfter: time.Now().AddDate(0, 0, 1)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}
