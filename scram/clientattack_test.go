package scram_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// attempt is a login in which the client receives one offer and the server signs
// another, at its own end of TLS.
type attempt struct {
	received, listed scram.Listing
	local            scram.Local
	serverTLS        uint16 // 0: not told
	unsigned         bool   // the server does not sign its list
	policy           scram.ClientPolicy
	pins             scram.Pins
	flip             func(challenge string) string // what happens to the challenge on its way
}

var (
	errServerRefused = errors.New("the server refuses the proof")
)

// run goes through it and returns the login, or why there is none: an error of the
// client, which has sent no proof then, or errServerRefused.
func (a attempt) run(t *testing.T) (scram.Login, error) {
	t.Helper()
	choice, err := scram.Choose(a.received, a.local, a.policy, a.pins)
	if err != nil {
		return scram.Login{}, err
	}
	c, err := scram.NewClient(choice, &scram.ClientOptions{
		Username: "user", Password: scram.FixedPassword("pencil"), Policy: a.policy, Pins: a.pins,
	})
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.First()
	if err != nil {
		t.Fatal(err)
	}
	m, err := scram.ParseClientFirst(first)
	if err != nil {
		t.Fatal(err)
	}
	challenge := a.challenge(choice.Hash, m.Nonce)
	seen := challenge
	if a.flip != nil {
		seen = a.flip(challenge)
	}
	final, err := c.Next(t.Context(), []byte(seen))
	if err != nil {
		return scram.Login{}, err
	}
	k := mustKey(t, map[scram.Hash]string{scram.SHA1: keySHA1, scram.SHA256: keySHA256, scram.SHA512: keySHA512}[choice.Hash])
	bare := string(first[strings.Index(string(first), "n=user"):])
	success, proven := judge(t, k, bare, challenge, string(final))
	if !proven {
		return scram.Login{}, errServerRefused
	}
	if err := c.Verify([]byte(success)); err != nil {
		t.Fatal(err)
	}
	return c.Login(), nil
}

func (a attempt) challenge(h scram.Hash, nonce string) string {
	challenge := "r=" + nonce + serverNonce + parametersSHA256
	if h == scram.SHA1 {
		challenge = "r=" + nonce + serverNonce + ",s=QSXCR+Q6sek8bf92,i=4096"
	}
	if !a.unsigned {
		challenge += ",h=" + scram.ListHash(h, a.listed.Mechanisms, a.listed.BindingTypes)
	}
	if a.serverTLS != 0 {
		challenge += ",t=" + scram.TLSVersionText(a.serverTLS)
	}
	return challenge
}

// wants runs it and wants an error; nil is a login.
func (a attempt) wants(t *testing.T, what string, want error) scram.Login {
	t.Helper()
	l, err := a.run(t)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
	return l
}

var honest = scram.Listing{Profile: scram.SASL2, Mechanisms: sixMechanisms, BindingTypes: twoTypes}

func offered(p scram.Profile, mechanisms, types []string) scram.Listing {
	return scram.Listing{Profile: p, Mechanisms: mechanisms, BindingTypes: types}
}

// unsign takes the attributes h and t out of a challenge.
func unsign(challenge string) string { before, _, _ := strings.Cut(challenge, ",h="); return before }

