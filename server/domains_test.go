package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/server"
)

// TestSetDomains: a domain comes without a new start, and one that goes takes its own
// streams with it and no others (core-im GS-4).
func TestSetDomains(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *server.Options) { o.Domains = []string{domain} })
	romeo := enter(t, s, "romeo", "x")
	unknown := dialTLS(t, s)
	unknown.send(strings.Replace(header, domain, otherDomain, 1))
	unknown.header()
	unknown.streamError("host-unknown")

	must(t, s.SetDomains([]string{domain, otherDomain, domain}))
	if got := s.Domains(); !slices.Equal(got, []string{domain, otherDomain}) {
		t.Errorf("domains %q", got)
	}
	there := dialTLS(t, s).at("juliet", "x")
	romeo.says(there, "welcome")
	early := dialTLS(t, s) // has not authenticated yet
	early.send(strings.Replace(header, domain, otherDomain, 1))
	early.header()
	early.next()

	for _, wrong := range [][]string{nil, {domain, "a@example.com"}} {
		if err := s.SetDomains(wrong); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
	there.alive()

	must(t, s.SetDomains([]string{domain}))
	there.streamError("host-gone")
	early.streamError("host-gone")
	romeo.alive()
	romeo.send("<message type='chat' id='1' to='juliet@example.org'><body>gone?</body></message>")
	if got := romeo.next(); !strings.Contains(got, "<remote-server-not-found ") {
		t.Errorf("got %s", got)
	}

	must(t, s.SetDomains([]string{otherDomain}))
	romeo.streamError("host-gone")
	dialTLS(t, s).at("juliet", "x").alive()
}
