package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/server"
)

// refused wants the connection to end without a byte.
func refused(t *testing.T, addr string) {
	t.Helper()
	c := dial(t, addr)
	c.send(header)
	c.expect(end)
}

func TestConnections(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(l *server.Limits){
		"of an address": func(l *server.Limits) { l.ConnectionsPerAddress = 2 },
		"of all":        func(l *server.Limits) { l.Connections = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, limited(limit))
			a, b := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
			refused(t, s.clear)
			refused(t, s.direct)
			if n := s.events.refused.Load(); n != 2 {
				t.Errorf("%d refusals counted", n)
			}
			a.says(b, "we stay")
			a.send(closing)
			a.expect(closing, end)
			for { // there is room as soon as the server has noticed
				c := dial(t, s.clear)
				c.send(header)
				if got := c.next(); got != end {
					break
				}
			}
			b.alive()
		})
	}
}

func TestNewPerMinute(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.NewPerMinute = 2 }))
	a := enter(t, s, "romeo", "a")
	b := dial(t, s.clear)
	b.features()
	must(t, b.tcp.Close())
	refused(t, s.clear)
	refused(t, s.direct)
	a.alive()
}

// TestRates: above the rates input is read later, and nothing is lost.
func TestRates(t *testing.T) {
	t.Parallel()
	const n = 40
	tests := []struct {
		name  string
		limit func(l *server.Limits)
		body  string // of n messages
		space int    // between them
		least time.Duration
	}{
		{"stanzas", func(l *server.Limits) { l.StanzasPerSecond, l.StanzasBurst = 100, 10 }, "", 0, 300 * time.Millisecond},
		{"octets", func(l *server.Limits) { l.BytesPerSecond, l.BytesBurst = 128<<10, 16<<10 }, strings.Repeat("x", 2<<10), 0, 500 * time.Millisecond},
		{"white space", func(l *server.Limits) { l.BytesPerSecond, l.BytesBurst = 128<<10, 16<<10 }, "", 2 << 10, 500 * time.Millisecond},
		{"none", func(*server.Limits) {}, strings.Repeat("x", 2<<10), 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, limited(tt.limit))
			romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
			begun := time.Now()
			var all strings.Builder
			var want []string
			for i := range n {
				send, w := message(romeo.jid, juliet.jid, fmt.Sprint(i, tt.body))
				all.WriteString(send + strings.Repeat(" ", tt.space))
				want = append(want, w)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				romeo.send(all.String())
			}()
			juliet.expect(want...)
			await(t, done, "the sender")
			romeo.alive()
			if took := time.Since(begun); took < tt.least {
				t.Errorf("took %v, want at least %v", took, tt.least)
			}
		})
	}
}

func TestFailureDelay(t *testing.T) {
	t.Parallel()
	const delay = 200 * time.Millisecond
	s := open(t, limited(func(l *server.Limits) { l.FailuresPerAddress, l.FailureDelay = 1, delay }))
	fail := func() time.Duration {
		c := beforeAuth(t, s)
		begun := time.Now()
		c.send(authElement("romeo", "wrong"))
		c.expect("<failure xmlns='" + nsSASL + "'><not-authorized/></failure>")
		return time.Since(begun)
	}
	fail()
	for range 2 {
		if took := fail(); took < delay {
			t.Errorf("answered after %v", took)
		}
	}
	enter(t, s, "romeo", "a").alive() // the account is not locked
}
