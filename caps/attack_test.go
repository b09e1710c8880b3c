package caps_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
)

// TestFalseAnswers: who does not answer, or for whom others do, or under another id, has no
// interest, and is not asked with each presence; the next with that hash is (pep S-14).
func TestFalseAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		h.AddAccount("juliet@example.net")
		org := h.DialDomain(t, mux.Server, "friends.example")
		says := wants("urn:a")
		ver := verOf(t, says)
		one := announce("one@friends.example/1", ver)
		org.Send(one)
		asked := h.Routed("friends.example")
		if len(asked) != 1 {
			t.Fatalf("%d queries", len(asked))
		}
		right := result(t, asked[0], says)
		id := parse(t, asked[0]).ID()
		for _, wrong := range []string{
			strings.Replace(right, "one@friends.example/1", "one@friends.example/2", 1),
			strings.Replace(right, "one@friends.example/1", "one@friends.example", 1),
			strings.Replace(right, "one@friends.example/1", "other@friends.example/1", 1),
			strings.Replace(right, id, "guessed", 1),
			strings.Replace(right, id, strings.ToLower(id), 1),
		} {
			org.Send(wrong, one)
		}
		h.want(t)
		h.ExpectRouted("friends.example")
		org.Send(announce("two@friends.example/1", ver)) // waits
		time.Sleep(time.Minute)
		h.Settle()
		asked = h.Routed("friends.example")
		if len(asked) != 1 || parse(t, asked[0]).To().String() != "two@friends.example/1" {
			t.Fatalf("then %q is asked", asked)
		}
		org.Send(right) // too late
		h.want(t)
		time.Sleep(time.Minute)
		for range 5 {
			org.Send(one, strings.Replace(one, "</presence>", "<show>away</show></presence>", 1))
		}
		h.ExpectRouted("friends.example")
		if s := h.x.Stats(); s.Asking != 0 || s.Hashes != 0 {
			t.Errorf("left: %+v", s)
		}
		h.want(t)
	})
}

// TestFlood: one domain announces five thousand hashes in a minute, with answers as large as
// can be, or larger; what is kept is bounded, and others are served (pep S-15).
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bound = 4 << 20
		h := newRig(t, nil, caps.Options{MaxBytes: bound})
		h.AddAccount("juliet@example.net")
		bad, good := h.DialDomain(t, mux.Server, "friends.example"), h.DialDomain(t, mux.Server, "example.org")
		big := func(k, size int) string {
			return wants(fmt.Sprintf("urn:%d:%s", k, strings.Repeat("x", 900))) + strings.Repeat("<feature var='"+strings.Repeat("y", 900)+"'/>", size)
		}
		answered := 0
		for k := range 5000 {
			size := 30 // some 30 KiB
			if k%2 == 1 {
				size = 80 // too large
			}
			bad.Write(announce(fmt.Sprintf("c%d@friends.example/1", k), fmt.Sprintf("%d=", k)))
			if k%100 > 0 {
				continue
			}
			time.Sleep(time.Minute / 50)
			h.Settle()
			for _, q := range h.Routed("friends.example") {
				answered++
				bad.Write(result(t, q, big(k, size)))
			}
			h.Settle()
			if s := h.x.Stats(); s.Bytes > bound || s.Resources > 1000 {
				t.Fatalf("after %d: %+v", k, s)
			}
		}
		if answered < 100 || answered > 350 {
			t.Errorf("%d queries", answered)
		}
		says := wants("urn:a")
		good.Send(announce("friend@example.org/1", verOf(t, says)))
		asked := h.Routed("example.org")
		if len(asked) != 1 {
			t.Fatalf("example.org gets %q", asked)
		}
		h.take()
		good.Send(result(t, asked[0], says))
		h.want(t, "juliet: friend@example.org/1 wants [urn:a]")
	})
}
