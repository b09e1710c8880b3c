//go:build clients

package clienttest

import (
	"strings"
	"testing"
)

// TestFast: @xmpp/client authenticates with SASL2, binds with Bind 2, gets a token
// and comes back with it (XEP-0388, XEP-0386, XEP-0484); then the operator takes
// its access away.
func TestFast(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			x := xmppjs(t, s, via, password, "fast", alice)
			id := strings.TrimPrefix(x.expect(t, "client ", limit), "client ")
			list := start(t, "user clients", serverCommand("-domain", domain, "-data", s.data, "user", "clients", alice))
			list.expect(t, id+`, connected, knows the password, has a token, "xmpp.js", "Hive"`, limit)
			start(t, "user revoke", serverCommand("-domain", domain, "-data", s.data, "user", "revoke", alice, id)).done(t, limit)
			x.done(t, limit)
		})
	}
}
