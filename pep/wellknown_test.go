package pep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// TestOMEMONodes: the nodes of XEP-0384 and of its older form come to be as it asks, by
// precondition or configured, are announced as possible, keep all bundles, and can be read
// by strangers (OMEMO-1).
func TestOMEMONodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		node    string
		items   int // what is kept of three
		options []string
	}{
		{"urn:xmpp:omemo:2:devices", 1, []string{"access_model=open"}},
		{"urn:xmpp:omemo:2:bundles", 3, []string{"access_model=open", "max_items=max", "persist_items=true"}},
		{"eu.siacs.conversations.axolotl.devicelist", 1, []string{"access_model=open", "persist_items=true"}},
		{"eu.siacs.conversations.axolotl.bundles:31415", 1, []string{"access_model=open"}},
	} {
		for _, made := range []string{"by a precondition", "by its configuration", "and changed"} {
			play(t, nil, func(s *stage) {
				switch made {
				case "by its configuration":
					if got := s.ask("juliet", "set", pubsub("<create node='"+tt.node+"'/><configure>"+form("node_config", tt.options...)+"</configure>")); got != "" {
						t.Error(got)
					}
				case "and changed":
					s.publish(tt.node, "old", "access_model=whitelist", "max_items=5")
					if got := s.ask("juliet", "set", publication(tt.node, "1", tt.options...)); got != "cancel/conflict/precondition-not-met" {
						t.Errorf("%s: %s", tt.node, got)
					}
					fields := append([]string{"max_items=1"}, tt.options...)
					if tt.items > 1 {
						fields = tt.options
					}
					if got := s.ask("juliet", "set", configure(tt.node, fields...)); got != "" {
						t.Error(got)
					}
					if got := s.ask("juliet", "set", pubsub("<retract node='"+tt.node+"'><item id='old'/></retract>")); got != "" {
						t.Error(got)
					}
				}
				for i := range 3 {
					s.publish(tt.node, fmt.Sprint(i), tt.options...)
				}
				if got := s.items("stranger@example.org", tt.node, "", ""); len(strings.Fields(got)) != tt.items {
					t.Errorf("%s, %s: a stranger gets %s", tt.node, made, got)
				}
				if tt.items > 1 {
					if got := s.items("stranger@example.org", tt.node, "", "") + "/" + s.itemOf("stranger@example.org", tt.node, "1"); got != "0 1 2/1" {
						t.Errorf("%s: got %s", tt.node, got)
					}
				}
			})
		}
	}
	play(t, nil, func(s *stage) {
		_, got := s.full("juliet", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
		for _, f := range []string{"persistent-items", "publish-options", "config-node-max", "access-open"} {
			if !strings.Contains(got, "pubsub#"+f+"'") {
				t.Errorf("%s is not announced", f)
			}
		}
	})
}

// itemOf is an item that is asked for by its ID.
func (s *stage) itemOf(who, node, id string) string {
	s.t.Helper()
	_, whole := s.full(who, "get", pubsub("<items node='"+node+"'><item id='"+id+"'/></items>"))
	st, err := mux.Parse([]byte(whole))
	if err != nil {
		s.t.Fatal(err)
	}
	ps, _ := st.Children()[0].Element()
	var l []string
	for _, k := range ps.Children() {
		el, _ := k.Element()
		for _, c := range el.Children() {
			l = append(l, c.Attr("id"))
		}
	}
	return strings.Join(l, " ")
}

// TestOMEMOOpened: an operator may open nodes that old clients have left closed; what is in
// them is as it was, whatever it is (OMEMO-3).
func TestOMEMOOpened(t *testing.T) {
	t.Parallel()
	nodes := map[string]string{"eu.siacs.conversations.axolotl.devicelist": "presence", "eu.siacs.conversations.axolotl.bundles:1": "whitelist", "other": "whitelist"}
	const payload = "<list xmlns='eu.siacs.conversations.axolotl'> <device id='x'/><y xmlns='urn:y'>z</y></list>"
	play(t, func(a *assembly) {
		for name, access := range nodes {
			c := pep.DefaultConfig()
			c.Access = access
			apply(t, a.store.PutNode(addr("juliet@example.net"), pep.Node{Name: name, Config: c, Seq: 1}),
				a.store.Change(addr("juliet@example.net"), name, pep.Change{Put: []pep.Item{{Entry: pep.Entry{ID: "current", Seq: 1, At: time.Now()}, Payload: payload}}, Seq: 1}))
		}
		a.opt.Force = func(node string) map[string][]string {
			if strings.HasPrefix(node, "eu.siacs.conversations.axolotl.") {
				return map[string][]string{"access_model": {"open"}}
			}
			return nil
		}
	}, func(s *stage) {
		for name := range nodes {
			want := ""
			if name == "other" {
				want = "cancel/not-allowed/closed-node"
			}
			short, whole := s.full("stranger@example.org", "get", pubsub("<items node='"+name+"'/>"))
			if short != want || want == "" && !strings.Contains(whole, payload) {
				t.Errorf("%s: a stranger gets %s", name, whole)
			}
		}
		if got := s.ask("juliet", "set", publication("eu.siacs.conversations.axolotl.devicelist", "current", "access_model=open")); got != "" {
			t.Error(got)
		}
		if got := s.ask("juliet", "set", publication("eu.siacs.conversations.axolotl.devicelist", "current", "access_model=whitelist")); got != "cancel/conflict/precondition-not-met" {
			t.Error(got)
		}
	})
}

