package vcard_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/vcard"
	"github.com/propolis-im/propolis/vcard/storetest"
)

const (
	full  = "juliet@example.net/balcony"
	get   = "<iq type='get' id='1'><vCard xmlns='vcard-temp'/></iq>"
	card  = "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>"
	none  = "<iq type='result' id='1' from='juliet@example.net' to='" + full + "'><vCard xmlns='vcard-temp'/></iq>"
	other = "<vCard xmlns='vcard-temp'><FN>Capulet</FN></vCard>"
)

var juliet = mux.MustParseAddress("juliet@example.net")

func set(card string) string { return "<iq type='set' id='1'>" + card + "</iq>" }

func result(card string) string {
	return "<iq type='result' id='1' from='juliet@example.net' to='" + full + "'>" + card + "</iq>"
}

func refused(typ, condition string) string {
	return "<iq type='error' id='1' from='juliet@example.net' to='" + full + "'><error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		store := new(vcard.Memory)
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), NoRecover: true},
			Extensions: func() []mux.Extension { return []mux.Extension{vcard.New(store, nil)} },
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.Store{Store: new(vcard.Memory)} })
}

// bubble runs f with a client on a host that has the extension.
func bubble(t *testing.T, store vcard.Store, o *vcard.Options, f func(t *testing.T, h *muxtest.Host, c *muxtest.Committer, juliet *muxtest.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, NoRecover: true}, vcard.New(store, o))
		f(t, h, c, h.Connect(t, full))
	})
}

// TestLimit: core-im LIM-21.
func TestLimit(t *testing.T) {
	t.Parallel()
	bubble(t, new(vcard.Memory), &vcard.Options{MaxBytes: len(card)}, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(set(card), set(other), get)
		c.Expect(result(""), refused("modify", "not-acceptable"), result(card))
	})
}

// TestUncommitted: what is not durable yet is shown already, and not any more if
// its commit fails.
func TestUncommitted(t *testing.T) {
	t.Parallel()
	for _, fail := range []bool{false, true} {
		bubble(t, new(vcard.Memory), nil, func(t *testing.T, h *muxtest.Host, c *muxtest.Committer, j *muxtest.Client) {
			j.Send(set(card))
			j.Expect(result(""))
			c.Hold()
			j.Send(set(other), get, set("<vCard xmlns='vcard-temp'/>"), get, set(other))
			j.ExpectNone()
			if fail {
				c.Fail(errors.New("on purpose"))
				c.Release()
				h.Settle()
				again := h.Connect(t, full)
				again.Send(get)
				again.Expect(result(card))
				return
			}
			c.Release()
			h.Settle()
			j.Expect(result(""), result(other), result(""), none, result(""))
			j.Send(get)
			j.Expect(result(other))
		})
	}
}

// TestAccountRemoved: who gets the name next inherits nothing.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	store := new(vcard.Memory)
	bubble(t, store, nil, func(t *testing.T, h *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(set(card))
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if got, err := store.Load(t.Context(), juliet); err != nil || got != "" {
			t.Errorf("kept %q, error %v", got, err)
		}
		c = h.Connect(t, full)
		c.Send(get)
		c.Expect(none)
	})
}

// TestChanged: whoever converts cards is told of each.
func TestChanged(t *testing.T) {
	t.Parallel()
	var told []string
	o := &vcard.Options{Changed: func(_ context.Context, e *mux.Event, card mux.Raw) {
		told = append(told, e.Account.String()+" "+string(card))
	}}
	bubble(t, new(vcard.Memory), o, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(set(card), set("<vCard xmlns='vcard-temp'> </vCard>"), get)
	})
	if want := []string{"juliet@example.net " + card, "juliet@example.net "}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestKeep: another card may be kept than was set, or none, and it may be refused.
func TestKeep(t *testing.T) {
	t.Parallel()
	var changed []mux.Raw
	o := &vcard.Options{
		Keep: func(_ context.Context, e *mux.Event, c mux.Raw) (mux.Raw, error) {
			if strings.Contains(string(c), "Capulet") {
				return "", stanza.Error{Type: stanza.Modify, Condition: stanza.PolicyViolation}
			}
			return mux.Raw(strings.ReplaceAll(string(c), "Juliet", "J")), nil
		},
		Changed: func(_ context.Context, _ *mux.Event, c mux.Raw) { changed = append(changed, c) },
	}
	bubble(t, new(vcard.Memory), o, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(set(card), set(other), get)
		c.Expect(result(""), refused("modify", "policy-violation"), result("<vCard xmlns='vcard-temp'><FN>J</FN></vCard>"))
	})
	if len(changed) != 1 || strings.Contains(string(changed[0]), "Juliet") {
		t.Errorf("changed %q", changed)
	}
}

