package scram_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// encounter has a client log in over c with what it was shown as the offer, and returns
// the errors of both ends.
func encounter(t *testing.T, b bed, c ends, shown scram.Listing, l scram.Local, h scram.Hash) (client *scram.Client, e *scram.Exchange, clientErr, serverErr error) {
	t.Helper()
	o := scram.ClientOptions{Username: "user", Password: scram.FixedPassword("pencil"), Policy: scram.ClientPolicy{Hashes: []scram.Hash{h}}}
	choice, err := scram.Choose(shown, l, o.Policy, o.Pins)
	if err != nil {
		return nil, nil, err, nil
	}
	if client, err = scram.NewClient(choice, &o); err != nil {
		t.Fatal(err)
	}
	message, err := client.First()
	if err != nil {
		t.Fatal(err)
	}
	e = b.startOn(t, c.server, choice.Mechanism)
	challenge, _, err := e.Step(t.Context(), message)
	if err != nil {
		return client, e, nil, err
	}
	if message, err = client.Next(t.Context(), challenge); err != nil {
		return client, e, err, nil
	}
	success, _, err := e.Step(t.Context(), message)
	if err != nil {
		return client, e, nil, err
	}
	return client, e, client.Verify(success), nil
}

// TestBothEnds: client and server of this package over TLS, with each channel
// binding that the server offers, and without; the client finds the list signed.
func TestBothEnds(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := connect(t, issue(t, x509.ECDSAWithSHA384), version)
		offer := b.On(c.server)
		shown := scram.Listing{Mechanisms: offer.Mechanisms(), BindingTypes: offer.ChannelBindings()}
		for _, typ := range append(offer.ChannelBindings(), "") {
			for _, h := range scram.Hashes() {
				t.Run(fmt.Sprintf("%x %s %v", version, typ, h), func(t *testing.T) {
					t.Parallel()
					l := scram.LocalTLS(c.client.TLS)
					l.Bindings = slices.DeleteFunc(l.Bindings, func(b scram.Binding) bool { return b.Type != typ })
					client, e, clientErr, serverErr := encounter(t, b, c, shown, l, h)
					if clientErr != nil || serverErr != nil {
						t.Fatalf("client %v, server %v", clientErr, serverErr)
					}
					if got := client.Login(); e.Account() != "user@"+host || e.ChannelBinding() != typ || got.BindingType != typ || !got.ListVerified {
						t.Errorf("account %q, bound to %q; the client knows %q, list signed %v", e.Account(), e.ChannelBinding(), got.BindingType, got.ListVerified)
					}
				})
			}
		}
	}
}

// TestAttack03BothEnds: whatever somebody in between takes out of the offer, one of
// the ends notices.
func TestAttack03BothEnds(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	cert := issue(t, x509.ECDSAWithSHA256)
	c := connect(t, cert, tls.VersionTLS13)
	whole := b.On(c.server)
	bare := scram.New(new(scram.Memory), nil).Mechanisms()
	for name, shown := range map[string]scram.Listing{
		"no -PLUS, no types":    {Mechanisms: bare},
		"no -PLUS":              {Mechanisms: bare, BindingTypes: whole.ChannelBindings()},
		"the certificate alone": {Mechanisms: whole.Mechanisms(), BindingTypes: []string{scram.TLSServerEndPoint}},
		"types of nobody":       {Mechanisms: whole.Mechanisms(), BindingTypes: []string{"tls-nothing"}},
		"no SHA-512":            {Mechanisms: slices.DeleteFunc(whole.Mechanisms(), func(m string) bool { return m == "SCRAM-SHA-512-PLUS" }), BindingTypes: whole.ChannelBindings()},
	} {
		_, e, clientErr, serverErr := encounter(t, b, c, shown, scram.LocalTLS(c.client.TLS), scram.SHA256)
		if clientErr == nil && serverErr == nil || e != nil && e.Account() != "" {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}
