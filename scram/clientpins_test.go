package scram_test

import (
	"errors"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// TestPins: what a login teaches, and that the pins given are not changed.
func TestPins(t *testing.T) {
	t.Parallel()
	a := attempt{received: honest, listed: honest, local: both13}
	a.pins.Iterations = map[string]int{"SCRAM-SHA-512": 4095, "SCRAM-SHA-1": 9999}
	got := a.wants(t, "first login", nil).Pins
	want := scram.Pins{
		NoPlain: true, Binding: scram.TLSExporter, SASL2: true,
		Iterations: map[string]int{"SCRAM-SHA-512": 4096, "SCRAM-SHA-1": 9999},
	}
	if !got.Equal(want) || got.Equal(a.pins) || a.pins.Iterations["SCRAM-SHA-512"] != 4095 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// The server no longer binds, and signs that.
	gone := offered(scram.SASL2, threePlain, nil)
	a = attempt{received: gone, listed: gone, local: both13, pins: got}
	if got := a.wants(t, "binding given up", nil).Pins; got.Binding != "" || !got.NoPlain {
		t.Errorf("got %+v", got)
	}
	a.unsigned = true
	a.wants(t, "binding gone, not signed", scram.ErrBindingLost)
	// Who turns binding off keeps the pin.
	a.policy.Binding = scram.BindingOff
	if got := a.wants(t, "off", nil).Pins; got.Binding != scram.TLSExporter {
		t.Errorf("got %+v", got)
	}
}

// TestListed: lists that arrive after the choice are those that count.
func TestListed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		now  scram.Listing
		want error
	}{{honest, nil}, {offered(scram.SASL2, sixMechanisms, endPoint), scram.ErrListTampered}} {
		choice, err := scram.Choose(honest, both13, scram.ClientPolicy{}, scram.Pins{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := scram.NewClient(choice, &scram.ClientOptions{Username: "user", Password: scram.FixedPassword("x"), Nonce: fixedNonce(clientNonce)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.First(); err != nil {
			t.Fatal(err)
		}
		c.Listed(tt.now)
		_, err = c.Next(t.Context(), []byte(attempt{listed: honest}.challenge(scram.SHA512, clientNonce)))
		if !errors.Is(err, tt.want) {
			t.Errorf("got %v, want %v", err, tt.want)
		}
	}
}
