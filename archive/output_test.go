package archive_test

import (
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestOutputIsXML: an independent parser takes results of whatever people send.
func TestOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	var all string
	synctest.Test(t, func(t *testing.T) {
		store := new(archive.Memory)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, archive.New(store, &archive.Options{Prefs: store}))
		j := h.Connect(t, "juliet@example.net/<'desk\">&")
		org := h.DialDomain(t, mux.Server, "example.org")
		for _, in := range []string{
			"<body>&lt;a&gt; &amp; ]]&gt; \u00fc\U0001f41d</body>",
			"<body><![CDATA[<a> & b]]></body>",
			"<body xml:lang='de'>x</body><x:y xmlns:x='urn:x' x:a='&quot;&apos;&#10;'><x:z/></x:y>",
			"<x xmlns=''/><body xmlns='jabber:client'>x</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>x</p></body></html>",
			"text<thread parent='a'>b</thread>text<body/>",
		} {
			j.Send("<message xmlns:p='urn:p' p:a='1' b='&apos;' to='romeo@example.org/&lt;&apos;' type='chat' id='&lt;&apos;&quot;' xml:lang='en'>" + in + "<p:q/></message>")
			org.Send("<message xmlns='jabber:server' xmlns:p='urn:p' from='romeo@example.org/&lt;' to='juliet@example.net' type='chat' id='&amp;'>" +
				strings.ReplaceAll(in, "jabber:client", "jabber:server") + "<p:q/></message>")
		}
		j.Send(ask("&lt;&apos;", "<query xmlns='urn:xmpp:mam:2' queryid='&lt;&apos;&quot;&amp;&#10;'/>"),
			"<iq type='get' id='2'><metadata xmlns='urn:xmpp:mam:2'/></iq>", "<iq type='get' id='3'><query xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='set' id='4'><prefs xmlns='urn:xmpp:mam:2' default='never'><never><jid>a@b/&lt;&apos;&amp;</jid></never></prefs></iq>")
		got := j.Arrived()
		if len(got) != 14 {
			t.Errorf("got %d: %q", len(got), got)
		}
		all = strings.Join(got, "")
		j.Clear()
	})
	cmd := exec.Command(path, "--nonet", "--noout", "-")
	cmd.Stdin = strings.NewReader("<stream xmlns='jabber:client'>" + all + "</stream>")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// Namespace faults leave the status at 0 and show on standard error alone.
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v\n%s\n%s", err, stderr.String(), all)
	}
}
