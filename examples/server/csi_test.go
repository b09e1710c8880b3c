package main

import (
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// wire is a client that writes and reads text.
type wire struct {
	*tls.Conn
	t *testing.T
}

func dialWire(t *testing.T, at ports) *wire {
	t.Helper()
	conn, err := tls.Dial("tcp", at["c2s-tls"], &tls.Config{InsecureSkipVerify: true}) // nothing secret is said
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &wire{conn, t}
}

// says sends text and reads up to an end.
func (w *wire) says(text, end string) string {
	w.t.Helper()
	if _, err := w.Write([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
	return w.reads(end)
}

func (w *wire) reads(end string) string {
	w.t.Helper()
	var got strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(got.String(), end); {
		n, err := w.Read(buf)
		if err != nil {
			w.t.Fatalf("%v after %s", err, &got)
		}
		got.Write(buf[:n])
	}
	return got.String()
}

// login2 logs in by SASL2 and Bind 2, with members in bind, and returns what was
// offered before and after, and the success.
func (w *wire) login2(name, password, members string) (before, success, after string) {
	w.t.Helper()
	before = w.says("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>", "</stream:features>")
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + name + "\x00" + password))
	rest := w.says("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>"+plain+"</initial-response><bind xmlns='urn:xmpp:bind:0'>"+members+"</bind></authenticate>", "</stream:features>")
	success, after, _ = strings.Cut(rest, "</success>")
	return before, success, after
}

// TestClientState: CSI-1, IN-9: Client State Indication is offered inside Bind 2, and
// else after authentication only; a session that is bound inactive is spared.
func TestClientState(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	addUser(t, data, "juliet@localhost", "r0m30myr0m30")
	at := serveLogin(t, data)
	const offer = "<csi xmlns='urn:xmpp:csi:0'/>"
	phone := dialWire(t, at)
	before, success, after := phone.login2("juliet", "r0m30myr0m30", "<tag>phone</tag><inactive xmlns='urn:xmpp:csi:0'/>")
	if strings.Count(before, "<feature var='urn:xmpp:csi:0'/>") != 1 || strings.Contains(before, offer) {
		t.Errorf("before: %s", before)
	}
	if strings.Count(after, offer) != 1 || strings.Contains(success, "csi") {
		t.Errorf("success %s, then %s", success, after)
	}
	_, to, _ := strings.Cut(success, "<authorization-identifier>")
	to, _, _ = strings.Cut(to, "</authorization-identifier>")
	desk := dialWire(t, at)
	desk.login2("juliet", "r0m30myr0m30", "<tag>desk</tag>")
	desk.says("<presence to='"+to+"'><show>away</show></presence><presence to='"+to+"'><show>dnd</show></presence>"+
		"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "id='1'")
	got := phone.says("<active xmlns='urn:xmpp:csi:0'/><iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>", "id='2'")
	if strings.Contains(got, "away") || !strings.Contains(got, "dnd") || !strings.Contains(got, "urn:xmpp:delay") {
		t.Errorf("got %s", got)
	}
}
