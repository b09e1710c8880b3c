package private_test

import (
	"context"
	"encoding/xml"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/private"
	"github.com/propolis-im/propolis/private/storetest"
)

const full = "hamlet@example.net/denmark"

var hamlet = mux.MustParseAddress("hamlet@example.net")

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		store := new(private.Memory)
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), NoRecover: true},
			Extensions: func() []mux.Extension { return []mux.Extension{private.New(store, nil)} },
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.Store{Store: new(private.Memory)} })
}

func iq(typ, children string) string {
	return "<iq type='" + typ + "' id='1'><query xmlns='jabber:iq:private'>" + children + "</query></iq>"
}

func result(children string) string {
	if children != "" {
		children = "<query xmlns='jabber:iq:private'>" + children + "</query>"
	}
	return "<iq type='result' id='1' from='hamlet@example.net' to='" + full + "'>" + children + "</iq>"
}

func refused(typ, condition string) string {
	return "<iq type='error' id='1' from='hamlet@example.net' to='" + full + "'><error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
}

// bubble runs f with a client on a host that has the extension.
func bubble(t *testing.T, store private.Store, o *private.Options, f func(t *testing.T, h *muxtest.Host, c *muxtest.Committer, hamlet *muxtest.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, NoRecover: true}, private.New(store, o))
		f(t, h, c, h.Connect(t, full))
	})
}

// TestErrors: core-im PX-1 and §11.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ typ, children, kind, condition string }{
		"get without a child":     {"get", "", "modify", "bad-request"},
		"set without a child":     {"set", "", "modify", "bad-request"},
		"get with text":           {"get", "x", "modify", "bad-request"},
		"get of two":              {"get", "<a xmlns='x:y'/><b xmlns='x:y'/>", "modify", "bad-request"},
		"no namespace of its own": {"set", "<a/>", "modify", "bad-request"},
		"no namespace":            {"set", "<a xmlns=''/>", "modify", "bad-request"},
		"two namespaces":          {"set", "<a xmlns='x:y'/><a xmlns='x:z'/>", "modify", "bad-request"},
		"one name twice":          {"set", "<a xmlns='x:y'/><a xmlns='x:y'/>", "modify", "bad-request"},
		"the stream's namespace":  {"set", "<a xmlns='jabber:client'/>", "modify", "not-acceptable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, new(private.Memory), nil, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, hamlet *muxtest.Client) {
				hamlet.Send(iq(tt.typ, tt.children))
				hamlet.Expect(refused(tt.kind, tt.condition))
			})
		})
	}
}

// TestLimits: core-im LIM-21.
func TestLimits(t *testing.T) {
	t.Parallel()
	element := func(local string, n int) string {
		return "<" + local + " xmlns='x:y'>" + strings.Repeat("x", n) + "</" + local + ">"
	}
	bubble(t, new(private.Memory), &private.Options{MaxBytes: 300, MaxElements: 2}, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, hamlet *muxtest.Client) {
		for _, tt := range []struct {
			name, children string
			fits           bool
		}{
			{"too long", element("a", 400), false},
			{"half", element("a", 100), true},
			{"too long together", element("b", 200), false},
			{"other half", element("b", 100), true},
			{"longer", element("b", 200), false},
			{"too many", element("c", 1), false},
			{"replaced", element("a", 50) + element("b", 100), true},
		} {
			hamlet.Send(iq("set", tt.children))
			if want := map[bool]string{true: result(""), false: refused("modify", "not-acceptable")}[tt.fits]; muxtest.Match(want, hamlet.Arrived()[0], nil) != nil {
				t.Errorf("%s: got %s", tt.name, hamlet.Arrived()[0])
			}
			hamlet.Clear()
		}
		hamlet.Send(iq("get", "<b xmlns='x:y'/>"))
		hamlet.Expect(result(element("b", 100)))
	})
	// By default 256 KiB in all.
	bubble(t, new(private.Memory), nil, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, hamlet *muxtest.Client) {
		hamlet.Send(iq("set", element("a", 200<<10)))
		hamlet.Expect(result(""))
		rest := 56<<10 - len(element("a", 0)) - len(element("b", 0)) - 2*len("ax:y")
		hamlet.Send(iq("set", element("b", rest+1)))
		hamlet.Expect(refused("modify", "not-acceptable"))
		hamlet.Send(iq("set", element("b", rest)))
		hamlet.Expect(result(""))
	})
}

