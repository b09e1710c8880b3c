package pep_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// memo is what the tests keep.
type memo struct {
	XMLName xml.Name `xml:"urn:x:memo memo"`
	Text    string   `xml:"text"`
}

var memoName = xml.Name{Space: "urn:x:memo", Local: "memo"}

// TestTyped: C-20: values come and go, and what was not read is not overwritten.
func TestTyped(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t, ctx := s.t, s.t.Context()
		c := s.client(julietFull, nil)
		st := pep.NewTyped[memo](c, "memos", memoName, nil)
		if _, err := st.Get(ctx, nobody, "a"); !errors.Is(err, pep.ErrNoItem) {
			t.Errorf("no node: %v", err)
		}
		for v, err := range st.All(ctx, nobody) {
			t.Errorf("no node: %+v, error %v", v, err)
		}
		if err := st.Delete(ctx, "a"); err != nil {
			t.Errorf("deleting nothing: %v", err)
		}
		for _, id := range []string{"a", "b"} {
			if got, err := st.Put(ctx, id, memo{Text: "text & " + id}); err != nil || got != id {
				t.Fatalf("put %q, error %v", got, err)
			}
		}
		v, err := st.Get(ctx, nobody, "a")
		if err != nil || v.ID != "a" || v.Value.Text != "text & a" {
			t.Errorf("got %+v, error %v", v, err)
		}
		if f, err := c.GetConfig(ctx, "memos"); err != nil || f.Get("access_model") != "whitelist" || f.Get("max_items") != "max" || f.Get("send_last_published_item") != "never" {
			t.Errorf("configuration %v, error %v", f, err)
		}
		if err := st.PutIf(ctx, "a", memo{Text: "new"}, v.Published); err != nil {
			t.Error(err)
		}
		if err := st.PutIf(ctx, "a", memo{Text: "newer"}, v.Published); !errors.Is(err, pep.ErrChanged) {
			t.Errorf("changed: %v", err)
		}
		if err := st.PutIf(ctx, "a", memo{}, pep.Published{}); !errors.Is(err, pep.ErrChanged) {
			t.Errorf("is there: %v", err)
		}
		if err := st.PutIf(ctx, "c", memo{Text: "c"}, pep.Published{}); err != nil {
			t.Error(err)
		}
		if err := st.Update(ctx, "a", func(v memo, exists bool) (memo, error) {
			return memo{Text: fmt.Sprint(v.Text, "+", exists)}, nil
		}); err != nil {
			t.Error(err)
		}
		if err := st.Update(ctx, "b", func(v memo, _ bool) (memo, error) { return v, errTest }); err != errTest {
			t.Errorf("not changed: %v", err)
		}
		if _, err := c.Publish(ctx, "memos", "alien", note("x"), nil); err != nil {
			t.Fatal(err)
		}
		if err := st.Update(ctx, "alien", func(v memo, _ bool) (memo, error) { return v, nil }); !errors.Is(err, pep.ErrPayload) {
			t.Errorf("what cannot be read is written over: %v", err)
		}
		var got []string
		for v, err := range st.All(ctx, nobody) {
			switch {
			case errors.Is(err, pep.ErrPayload):
				got = append(got, "wrong "+v.ID)
			case err != nil:
				t.Error(err)
			default:
				got = append(got, v.ID+" "+v.Value.Text)
			}
		}
		if want := []string{"b text & b", "c c", "a new+true", "wrong alien"}; !slices.Equal(got, want) {
			t.Errorf("all are %q, want %q", got, want)
		}
		if v, err := st.Newest(ctx, nobody); !errors.Is(err, pep.ErrPayload) {
			t.Errorf("newest %+v, error %v", v, err)
		}
		if err := st.Delete(ctx, "a"); err != nil {
			t.Error(err)
		}
		if _, err := st.Get(ctx, nobody, "a"); !errors.Is(err, pep.ErrNoItem) {
			t.Errorf("deleted: %v", err)
		}
	})
}

var errTest = errors.New("test")