// TestAttack1: somebody between, with a certificate that the client accepts, passes the
// exchange on. The data of the two connections differ, even with the server's own key,
// and so the proof is of no use at the server.
func TestAttack1(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		toClient, _ := handshake(t, version)
		_, toServer := handshake(t, version)
		local := scram.LocalTLS(toClient)
		if local.TLSVersion != version || len(local.Bindings) != 2 {
			t.Fatalf("got %+v", local)
		}
		offer := offered(scram.SASL2, sixMechanisms, allTypes)
		choice, err := scram.Choose(offer, local, scram.ClientPolicy{}, scram.Pins{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := scram.NewClient(choice, &scram.ClientOptions{
			Username: "user", Password: scram.FixedPassword("pencil"), Nonce: fixedNonce(clientNonce),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.First(); err != nil {
			t.Fatal(err)
		}
		final, err := c.Next(t.Context(), []byte(attempt{listed: offer}.challenge(choice.Hash, clientNonce)))
		if err != nil {
			t.Fatal(err)
		}
		sent := func(cs *tls.ConnectionState) bool {
			data, err := scram.BindingData(choice.Binding.Type, cs, certificate().Leaf)
			if err != nil {
				t.Fatal(err)
			}
			bound := append([]byte("p="+choice.Binding.Type+",,"), data...)
			return strings.HasPrefix(string(final), "c="+base64.StdEncoding.EncodeToString(bound)+",")
		}
		if !sent(toClient) || sent(toServer) {
			t.Errorf("TLS %x, %s: bound to the own connection %v, to that of the server %v", version, choice.Binding.Type, sent(toClient), sent(toServer))
		}
	}
	if l := scram.LocalTLS(nil); l.TLSVersion != 0 || scram.LocalTLS(new(tls.ConnectionState)).Bindings != nil {
		t.Errorf("without TLS: %+v", l)
	}
}

// handshake returns both ends of a TLS connection.
func handshake(t *testing.T, version uint16) (client, server *tls.ConnectionState) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	s := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate()}, MaxVersion: version})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	roots := x509.NewCertPool()
	roots.AddCert(certificate().Leaf)
	c := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: host})
	go func() { _, _ = c.Read(make([]byte, 1)) }() // the tickets of 1.3
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	a, b := c.ConnectionState(), s.ConnectionState()
	return &a, &b
}

// TestAttack2: somebody with the server's own key leaves tls-server-end-point only.
func TestAttack2(t *testing.T) {
	t.Parallel()
	a := attempt{received: offered(scram.SASL2, sixMechanisms, endPoint), listed: honest, local: both13}
	a.wants(t, "signed", scram.ErrListTampered)
	a.unsigned = true
	if l := a.wants(t, "unsigned, a documented limit", nil); l.Mechanism != "SCRAM-SHA-512-PLUS" || l.BindingType != scram.TLSServerEndPoint {
		t.Errorf("got %+v", l)
	}
	a.pins.Binding = scram.TLSExporter
	a.wants(t, "unsigned, with a pin", scram.ErrBindingLost)
	// The same lists, honestly: the server has given up tls-exporter.
	a.unsigned, a.listed = false, a.received
	if l := a.wants(t, "given up by the server", nil); l.Pins.Binding != scram.TLSServerEndPoint {
		t.Errorf("got pins %+v", l.Pins)
	}
}

// TestAttack3: somebody strips channel binding, in several ways.
func TestAttack3(t *testing.T) {
	t.Parallel()
	a := attempt{received: offered(scram.SASL2, threePlain, nil), listed: honest, local: both13}
	a.wants(t, "all, signed", scram.ErrListTampered)
	a.received.Mechanisms = threePlain
	c, err := scram.Choose(a.received, a.local, a.policy, a.pins)
	if err != nil || c.Flag != 'y' {
		t.Errorf("got flag %q, %v: a server that knows -PLUS must be told y", c.Flag, err)
	}
	a.received = offered(scram.SASL2, threePlain, twoTypes)
	a.wants(t, "-PLUS", scram.ErrBindingContradiction)
	a.received = offered(scram.SASL2, sixMechanisms, nil)
	a.wants(t, "types", scram.ErrBindingContradiction)
	a.received = offered(scram.SASL2, sixMechanisms, strange)
	a.wants(t, "types replaced", scram.ErrListTampered)
	a.unsigned = true
	a.wants(t, "types replaced, unsigned", scram.ErrBindingNoCommon)
	// CB-11: honestly nothing in common.
	a.unsigned, a.listed = false, a.received
	if l := a.wants(t, "nothing in common", nil); l.BindingType != "" || !l.ListVerified {
		t.Errorf("got %+v", l)
	}
}