// TestUncommitted: what is not durable yet can be read already, and not any more
// if its commit fails.
func TestUncommitted(t *testing.T) {
	t.Parallel()
	for _, fail := range []bool{false, true} {
		store := new(private.Memory)
		bubble(t, store, nil, func(t *testing.T, h *muxtest.Host, c *muxtest.Committer, hamlet *muxtest.Client) {
			hamlet.Send(iq("set", "<a xmlns='x:y'>old</a>"))
			hamlet.Expect(result(""))
			c.Hold()
			hamlet.Send(iq("set", "<a xmlns='x:y'>new</a>"), iq("get", "<a xmlns='x:y'/>"))
			hamlet.ExpectNone()
			if fail {
				c.Fail(errors.New("on purpose"))
				c.Release()
				h.Settle()
				again := h.Connect(t, full)
				again.Send(iq("get", "<a xmlns='x:y'/>"))
				again.Expect(result("<a xmlns='x:y'>old</a>"))
				return
			}
			c.Release()
			h.Settle()
			hamlet.Expect(result(""), result("<a xmlns='x:y'>new</a>"))
			hamlet.Send(iq("get", "<a xmlns='x:y'/>"), iq("set", "<b xmlns='x:y'/>"))
			hamlet.Expect(result("<a xmlns='x:y'>new</a>"), result(""))
		})
	}
}

// TestAccountRemoved: who gets the name next inherits nothing.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	store := new(private.Memory)
	bubble(t, store, nil, func(t *testing.T, h *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(iq("set", "<a xmlns='x:y'>old</a>"))
		if err := h.Mux().RemoveAccount(t.Context(), hamlet); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if sizes, err := store.Sizes(t.Context(), hamlet); err != nil || len(sizes) > 0 {
			t.Errorf("kept %v, error %v", sizes, err)
		}
		c = h.Connect(t, full)
		c.Send(iq("get", "<a xmlns='x:y'/>"))
		c.Expect(result("<a xmlns='x:y'/>"))
	})
}

// TestElsewhere: a name whose elements another keeps; core-im PX-2.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	store := new(private.Memory)
	var kept mux.Raw
	bookmarks := xml.Name{Space: "storage:bookmarks", Local: "storage"}
	o := &private.Options{MaxBytes: 64, Elsewhere: func(name xml.Name) *private.Keeper {
		if name != bookmarks {
			return nil
		}
		return &private.Keeper{
			Get: func(context.Context, *mux.Event) (mux.Raw, error) { return kept, nil },
			Set: func(_ context.Context, _ *mux.Event, c mux.Child) error {
				if strings.Contains(c.Raw(), "bad") {
					return stanza.Error{Type: stanza.Modify, Condition: stanza.PolicyViolation}
				}
				kept = mux.Raw(c.Raw())
				return nil
			},
		}
	}}
	bubble(t, store, o, func(t *testing.T, h *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		long := "<storage xmlns='storage:bookmarks'>" + strings.Repeat("x", 200) + "</storage>"
		c.Send(iq("get", "<storage xmlns='storage:bookmarks'/>"), iq("set", long), iq("get", "<storage xmlns='storage:bookmarks'/>"))
		c.Expect(result("<storage xmlns='storage:bookmarks'/>"), result(""), result(long))
		c.Send(iq("set", "<storage xmlns='storage:bookmarks'>bad</storage>"))
		c.Expect(refused("modify", "policy-violation"))
		c.Send(iq("set", "<storage xmlns='storage:notes'/>"))
		c.Expect(result(""))
		sizes, err := store.Sizes(t.Context(), hamlet)
		if err != nil || len(sizes) != 1 {
			t.Errorf("the store has %v, error %v", sizes, err)
		}
	})
}