// TestTypedUnread: C-20: a value that could not be read is not written.
func TestTypedUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, func(clientIQ) string {
			return "<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
		})
		st := pep.NewTyped(p.client(nil), "memos", memoName, &pep.TypedOptions[memo]{Node: pep.Public(), Encode: func(memo) (xmlstream.Marshaler, error) { return nil, errTest }})
		want := stanza.Error{Condition: stanza.InternalServerError}
		if err := st.Update(t.Context(), "a", func(v memo, _ bool) (memo, error) { return v, nil }); !errors.Is(err, want) {
			t.Errorf("update: %v", err)
		}
		if err := st.PutIf(t.Context(), "a", memo{}, pep.Published{}); !errors.Is(err, want) {
			t.Errorf("put: %v", err)
		}
		if err := st.Delete(t.Context(), "a"); !errors.Is(err, want) {
			t.Errorf("delete: %v", err)
		}
		if _, err := st.Put(t.Context(), "a", memo{}); err != errTest {
			t.Errorf("encode: %v", err)
		}
		for _, q := range p.requests() {
			if q.Type == "set" && q.Inner != "" && !strings.Contains(q.Inner, "retract") {
				t.Errorf("wrote %s", q.Inner)
			}
		}
	})
}

// TestTypedWatch: C-20, C-15: changes of another session and of a contact, and what is read
// at the beginning; that an event repeats what was read is seen.
func TestTypedWatch(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t, ctx := s.t, s.t.Context()
		writer, c := s.client(julietFull, nil), s.client("juliet@example.net/chamber", nil)
		romeo := s.client("romeo@example.net/orchard", &pep.ClientOptions{Contact: func(j jid.JID) bool { return j.Equal(juliet) }})
		open := pep.Public()
		open.Payloads = pep.No
		w := pep.NewTyped(writer, "memos", memoName, &pep.TypedOptions[memo]{Node: open})
		if _, err := w.Put(ctx, "a", memo{Text: "a"}); err != nil {
			t.Fatal(err)
		}
		var own, others []string
		note := func(to *[]string) func(context.Context, pep.Changed[memo]) {
			return func(_ context.Context, c pep.Changed[memo]) {
				*to = append(*to, fmt.Sprintf("%s %s %s known=%t fetched=%t", c.Kind, c.Item.ID, c.Value.Text, c.Known, c.Fetched))
			}
		}
		st := pep.NewTyped(c, "memos", memoName, &pep.TypedOptions[memo]{Fetch: true})
		if _, err := st.Watch(note(&own)); err != nil {
			t.Fatal(err)
		}
		if _, err := pep.NewTyped(romeo, "memos", memoName, &pep.TypedOptions[memo]{From: pep.FromContacts}).Watch(note(&others)); err != nil {
			t.Fatal(err)
		}
		s.present(c)
		s.present(romeo)
		if err := c.Begin(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Put(ctx, "b", memo{Text: "b"}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Publish(ctx, "memos", "alien", mux.Raw("<x xmlns='urn:x'/>"), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Delete(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []string{"published a a known=false fetched=true", "read   known=false fetched=true", "published b b known=false fetched=false", "retracted a  known=false fetched=false"}; !slices.Equal(own, want) {
			t.Errorf("own: %q, want %q", own, want)
		}
		if want := []string{"published b b known=false fetched=false", "retracted a  known=false fetched=false"}; !slices.Equal(others, want) {
			t.Errorf("others: %q, want %q", others, want)
		}
	})
}

// TestKnownFetched: C-14: an event that repeats what was read says nothing new.
func TestKnownFetched(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t, ctx := s.t, s.t.Context()
		c := s.client(julietFull, nil)
		publish := func() {
			if _, err := c.Publish(ctx, "n", "1", mux.Raw(`<p:a xmlns:p="urn:x" p:b="c">t<p:d/></p:a>`), nil); err != nil {
				t.Fatal(err)
			}
		}
		publish()
		var known []bool
		mustWatch(t, c, pep.Watch{Node: "n", Fetch: true, Handle: func(_ context.Context, e pep.Event) {
			if e.Kind == pep.ItemPublished {
				known = append(known, e.Known)
			}
		}})
		if err := c.Begin(ctx); err != nil {
			t.Fatal(err)
		}
		s.present(c) // the last item
		publish()
		synctest.Wait()
		if !slices.Equal(known, []bool{false, true, true}) {
			t.Errorf("known %v", known)
		}
	})
}