// TestShow: another card may be shown than is kept, by who asks; what was set before is
// written by then.
func TestShow(t *testing.T) {
	t.Parallel()
	store := new(vcard.Memory)
	o := &vcard.Options{Show: func(_ context.Context, e *mux.Event) func(context.Context, mux.Raw) (mux.Raw, error) {
		switch from := e.Stanza.From(); from.Local() {
		case "romeo":
			return func(ctx context.Context, c mux.Raw) (mux.Raw, error) {
				if kept, err := store.Load(ctx, juliet); err != nil || kept != string(c) {
					t.Errorf("kept %q, error %v", kept, err)
				}
				return other, nil
			}
		case "paris":
			return func(context.Context, mux.Raw) (mux.Raw, error) { return "", nil }
		case "tybalt":
			return func(context.Context, mux.Raw) (mux.Raw, error) { return "", errors.New("on purpose") }
		}
		return nil
	}}
	bubble(t, store, o, func(t *testing.T, h *muxtest.Host, commits *muxtest.Committer, c *muxtest.Client) {
		ask := "<iq type='get' id='1' to='juliet@example.net'><vCard xmlns='vcard-temp'/></iq>"
		for _, who := range []string{"romeo", "paris", "tybalt"} {
			to := who + "@example.net/1"
			from := h.Connect(t, to)
			commits.Hold()
			c.Send(set(card), get)
			from.Send(ask)
			c.ExpectNone()
			from.ExpectNone()
			commits.Release()
			h.Settle()
			c.Expect(result(""), result(card))
			from.Expect(strings.ReplaceAll(map[string]string{"romeo": result(other), "paris": refused("cancel", "service-unavailable"),
				"tybalt": refused("wait", "internal-server-error")}[who], full, to))
		}
		nobody := h.Connect(t, "romeo@example.net/2")
		nobody.Send("<iq type='get' id='1' to='ghost@example.net'><vCard xmlns='vcard-temp'/></iq>")
		if got := nobody.Next(); !strings.Contains(got, "<service-unavailable ") {
			t.Errorf("got %s", got)
		}
	})
}

// broken is a store that cannot be read.
type broken struct{ vcard.Memory }

func (*broken) Load(context.Context, mux.Address) (string, error) {
	return "", errors.New("on purpose")
}

func TestBrokenStore(t *testing.T) {
	t.Parallel()
	bubble(t, new(broken), nil, func(t *testing.T, h *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
		c.Send(get)
		c.Expect(refused("wait", "internal-server-error"))
		romeo := h.Connect(t, "romeo@example.net/orchard")
		romeo.Send("<iq type='get' id='1' to='juliet@example.net'><vCard xmlns='vcard-temp'/></iq>")
		if got := romeo.Next(); !strings.Contains(got, "internal-server-error") {
			t.Errorf("got %s", got)
		}
	})
	if _, err := mux.New(nil, nil, vcard.New(nil, nil)); err == nil {
		t.Error("no error without a store")
	}
}

func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, vcard.New(new(vcard.Memory), nil))
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		q := &mux.DiscoQuery{Scope: s}
		if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{vcard.NS}) {
			t.Errorf("%s: features %q, error %v", s, q.Features, err)
		}
	}
}

// FuzzSet: a card that was taken comes back as it was, or as none.
func FuzzSet(f *testing.F) {
	f.Add(set(card))
	f.Add("<iq type='set' id='1'><v:vCard xmlns:v='vcard-temp' xmlns:x='x:y' x:a='1'><v:FN>&#65;<![CDATA[<]]></v:FN><x:b/></v:vCard></iq>")
	f.Add(set("<vCard xmlns='vcard-temp'>text</vCard>"))
	f.Fuzz(func(t *testing.T, el string) {
		s, err := mux.Parse([]byte(el))
		if err != nil || s.Kind() != mux.IQ || s.Type() != "set" || s.ID() != "1" || !s.To().IsZero() || !s.From().IsZero() || s.MalformedTo() != "" {
			return
		}
		if len(s.Children()) != 1 || s.Children()[0].Name != vcard.Name {
			return
		}
		bubble(t, new(vcard.Memory), nil, func(t *testing.T, _ *muxtest.Host, _ *muxtest.Committer, c *muxtest.Client) {
			c.Send(el, get)
			if answer := c.Recv(); answer.Type() != "result" {
				t.Fatalf("refused %s", el)
			}
			sent, err := mux.NewChild(s.Children()[0])
			if err != nil {
				t.Fatal(err)
			}
			got := c.Next()
			if muxtest.Match(result(sent.Raw()), got, nil) != nil && muxtest.Match(none, got, nil) != nil {
				t.Errorf("sent %s, got %s", el, got)
			}
		})
	})
}
