package main

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestOperatorEndsSession: an operator sees clients that do not say which they are, by
// their resource, and ends the session of one (auth-register CA-1).
func TestOperatorEndsSession(t *testing.T) {
	t.Parallel()
	data, at := twoPeople(t)
	desk := dialWire(t, at)
	open := "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"
	desk.says(open, "</stream:features>")
	desk.says("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+base64.StdEncoding.EncodeToString([]byte("\x00juliet\x00r0m30myr0m30"))+"</auth>", "<success")
	desk.says(open, "</stream:features>")
	desk.says("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind></iq>", "</iq>")
	mute := dialWire(t, at)
	mute.login2("juliet", "r0m30myr0m30", "")

	list := func() string {
		return operate(t, data, "", "-domain", "localhost", "user", "clients", "juliet@localhost")
	}
	got := list()
	if strings.Count(got, ", connected, knows the password, session ") != 2 || strings.Count(got, "\n") != 2 {
		t.Fatalf("got %s", got)
	}
	i := strings.Index(got, ", connected, knows the password, session \"desk\"\n")
	if i < 0 {
		t.Fatalf("got %s", got)
	}
	operate(t, data, "", "-domain", "localhost", "user", "revoke", "juliet@localhost", got[strings.LastIndex(got[:i], "\n")+1:i])
	desk.reads("<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
	if got := list(); strings.Contains(got, "desk") || strings.Count(got, "\n") != 1 {
		t.Errorf("left %s", got)
	}
	mute.says("<iq type='get' id='9'><ping xmlns='urn:xmpp:ping'/></iq>", "id='9'")
}