// TestKeepsPart: a keeper may leave a part of what it keeps in the store, within the
// account's bounds, and reads it back before it is durable.
func TestKeepsPart(t *testing.T) {
	t.Parallel()
	var x *private.Extension
	name := xml.Name{Space: "storage:bookmarks", Local: "storage"}
	keeper := &private.Keeper{
		Get: func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return x.Load(ctx, e, name) },
		Set: func(ctx context.Context, e *mux.Event, c mux.Child) error { return x.Put(ctx, e, c) },
	}
	x = private.New(new(private.Memory), &private.Options{MaxBytes: 128, Elsewhere: func(n xml.Name) *private.Keeper {
		if n == name {
			return keeper
		}
		return nil
	}})
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, NoRecover: true}, x)
		hamlet := h.Connect(t, full)
		hamlet.Send(iq("get", "<storage xmlns='storage:bookmarks'/>"))
		hamlet.Expect(result("<storage xmlns='storage:bookmarks'/>"))
		c.Hold()
		hamlet.Send(iq("set", "<storage xmlns='storage:bookmarks'>part</storage>"), iq("get", "<storage xmlns='storage:bookmarks'/>"))
		hamlet.ExpectNone()
		c.Release()
		h.Settle()
		hamlet.Expect(result(""), result("<storage xmlns='storage:bookmarks'>part</storage>"))
		hamlet.Send(iq("set", "<storage xmlns='storage:bookmarks'>"+strings.Repeat("x", 128)+"</storage>"))
		hamlet.Expect(refused("modify", "not-acceptable"))
	})
}

// broken is a store that cannot be read.
type broken struct{ private.Memory }

func (*broken) Sizes(context.Context, mux.Address) (map[xml.Name]int, error) {
	return nil, errors.New("on purpose")
}

// halfBroken fails when it is read for an element.
type halfBroken struct{ private.Memory }

func (*halfBroken) Load(context.Context, mux.Address, xml.Name) (string, error) {
	return "", errors.New("on purpose")
}

func TestBrokenStore(t *testing.T) {
	t.Parallel()
	bubble(t, new(broken), nil, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(iq("get", "<a xmlns='x:y'/>"), iq("set", "<a xmlns='x:y'/>"))
		c.Expect(refused("wait", "internal-server-error"), refused("wait", "internal-server-error"))
	})
	bubble(t, new(halfBroken), nil, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(iq("set", "<a xmlns='x:y'/>"))
		c.Expect(result(""))
		c.Send(iq("get", "<a xmlns='x:y'/>"))
		c.Expect(refused("wait", "internal-server-error"))
	})
	if _, err := mux.New(nil, nil, private.New(nil, nil)); err == nil {
		t.Error("no error without a store")
	}
}

func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, private.New(new(private.Memory), nil))
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{private.NS}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
}

// FuzzSet: whatever a client sends is refused or comes back as it was.
func FuzzSet(f *testing.F) {
	for _, s := range []string{
		iq("set", "<a xmlns='x:y'>x</a>"), iq("set", "<a xmlns='x:y'/><b xmlns='x:y'/>"), iq("set", ""), iq("get", "<a xmlns='x:y'/>"),
		"<iq type='set' id='1' xmlns:p='x:y'><query xmlns='jabber:iq:private' xmlns:q='x:z'><p:a q:b='1'>&lt;<q:c/></p:a></query></iq>",
		"<iq type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='&apos;&lt;&amp;'/></query></iq>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, el string) {
		s, err := mux.Parse([]byte(el))
		if err != nil || s.Kind() != mux.IQ || s.Type() != "set" || !s.To().IsZero() || !s.From().IsZero() {
			return
		}
		if len(s.Children()) != 1 || s.Children()[0].Name != (xml.Name{Space: private.NS, Local: "query"}) || s.ID() == "" || s.MalformedTo() != "" {
			return
		}
		q, err := s.Children()[0].Element()
		if err != nil {
			t.Fatal(err)
		}
		bubble(t, new(private.Memory), nil, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
			c.Send(el)
			answer := c.Recv()
			if answer.Type() == "error" {
				return
			}
			for _, want := range q.Children() {
				child, err := mux.NewChild(want)
				if err != nil {
					t.Fatal(err)
				}
				ask, err := mux.NewChild(mux.Raw("<query xmlns='jabber:iq:private'>" + child.Raw() + "</query>"))
				if err != nil {
					t.Fatal(err)
				}
				c.Send(string(mux.Make(mux.Head{Kind: mux.IQ, Type: "get", ID: "1"}, ask).Append(nil, "")))
				if err := muxtest.Match(result(child.Raw()), c.Next(), nil); err != nil {
					t.Error(err)
				}
			}
		})
	})
}