// TestBindingFlagServer: the server refuses the y of a client whose list was
// stripped.
func TestBindingFlagServer(t *testing.T) {
	t.Parallel()
	choice, err := scram.Choose(scram.Listing{Mechanisms: threePlain}, both13, scram.ClientPolicy{}, scram.Pins{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := scram.NewClient(choice, &scram.ClientOptions{Username: "user"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.First()
	if err != nil {
		t.Fatal(err)
	}
	_, err = scram.NewServer(choice.Hash, scram.ServerConfig{PlusAdvertised: true}).First(first)
	if err == nil {
		t.Error("the server took y though it had listed -PLUS")
	}
}

// TestAttack4: the stronger hashes are stripped; a client without TLS of its own.
func TestAttack4(t *testing.T) {
	t.Parallel()
	a := attempt{
		received: offered(scram.SASL1, []string{"SCRAM-SHA-1"}, nil),
		listed:   offered(scram.SASL1, threePlain, nil),
	}
	a.wants(t, "signed", scram.ErrListTampered)
	a.flip = unsign
	a.wants(t, "signature stripped", errServerRefused)
	a.flip = func(challenge string) string {
		return unsign(challenge) + ",h=" + scram.ListHash(scram.SHA1, a.received.Mechanisms, nil)
	}
	a.wants(t, "signature replaced", errServerRefused)
	a.flip, a.unsigned = nil, true
	a.wants(t, "a server that does not sign", nil)
}

// TestAttack5: TLS 1.3 at one end, 1.2 at the other.
func TestAttack5(t *testing.T) {
	t.Parallel()
	for _, local := range []scram.Local{both13, tls12} {
		for version, want := range map[uint16]error{
			0x0303: scram.ErrTLSVersionTampered, 0x0304: scram.ErrTLSVersionTampered, 0x0305: scram.ErrTLSVersionTampered,
		} {
			if version == local.TLSVersion {
				want = nil
			}
			offer := offered(scram.SASL2, sixMechanisms, allTypes)
			attempt{received: offer, listed: offer, local: local, serverTLS: version}.wants(t, "version", want)
		}
	}
	// A client behind a proxy for TLS cannot compare.
	offer := offered(scram.SASL1, threePlain, nil)
	attempt{received: offer, listed: offer, serverTLS: 0x0304}.wants(t, "out of sight", nil)
	offer = offered(scram.SASL2, sixMechanisms, allTypes)
	a := attempt{received: offer, listed: offer, local: both13, flip: func(c string) string { return c + ",t=304" }}
	a.wants(t, "not in four digits", scram.ErrTLSVersionTampered)
}

// TestAttack6: only PLAIN is left. Nothing secret is sent.
func TestAttack6(t *testing.T) {
	t.Parallel()
	a := attempt{received: offered(scram.SASL1, []string{"PLAIN"}, nil), listed: honest, local: both13}
	a.wants(t, "default", scram.ErrPlainRefused)
	a.policy.AllowPlain, a.pins.NoPlain = true, true
	a.wants(t, "pinned", scram.ErrPlainRefused)
	a.wants(t, "as an error about mechanisms", scram.ErrNoMechanism)
}

// TestAttack7: SASL2 is stripped. The login may go on with the lists of SASL1, and
// tells the caller.
func TestAttack7(t *testing.T) {
	t.Parallel()
	offer := offered(scram.SASL1, sixMechanisms, twoTypes)
	a := attempt{received: offer, listed: offer, local: both13, pins: scram.Pins{SASL2: true}}
	l := a.wants(t, "stripped", nil)
	if !l.LostSASL2 || !l.ListVerified || !l.Pins.SASL2 {
		t.Errorf("got %+v", l)
	}
	a.listed = offered(scram.SASL1, threePlain, nil)
	a.wants(t, "list of the other profile", scram.ErrListTampered)
}
