package storetest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// suite submits writes and hears what became of them.
type suite struct {
	Store
	ended  chan result
	onEnd  func(batch uint64) // called with each notification; set before the first submission
	inside atomic.Bool        // a notification is under way
	twice  atomic.Bool        // there were two at once
}

// result is the end of one batch.
type result struct {
	batch uint64
	err   error
}

func start(s Store) *suite {
	st := &suite{Store: s, ended: make(chan result, 1<<14)} // more than any check submits
	if s.Committer != nil {
		s.Committer.Notify(func(batch uint64, err error) {
			if st.inside.Swap(true) {
				st.twice.Store(true)
			}
			st.ended <- result{batch, err}
			if st.onEnd != nil {
				st.onEnd(batch)
			}
			st.inside.Store(false)
		})
	}
	return st
}

// apply makes one batch of the writes and waits for its end.
func (s *suite) apply(t *testing.T, writes ...mux.Write) {
	t.Helper()
	if s.Committer == nil {
		for _, w := range writes {
			if err := w(t.Context(), nil); err != nil {
				t.Fatalf("write: %v", err)
			}
		}
		return
	}
	if err := s.wait(t, s.Committer.Submit(writes)); err != nil {
		t.Fatalf("batch: %v", err)
	}
}

// next waits for the end of a batch.
func (s *suite) next(t *testing.T) result {
	t.Helper()
	return await(t, s.ended, "the end of a batch")
}

// wait waits for the end of batch n, dropping those of others.
func (s *suite) wait(t *testing.T, n uint64) error {
	t.Helper()
	for {
		if r := s.next(t); r.batch >= n {
			return r.err // speaks for n too
		}
	}
}

// await waits for a channel.
func await[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// describe shortens data for messages.
func describe(all []mux.SavedSession) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "{%s %v %v %d:%.20q}", s.ID, s.JID, s.Until, len(s.Data), s.Data)
	}
	return "[" + b.String() + "]"
}
