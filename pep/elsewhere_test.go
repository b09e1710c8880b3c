package pep_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// shelf keeps the items of the node kept in another place.
type shelf struct {
	payload mux.Raw
	err     error
}

func (s *shelf) keeper(node string) *pep.Keeper {
	switch node {
	case "kept":
		return &pep.Keeper{ID: "one",
			Get: func(context.Context, *mux.Event) (mux.Raw, time.Time, error) { return s.payload, time.Now(), nil },
			Set: func(_ context.Context, _ *mux.Event, p mux.Raw) error {
				if s.err == nil {
					s.payload = p
				}
				return s.err
			}}
	case "refused":
		return &pep.Keeper{Set: func(context.Context, *mux.Event, mux.Raw) error {
			return stanza.Error{Type: stanza.Modify, Condition: stanza.NotAllowed}
		}}
	}
	return nil
}

// TestElsewhere: the item of a node is kept by somebody else, is its account's alone, and
// can only be replaced; old items of it stay in the store until they are moved.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	kept := new(shelf)
	var events *pep.Extension
	play(t, func(a *assembly) {
		a.opt.Elsewhere = kept.keeper
		c := pep.DefaultConfig()
		c.Access = "open"
		apply(t, a.store.PutNode(addr("juliet@example.net"), pep.Node{Name: "kept", Config: c, Seq: 1, Bytes: 5}),
			a.store.Change(addr("juliet@example.net"), "kept", pep.Change{Put: []pep.Item{{Entry: pep.Entry{ID: "old", Seq: 1, At: time.Now(), Size: 4}, Payload: "<x/>"}}, Seq: 1, Bytes: 5}),
			a.store.SetPeer(addr("juliet@example.net"), "kept", pep.Peer{JID: addr("romeo@example.net"), Affiliation: pep.Member, Subscription: pep.Subscribed}))
	}, func(s *stage) {
		events = s.made
		s.there("juliet", "kept", "refused")
		s.there("romeo", "kept")
		s.publish("kept", "whatever", "access_model=whitelist")
		if got := s.items("juliet", "kept", "", ""); got != "one" {
			t.Errorf("items are %s", got)
		}
		if got := s.items("juliet", "kept", "", "<set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>"); got != "count=1" {
			t.Errorf("items are %s", got)
		}
		if kept.payload != "<x xmlns='urn:x'>whatever</x>" {
			t.Errorf("kept %s", kept.payload)
		}
		for request, want := range map[string]string{
			pubsub("<retract node='kept'><item id='one'/></retract>"): "cancel/not-allowed",
			owner("<purge node='kept'/>"):                             "cancel/not-allowed",
			owner("<delete node='kept'/>"):                            "cancel/not-allowed",
			owner("<affiliations node='kept'><affiliation jid='romeo@example.net' affiliation='member'/></affiliations>"): "cancel/not-allowed",
			configure("kept", "access_model=open"):                       "modify/not-acceptable",
			publication("kept", "x", "access_model=open"):                "cancel/conflict/precondition-not-met",
			pubsub("<publish node='kept'/>"):                             "modify/bad-request/item-required",
			publication("refused", "x"):                                  "modify/not-allowed",
			pubsub("<retract node='refused'><item id='one'/></retract>"): "cancel/item-not-found",
		} {
			if got := s.ask("juliet", "set", request); got != want {
				t.Errorf("%s: %s, want %s", request, got, want)
			}
		}
		for _, request := range []string{"<items node='kept'/>", "<subscribe node='kept' jid='romeo@example.net'/>"} {
			typ := map[bool]string{true: "get", false: "set"}[strings.HasPrefix(request, "<items")]
			if got := s.ask("romeo", typ, pubsub(request)); got != "cancel/not-allowed/closed-node" {
				t.Errorf("romeo: %s", got)
			}
		}
		kept.err = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
		if got := s.ask("juliet", "set", publication("kept", "x")); got != "wait/internal-server-error" {
			t.Errorf("got %s", got)
		}
		s.events("juliet")
		if err := s.h.Mux().Do(t.Context(), addr("juliet@example.net"), func(ctx context.Context, e *mux.Event) {
			var ids []string
			if err := events.EachItem(ctx, e, "kept", 0, func(id string, _ time.Time, payload mux.Raw) { ids = append(ids, id+string(payload)) }); err != nil || !slices.Equal(ids, []string{"old<x/>"}) {
				t.Errorf("the store has %q, %v", ids, err)
			}
			for _, node := range []string{"kept", "none"} {
				if err := events.Remove(ctx, e, node, []string{"old", "old", "other"}); err != nil {
					t.Error(err)
				}
				if err := events.Tell(ctx, e, node); err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		if got := s.events("juliet"); got != "kept:one" {
			t.Errorf("juliet was told %s", got)
		}
		if got := s.events("romeo"); got != "" {
			t.Errorf("romeo was told %s", got)
		}
		if got := index(t, s, "kept"); len(got) > 0 {
			t.Errorf("the store has %s", got)
		}
	})
}

// TestLoaded: what is due for an account is done before anything of its nodes is seen, and
// again if it failed.
func TestLoaded(t *testing.T) {
	t.Parallel()
	n, fail := 0, true
	var a *assembly
	play(t, func(as *assembly) {
		a = as
		a.opt.Loaded = func(ctx context.Context, e *mux.Event) error {
			if n++; fail {
				return stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
			}
			return a.made.PublishItem(ctx, e, "made", "1", "<x xmlns='urn:x'/>", nil, true)
		}
	}, func(s *stage) {
		if got := s.ask("juliet", "get", pubsub("<items node='made'/>")); got != "wait/internal-server-error" {
			t.Errorf("got %s", got)
		}
		fail = false
		for range 2 {
			if got := s.items("juliet", "made", "", ""); got != "1" {
				t.Errorf("items are %s", got)
			}
		}
		if n != 2 {
			t.Errorf("called %d times", n)
		}
	})
}

// TestEnsure: server code has a node be as it needs it, or is told that it cannot be.
func TestEnsure(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) { a.opt.MaxNodes = 2 }, func(s *stage) {
		x := s.made
		s.there("juliet", "b")
		do := func(f func(ctx context.Context, e *mux.Event)) {
			if err := s.h.Mux().Do(t.Context(), addr("juliet@example.net"), f); err != nil {
				t.Error(err)
			}
		}
		s.publish("a", "1", "max_items=5")
		do(func(ctx context.Context, e *mux.Event) {
			if alone, err := x.Alone(ctx, e, "a"); alone || err != nil {
				t.Errorf("%v, %v", alone, err)
			}
			for _, node := range []string{"a", "b", "a"} {
				if err := x.Ensure(ctx, e, node, map[string][]string{"access_model": {"whitelist"}}); err != nil {
					t.Error(err)
				}
				if alone, err := x.Alone(ctx, e, node); !alone || err != nil {
					t.Errorf("%s: %v, %v", node, alone, err)
				}
			}
			for node, fields := range map[string]map[string][]string{
				"c":                    {},
				"a":                    {"max_items": {"much"}},
				"urn:xmpp:bookmarks:1": {"access_model": {"open"}},
			} {
				if err := x.Ensure(ctx, e, node, fields); err == nil {
					t.Errorf("%s: no error", node)
				}
			}
			if x.Listens(e, "a") || !x.Listens(e, "b") {
				t.Error("juliet listens to b")
			}
		})
		if got := s.ask("juliet", "set", publication("a", "2", "max_items=5", "access_model=whitelist")); got != "" {
			t.Errorf("got %s", got)
		}
		s.ask("juliet", "set", pubsub("<subscribe node='a' jid='juliet@example.net'/>"))
		s.ask("juliet", "set", owner("<affiliations node='a'><affiliation jid='romeo@example.net' affiliation='member'/></affiliations>"))
		do(func(ctx context.Context, e *mux.Event) {
			if !x.Listens(e, "a") {
				t.Error("juliet is subscribed to a")
			}
			if alone, err := x.Alone(ctx, e, "a"); alone || err != nil {
				t.Errorf("with a member: %v, %v", alone, err)
			}
		})
	})
}

// TestPersistentStorage: the nodes of XEP-0222 §2 and XEP-0223 §2 come to be as they ask,
// and are kept.
func TestPersistentStorage(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.there("juliet", "public", "private")
		s.there("romeo", "public", "private")
		s.publish("public", "1", "persist_items=true", "send_last_published_item=never", "access_model=open")
		s.publish("private", "1", "persist_items=true", "access_model=whitelist")
		if got := s.events("romeo"); got != ">public:1" {
			t.Errorf("romeo was told %s", got)
		}
		for node, want := range map[string]string{"public": "1", "private": "cancel/not-allowed/closed-node"} {
			if got := s.items("romeo", node, "", ""); got != want {
				t.Errorf("romeo gets %s of %s", got, node)
			}
			if got := s.items("juliet", node, "", ""); got != "1" {
				t.Errorf("juliet gets %s of %s", got, node)
			}
		}
		if got := s.items("stranger@example.org", "public", "", ""); got != "1" {
			t.Errorf("a stranger gets %s", got)
		}
	})
}
