package pep_test

import (
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// TestOutputIsXML: an independent parser takes what is made of whatever people publish.
func TestOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	var all string
	play(t, nil, func(s *stage) {
		name := "&lt;&apos;&quot;&amp;&#10;ü\U0001f41d"
		j := s.there("juliet", "a")
		for _, in := range []string{
			"<x xmlns='urn:x'>&lt;a&gt; &amp; ]]&gt; \u00fc</x>", "<x xmlns='urn:x'><![CDATA[<a> & b]]></x>", "<x/>", "<x xmlns=''/>",
			"<p:x xmlns:p='urn:p' p:a='&quot;&apos;&#10;' xml:lang='de'>a<y xmlns=''/><body xmlns='jabber:client'/></p:x>", "<body xmlns='jabber:client'>x</body>",
		} {
			j.Send("<iq type='set' id='&lt;&apos;'><pubsub xmlns='http://jabber.org/protocol/pubsub' xmlns:q='urn:q'><publish node='" + name + "'><item id='" + name + "'>" + in +
				"</item></publish><publish-options>" + form("publish-options", "max_items=max") + "</publish-options></pubsub></iq>")
		}
		for _, ask := range []string{
			pubsub("<items node='" + name + "'/>"), pubsub("<subscriptions node='" + name + "'/>"), pubsub("<affiliations/>"), owner("<configure node='" + name + "'/>"),
			owner("<default/>"), "<query xmlns='http://jabber.org/protocol/disco#items'/>", "<query xmlns='http://jabber.org/protocol/disco#items' node='" + name + "'/>",
			"<query xmlns='http://jabber.org/protocol/disco#info' node='" + name + "'/>", "<query xmlns='http://jabber.org/protocol/disco#info'/>",
		} {
			j.Send("<iq type='get' id='g'>" + ask + "</iq>")
		}
		for _, set := range []string{
			configure(name, "title="+name, "description="+name, "roster_groups_allowed="+name+",x", "notify_config=1"),
			pubsub("<subscribe node='" + name + "' jid='juliet@example.net/1'/>"), pubsub("<retract node='" + name + "' notify='1'><item id='" + name + "'/></retract>"),
			owner("<delete node='" + name + "'><redirect uri='" + name + "'/></delete>"), publication(name, "1", "nonsense=1"), publication("a", name, "title="+name), publication("a", name, "title=x"),
		} {
			j.Send("<iq type='set' id='s'>" + set + "</iq>")
		}
		got := j.Arrived()
		if len(got) < 25 {
			t.Errorf("got %d: %q", len(got), got)
		}
		all = strings.Join(got, "")
		j.Clear()
	})
	lint(t, path, all)
}

// TestClientOutputIsXML: the same of what clients ask for, whatever names and payloads are.
func TestClientOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	var all string
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, emptyNodes)
		c := p.client(nil)
		ctx := t.Context()
		name := "<'\"&\n\tü\U0001f41d]]>"
		o := &pep.NodeOptions{Access: pep.AccessOpen, Groups: []string{name}, Persist: pep.Yes, MaxItems: pep.Max, Fields: pep.Fields{"title": {name}, name: {name, name}}}
		for _, payload := range []mux.Raw{
			"<x xmlns='urn:x'>&lt;a&gt; &amp; ]]&gt; ü</x>", "<x/>", "<x xmlns=''/>", "<body xmlns='jabber:client'>x</body>",
			"<p:x xmlns:p='urn:p' p:a='&quot;&apos;&#10;' xml:lang='de'>a<y xmlns=''/><body xmlns='jabber:client'/><q:z xmlns:q='urn:p/xml' q:b='1' p:c='2'/></p:x>",
		} {
			if _, err := c.Publish(ctx, name, name, payload, o); err != nil {
				t.Errorf("%s: %v", payload, err)
			}
		}
		_, _ = c.Create(ctx, name, o) // answers are others' affair
		_ = c.SetConfig(ctx, name, o)
		_, _ = c.GetConfig(ctx, name)
		_ = c.Retract(ctx, name, name)
		_ = c.Purge(ctx, name)
		_ = c.DeleteNode(ctx, name)
		_, _ = c.Subscribe(ctx, juliet, name)
		_ = c.Unsubscribe(ctx, juliet, name)
		_, _ = c.Subscriptions(ctx, juliet, name)
		_, _ = c.Affiliates(ctx, name)
		_, _ = c.NodeInfo(ctx, juliet, name)
		_, _ = c.Item(ctx, juliet, name, name)
		for range c.Items(ctx, nobody, name, pep.Query{Backward: true}) {
		}
		synctest.Wait()
		if n := len(p.requests()); n < 18 {
			t.Errorf("%d requests", n)
		}
		all = p.wrote.String()
	})
	lint(t, path, all)
}

// lint has another parser read elements.
func lint(t *testing.T, path, all string) {
	t.Helper()
	cmd := exec.Command(path, "--nonet", "--noout", "-")
	cmd.Stdin = strings.NewReader("<stream xmlns='jabber:client'>" + all + "</stream>")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// Namespace faults leave the status at 0 and show on standard error alone.
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v\n%s\n%s", err, stderr.String(), all)
	}
}
