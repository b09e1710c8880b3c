package negotiate_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
)

// TestServeFrom: features see the account that the last stream header names, if it
// is one.
func TestServeFrom(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]mux.Address{
		"": {}, " from='Romeo@Example.net'": romeo, " from='romeo@example.net/x'": {}, " from='example.net'": {}, " from='@'": {},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newSite(t, trusted()).connect()
			defer p.stop()
			open := func(header string) {
				p.send(strings.Replace(expand("{open}"), " to=", header+" to=", 1))
				p.take()
			}
			open(header)
			if got := p.st.From(); got != want {
				t.Errorf("%s: got %v, want %v", header, got, want)
			}
			p.send(expand("{romeo}"))
			open("")
			if got := p.st.From(); !got.IsZero() {
				t.Errorf("%s: after a restart %v", header, got)
			}
		})
	}
}
