package pep_test

import (
	"context"
	"encoding/xml"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// TestWatchContacts: C-12, C-14: what a node with one value has is told when it is another,
// whatever items come and go.
func TestWatchContacts(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t, ctx := s.t, s.t.Context()
		c := s.client(julietFull, nil)
		romeo := s.client("romeo@example.net/orchard", &pep.ClientOptions{Contact: func(j jid.JID) bool { return j.Equal(juliet) }})
		var told []string
		if _, err := romeo.WatchContacts("n", xml.Name{Space: "urn:x:note", Local: "note"}, func(_ context.Context, of jid.JID, payload mux.Raw) {
			told = append(told, of.String()+" "+string(payload))
		}); err != nil {
			t.Fatal(err)
		}
		s.present(romeo)
		put := func(id, text string) {
			t.Helper()
			if err := c.PutAs(ctx, "n", id, note(text), ""); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if _, err := c.Create(ctx, "n", &pep.NodeOptions{MaxItems: 2, Payloads: pep.No}); err != nil {
			t.Fatal(err)
		}
		put("a", "1")
		put("a", "1")
		put("b", "2")
		put("a", "1")
		for _, id := range []string{"b", "a"} {
			if err := c.Retract(ctx, "n", id); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if _, err := c.Publish(ctx, "n", "c", mux.Raw("<x xmlns='urn:x'/>"), nil); err != nil {
			t.Error(err)
		}
		put("d", "3")
		s.present(romeo)
		if err := c.DeleteNode(ctx, "n"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		j := "juliet@example.net "
		if want := []string{j + string(note("1")), j + string(note("2")), j + string(note("1")), j, j + string(note("3")), j}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestItemOf: what is not there is nothing, and a node of another access is not changed.
func TestItemOf(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t, ctx := s.t, s.t.Context()
		c := s.client(julietFull, nil)
		want := func(id string, want mux.Raw) {
			t.Helper()
			if got, err := c.ItemOf(ctx, juliet, "n", id); err != nil || got != want {
				t.Errorf("%q: %s, error %v", id, got, err)
			}
		}
		want("", "")
		if err := c.PutAs(ctx, "n", "1", note("1"), pep.AccessOpen); err != nil {
			t.Error(err)
		}
		if err := c.PutAs(ctx, "n", "2", note("2"), pep.AccessPresence); !errors.Is(err, pep.ErrPreconditionNotMet) {
			t.Errorf("error %v", err)
		}
		want("", note("1"))
		want("1", note("1"))
		want("2", "")
	})
}
