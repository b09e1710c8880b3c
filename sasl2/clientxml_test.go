package sasl2_test

import (
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/sasl2"
)

// TestClientOutputIsXML: an independent parser takes what a client sends.
func TestClientOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	const odd = `<&'"]]>ü`
	var sent strings.Builder
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		o := f.clientOptions()
		withTokens(o, "one")
		o.Software, o.Device, o.Tag = odd, "\x00"+odd, odd
		o.Enable = []string{"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"}
		o.Resume = "<resume xmlns='urn:xmpp:sm:3' previd='&lt;' h='1'/>"
		o.Upgrade, o.UpgradeUnbound, o.Upgrades = saltTest, true, []string{odd, "UPGR-SCRAM-SHA-512"}
		o.Pipeline, o.State.Offer = true, &sasl2.Offer{Inline: []string{sasl2.NSBind, "urn:xmpp:sm:3"}, Bind: []string{"urn:xmpp:sm:3"}, Tokens: []string{"HT-SHA-256-NONE"}, Scheme: odd, Version: odd}
		f.connect(t.Context(), "romeo@example.net", xmpp.Secure, o)
		exchange := func(s string) {
			synctest.Wait()
			f.mu.Lock()
			sent.WriteString(f.got.String())
			f.got.Reset()
			f.mu.Unlock()
			f.send(s)
		}
		exchange("{hello}" + strings.Replace(shortServer.Replace("{all}"), "UPGR-SCRAM-SHA-256", "&lt;&amp;'\"]]&gt;ü", 1))
		exchange("{fail not-authorized}")
		exchange("<challenge{2}>{64 who?}</challenge>")
		exchange("<continue{2}>{proof}<tasks><task>&lt;&amp;'\"]]&gt;ü</task></tasks></continue>")
		exchange("<task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>" + saltOf16 + "</salt></task-data>")
		exchange("<stream:error/></stream:stream>")
		f.end()
	})
	for _, want := range []string{"<fast ", "<next ", "<task-data ", "<tag>", "<software>", "<config-version "} {
		if !strings.Contains(sent.String(), want) {
			t.Errorf("nothing of %s", want)
		}
	}
	cmd := exec.Command(path, "--nonet", "--noout", "-")
	cmd.Stdin = strings.NewReader(sent.String() + "</stream:stream>")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// Namespace faults leave the status at 0 and show on standard error alone.
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v\n%s\n%s", err, stderr.String(), sent.String())
	}
}
