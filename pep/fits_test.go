package pep_test

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// TestFits: what is said beforehand is what publishing says, and nothing is done.
func TestFits(t *testing.T) {
	t.Parallel()
	p := func(n int) mux.Raw { return mux.Raw("<x xmlns='urn:x'>" + strings.Repeat("x", n) + "</x>") } // 21 octets more
	type item struct {
		id      string
		payload mux.Raw
	}
	const full = stanza.ResourceConstraint
	for _, c := range []struct {
		name, node string
		items      []item
		options    map[string][]string
		want       stanza.Condition
	}{
		{"nothing", "n", nil, nil, ""},
		{"some", "n", []item{{"a", p(10)}, {"b", p(10)}}, nil, ""},
		{"in place of one", "n", []item{{"1", p(450)}}, nil, ""},
		{"each fits, not all", "n", []item{{"a", p(250)}, {"b", p(250)}}, nil, full},
		{"the same twice", "n", []item{{"a", p(250)}, {"a", p(251)}}, nil, ""},
		{"too many", "n", []item{{"a", p(1)}, {"b", p(1)}, {"c", p(1)}, {"d", p(1)}}, nil, full},
		{"too many, refused", "reject", []item{{"a", p(1)}, {"b", p(1)}}, nil, stanza.Conflict},
		{"too large", "n", []item{{"a", p(600)}}, nil, stanza.NotAcceptable},
		{"a long ID", "n", []item{{strings.Repeat("i", 1025), p(1)}}, nil, stanza.NotAcceptable},
		{"no XML", "n", []item{{"a", "<x"}}, nil, stanza.BadRequest},
		{"no payload", "n", []item{{"a", ""}}, nil, stanza.BadRequest},
		{"another node than was meant", "n", []item{{"a", p(1)}}, map[string][]string{"access_model": {"open"}}, stanza.Conflict},
		{"options that there are not", "n", []item{{"a", p(1)}}, map[string][]string{"x": {"y"}}, stanza.BadRequest},
		{"a new node", "new", []item{{"a", p(1)}}, map[string][]string{"access_model": {"open"}}, ""},
		{"a new node of one item", "new", []item{{"a", p(1)}, {"b", p(1)}}, nil, full},
		{"a node of the account beyond its octets", "new", []item{{"a", p(495)}}, nil, full},
		{"an option that is out of range", "new", []item{{"a", p(1)}}, map[string][]string{"max_items": {"9"}}, stanza.NotAcceptable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			play(t, func(a *assembly) {
				a.opt.MaxBytes, a.opt.MaxPayload, a.opt.MaxItems, a.opt.PerMinute = 560, 520, 4, 2
			}, func(s *stage) {
				s.publish("n", "1", "max_items=max")
				s.publish("reject", "1", "max_items=2", "publish_node_full=reject")
				var said, did error
				s.server(func(e *turn) {
					var seq iter.Seq2[string, mux.Raw] = func(yield func(string, mux.Raw) bool) {
						for _, i := range c.items {
							if !yield(i.id, i.payload) {
								return
							}
						}
					}
					said = s.made.Fits(e.ctx, e.e, c.node, seq, c.options)
				})
				if got, _ := s.full("juliet/2", "get", pubsub("<items node='new'/>")); got != "cancel/item-not-found" {
					t.Errorf("a node: %s", got)
				}
				if got := s.items("juliet/2", "n", "", ""); got != "1" {
					t.Errorf("items: %s", got)
				}
				if got := conditionOf(said); got != c.want {
					t.Fatalf("said %q (%v), want %q", got, said, c.want)
				}
				// Publishing says the same, but for what would push others out.
				s.server(func(e *turn) {
					for _, i := range c.items {
						if did = s.made.PublishItem(e.ctx, e.e, c.node, i.id, i.payload, c.options, true); did != nil {
							return
						}
					}
				})
				if pushes := strings.HasPrefix(c.name, "too many") && c.node == "n" || c.name == "a new node of one item"; conditionOf(did) != c.want && !pushes {
					t.Errorf("did %v, said %v", did, said)
				}
			})
		})
	}
}

func conditionOf(err error) stanza.Condition {
	var own *mux.Error
	var st stanza.Error
	switch {
	case errors.As(err, &own):
		return own.Stanza.Condition
	case errors.As(err, &st):
		return st.Condition
	case err != nil:
		return "?"
	}
	return ""
}
