package scram_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// What ends of connections have.
var (
	tls12 = scram.Local{TLSVersion: 0x0303, Bindings: []scram.Binding{
		{Type: scram.TLSUnique, Data: []byte("unique")}, {Type: scram.TLSServerEndPoint, Data: []byte("end point")},
	}}
	both13 = scram.Local{TLSVersion: 0x0304, Bindings: []scram.Binding{
		{Type: scram.TLSExporter, Data: exporterData}, {Type: scram.TLSServerEndPoint, Data: []byte("end point")},
	}}
	// A certificate signed with Ed25519, and TLS 1.2 without tls-unique.
	unbound = scram.Local{TLSVersion: 0x0303}
	noTLS   = scram.Local{}

	threePlain = []string{"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"}
	endPoint   = []string{scram.TLSServerEndPoint}
	exporter   = []string{scram.TLSExporter}
	allTypes   = []string{scram.TLSServerEndPoint, scram.TLSUnique, scram.TLSExporter}
	strange    = []string{"tls-fictional"}

	require    = scram.ClientPolicy{Binding: scram.BindingRequire}
	off        = scram.ClientPolicy{Binding: scram.BindingOff}
	plainToo   = scram.ClientPolicy{AllowPlain: true}
	regardless = scram.ClientPolicy{AllowUnprotected: true}
)

