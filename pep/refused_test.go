package pep_test

import (
	"strings"
	"testing"
)

// TestRefusedEntries: E-30a: the answer has the entries that failed, as they are, and
// nothing is changed.
func TestRefusedEntries(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		s.publish("n", "1", "access_model=open")
		s.ask("juliet", "set", owner("<affiliations node='n'><affiliation jid='paris@example.net' affiliation='outcast'/></affiliations>"))
		s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>"))
		for _, tt := range []struct{ list, want string }{
			{"<affiliations node='n'><affiliation jid='juliet@example.net' affiliation='member'/><affiliation jid='nurse@example.net' affiliation='member'/>" +
				"<affiliation jid='a@b/c' affiliation='member'/><affiliation jid='paris@example.net' affiliation='friend'/><affiliation jid='@&lt;' affiliation='member'/></affiliations>",
				"<affiliations node='n'><affiliation jid='juliet@example.net' affiliation='owner'/><affiliation jid='a@b/c' affiliation='none'/>" +
					"<affiliation jid='paris@example.net' affiliation='outcast'/><affiliation jid='@&lt;' affiliation='none'/></affiliations>"},
			{"<subscriptions node='n'><subscription jid='nurse@example.net' subscription='subscribed'/><subscription jid='romeo@example.net' subscription='maybe'/>" +
				"<subscription jid='a@@b' subscription='none'/></subscriptions>",
				"<subscriptions node='n'><subscription jid='romeo@example.net' subscription='subscribed'/><subscription jid='a@@b' subscription='none'/></subscriptions>"},
		} {
			short, whole := s.full("juliet", "set", owner(tt.list))
			want := "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>" + tt.want + "</pubsub><error "
			if short != "modify/not-acceptable" || !strings.Contains(whole, want) {
				t.Errorf("answered %s, want %s", whole, want)
			}
		}
		if _, whole := s.full("juliet", "get", owner("<affiliations node='n'/>")); strings.Contains(whole, "nurse") || !strings.Contains(whole, "outcast") {
			t.Errorf("then %s", whole)
		}
		if _, whole := s.full("juliet", "get", owner("<subscriptions node='n'/>")); strings.Contains(whole, "nurse") {
			t.Errorf("then %s", whole)
		}
	})
}
