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

// TestRead: server code reads nodes, with what is not written yet, and asks who may.
func TestRead(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		do := func(f func(ctx context.Context, e *mux.Event)) {
			s.h.Mux().Go(addr("juliet@example.net"), f)
			s.h.Settle()
		}
		last := func(node, want string) {
			t.Helper()
			do(func(ctx context.Context, e *mux.Event) {
				id, payload, err := s.made.Last(ctx, e, node)
				if got := fmt.Sprint(id, " ", len(payload), " ", err != nil); got != want {
					t.Errorf("%s: last %s, want %s", node, got, want)
				}
			})
		}
		find := func(node, id, want string) {
			t.Helper()
			do(func(ctx context.Context, e *mux.Event) {
				read, err := s.made.Find(ctx, e, node, id)
				got := fmt.Sprint(read != nil, " ", err != nil)
				if read != nil {
					payload, err := read(ctx)
					got = fmt.Sprint(len(payload), " ", err != nil)
				}
				if got != want {
					t.Errorf("%s %s: found %s, want %s", node, id, got, want)
				}
			})
		}
		large := "<x xmlns='urn:x'>" + strings.Repeat("x", 20_000) + "</x>" // none that is kept at hand
		put := func(node, id, payload string, options ...string) {
			if len(options) > 0 {
				options = []string{"<publish-options>" + form("publish-options", options...) + "</publish-options>"}
			}
			s.who("juliet").Send("<iq type='set' id='p'>" + pubsub("<publish node='"+node+"'><item id='"+id+"'>"+payload+"</item></publish>"+strings.Join(options, "")) + "</iq>")
		}
		last("n", " 0 false")
		find("n", "1", "false false")
		put("n", "1", "<x xmlns='urn:x'/>", "max_items=max")
		last("n", "1 18 false")
		find("n", "1", "18 false")
		find("n", "2", "false false")
		s.c.Hold()
		put("n", "2", large)
		put("n", "1", large)
		last("n", " 0 true")
		find("n", "2", "0 true")
		find("n", "1", "0 true")
		s.c.Release()
		s.h.Settle()
		last("n", fmt.Sprint("1 ", len(large), " false"))
		find("n", "2", fmt.Sprint(len(large), " false"))
		find("n", "", fmt.Sprint(len(large), " false"))
		find("none", "", "false false")
		put("transient", "1", "<x xmlns='urn:x'/>", "persist_items=0")
		last("transient", "1 18 false")
		find("transient", "1", "false false")
		put("brief", "1", "<x xmlns='urn:x'/>", "item_expire=1")
		s.sleep(time.Second)
		last("brief", " 0 false")
		find("brief", "1", "false false")
		find("brief", "", "false false")

		put("open", "1", "<x xmlns='urn:x'/>", "access_model=open")
		for _, tt := range []struct{ node, who, want string }{
			{"open", "juliet romeo stranger", "true true true"}, {"n", "juliet romeo stranger", "true true false"}, {"none", "juliet romeo stranger", "false false false"},
		} {
			do(func(ctx context.Context, e *mux.Event) {
				var got []string
				for who := range strings.FieldsSeq(tt.who) {
					got = append(got, fmt.Sprint(s.made.Readable(ctx, e, tt.node, addr(who+"@example.net/1"))))
				}
				if strings.Join(got, " ") != tt.want {
					t.Errorf("%s: readable %q", tt.node, got)
				}
			})
		}
	})
}

// TestDefaults: a node that comes to be has them, one that is there keeps what it has.
func TestDefaults(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("there", "1", "access_model=whitelist")
		for _, tt := range []struct{ node, want, option string }{{"there", "whitelist", ""}, {"new", "open", ""}, {"asked", "roster", "roster"}} {
			err := s.h.Mux().Do(s.t.(*testing.T).Context(), addr("juliet@example.net"), func(ctx context.Context, e *mux.Event) {
				p := pep.Publication{Node: tt.node, ID: "2", Payload: "<x xmlns='urn:x'/>", Defaults: map[string][]string{"access_model": {"open"}}}
				if tt.option != "" {
					p.Options = map[string][]string{"access_model": {tt.option}}
				}
				if _, err := s.made.Publish(ctx, e, p); err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			nodes, err := s.store.Load(context.Background(), addr("juliet@example.net"))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range nodes {
				if n.Name == tt.node && n.Config.Access != tt.want {
					t.Errorf("%s is %s", n.Name, n.Config.Access)
				}
			}
		}
	})
}