// TestChoose is the table of what is chosen. A want like "y SCRAM-SHA-512" is the
// flag and the mechanism; types and ! for a list that must be signed
// follow, or ? for a guess.
func TestChoose(t *testing.T) {
	t.Parallel()
	sasl1 := func(mechanisms, types []string) scram.Listing {
		return scram.Listing{Mechanisms: mechanisms, BindingTypes: types}
	}
	sasl2 := func(mechanisms, types []string) scram.Listing {
		return scram.Listing{Profile: scram.SASL2, Mechanisms: mechanisms, BindingTypes: types}
	}
	unseen := func(mechanisms []string) scram.Listing {
		return scram.Listing{Mechanisms: mechanisms, TypesUnknown: true}
	}
	with := func(more ...string) []string { return append(slices.Clone(sixMechanisms), more...) }
	tests := []struct {
		name   string
		offer  scram.Listing
		local  scram.Local
		policy scram.ClientPolicy
		pins   scram.Pins
		want   string
		err    error
	}{
		// SA-15: the own preference.
		{"strongest with binding", sasl2(sixMechanisms, allTypes), both13, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-exporter", nil},
		{"binding before hash", sasl2([]string{"SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"}, allTypes), both13, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-1-PLUS tls-exporter", nil},
		{"without binding", sasl1(threePlain, nil), noTLS, plainToo, scram.Pins{}, "n SCRAM-SHA-512", nil},
		{"hashes allowed", sasl1(threePlain, nil), noTLS, scram.ClientPolicy{Hashes: []scram.Hash{scram.SHA1, scram.SHA256}}, scram.Pins{}, "n SCRAM-SHA-256", nil},
		{"EXTERNAL first", sasl2(with("EXTERNAL"), allTypes), both13, scram.ClientPolicy{External: true}, scram.Pins{}, "EXTERNAL", nil},
		{"EXTERNAL on wish only", sasl2(with("EXTERNAL"), allTypes), both13, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-exporter", nil},
		{"EXTERNAL not listed", sasl1(threePlain, nil), noTLS, scram.ClientPolicy{External: true}, scram.Pins{}, "n SCRAM-SHA-512", nil},
		{"names are exact", sasl1([]string{"scram-sha-1", "SCRAM-SHA-1 "}, nil), noTLS, scram.ClientPolicy{}, scram.Pins{}, "", scram.ErrNoMechanism},
		{"nothing", sasl1(nil, nil), both13, plainToo, scram.Pins{}, "", scram.ErrNoMechanism},
		{"nothing known", sasl1([]string{"DIGEST-MD5", "X-OAUTH2"}, nil), both13, plainToo, scram.Pins{}, "", scram.ErrNoMechanism},

		// PLAIN.
		{"PLAIN by default", sasl1([]string{"PLAIN"}, nil), both13, scram.ClientPolicy{}, scram.Pins{}, "", scram.ErrPlainRefused},
		{"PLAIN on wish", sasl1([]string{"PLAIN"}, nil), both13, plainToo, scram.Pins{}, "PLAIN", nil},
		{"PLAIN pinned away", sasl1([]string{"PLAIN"}, nil), both13, plainToo, scram.Pins{NoPlain: true}, "", scram.ErrPlainRefused},
		{"PLAIN in clear", sasl1([]string{"PLAIN"}, nil), noTLS, plainToo, scram.Pins{}, "", scram.ErrPlainRefused},
		{"PLAIN in foreign TLS", sasl1([]string{"PLAIN"}, nil), scram.Local{Secure: true}, plainToo, scram.Pins{}, "PLAIN", nil},
		{"PLAIN does not bind", sasl1([]string{"PLAIN"}, nil), both13, scram.ClientPolicy{AllowPlain: true, Binding: scram.BindingRequire}, scram.Pins{}, "", scram.ErrPlainRefused},
		{"PLAIN last", sasl1([]string{"PLAIN", "SCRAM-SHA-1"}, nil), noTLS, plainToo, scram.Pins{}, "n SCRAM-SHA-1", nil},

		// CB-6: the types, best first.
		{"tls-unique", sasl2(sixMechanisms, allTypes), tls12, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-unique", nil},
		{"tls-server-end-point", sasl2(sixMechanisms, endPoint), both13, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-server-end-point", nil},
		{"common one", sasl2(sixMechanisms, []string{"x", scram.TLSExporter, scram.TLSServerEndPoint}), tls12, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-server-end-point", nil},
		{"tls-unique listed for 1.3", sasl2(sixMechanisms, []string{scram.TLSUnique, scram.TLSServerEndPoint}), both13, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-server-end-point", nil},
		{"tls-exporter listed for 1.2", sasl2(sixMechanisms, exporter), tls12, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-512!", nil},
		{"required and there", sasl2(sixMechanisms, endPoint), both13, require, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-server-end-point", nil},

		// CB-7: -PLUS without types.
		{"no types - SASL2", sasl2(sixMechanisms, nil), both13, scram.ClientPolicy{}, scram.Pins{}, "", scram.ErrBindingContradiction},
		{"no types - SASL1 on 1.3", sasl1(sixMechanisms, nil), both13, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-exporter?", nil},
		{"no types - SASL1 on 1.2", sasl1(sixMechanisms, nil), tls12, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-unique?", nil},
		{"no types - nothing to bind", sasl1(sixMechanisms, nil), unbound, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-512!", nil},
		{"no types - nothing to bind - regardless", sasl1(sixMechanisms, nil), unbound, regardless, scram.Pins{}, "n SCRAM-SHA-512", nil},
		{"types out of sight", unseen(sixMechanisms), both13, scram.ClientPolicy{}, scram.Pins{}, "p SCRAM-SHA-512-PLUS tls-exporter?", nil},
		{"types out of sight - none", unseen(threePlain), both13, scram.ClientPolicy{}, scram.Pins{}, "y SCRAM-SHA-512", nil},

		// CB-8: types without -PLUS.
		{"no -PLUS - SASL2", sasl2(threePlain, allTypes), both13, plainToo, scram.Pins{}, "", scram.ErrBindingContradiction},
		{"no -PLUS - SASL1", sasl1(threePlain, allTypes), both13, plainToo, scram.Pins{}, "", scram.ErrBindingContradiction},
		{"no -PLUS - cannot bind", sasl1(threePlain, allTypes), noTLS, plainToo, scram.Pins{}, "n SCRAM-SHA-512", nil},

		// CB-9 and CB-11: nothing in common.
		{"strange types", sasl2(sixMechanisms, strange), both13, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-512!", nil},
		{"strange types - regardless", sasl2(sixMechanisms, strange), both13, regardless, scram.Pins{}, "n SCRAM-SHA-512!", nil},
		{"strange types - -PLUS only", sasl2([]string{"SCRAM-SHA-1-PLUS"}, strange), both13, scram.ClientPolicy{}, scram.Pins{}, "", scram.ErrBindingNoCommon},

		// CB-10 and CB-5: tls-server-end-point that cannot be computed.
		{"no end point", sasl2(sixMechanisms, endPoint), tls13, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-512!", nil},
		{"no end point - regardless", sasl2(sixMechanisms, endPoint), tls13, regardless, scram.Pins{}, "n SCRAM-SHA-512", nil},
		{"Ed25519 on 1.2", sasl2(sixMechanisms, allTypes), unbound, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-512!", nil},
		{"Ed25519 on 1.2 - required", sasl2(sixMechanisms, allTypes), unbound, require, scram.Pins{}, "", scram.ErrBindingLocal},
		{"Ed25519 on 1.2 - -PLUS only", sasl2([]string{"SCRAM-SHA-1-PLUS"}, allTypes), unbound, scram.ClientPolicy{}, scram.Pins{}, "", scram.ErrBindingLocal},

		// SC-27: the flag.
		{"y", sasl2(threePlain, nil), both13, scram.ClientPolicy{}, scram.Pins{}, "y SCRAM-SHA-512", nil},
		{"n without TLS", sasl2(sixMechanisms, allTypes), noTLS, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-512", nil},
		{"n without data", sasl1(threePlain, nil), unbound, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-512", nil},
		{"only a foreign -PLUS", sasl2([]string{"SCRAM-SHA3-512-PLUS", "SCRAM-SHA-1"}, allTypes), both13, scram.ClientPolicy{}, scram.Pins{}, "n SCRAM-SHA-1!", nil},

		// CB-17: the knob.
		{"off", sasl2(sixMechanisms, allTypes), both13, off, scram.Pins{Binding: scram.TLSExporter}, "n SCRAM-SHA-512", nil},
		{"off - contradiction does not matter", sasl2(threePlain, allTypes), both13, off, scram.Pins{}, "n SCRAM-SHA-512", nil},
		{"off - -PLUS only", sasl2([]string{"SCRAM-SHA-1-PLUS"}, allTypes), both13, off, scram.Pins{}, "", scram.ErrNoMechanism},
		{"required - no TLS", sasl2(sixMechanisms, allTypes), noTLS, require, scram.Pins{}, "", scram.ErrBindingLocal},
		{"required - no -PLUS", sasl2(threePlain, nil), both13, require, scram.Pins{}, "", scram.ErrBindingNotOffered},
		{"required - foreign -PLUS", sasl2([]string{"SCRAM-SHA3-512-PLUS", "SCRAM-SHA-1"}, allTypes), both13, require, scram.Pins{}, "", scram.ErrBindingNotOffered},
		{"required - no types", sasl2(sixMechanisms, nil), both13, require, scram.Pins{}, "", scram.ErrBindingContradiction},
		{"required - types only", sasl1(threePlain, allTypes), both13, require, scram.Pins{}, "", scram.ErrBindingContradiction},
		{"required - nothing in common", sasl2(sixMechanisms, strange), both13, require, scram.Pins{}, "", scram.ErrBindingNoCommon},

		// CB-16: pins.
		{"pinned binding there", sasl2(sixMechanisms, allTypes), both13, scram.ClientPolicy{}, scram.Pins{Binding: scram.TLSExporter}, "p SCRAM-SHA-512-PLUS tls-exporter", nil},
		{"pinned binding of the other version", sasl2(sixMechanisms, allTypes), tls12, scram.ClientPolicy{}, scram.Pins{Binding: scram.TLSExporter}, "p SCRAM-SHA-512-PLUS tls-unique", nil},
		{"pinned binding better", sasl2(sixMechanisms, endPoint), both13, scram.ClientPolicy{}, scram.Pins{Binding: scram.TLSExporter}, "p SCRAM-SHA-512-PLUS tls-server-end-point!", nil},
		{"pinned binding gone", sasl2(threePlain, nil), both13, scram.ClientPolicy{}, scram.Pins{Binding: scram.TLSServerEndPoint}, "y SCRAM-SHA-512!", nil},
		{"pinned binding gone - regardless", sasl2(sixMechanisms, endPoint), tls13, regardless, scram.Pins{Binding: scram.TLSServerEndPoint}, "n SCRAM-SHA-512!", nil},
		{"hashes are not pinned", sasl1([]string{"SCRAM-SHA-1"}, nil), noTLS, scram.ClientPolicy{}, scram.Pins{NoPlain: true, Iterations: map[string]int{"SCRAM-SHA-512": 1}}, "n SCRAM-SHA-1", nil},

		// SA-17: the next hash.
		{"second hash", sasl1(threePlain, nil), noTLS, scram.ClientPolicy{AllowPlain: true, Tried: []string{"SCRAM-SHA-512"}}, scram.Pins{}, "n SCRAM-SHA-256", nil},
		{"second hash with binding", sasl2(sixMechanisms, allTypes), both13, scram.ClientPolicy{Tried: []string{"SCRAM-SHA-512-PLUS"}}, scram.Pins{}, "p SCRAM-SHA-256-PLUS tls-exporter", nil},
		{"binding is not given up", sasl2([]string{"SCRAM-SHA-256", "SCRAM-SHA-512-PLUS", "SCRAM-SHA-512"}, allTypes), both13, scram.ClientPolicy{Tried: []string{"SCRAM-SHA-512-PLUS"}}, scram.Pins{}, "", scram.ErrNoMechanism},
		{"no PLAIN after SCRAM", sasl1([]string{"SCRAM-SHA-1", "PLAIN"}, nil), both13, scram.ClientPolicy{AllowPlain: true, Tried: []string{"SCRAM-SHA-1"}}, scram.Pins{}, "", scram.ErrNoMechanism},
		{"all tried", sasl1([]string{"SCRAM-SHA-1"}, nil), both13, scram.ClientPolicy{Tried: []string{"SCRAM-SHA-1"}}, scram.Pins{}, "", scram.ErrNoMechanism},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := scram.Choose(tt.offer, tt.local, tt.policy, tt.pins)
			if got := show(c); got != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got %q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func show(c scram.Choice) string {
	s := c.Mechanism
	if c.Flag != 0 {
		s = string(c.Flag) + " " + s
	}
	if c.Binding.Type != "" {
		s += " " + c.Binding.Type
	}
	if c.Guessed {
		s += "?"
	}
	if c.NeedListHash {
		s += "!"
	}
	return s
}

// TestLostSASL2 warns when a server has only the older profile left.
func TestLostSASL2(t *testing.T) {
	t.Parallel()
	for profile, want := range map[scram.Profile]bool{scram.SASL1: true, scram.SASL2: false} {
		c, err := scram.Choose(scram.Listing{Profile: profile, Mechanisms: threePlain}, both13, scram.ClientPolicy{}, scram.Pins{SASL2: true})
		if err != nil || c.LostSASL2 != want {
			t.Errorf("profile %d: got %v, %v", profile, c.LostSASL2, err)
		}
	}
}
