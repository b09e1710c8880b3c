package negotiate_test

import (
	"testing"
	"testing/synctest"
)

func TestServeBinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, trusted()).connect()
		defer p.stop()
		p.run(`
			C: <?xml version='1.0'?>{open}
			S: {head}{auth}
			C: {romeo}
			S: {success}
			C: {open}
			S: {head}{bind}
			C: <iq type='set' id='b1'><bind{ns}><resource>orchard</resource></bind></iq>
			S: <iq to='romeo@example.net/orchard' type='result' id='b1'><bind{ns}><jid>romeo@example.net/orchard</jid></bind></iq>
			C: <iq type='set' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
			S: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='s1'/>
			C: <iq type='set' to='example.net' id='s2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
			S: <iq from='example.net' to='romeo@example.net/orchard' type='result' id='s2'/>
			C: <iq type='set' id='b2'><bind{ns}/></iq>
			S: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='error' id='b2'><error type='cancel'><not-allowed{stanzas}/></error></iq>
			C: {end}
			S: {end}
		`)
	})
}