// TestMicroblog: a node of XEP-0472 with what clients ask for: strangers subscribe and are
// told which items there are, fetch them, read page by page, and are told what is taken
// back (XTR-5).
func TestMicroblog(t *testing.T) {
	t.Parallel()
	const node = "urn:xmpp:microblog:0"
	play(t, nil, func(s *stage) {
		options := []string{"access_model=open", "max_items=max", "persist_items=true", "notify_retract=true", "send_last_published_item=never", "deliver_payloads=false"}
		s.publish(node, "1", options...)
		if got := s.ask("stranger@example.org", "set", pubsub("<subscribe node='"+node+"' jid='stranger@example.org'/>")); got != "" {
			t.Error(got)
		}
		if got := s.events("stranger@example.org"); got != "" {
			t.Errorf("the last item came: %s", got)
		}
		for i := 2; i <= 5; i++ {
			s.publish(node, fmt.Sprint(i), options...)
		}
		all := strings.Join(append(s.kept["far"], s.h.Routed("example.org")...), "")
		if strings.Contains(all, "urn:x'") || strings.Count(all, "<item id=") != 4 {
			t.Errorf("the subscriber got %s", all)
		}
		s.kept["far"] = nil
		if got := s.ask("juliet", "set", pubsub("<retract node='"+node+"'><item id='3'/></retract>")); got != "" {
			t.Error(got)
		}
		if got := s.events("stranger@example.org"); got != node+"-3" {
			t.Errorf("the subscriber got %s", got)
		}
		if got := s.itemOf("stranger@example.org", node, "4"); got != "4" {
			t.Errorf("got %s", got)
		}
		if got := s.items("stranger@example.org", node, "", "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><before/></set>"); !strings.HasPrefix(got, "4 5 first=") || !strings.HasSuffix(got, "count=4") {
			t.Errorf("the last page is %s", got)
		}
	})
}

// TestOpenPGPNodes: keys of XEP-0373 can be read by everybody, the secret one by nobody
// else (XTR-6).
func TestOpenPGPNodes(t *testing.T) {
	t.Parallel()
	const keys, fpr, secret = "urn:xmpp:openpgp:0:public-keys", "urn:xmpp:openpgp:0:public-keys:1357B01865B2503C18453D208CAC2A9678548E35", "urn:xmpp:openpgp:0:secret-key"
	play(t, nil, func(s *stage) {
		s.there("romeo", secret)
		s.publish(keys, "1", "access_model=open", "persist_items=true")
		s.publish(fpr, "2009-01-01T00:00:00Z", "access_model=open", "persist_items=true")
		s.publish(secret, "1", "access_model=whitelist", "persist_items=true")
		for node, want := range map[string]string{keys: "1", fpr: "2009-01-01T00:00:00Z", secret: "cancel/not-allowed/closed-node"} {
			for _, who := range []string{"stranger@example.org", "romeo"} {
				if got := s.items(who, node, "", ""); got != want {
					t.Errorf("%s gets %s of %s", who, got, node)
				}
			}
			if got := s.items("juliet", node, "", ""); got == "" || strings.Contains(got, "/") {
				t.Errorf("juliet gets %s of %s", got, node)
			}
		}
		if got := s.events("romeo"); got != "" {
			t.Errorf("romeo was told %s", got)
		}
	})
}

// TestAttachmentsArePlain: nodes of XEP-0470 are plain ones, and not announced as more
// (XTR-4).
func TestAttachmentsArePlain(t *testing.T) {
	t.Parallel()
	const node = "urn:xmpp:pubsub-attachments:1/xmpp:juliet@example.net?;node=urn%3Axmpp%3Amicroblog%3A0;item=1"
	play(t, nil, func(s *stage) {
		s.publish(node, "juliet@example.net", "access_model=open", "max_items=max")
		if got := s.ask("romeo", "set", publication(node, "romeo@example.net")); got != "auth/forbidden" {
			t.Errorf("romeo: %s", got)
		}
		if got := s.items("stranger@example.org", node, "", ""); got != "juliet@example.net" {
			t.Errorf("a stranger gets %s", got)
		}
		_, info := s.full("juliet", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
		for _, ns := range []string{"urn:xmpp:pubsub-attachments", "urn:xmpp:pubsub-caching", "urn:xmpp:pubsub-filter", "urn:xmpp:serverinfo"} {
			if strings.Contains(info, ns) {
				t.Errorf("%s is announced", ns)
			}
		}
	})
}
