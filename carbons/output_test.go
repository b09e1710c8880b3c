package carbons_test

import (
	"encoding/xml"
	"io"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestOutputIsXML: CC-22: independent parsers take copies of whatever people send, and
// find the message of the copy in the namespace it is in for its sender.
func TestOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	var all string
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil))
		desk, phone := h.Connect(t, "romeo@example.net/<'desk\">&"), h.Connect(t, "romeo@example.net/<'phone\">&")
		org := h.DialDomain(t, mux.Server, "example.org")
		desk.Send("<presence/>")
		phone.Send(enable)
		phone.Clear()
		for _, in := range []string{
			"<body>&lt;a&gt; &amp; ]]&gt; \u00fc\U0001f41d</body>",
			"<body><![CDATA[<a> & b]]></body>",
			"<body xml:lang='de'>x</body><x:y xmlns:x='urn:x' x:a='&quot;&apos;&#10;'><x:z/></x:y>",
			"<x xmlns=''/><body xmlns='jabber:client'>x</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>x</p></body></html>",
			"text<thread parent='a'>b</thread>text",
			"",
		} {
			desk.Send("<message xmlns:p='urn:p' p:a='1' b='&apos;' to='juliet@example.org/&lt;&apos;' type='chat' id='&lt;&apos;&quot;' xml:lang='en'>" + in + "<p:q/></message>")
			org.Send("<message xmlns='jabber:server' xmlns:p='urn:p' from='juliet@example.org/&lt;' to='romeo@example.net/gone' type='chat' id='&amp;'>" +
				strings.ReplaceAll(in, "jabber:client", "jabber:server") + "<p:q/></message>")
			got := phone.Arrived()
			phone.Clear()
			if len(got) != 2 {
				t.Fatalf("%s: got %q", in, got)
			}
			for _, el := range got {
				checkInner(t, el)
				all += el
			}
		}
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

// checkInner looks for one message in the content namespace three levels down, and for
// its child.
func checkInner(t *testing.T, el string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader("<stream xmlns='jabber:client'>" + el + "</stream>"))
	depth, messages, children := 0, 0, 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", el, err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			switch depth {
			case 4:
				if tok.Name == (xml.Name{Space: "jabber:client", Local: "message"}) {
					messages++
				}
			case 5:
				if tok.Name == (xml.Name{Space: "urn:p", Local: "q"}) {
					children++
				}
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if messages != 1 || children != 1 {
		t.Errorf("%d messages with %d children in %s", messages, children, el)
	}
}
