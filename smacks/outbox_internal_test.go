package smacks

import (
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Counters of a long stream wrap (XEP-0198 §4; smacks SM-25).
func TestOutboxWraps(t *testing.T) {
	t.Parallel()
	o := (&OutgoingOptions{}).withDefaults()
	b := &outbox{opt: &o, phase: on, queue: window{acked: 1<<32 - 3}}
	for range 5 {
		b.put(&mux.Item{Stanza: request}, false)
	}
	now := time.Now()
	for _, c := range []struct {
		h    string
		ok   bool
		left int
	}{
		{"4294967294", true, 4}, {"4294967293", false, 4}, {"3", false, 4}, {"0", true, 2}, {"4294967295", false, 2}, {"1", true, 1}, {"2", true, 0}, {"2", true, 0}, {"3", false, 0},
	} {
		if err := b.ack(c.h, now); (err == nil) != c.ok || b.queue.len() != c.left {
			t.Errorf("h=%s: %v, %d left", c.h, err, b.queue.len())
		}
	}
}

// FuzzOutbox has a peer say anything at any time: nothing is lost or given up twice,
// there is never more than one question, somebody is always due to act on what is kept,
// and a peer that acknowledges none of it has its time and no more.
func FuzzOutbox(f *testing.F) {
	f.Add("pe2s1p1sr9t", "0")
	f.Add("ppp1ef2", "4294967296")
	f.Add("eppppppa0a1a2a3t9t9t", "-")
	f.Add("ep0t0t0t0t0t0t0t0t0t", "0")
	stanzas := make([]*mux.Stanza, 0, 64)
	for range 64 {
		stanzas = append(stanzas, mux.Make(mux.Head{Kind: mux.Message}))
	}
	f.Fuzz(func(t *testing.T, script, h string) {
		opt := (&OutgoingOptions{MaxQueue: 8, AskAfter: 3}).withDefaults()
		b := &outbox{opt: &opt, phase: enabling}
		now := time.Unix(0, 0)
		put, acked := 0, 0
		var moved time.Time // when something was acknowledged last, or the first put
	all:
		for i := 0; i < len(script); i++ {
			before := b.queue.len()
			switch c := script[i]; {
			case c == 'p' && put < len(stanzas):
				it := mux.Item{Stanza: stanzas[put]}
				if !b.fits([]mux.Item{it}) {
					if before < 8 {
						t.Fatal("refused too early")
					}
					continue
				}
				if put++; b.phase == off {
					acked++ // written, which is all
				}
				b.put(&it, false)
			case c == 'e':
				b.enabled()
			case c == 'f':
				b.refused()
				acked += before - b.queue.len()
			case c == 'a':
				if b.ack(h, now) != nil {
					if b.queue.len() != before {
						t.Fatal("something of a wrong acknowledgement was believed")
					}
					continue
				}
				acked += before - b.queue.len()
			case c >= '0' && c <= '9':
				_ = b.ack(utoa(b.queue.acked+uint32(c-'0')), now)
				acked += before - b.queue.len()
			case c == 't':
				now = now.Add(11 * time.Second)
				switch due := b.tick(now); {
				case due == peerGone:
					break all
				case due == peerStuck:
					if now.Sub(moved) < opt.AckTimeout {
						t.Fatal("given up too early")
					}
					break all
				case before > 0 && now.Sub(moved) > opt.AckTimeout+opt.AskWithin+22*time.Second:
					t.Fatal("not given up")
				case due == askNow:
					if b.asked {
						t.Fatal("two questions")
					}
					b.ask(now)
				}
			}
			if n := b.queue.len(); n < before || before == 0 && n > 0 {
				moved = now
			}
			if b.wants(now) {
				if b.asked {
					t.Fatal("two questions")
				}
				b.ask(now)
			}
			if b.queue.len() > 0 && b.due.IsZero() {
				t.Fatal("nobody will ask")
			}
		}
		left := b.take()
		if acked+len(left) != put || b.queue.len() != 0 || b.queue.bytes != 0 {
			t.Fatalf("%d put, %d acknowledged, %d left", put, acked, len(left))
		}
		for i := range left {
			if left[i].item.Stanza != stanzas[acked+i] {
				t.Fatal("out of order")
			}
		}
	})
}
