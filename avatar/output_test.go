package avatar_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/mux"
)

// TestOutputIsXML: an independent parser takes what is made of whatever people set and
// publish.
func TestOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	var all strings.Builder
	play(t, nil, func(s *stage) {
		for _, inner := range []string{
			photo(png1), "<v:FN xmlns:v='vcard-temp'>&lt;&amp;]]&gt;</v:FN>" + photo(png2),
			"<PHOTO><TYPE>image/x&lt;&apos;</TYPE><BINVAL>" + b64(png1) + "</BINVAL></PHOTO><x xmlns=''/><body xmlns='jabber:client'/>",
			"<p:x xmlns:p='urn:p' p:a='&quot;&#10;'/><PHOTO><TYPE>image/a&apos;b</TYPE><BINVAL>" + b64(png2) + "</BINVAL></PHOTO>",
		} {
			s.juliet.Send(card(inner), "<presence><x xmlns='vcard-temp:x:update'/><p:x xmlns:p='vcard-temp:x:update'/></presence>", "<presence><p:c xmlns:p='urn:p'/></presence>")
			s.juliet.Send("<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>",
				"<iq type='get' id='d'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:metadata'/></pubsub></iq>")
		}
		for _, id := range []string{id1, id2} { // with a type that is somebody's text
			s.juliet.Send(data(id, map[string][]byte{id1: png1, id2: png2}[id], ""), publishing(avatar.NSMetadata, id,
				"<metadata xmlns='urn:xmpp:avatar:metadata'><info id='"+id+"' bytes='11' type='image/&lt;&amp;x' url=''/></metadata>", ""))
			s.juliet.Send("<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>")
		}
		got := s.juliet.Arrived()
		if len(got) < 24 {
			t.Errorf("got %d: %q", len(got), got)
		}
		s.juliet.Clear()
		all.WriteString(strings.Join(got, ""))
	})
	for _, m := range []*avatar.Metadata{{}, {Infos: []avatar.Info{{ID: "<'&\"", URL: "https://x/?a&b", Type: "\n]]>\x00"}}}} {
		c, err := mux.NewChild(m)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(c.Raw())
	}
	cmd := exec.Command(path, "--nonet", "--noout", "-")
	// The parser does not like the protocol's namespace, which is a relative URI.
	text := strings.ReplaceAll(all.String(), "'vcard-temp'", "'urn:vcard-temp'")
	cmd.Stdin = strings.NewReader("<stream xmlns='jabber:client'>" + text + "</stream>")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// Namespace faults leave the status at 0 and show on standard error alone.
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v\n%s\n%s", err, stderr.String(), all.String())
	}
}
