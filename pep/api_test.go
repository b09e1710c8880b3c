package pep_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// TestServerCode: server code publishes and retracts for an account that is not there, and
// is told of changes (R20).
func TestServerCode(t *testing.T) {
	t.Parallel()
	var told []string
	var a *assembly
	play(t, func(s *assembly) {
		a = s
		a.opt.Changed = func(_ context.Context, _ *mux.Event, node string, i *pep.Item, gone []string, all bool) {
			id := ""
			if i != nil {
				id = i.ID
			}
			told = append(told, fmt.Sprint(node, " ", id, gone, all))
		}
	}, func(s *stage) {
		x := a.made
		var hooked []string
		for _, name := range []string{"a", "b"} { // in this order
			x.OnChange(func(_ context.Context, _ *mux.Event, node, id string, payload mux.Raw, gone []string, all bool) {
				hooked = append(hooked, fmt.Sprint(name, node, " ", id, len(payload) > 0, gone, all))
			})
		}
		s.there("romeo", "n")
		do := func(f func(ctx context.Context, e *mux.Event)) {
			if err := s.h.Mux().Do(t.Context(), addr("juliet@example.net"), f); err != nil {
				t.Error(err)
			}
		}
		publish := func(id, payload, want string, options map[string][]string) {
			t.Helper()
			do(func(ctx context.Context, e *mux.Event) {
				got, err := x.Publish(ctx, e, pep.Publication{Node: "n", ID: id, Payload: mux.Raw(payload), Options: options})
				if want == "error" && err == nil || want != "error" && (err != nil || got != want) {
					t.Errorf("published as %q, error %v", got, err)
				}
			})
		}
		publish("1<&'", "<x xmlns='urn:x'/>", "1<&'", map[string][]string{"max_items": {"max"}, "title": {"<&"}})
		publish("2", "<x xmlns='urn:x'/><y/>", "error", nil)
		publish("2", "nonsense </item>", "error", nil)
		publish("2", "<x xmlns='urn:x'/>", "error", map[string][]string{"title": {"x"}})
		do(func(ctx context.Context, e *mux.Event) {
			if err := x.Retract(ctx, e, "n", "1<&'"); err != nil {
				t.Error(err)
			}
			if err := x.Retract(ctx, e, "n", "1"); err == nil {
				t.Error("no error")
			}
		})
		s.h.Settle()
		if got := s.events("romeo"); got != "n:1<&' n-1<&'" {
			t.Errorf("romeo got %q", got)
		}
		s.publish("n", "3")
		s.ask("juliet", "set", owner("<purge node='n'/>"))
		s.ask("juliet", "set", owner("<delete node='n'/>"))
		if want := "n 1<&'[] false; n [1<&'] false; n 3[] false; n [] true; n [] true"; strings.Join(told, "; ") != want {
			t.Errorf("told %q, want %q", told, want)
		}
		if want := "an 1<&'true [] false; bn 1<&'true [] false; an false [1<&'] false; bn false [1<&'] false; an 3true [] false; bn 3true [] false"; !strings.HasPrefix(strings.Join(hooked, "; "), want) {
			t.Errorf("told %q, want %q", hooked, want)
		}
	})
}

// TestForced: fields that are forced upon a node beat everything, also for nodes that are
// there already (OPT-16).
func TestForced(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		juliet := addr("juliet@example.net")
		it := pep.Item{Entry: pep.Entry{ID: "1", Seq: 1, At: time.Now()}, Payload: "<x xmlns='urn:x'/>"}
		for _, name := range []string{"open", "storage:bookmarks"} {
			apply(t, a.store.PutNode(juliet, pep.Node{Name: name, Config: pep.DefaultConfig()}), a.store.Change(juliet, name, pep.Change{Put: []pep.Item{it}, Seq: 1}))
		}
		a.opt.Force = func(node string) map[string][]string {
			if strings.HasPrefix(node, "open") {
				return map[string][]string{"access_model": {"open"}}
			}
			return nil
		}
	}, func(s *stage) {
		s.there("romeo", "open", "storage:bookmarks") // juliet is away, and her nodes have not been used
		if got := s.events("romeo"); got != "~open:1" {
			t.Errorf("romeo got %q", got)
		}
		if got := s.items("stranger@example.org", "open", "", ""); got != "1" {
			t.Errorf("got %q", got)
		}
		if got := s.ask("romeo", "get", pubsub("<items node='storage:bookmarks'/>")); got != "cancel/not-allowed/closed-node" {
			t.Errorf("got %q", got)
		}
		for _, x := range [][2]string{ // in this order
			{publication("open2", "1", "access_model=presence"), "cancel/conflict/precondition-not-met"},
			{publication("open2", "1", "access_model=open"), ""},
			{publication("open3", "1"), ""},
			{configure("open", "access_model=presence"), "modify/not-acceptable"},
			{pubsub("<create node='urn:xmpp:mds:displayed:0'/><configure>" + form("node_config", "access_model=open") + "</configure>"), "modify/not-acceptable"},
			{publication("urn:xmpp:mds:displayed:0", "a@b", "access_model=whitelist", "max_items=max", "send_last_published_item=never"), ""},
		} {
			if got := s.ask("juliet", "set", x[0]); got != x[1] {
				t.Errorf("%s: got %q, want %q", x[0], got, x[1])
			}
		}
		nodes, err := s.store.Load(t.Context(), addr("juliet@example.net"))
		if err != nil || len(nodes) == 0 {
			t.Fatal(err)
		}
		for _, n := range nodes {
			want := "open"
			if !strings.HasPrefix(n.Name, "open") {
				want = "whitelist"
			}
			if n.Config.Access != want {
				t.Errorf("%s is kept as %s", n.Name, n.Config.Access)
			}
		}
	})
}

// TestStrangersAreForgotten: presence of people who have nothing to do with an account does
// not fill what is kept of contacts.
func TestStrangersAreForgotten(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) { a.opt.MaxResources = 1 }, func(s *stage) {
		s.publish("n", "1", "access_model=open")
		far := s.h.DialDomain(t, mux.Server, "example.org")
		s.on["example.org"] = far
		say := func(who string) {
			far.Send("<presence from='" + who + "@example.org/1' to='juliet@example.net'><c xmlns='x:caps'>n</c></presence>")
		}
		say("stranger")
		say("benvolio")
		say("rosaline") // one too many
		s.h.Settle()
		s.h.Routed("example.org")
		s.publish("n", "2")
		if got := s.events("benvolio@example.org"); got != ">n:2" {
			t.Errorf("benvolio got %q", got)
		}
		for _, who := range []string{"stranger", "rosaline"} {
			if got := s.events(who + "@example.org"); got != "" {
				t.Errorf("%s got %q", who, got)
			}
		}
	})
}
