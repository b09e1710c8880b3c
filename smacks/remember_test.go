package smacks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// look is a request that leaves nothing behind.
const look = "<iq type='get' id='look' to='example.net'><x xmlns='urn:x'/></iq>"

// answer is a stanza that leads to nothing at all, so it is finished at once.
const answer = "<iq type='result' id='nobody-asked'/>"

// acks are the acknowledgements that have come.
func acks(c *muxtest.Client) string {
	var list []string
	for _, el := range c.Arrived() {
		if strings.HasPrefix(el, "<a ") {
			_, h, _ := strings.Cut(el, " h='")
			h, _, _ = strings.Cut(h, "'")
			list = append(list, h)
		}
	}
	c.Clear()
	return strings.Join(list, " ")
}

// FI-28: what a client was told is handled stays so after a crash: else its counter
// would go back, and it would send once more what has arrived (smacks SM-96).
func TestFI28HandledNeverGoesBack(t *testing.T) {
	t.Parallel()
	headline := "<message to='juliet@example.net/nobody' type='headline'/>"
	for _, c := range []struct {
		name string
		sent []string
		h    string
	}{
		{"a request last", []string{headline, look}, "2"},
		{"requests alone", []string{look, look}, "2"},
		{"a message last", []string{look, headline}, "2"},
		{"what nobody can be sent to", []string{headline, "<iq type='get' id='1' to='@'><x xmlns='urn:x'/></iq>"}, "2"},
		{"answers", []string{"<iq type='result' id='1'/>", "<iq type='error' id='2' to='example.net'/>", "<presence type='probe' to='romeo@example.net'/>"}, "3"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			juliet, token := enabled(t, s.Host)
			juliet.Send(c.sent...)
			juliet.Send(ask)
			s.Settle()
			if got := acks(juliet); got != c.h {
				t.Errorf("%s: told %s, want %s", c.name, got, c.h)
			}
			for range 2 { // it has crashed, and once more
				s.open(t)
				juliet = resume(t, s.Host, token, "0")
				s.Settle()
				if got := juliet.Arrived()[0]; !strings.Contains(got, " h='"+c.h+"'") {
					t.Errorf("%s: told %s, then %s", c.name, c.h, got)
				}
			}
		})
	}
}

// Each question has its answer, as soon as the store knows what that says; one that is
// put over another connection does not wait for those of the last.
func TestToldWhenRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		juliet.Send(look)
		s.Settle()
		juliet.Clear()
		s.commits.Hold()
		juliet.Send(ask, ask)
		s.Settle()
		if got := acks(juliet); got != "" {
			t.Errorf("told %s before it was kept", got)
		}
		juliet.Send(look, ask) // which is not finished
		s.Settle()
		s.commits.Release()
		s.Settle()
		if got := acks(juliet); got != "1 1 1 2" {
			t.Errorf("told %s", got)
		}
		s.commits.Hold()
		juliet.Send(ask, ask)
		s.Settle()
		juliet.Drop()
		s.commits.Release()
		s.Settle()
		again := resume(t, s.Host, token, "0")
		s.Settle()
		if got := acks(again); got != "" {
			t.Errorf("told %s without a question", got)
		}
		again.Send(look, ask)
		s.Settle()
		if got := acks(again); got != "2 3" && got != "3" {
			t.Errorf("told %s", got)
		}
	})
}

// With what is noted anyway nothing more is written: a message and a question are one
// commit.
func TestToldWithoutWriting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, _ := enabled(t, s.Host)
		s.Settle()
		before := s.commits.Batches()
		for range 10 {
			juliet.Send("<message to='juliet@example.net/nobody' type='headline'/>", ask)
		}
		s.Settle()
		if n := s.commits.Batches() - before; n != 10 {
			t.Errorf("%d commits for ten messages", n)
		}
	})
}

// Who asks again, with nothing new behind what the store knows, costs no commit (smacks
// SM-33).
func TestToldAgainWithoutWriting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, _ := enabled(t, s.Host)
		juliet.Send(answer)
		s.Settle()
		before := s.commits.Batches()
		for range 5 {
			juliet.Send(ask)
			s.Settle()
		}
		if got := acks(juliet); got != "1 1 1 1 1" {
			t.Errorf("told %s", got)
		}
		if n := s.commits.Batches() - before; n != 1 {
			t.Errorf("%d commits for one stanza", n)
		}
	})
}

// A question that came while the store was told less than it is about waits for the
// next commit, and its answer says all (smacks SM-33).
func TestToldAllThatWasAskedAbout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, _ := enabled(t, s.Host)
		juliet.Send(answer)
		s.Settle()
		s.commits.Hold()
		juliet.Send(ask)
		s.Settle()
		juliet.Send(answer, ask)
		s.Settle()
		s.commits.Commit()
		s.Settle()
		if got := acks(juliet); got != "1" {
			t.Errorf("told %s by the first commit", got)
		}
		s.commits.Release()
		s.Settle()
		if got := acks(juliet); got != "2" {
			t.Errorf("told %s by the second", got)
		}
	})
}

// A commit that fails keeps nothing, so nobody is told; the next question tries again
// (smacks SM-28).
func TestNotToldByFailedCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		juliet.Send(answer)
		s.Settle()
		s.commits.Hold()
		juliet.Send(ask)
		s.Settle()
		s.commits.Fail(errors.New("disk full"))
		s.Settle()
		if got := acks(juliet); got != "" {
			t.Errorf("told %s of what is not kept", got)
		}
		s.commits.Release()
		juliet.Send(ask)
		s.Settle()
		if got := acks(juliet); got != "1 1" {
			t.Errorf("told %s", got)
		}
		s.open(t)
		resume(t, s.Host, token, "0").Expect(resumedWith(token, "1"), ask)
	})
}

// Nothing is noted for a session behind its end: that would be all that the store has of
// it, for ever (smacks INV-6).
func TestNothingIsNotedBehindTheEnd(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]func(s *site, juliet *muxtest.Client){
		"what is handled": func(s *site, juliet *muxtest.Client) {
			s.commits.Hold()
			juliet.Send(ask)
			s.Settle()
			juliet.Send(answer, ask) // waits for a second commit
			s.Settle()
			s.x.End(juliet.Session.ID())
			s.Settle()
			s.commits.Release()
		},
		"what is acknowledged": func(s *site, juliet *muxtest.Client) {
			juliet.Send(ack("1")) // to be noted soon
			s.Settle()
			s.x.End(juliet.Session.ID())
		},
		"what is acknowledged, just now": func(s *site, juliet *muxtest.Client) {
			gate := make(chan struct{})
			juliet.Send(ack("1"))
			s.Settle()
			s.Mux().Go(juliet.Session.Account(), func(context.Context, *mux.Event) { <-gate })
			s.x.End(juliet.Session.ID())
			time.Sleep(300 * time.Millisecond) // it is due, behind the end
			close(gate)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{})
				romeo := s.Connect(t, romeoFull)
				juliet, _ := enabled(t, s.Host)
				juliet.Send(answer)
				romeo.Send(chat("1"))
				s.Settle()
				late(s, juliet)
				time.Sleep(time.Second)
				s.Settle()
				juliet.Clear()
				romeo.Clear()
				saved, err := s.store.Load(t.Context(), time.Now())
				if err != nil || len(saved) != 1 || saved[0].Last == nil || saved[0].Counters != (smacks.Counters{}) || len(saved[0].Entries) > 0 {
					t.Errorf("kept: %+v, %v", saved, err)
				}
			})
		})
	}
}
