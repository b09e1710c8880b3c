package srvdial_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/srvdial"
)

var (
	errNone = &net.DNSError{Err: "no such host", IsNotFound: true}
	errDown = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
)

// zone answers for one domain, by service.
type zone struct {
	domain  string
	records map[string][]*net.SRV
	errs    map[string]error // nil means that there are no records
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	records, err := z.records[service], z.errs[service]
	if name != z.domain || proto != "tcp" {
		return "", nil, fmt.Errorf("asked for %s %s %s", service, proto, name)
	}
	if records == nil && err == nil {
		err = errNone
	}
	return "", records, err
}

const (
	plain  = "xmpp-client"
	direct = "xmpps-client"
)

func srv(target string, port, priority uint16) []*net.SRV {
	return []*net.SRV{{Target: target, Port: port, Priority: priority}}
}

// TestTargets: XEP-0368 §3 and §5, RFC 6120 §3.2: what is tried, by what DNS says.
func TestTargets(t *testing.T) {
	t.Parallel()
	type records = map[string][]*net.SRV
	type errs = map[string]error
	for _, tt := range []struct {
		name, domain string
		records      records
		errs         errs
		want         string
		err          error
	}{
		{"both kinds", "example.net", records{plain: srv("x.example.net.", 5222, 5), direct: srv("y.example.net.", 443, 1)}, nil,
			"y.example.net:443 with TLS, x.example.net:5222", nil},
		{"plain comes first", "example.net", records{plain: srv("x.example.net.", 5222, 0), direct: srv("y.example.net.", 443, 1)}, nil,
			"x.example.net:5222, y.example.net:443 with TLS", nil},
		{"STARTTLS only", "example.net", records{plain: srv("x.example.net.", 5222, 5)}, nil, "x.example.net:5222", nil},
		{"direct only", "example.net", records{direct: srv("x.example.net.", 5223, 5)}, nil, "x.example.net:5223 with TLS", nil},
		{"no direct TLS", "example.net", records{direct: srv(".", 0, 0), plain: srv("x.example.net.", 5222, 5)}, nil, "x.example.net:5222", nil},
		{"no STARTTLS", "example.net", records{plain: srv(".", 0, 0), direct: srv("x.example.net.", 443, 5)}, nil, "x.example.net:443 with TLS", nil},
		{"neither", "example.net", records{plain: srv(".", 0, 0), direct: srv(".", 0, 0)}, nil, "", srvdial.ErrNoService},
		{"no direct TLS, nothing else", "example.net", records{direct: srv(".", 0, 0)}, nil, "", srvdial.ErrNoService},
		{"a port that is none", "example.net", records{plain: srv("x.example.net.", 0, 0)}, nil, "", srvdial.ErrNoService},
		{"no records", "example.net", nil, nil, "example.net:5222", nil},
		{"DNS is down", "example.net", nil, errs{plain: errDown, direct: errDown}, "", errDown},
		{"one kind cannot be had", "example.net", records{plain: srv("x.example.net.", 5222, 5)}, errs{direct: errDown}, "x.example.net:5222", nil},
		{"perhaps there are others", "example.net", nil, errs{direct: errDown}, "", errDown},
		{"some records are malformed", "example.net", records{plain: srv("x.example.net.", 5222, 5)}, errs{plain: errDown}, "x.example.net:5222", nil},
		{"not ASCII", "bücher.example", records{plain: srv("x.example.net.", 5222, 5)}, nil, "x.example.net:5222", nil},
		{"not ASCII, no records", "bücher.example", nil, nil, "xn--bcher-kva.example:5222", nil},
		{"final dot", "example.net.", nil, nil, "example.net:5222", nil},
		{"address", "192.0.2.1", nil, nil, "192.0.2.1:5222", nil},
		{"IPv6", "[2001:db8::1]", nil, nil, "[2001:db8::1]:5222", nil},
		{"nothing", "", nil, nil, "", srvdial.ErrDomain},
		{"no domain", "a b", nil, nil, "", srvdial.ErrDomain},
	} {
		z := &zone{domain: strings.NewReplacer("bücher", "xn--bcher-kva", "net.", "net").Replace(tt.domain), records: tt.records, errs: tt.errs}
		got, err := (&srvdial.Dialer{Resolver: z}).Targets(t.Context(), tt.domain)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v", tt.name, err)
		}
		var list []string
		for _, g := range got {
			list = append(list, g.String())
		}
		if s := strings.Join(list, ", "); s != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, s, tt.want)
		}
	}
}

