// Package srvdial opens the connection of a client to the server of a domain, by the SRV
// records of both kinds: those for STARTTLS (RFC 6120 §3.2) and those for TLS from the
// start (XEP-0368: SRV records for XMPP over TLS, version 1.1.0), in one order (RFC 2782).
//
// It knows neither XML nor packages of this module: what it returns goes to
// sasl2.NewSession or xmpp.NewSession, which ask for STARTTLS where the connection is not
// a *tls.Conn. In difference to mellium.im/xmpp/dial it mixes both kinds, and says in the
// TLS handshake that it speaks XMPP (ALPN).
//
//	conn, err := new(srvdial.Dialer).Dial(ctx, account.Domainpart())
//
// Roles: the client. Missing: records of servers for one another, DNSSEC, host-meta.
//
// # Security
//
// DNS is not trusted: the certificate must be that of the domain, wherever a record
// leads to. Where TLS is begun later, whoever does that must check the same.
package srvdial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// Errors of a Dialer. What stands in the way of each target is joined to one error.
var (
	// ErrNoService: the domain says that it has no service for clients.
	ErrNoService = errors.New("srvdial: the domain has no service for clients")
	// ErrDomain: that is no domain.
	ErrDomain = errors.New("srvdial: malformed domain")
)

// protocol is the name of the protocol in ALPN (XEP-0368 §5).
const protocol = "xmpp-client"

// Resolver looks SRV records up. [net.Resolver] is one.
type Resolver interface {
	// LookupSRV returns the records of _service._proto.name. That there are none is a
	// [*net.DNSError] with IsNotFound.
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// Dialer opens connections. The zero value is ready to use; it must not be modified while
// it is in use.
type Dialer struct {
	// Resolver looks records up, nil for net.DefaultResolver.
	Resolver Resolver
	// DialContext connects to a host and port, nil for that of a net.Dialer, which tries
	// the host's addresses of both families as RFC 8305 has it.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for targets that begin with TLS; nil is an empty one. The name to be
	// checked, if it has none, and the protocol are filled in.
	TLS *tls.Config
	// LookupTimeout and TargetTimeout bound looking up and each target with its
	// handshake, 0 or less for 10 s.
	LookupTimeout, TargetTimeout time.Duration
	// MaxTargets bounds how many are tried, 0 or less for 16.
	MaxTargets int
	// Rand returns a number from 0 to below n, nil for one by chance.
	Rand func(n int) int
}

// Dial connects to the server of a domain, the domainpart of an account. The connection
// is a *tls.Conn whose handshake is complete, or one on which STARTTLS must follow.
func (d *Dialer) Dial(ctx context.Context, domain string) (net.Conn, error) {
	targets, err := d.Targets(ctx, domain)
	if err != nil {
		return nil, err
	}
	limit := d.MaxTargets
	if limit <= 0 {
		limit = 16
	}
	var failed []error
	for _, t := range targets[:min(len(targets), limit)] {
		c, err := d.DialTarget(ctx, domain, t)
		if err == nil {
			return c, nil
		}
		failed = append(failed, fmt.Errorf("srvdial: %s: %w", t, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// Targets returns where the server of a domain can be reached, in the order in which that
// is to be tried: for those who find out further on, as in the TLS handshake of STARTTLS,
// that a target is not what they look for.
func (d *Dialer) Targets(ctx context.Context, domain string) ([]Target, error) {
	host, literal, err := hostOf(domain)
	if err != nil {
		return nil, err
	}
	itself := []Target{{Host: host, Port: 5222}}
	if literal {
		return itself, nil
	}
	ctx, done := context.WithTimeout(ctx, orDefault(d.LookupTimeout))
	defer done()
	direct := make(chan answer, 1)
	go func() { direct <- d.lookup(ctx, host, "xmpps-client", true) }()
	plain := d.lookup(ctx, host, "xmpp-client", false)
	targets, there, err := merge(plain, <-direct)
	switch {
	case len(targets) > 0:
		return Order(targets, d.random()), nil
	case err != nil:
		return nil, err // perhaps there are some
	case there:
		return nil, ErrNoService // RFC 6120 §3.2.1, XEP-0368 §3
	}
	return itself, nil // RFC 6120 §3.2.2
}

// answer is what DNS says of one kind.
type answer struct {
	targets []Target
	there   bool // are records, perhaps one that says no
	err     error
}

// lookup asks for one kind.
func (d *Dialer) lookup(ctx context.Context, host, service string, direct bool) (a answer) {
	var r Resolver = net.DefaultResolver
	if d.Resolver != nil {
		r = d.Resolver
	}
	_, records, err := r.LookupSRV(ctx, service, "tcp", host)
	var none *net.DNSError
	if err != nil && !(errors.As(err, &none) && none.IsNotFound) {
		a.err = fmt.Errorf("srvdial: records of %s: %w", host, err)
	}
	for _, s := range records {
		a.there = true
		if name := strings.TrimSuffix(s.Target, "."); name != "" && s.Port != 0 {
			a.targets = append(a.targets, Target{Host: name, Port: s.Port, Priority: s.Priority, Weight: s.Weight, Direct: direct})
		}
	}
	return a
}

// merge puts both kinds together: of one that could not be had, the other one is made do
// with.
func merge(plain, direct answer) (targets []Target, there bool, err error) {
	return append(plain.targets, direct.targets...), plain.there || direct.there, errors.Join(plain.err, direct.err)
}

// DialTarget connects to one target of a domain.
func (d *Dialer) DialTarget(ctx context.Context, domain string, t Target) (net.Conn, error) {
	host, _, err := hostOf(domain)
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeout(ctx, orDefault(d.TargetTimeout))
	defer done()
	dial := d.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(ctx, "tcp", t.address())
	if err != nil || !t.Direct {
		return c, err
	}
	secured := tls.Client(c, d.config(host))
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, ignoreClosed(c.Close()))
	}
	return secured, nil
}

// config is for TLS from the start: name and certificate are those of the domain, never of
// the target (RFC 6120 §13.7.2).
func (d *Dialer) config(host string) *tls.Config {
	config := new(tls.Config)
	if d.TLS != nil {
		config = d.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12) // RFC 8996
	config.NextProtos = []string{protocol}
	return config
}

func (d *Dialer) random() func(int) int {
	if d.Rand != nil {
		return d.Rand
	}
	return rand.IntN
}

// ignoreClosed: the handshake closes connections that break its rules.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func orDefault(d time.Duration) time.Duration {
	if d <= 0 {
		return 10 * time.Second
	}
	return d
}

// hostOf is a domain as DNS has it, or an address that is there in its place.
func hostOf(domain string) (host string, literal bool, err error) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(domain, "["), "]")); err == nil {
		return a.String(), true, nil
	}
	host, err = idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil || host == "" {
		return "", false, errors.Join(ErrDomain, err)
	}
	return host, false, nil
}

// Target is where a server can be reached.
type Target struct {
	Host             string
	Port             uint16
	Priority, Weight uint16
	Direct           bool // TLS from the start
}

// String names it for people.
func (t Target) String() string {
	if t.Direct {
		return t.address() + " with TLS"
	}
	return t.address()
}

func (t Target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }
