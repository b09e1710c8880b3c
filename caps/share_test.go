package caps_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestShare: the resources of one domain keep half of the hashes in use, whether they were
// asked for or known from before; others have the rest.
func TestShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(caps.Memory)
		for k := range 3 { // as after a restart
			w := wants(fmt.Sprintf("urn:old%d", k))
			s := caps.Saved{Proto: caps.XEP0115, Algo: "sha-1", Value: verOf(t, w), Features: []string{fmt.Sprintf("urn:old%d+notify", k)}}
			if err := store.Save(s)(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		h := newRig(t, store, caps.Options{MaxEntries: 8, NewHashes: -1})
		h.AddAccount("juliet@example.net")
		bad, good := h.DialDomain(t, mux.Server, "friends.example"), h.DialDomain(t, mux.Server, "example.org")
		come := func(s *muxtest.Client, domain, from string, w string) string {
			t.Helper()
			s.Send(announce(from+"@"+domain+"/1", verOf(t, w)))
			for _, q := range h.Routed(domain) {
				s.Send(result(t, q, w))
			}
			switch got := h.take(); len(got) {
			case 0:
				return ""
			case 1:
				return got[0]
			default:
				t.Errorf("told %q", got)
				return ""
			}
		}
		known := func(from, node string) string { return "juliet: " + from + "/1 wants [" + node + "]" }
		for k := range 7 {
			node := fmt.Sprintf("urn:new%d", k)
			if k < 3 {
				node = fmt.Sprintf("urn:old%d", k)
			}
			want := known(fmt.Sprintf("c%d@friends.example", k), node)
			if k >= 4 {
				want = ""
			}
			if got := come(bad, "friends.example", fmt.Sprint("c", k), wants(node)); got != want {
				t.Errorf("%d: told %q, want %q", k, got, want)
			}
		}
		// What somebody else has costs nothing, and what one has left is free again.
		own := h.Connect(t, "romeo@example.net/1")
		own.Send(toAll(verOf(t, wants("urn:own"))))
		own.Send(result(t, own.Next(), wants("urn:own")))
		h.take()
		if got := come(bad, "friends.example", "c7", wants("urn:own")); got != known("c7@friends.example", "urn:own") {
			t.Errorf("told %q", got)
		}
		for k := range 2 {
			if got := come(good, "example.org", fmt.Sprint("friend", k), wants(fmt.Sprintf("urn:good%d", k))); got == "" {
				t.Errorf("the other domain has no room for its hash %d", k)
			}
		}
		bad.Send("<presence type='unavailable' from='c0@friends.example/1' to='juliet@example.net'/>")
		if got := h.take(); !slices.Equal(got, []string{known("c0@friends.example", "")}) {
			t.Errorf("told %q", got)
		}
		if got := come(bad, "friends.example", "c4", wants("urn:new4")); got != known("c4@friends.example", "urn:new4") {
			t.Errorf("told %q", got)
		}
		// Of a known hash too, there is no more than the share.
		if got := come(bad, "friends.example", "c8", wants("urn:old0")); got != "" {
			t.Errorf("told %q", got)
		}
		for k := range 2 { // our own have all that is left
			c := h.Connect(t, fmt.Sprintf("user%d@example.net/1", k))
			c.Send(toAll(verOf(t, wants(fmt.Sprint("urn:ours", k)))))
			for _, q := range c.Arrived() {
				c.Send(result(t, q, wants(fmt.Sprint("urn:ours", k))))
			}
			if got := h.take(); (len(got) == 1) != (k == 0) {
				t.Errorf("%d: told %q", k, got)
			}
		}
		if s := h.x.Stats(); s.Hashes != 8 {
			t.Errorf("%+v", s)
		}
	})
}