// issue makes a certificate for a name, and a pool that trusts it.
func issue(t *testing.T, name string) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf
}

// network has servers by their address; others refuse, or never answer.
type network struct {
	t       *testing.T
	servers map[string]*tls.Config // nil for one without TLS
	dialed  []string
	told    chan tls.ConnectionState
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.dialed = append(n.dialed, address)
	if strings.HasPrefix(address, "silent") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	config, ok := n.servers[address]
	if !ok {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	n.t.Cleanup(func() { _, _ = near.Close(), far.Close() }) // most are closed already
	if config != nil {
		go func() {
			c := tls.Server(far, config)
			if c.Handshake() == nil {
				n.told <- c.ConnectionState()
			}
			_ = far.Close() // never fails
		}()
	}
	return near, nil
}

// TestDial: each target is tried until one is right: the name in the handshake and in the
// certificate is that of the domain, and the protocol is named.
func TestDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		right, leaf := issue(t, "example.net")
		wrong, other := issue(t, "right.example.org")
		pool := x509.NewCertPool()
		pool.AddCert(leaf)
		pool.AddCert(other)
		n := &network{t: t, told: make(chan tls.ConnectionState, 1), servers: map[string]*tls.Config{
			"wrong.example.org:443": {Certificates: []tls.Certificate{wrong}},
			"right.example.org:443": {Certificates: []tls.Certificate{right}, NextProtos: []string{"xmpp-client"}},
			"later.example.org:443": nil,
		}}
		z := &zone{domain: "example.net", records: map[string][]*net.SRV{
			direct: slices.Concat(srv("refused.example.org.", 443, 1), srv("silent.example.org.", 443, 2), srv("wrong.example.org.", 443, 3), srv("right.example.org.", 443, 4)),
			plain:  srv("later.example.org.", 443, 5),
		}}
		base := &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}}
		d := &srvdial.Dialer{Resolver: z, DialContext: n.dial, TLS: base}
		start := time.Now()
		c, err := d.Dial(t.Context(), "example.net")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
		told := <-n.told
		if told.ServerName != "example.net" || told.NegotiatedProtocol != "xmpp-client" {
			t.Errorf("the server was told %q, %q", told.ServerName, told.NegotiatedProtocol)
		}
		if _, ok := c.(*tls.Conn); !ok || base.ServerName != "" || base.NextProtos[0] != "h2" {
			t.Errorf("got %T, configuration %v", c, base.NextProtos)
		}
		want := []string{"refused.example.org:443", "silent.example.org:443", "wrong.example.org:443", "right.example.org:443"}
		if !slices.Equal(n.dialed, want) {
			t.Errorf("tried %v, want %v", n.dialed, want)
		}
		// With STARTTLS the connection is given as it is.
		delete(n.servers, "right.example.org:443")
		if c, err = d.Dial(t.Context(), "example.net"); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.(*tls.Conn); ok {
			t.Error("TLS without a record for it")
		}
		// Nobody is there, and no address of the domain is made up.
		delete(n.servers, "later.example.org:443")
		n.dialed = nil
		var hostname x509.HostnameError
		if _, err = d.Dial(t.Context(), "example.net"); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &hostname) || len(n.dialed) != 5 {
			t.Errorf("error %v after %v", err, n.dialed)
		}
		d.MaxTargets, n.dialed = 1, nil
		if _, err = d.Dial(t.Context(), "example.net"); err == nil || len(n.dialed) != 1 {
			t.Errorf("error %v after %v", err, n.dialed)
		}
		// Who does not wait any longer gets no further.
		d.MaxTargets, n.dialed = 0, nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = d.Dial(ctx, "example.net"); !errors.Is(err, context.DeadlineExceeded) || len(n.dialed) != 2 {
			t.Errorf("error %v after %v", err, n.dialed)
		}
	})
}

// slow answers when nobody waits any more.
type slow struct{}

func (slow) LookupSRV(ctx context.Context, _, _, _ string) (string, []*net.SRV, error) {
	<-ctx.Done()
	return "", nil, ctx.Err()
}

// TestDialUnresolved: DNS that does not answer, and domains that are none.
func TestDialUnresolved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if _, err := (&srvdial.Dialer{Resolver: slow{}}).Dial(t.Context(), "example.net"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if _, err := new(srvdial.Dialer).DialTarget(t.Context(), "", srvdial.Target{}); !errors.Is(err, srvdial.ErrDomain) {
			t.Errorf("error %v", err)
		}
	})
}
