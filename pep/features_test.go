package pep_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// request is one that has to work; who is juliet unless it says otherwise.
type request struct{ who, typ, payload string }

// works says for each feature what shows that it is there. Some are properties of others'
// requests: those are tested where they are named.
var works = map[string]request{
	"access-authorize":           {"", "set", publication("f1", "1", "access_model=authorize")},
	"access-open":                {"", "set", publication("f2", "1", "access_model=open")},
	"access-presence":            {"", "set", publication("f3", "1", "access_model=presence")},
	"access-roster":              {"", "set", publication("f4", "1", "access_model=roster", "roster_groups_allowed=A")},
	"access-whitelist":           {"", "set", publication("f5", "1", "access_model=whitelist")},
	"auto-create":                {"", "set", publication("f6", "1")},
	"auto-subscribe":             {}, // TestTranscripts/publish
	"config-node":                {"", "get", owner("<configure node='n'/>")},
	"config-node-max":            {"", "set", publication("f7", "1", "max_items=max")},
	"create-and-configure":       {"", "set", pubsub("<create node='f8'/><configure>" + form("node_config", "title=T") + "</configure>")},
	"create-nodes":               {"", "set", pubsub("<create node='f9'/>")},
	"delete-items":               {"", "set", pubsub("<retract node='n'><item id='d'/></retract>")},
	"delete-nodes":               {"", "set", owner("<delete node='gone'/>")},
	"filtered-notifications":     {}, // TestRouting
	"instant-nodes":              {"", "set", pubsub("<create/>")},
	"item-ids":                   {}, // TestOrder
	"last-published":             {}, // TestTranscripts/login
	"manage-subscriptions":       {"", "get", owner("<subscriptions node='n'/>")},
	"member-affiliation":         {"", "set", owner("<affiliations node='n'><affiliation jid='a@b' affiliation='member'/></affiliations>")},
	"meta-data":                  {"", "get", "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>"},
	"modify-affiliations":        {"", "set", owner("<affiliations node='n'><affiliation jid='a@b' affiliation='none'/></affiliations>")},
	"multi-items":                {"", "set", configure("n", "max_items=5")},
	"outcast-affiliation":        {"", "set", owner("<affiliations node='n'><affiliation jid='a@b' affiliation='outcast'/></affiliations>")},
	"persistent-items":           {"", "set", publication("n", "2", "persist_items=1")},
	"presence-notifications":     {}, // TestRouting
	"presence-subscribe":         {}, // TestRouting
	"publish":                    {"", "set", publication("n", "2")},
	"publish-node-full":          {"", "set", configure("n", "publish_node_full=reject")},
	"publish-options":            {"", "set", publication("n", "2", "title=")},
	"publisher-affiliation":      {"", "set", owner("<affiliations node='n'><affiliation jid='a@b' affiliation='publisher'/></affiliations>")},
	"pubsub-on-a-jid":            {"romeo", "get", pubsub("<items node='n'/>")},
	"purge-nodes":                {"", "set", owner("<purge node='n'/>")},
	"retract-items":              {"", "set", pubsub("<retract node='n'><item id='r'/></retract>")},
	"retrieve-affiliations":      {"romeo", "get", pubsub("<affiliations/>")},
	"retrieve-default":           {"", "get", owner("<default/>")},
	"retrieve-items":             {"", "get", pubsub("<items node='n'/>")},
	"retrieve-subscriptions":     {"romeo", "get", pubsub("<subscriptions/>")},
	"rsm":                        {"", "get", pubsub("<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set>")},
	"subscribe":                  {"romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>")},
	"subscription-notifications": {}, // TestRevoked
	"subscription-options":       {"romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/><options>" + form("subscribe_options", "deliver=1") + "</options>")},
}

// TestFeatures: what is announced works, and nothing else is announced (XEP-0060 §10).
func TestFeatures(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "max_items=max")
		s.publish("gone", "1")
		for _, to := range []string{"juliet@example.net", "example.net"} {
			_, whole := s.of("juliet", to, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
			var got, want []string
			for _, m := range regexp.MustCompile(`var='http://jabber.org/protocol/pubsub#([^']*)'`).FindAllStringSubmatch(whole, -1) {
				got = append(got, m[1])
			}
			for f := range works {
				want = append(want, f)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || !strings.Contains(whole, "category='pubsub' type='pep'") {
				t.Errorf("%s announces %v, want %v", to, got, want)
			}
		}
		for f, r := range works {
			if r.payload == "" {
				continue
			}
			s.publish("n", "d")
			s.publish("n", "r")
			if r.who == "" {
				r.who = "juliet"
			}
			if got := s.ask(r.who, r.typ, r.payload); got != "" {
				t.Errorf("%s: %s", f, got)
			}
			s.ask("juliet", "set", configure("n", "publish_node_full=retract-oldest"))
		}
	})
}

// TestDomain: a domain may be subscribed as well (R15).
func TestDomain(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=open", "send_last_published_item=never")
		far := s.h.DialDomain(t, mux.Server, "example.org")
		far.Send("<iq type='set' id='s' from='example.org' to='juliet@example.net'>" + pubsub("<subscribe node='n' jid='example.org'/>") + "</iq>")
		s.h.ExpectRouted("example.org", "<iq type='result' id='s' from='juliet@example.net' to='example.org'>{*}</iq>")
		s.publish("n", "2")
		s.h.ExpectRouted("example.org", "<message type='headline' id='{*}' from='juliet@example.net' to='example.org'><event xmlns='http://jabber.org/protocol/pubsub#event'>"+
			"<items node='n'><item id='2'><x xmlns='urn:x'>2</x></item></items></event></message>")
	})
}
