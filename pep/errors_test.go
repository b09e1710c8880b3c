package pep_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestErrors is the table of what bad requests are answered with.
func TestErrors(t *testing.T) {
	t.Parallel()
	const none, opts, conf = "", "publish-options", "node_config"
	item := "<item id='1'><x xmlns='urn:x'/></item>"
	withOptions := func(o string) string {
		return pubsub("<publish node='new'>" + item + "</publish><publish-options>" + o + "</publish-options>")
	}
	long := strings.Repeat("n", 1025)
	for _, c := range []struct{ id, who, typ, payload, want string }{
		{"E-1", "juliet", "set", pubsub("<publish>" + item + "</publish>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "set", pubsub("<publish node=''>" + item + "</publish>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "get", pubsub("<items/>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "set", pubsub("<retract><item id='1'/></retract>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "set", owner("<delete/>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "set", owner("<purge/>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "get", owner("<configure/>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "get", owner("<affiliations/>"), "modify/bad-request/nodeid-required"},
		{"E-1", "juliet", "get", owner("<subscriptions/>"), "modify/bad-request/nodeid-required"},
		{"E-2", "romeo", "set", publication("presence", "9"), "auth/forbidden"},
		{"E-2", "romeo", "set", publication("nope", "9"), "auth/forbidden"},
		{"E-2", "romeo", "set", pubsub("<retract node='presence'><item id='1'/></retract>"), "auth/forbidden"},
		{"E-2", "romeo", "set", pubsub("<create node='nope'/>"), "auth/forbidden"},
		{"E-2", "romeo", "set", owner("<delete node='presence'/>"), "auth/forbidden"},
		{"E-2", "romeo", "set", owner("<purge node='nope'/>"), "auth/forbidden"},
		{"E-2", "romeo", "get", owner("<configure node='presence'/>"), "auth/forbidden"},
		{"E-2", "romeo", "set", configure("nope", "title=x"), "auth/forbidden"},
		{"E-2", "romeo", "get", owner("<affiliations node='presence'/>"), "auth/forbidden"},
		{"E-3", "juliet", "set", pubsub("<publish node='small'><item><x xmlns='urn:x'>" + strings.Repeat("y", 100) + "</x></item></publish>"), "modify/not-acceptable/payload-too-big"},
		{"E-4", "juliet", "set", pubsub("<publish node='presence'><item><x xmlns='urn:x'/><y xmlns='urn:x'/></item></publish>"), "modify/bad-request/invalid-payload"},
		{"E-4", "juliet", "set", pubsub("<publish node='presence'>" + item + item + "</publish>"), "modify/bad-request/invalid-payload"},
		{"E-5", "juliet", "set", pubsub("<publish node='presence'/>"), "modify/bad-request/item-required"},
		{"E-6", "juliet", "set", pubsub("<publish node='presence'><item id='1'/></publish>"), "modify/bad-request/payload-required"},
		{"E-7", "juliet", "set", publication("told", "1"), "modify/bad-request/item-forbidden"},
		{"E-8", "juliet", "set", publication("full", "2"), "cancel/conflict/node-full"},
		{"E-8", "juliet", "set", publication("full", "1"), none},
		{"E-9", "juliet", "set", publication("presence", "1", "access_model=open"), "cancel/conflict/precondition-not-met"},
		{"E-9", "juliet", "set", publication("presence", "1", "access_model=presence", "persist_items=true", "max_items=01"), none},
		{"E-9", "juliet", "set", publication("urn:xmpp:bookmarks:1", "1", "access_model=presence"), "cancel/conflict/precondition-not-met"},
		{"E-10", "juliet", "set", publication("new", "1", "nonsense=1"), "modify/bad-request/invalid-options"},
		{"E-10", "juliet", "set", strings.Replace(publication("new", "1", "title=1"), "pubsub#title", "title", 1), "modify/bad-request/invalid-options"},
		{"E-11", "juliet", "set", withOptions(""), "modify/bad-request"},
		{"E-11", "juliet", "set", withOptions(form(conf, "title=x")), "modify/bad-request"},
		{"E-11", "juliet", "set", withOptions(strings.Replace(form(opts, "title=x"), "submit", "form", 1)), "modify/bad-request"},
		{"E-11", "juliet", "set", publication("new", "1", "persist_items=maybe"), "modify/bad-request"},
		{"E-11", "juliet", "set", publication("new", "1", "max_items=many"), "modify/bad-request"},
		{"E-11", "juliet", "set", owner("<configure node='presence'/>"), "modify/bad-request"},
		{"E-12", "juliet", "set", publication("new", "1", "max_items=100000"), "modify/not-acceptable"},
		{"E-12", "juliet", "set", publication("new", "1", "publish_model=nobody"), "modify/not-acceptable"},
		{"E-12", "juliet", "set", configure("presence", "max_payload_size=99999999"), "modify/not-acceptable"},
		{"E-12", "juliet", "set", configure("presence", "item_expire=99999999999"), "modify/not-acceptable"},
		{"E-12", "juliet", "set", configure("presence", "nonsense=1"), "modify/not-acceptable"},
		{"E-12", "juliet", "set", configure("presence", "purge_offline=1"), "modify/not-acceptable"},
		{"E-12", "juliet", "set", configure("urn:xmpp:bookmarks:1", "access_model=open"), "modify/not-acceptable"},
		{"E-13", "juliet", "set", configure("presence", "access_model=magic"), "modify/not-acceptable/unsupported-access-model"},
		{"E-14", "juliet", "set", pubsub("<create node='presence'/>"), "cancel/conflict"},
		{"E-15", "juliet", "get", pubsub("<items node='nope'/>"), "cancel/item-not-found"},
		{"E-15", "romeo", "get", pubsub("<items node='nope'/>"), "cancel/item-not-found"},
		{"E-15", "juliet", "set", pubsub("<retract node='nope'><item id='1'/></retract>"), "cancel/item-not-found"},
		{"E-15", "juliet", "set", pubsub("<retract node='presence'><item id='9'/></retract>"), "cancel/item-not-found"},
		{"E-15", "juliet", "set", owner("<delete node='nope'/>"), "cancel/item-not-found"},
		{"E-15", "juliet", "get", owner("<configure node='nope'/>"), "cancel/item-not-found"},
		{"E-15", "romeo", "set", pubsub("<subscribe node='nope' jid='romeo@example.net'/>"), "cancel/item-not-found"},
		{"E-15", "romeo", "set", pubsub("<unsubscribe node='nope' jid='romeo@example.net'/>"), "cancel/item-not-found"},
		{"E-16", "tybalt", "get", pubsub("<items node='presence'/>"), "auth/not-authorized/presence-subscription-required"},
		{"E-16", "tybalt", "set", pubsub("<subscribe node='presence' jid='tybalt@example.net'/>"), "auth/not-authorized/presence-subscription-required"},
		{"E-17", "romeo", "get", pubsub("<items node='roster'/>"), "auth/not-authorized/not-in-roster-group"},
		{"E-17", "tybalt", "get", pubsub("<items node='roster'/>"), "auth/not-authorized/not-in-roster-group"},
		{"E-18", "romeo", "get", pubsub("<items node='urn:xmpp:bookmarks:1'/>"), "cancel/not-allowed/closed-node"},
		{"E-18", "romeo", "set", pubsub("<subscribe node='urn:xmpp:bookmarks:1' jid='romeo@example.net'/>"), "cancel/not-allowed/closed-node"},
		{"E-19", "romeo", "get", pubsub("<items node='authorize'/>"), "auth/not-authorized/not-subscribed"},
		{"E-20", "paris", "get", pubsub("<items node='presence'/>"), "auth/forbidden"},
		{"E-20", "paris", "set", pubsub("<subscribe node='presence' jid='paris@example.net'/>"), "auth/forbidden"},
		{"E-21", "nurse", "set", pubsub("<subscribe node='authorize' jid='nurse@example.net'/>"), "auth/not-authorized/pending-subscription"},
		{"E-22", "romeo", "set", pubsub("<subscribe node='presence' jid='nurse@example.net'/>"), "modify/bad-request/invalid-jid"},
		{"E-22", "romeo", "set", pubsub("<subscribe node='presence' jid='@@'/>"), "modify/bad-request/invalid-jid"},
		{"E-22", "romeo", "set", pubsub("<subscribe node='presence'/>"), "modify/bad-request/jid-required"},
		{"E-24", "romeo", "set", pubsub("<subscribe node='closed' jid='romeo@example.net'/>"), "cancel/feature-not-implemented/unsupported subscribe"},
		{"E-25", "romeo", "set", pubsub("<unsubscribe node='presence' jid='romeo@example.net'/>"), "cancel/unexpected-request/not-subscribed"},
		{"E-25", "romeo", "set", pubsub("<unsubscribe node='presence' jid='nurse@example.net'/>"), "auth/forbidden"},
		{"E-26", "romeo", "get", pubsub("<options node='presence' jid='romeo@example.net'/>"), "cancel/unexpected-request/not-subscribed"},
		{"E-26", "romeo", "set", pubsub("<subscribe node='presence' jid='romeo@example.net'/><options>" + form("subscribe_options", "digest=1") + "</options>"), "modify/bad-request/invalid-options"},
		{"E-27", "juliet", "set", pubsub("<retract node='presence'/>"), "modify/bad-request/item-required"},
		{"E-27", "juliet", "set", pubsub("<retract node='presence'><item/></retract>"), "modify/bad-request/item-required"},
		{"E-28", "juliet", "get", pubsub("<items node='told'/>"), "cancel/feature-not-implemented/unsupported persistent-items"},
		{"E-28", "juliet", "set", pubsub("<retract node='told'><item id='1'/></retract>"), "cancel/feature-not-implemented/unsupported persistent-items"},
		{"E-28", "juliet", "set", owner("<purge node='told'/>"), "cancel/feature-not-implemented/unsupported persistent-items"},
		{"E-29", "juliet", "get", pubsub("<items node='presence'/><set xmlns='http://jabber.org/protocol/rsm'><after>x</after></set>"), "cancel/item-not-found"},
		{"E-29", "juliet", "get", pubsub("<items node='presence'/><set xmlns='http://jabber.org/protocol/rsm'><index>1</index></set>"), "cancel/feature-not-implemented"},
		{"E-29", "juliet", "get", pubsub("<items node='presence'/><set xmlns='http://jabber.org/protocol/rsm'><max>-1</max></set>"), "modify/bad-request"},
		{"E-30", "juliet", "set", owner("<affiliations node='presence'><affiliation jid='juliet@example.net' affiliation='member'/></affiliations>"), "modify/not-acceptable"},
		{"E-30", "juliet", "set", owner("<affiliations node='presence'><affiliation jid='a@b/c' affiliation='member'/></affiliations>"), "modify/not-acceptable"},
		{"E-30", "juliet", "set", owner("<affiliations node='presence'><affiliation jid='a@b' affiliation='friend'/></affiliations>"), "modify/not-acceptable"},
		{"E-30", "juliet", "set", owner("<affiliations node='presence'><affiliation jid='a@b' affiliation='none'/><affiliation jid='a@b' affiliation='member'/></affiliations>"), "modify/bad-request"},
		{"E-31", "juliet", "set", owner("<affiliations node='presence'><affiliation jid='a@b' affiliation='publish-only'/></affiliations>"), "cancel/feature-not-implemented/unsupported publish-only-affiliation"},
		{"E-32", "juliet", "get", pubsub(""), "modify/bad-request"},
		{"E-32", "juliet", "get", pubsub("<items node='presence'/><items node='presence'/>"), "modify/bad-request"},
		{"E-32", "juliet", "set", pubsub("<items node='presence'/>"), "cancel/feature-not-implemented"},
		{"E-32", "juliet", "get", publication("presence", "1"), "cancel/feature-not-implemented"},
		{"E-32", "juliet", "set", pubsub("<dance/>"), "cancel/feature-not-implemented"},
		{"PEP-11", "juliet", "set", publication(long, "1"), "modify/not-acceptable"},
		{"PEP-11", "juliet", "set", publication("presence", long), "modify/not-acceptable"},
		{"PEP-11", "juliet", "set", publication(long[1:], long[1:]), none},
		{"OPT-13", "juliet", "set", pubsub("<create node='new'/><configure node='new'/>"), "modify/bad-request"},
	} {
		t.Run(c.id, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.t = t
				s.publish("presence", "1")
				s.publish("small", "1", "max_payload_size=64")
				s.publish("told", "", "persist_items=0", "max_items=1")
				if got := s.ask("juliet", "set", configure("told", "deliver_payloads=0")); got != "" {
					t.Errorf("told: %s", got)
				}
				s.publish("full", "1", "publish_node_full=reject")
				s.publish("roster", "1", "access_model=roster", "roster_groups_allowed=Family,Friends")
				s.publish("urn:xmpp:bookmarks:1", "1")
				s.publish("authorize", "1", "access_model=authorize")
				s.publish("closed", "1", "subscribe=0")
				s.ask("juliet", "set", owner("<affiliations node='presence'><affiliation jid='paris@example.net' affiliation='outcast'/></affiliations>"))
				s.ask("nurse", "set", pubsub("<subscribe node='authorize' jid='nurse@example.net'/>"))
				if got := s.ask(c.who, c.typ, c.payload); got != c.want {
					t.Errorf("%s\ngot  %q\nwant %q", c.payload, got, c.want)
				}
				if got, _ := s.full("juliet", "get", pubsub("<items node='new'/>")); got != "cancel/item-not-found" {
					t.Errorf("a node came to be: %q", got)
				}
			})
		})
	}
}

// TestUnknownAccount: what a stranger learns of an account that does not exist is what it
// learns of one with nothing for it (E-34a).
func TestUnknownAccount(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("presence", "1")
		for _, c := range []struct{ typ, payload, want string }{
			{"get", pubsub("<items node='n'/>"), "cancel/item-not-found"},
			{"set", pubsub("<subscribe node='n' jid='x@example.org'/>"), "cancel/item-not-found"},
			{"set", pubsub("<unsubscribe node='n' jid='x@example.org'/>"), "cancel/item-not-found"},
			{"set", publication("n", "1"), "auth/forbidden"},
			{"set", pubsub("<create node='n'/>"), "auth/forbidden"},
			{"set", pubsub("<create/>"), "auth/forbidden"},
			{"set", pubsub("<retract node='n'><item id='1'/></retract>"), "auth/forbidden"},
			{"set", owner("<delete node='n'/>"), "auth/forbidden"},
			{"set", configure("n", "title=x"), "auth/forbidden"},
			{"get", owner("<configure node='n'/>"), "auth/forbidden"},
			{"get", owner("<default/>"), "auth/forbidden"},
			{"get", pubsub("<subscriptions/>"), ""},
			{"get", pubsub("<affiliations/>"), ""},
			{"get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "cancel/service-unavailable"},
			{"get", "<query xmlns='http://jabber.org/protocol/disco#info' node='presence'/>", "cancel/service-unavailable"},
			{"get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", ""},
		} {
			got, one := s.of("x@example.org", "juliet@example.net", c.typ, c.payload)
			_, two := s.of("x@example.org", "nobody@example.net", c.typ, c.payload)
			if got != c.want {
				t.Errorf("%s: got %q, want %q", c.payload, got, c.want)
			}
			if a, b := noID(t, one), noID(t, strings.ReplaceAll(two, "nobody@", "juliet@")); a != b {
				t.Errorf("%s: these differ\n%s\n%s", c.payload, a, b)
			}
		}
	})
}

func noID(t *testing.T, el string) string {
	t.Helper()
	st, err := mux.Parse([]byte(el))
	if err != nil {
		t.Fatalf("%q: %v", el, err)
	}
	return string(st.WithID("").Append(nil, ""))
}
