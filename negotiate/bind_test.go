package negotiate_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stream"
)

// bindings are about RFC 6120 §7 and core-im LC-11.
var bindings = []transcript{
	{name: "made up", text: loggedIn + "C: <iq type='set' id='1'><bind{ns}/></iq>\nS: <iq to='romeo@example.net/RANDOM' type='result' id='1'><bind{ns}><jid>romeo@example.net/RANDOM</jid></bind></iq>"},
	{name: "prepared", text: loggedIn + "C: <iq type='set' id='1'><bind{ns}><resource>A&amp;Ⅳ</resource></bind></iq>\nS: <iq to='romeo@example.net/A&amp;Ⅳ' type='result' id='1'><bind{ns}><jid>romeo@example.net/A&amp;Ⅳ</jid></bind></iq>"},
	{name: "at the domain", text: loggedIn + "C: <iq type='set' to='example.net' id='1'><bind{ns}><resource>x</resource></bind></iq>\nS: <iq from='example.net' to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>"},
	{name: "at the account", text: loggedIn + "C: <iq type='set' to='romeo@example.net' id='1'><bind{ns}><resource>x</resource></bind></iq>\nS: <iq from='romeo@example.net' to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>"},
	{name: "malformed resource", text: loggedIn + "C: <iq type='set' id='1'><bind{ns}><resource>a&#x9;b</resource></bind></iq>\n" + bad},
	{name: "resource too long", text: loggedIn + "C: <iq type='set' id='1'><bind{ns}><resource>" + strings.Repeat("a", 1024) + "</resource></bind></iq>\n" + bad},
	{name: "two resources", text: loggedIn + "C: <iq type='set' id='1'><bind{ns}><resource>a</resource><resource>b</resource></bind></iq>\n" + bad},
	{name: "as libstrophe does it", text: loggedIn + "C: <iq type='set' id='1'><bind{ns}><required/><resource>prof</resource></bind></iq>\n" +
		"S: <iq to='romeo@example.net/prof' type='result' id='1'><bind{ns}><jid>romeo@example.net/prof</jid></bind></iq>"},
	{name: "get", text: loggedIn + "C: <iq type='get' id='1'><bind{ns}/></iq>\n" + bad},
	{name: "without id", text: loggedIn + "C: <iq type='set'><bind{ns}/></iq>\nS: <iq from='example.net' type='error'><error type='modify'><bad-request{stanzas}/></error></iq>"},
	{name: "two payloads", text: loggedIn + "C: <iq type='set' id='1'><bind{ns}/><bind{ns}/></iq>\n" + bad},
	{name: "refused, then right", text: loggedIn + "C: <iq type='get' id='1'><bind{ns}/></iq>\n" + bad + "\nC: <iq type='set' id='2'><bind{ns}><resource>x</resource></bind></iq>\n" +
		"S: <iq to='romeo@example.net/x' type='result' id='2'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>"},
	{name: "refused without end", text: loggedIn + "C: " + strings.Repeat("<iq type='get' id='1'><bind{ns}/></iq>", 200) + "\n" +
		strings.Repeat(bad+"\n", 199) + "S: {error policy-violation}\nEND", err: "policy-violation"},
}

const bad = "S: <iq from='example.net' type='error' id='1'><error type='modify'><bad-request{stanzas}/></error></iq>"

func TestServeBind(t *testing.T) {
	t.Parallel()
	play(t, bindings)
}

const bindX = "C: <iq type='set' id='1'><bind{ns}><resource>x</resource></bind></iq>\n"

// TestServeBindConflict: core-im LC-12, the old stream ends with conflict.
func TestServeBindConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, trusted())
		old, young := s.connect(), s.connect()
		defer young.stop()
		old.run(loggedIn + bindX)
		old.take()
		young.run(loggedIn + bindX + "S: <iq to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>")
		old.run("S: {error conflict}\nEND")
		old.stop()
		young.run("C: <iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>\nS: <iq from='romeo@example.net' to='romeo@example.net/x' type='result' id='2'/>")
	})
}

func TestServeBindKeepOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		with := trusted()
		with.opt.KeepOld = true
		s := newSite(t, with)
		old, young := s.connect(), s.connect()
		defer old.stop()
		defer young.stop()
		old.run(loggedIn + bindX)
		old.take()
		young.run(loggedIn + bindX + "S: <iq from='example.net' type='error' id='1'><error type='cancel'><conflict{stanzas}/></error></iq>\n" +
			"C: <iq type='set' id='2'><bind{ns}/></iq>\nS: <iq to='romeo@example.net/RANDOM' type='result' id='2'><bind{ns}><jid>romeo@example.net/RANDOM</jid></bind></iq>")
		old.expect("")
	})
}

// TestServeBindLimit: core-im LIM-12.
func TestServeBindLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		with := trusted()
		with.mux.MaxSessions = 1
		s := newSite(t, with)
		first, second := s.connect(), s.connect()
		defer first.stop()
		defer second.stop()
		first.run(loggedIn + bindX)
		second.run(loggedIn + "C: <iq type='set' id='1'><bind{ns}/></iq>\nS: <iq from='example.net' type='error' id='1'>" +
			"<error type='wait'><resource-constraint{stanzas}/><resource-limit-exceeded xmlns='urn:xmpp:errors'/></error></iq>")
	})
}

// TestServeShutdown: a stream that is still negotiated hears of it too.
func TestServeShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, trusted()).connect()
		defer p.stop()
		p.run(opened)
		p.st.Close(stream.SystemShutdown)
		p.run("S: {error system-shutdown}\nEND")
		if p.err == nil {
			t.Error("no error")
		}
	})
}
