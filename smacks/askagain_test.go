package smacks_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// questions is how many have come since it was last called.
func questions(s *site, c *muxtest.Client) int {
	s.Settle()
	defer c.Clear()
	return strings.Count(strings.Join(c.Arrived(), ""), "<r ")
}

// expectAfter expects a question in just so long, and none before.
func expectAfter(t *testing.T, s *site, c *muxtest.Client, d time.Duration) {
	t.Helper()
	time.Sleep(d - time.Millisecond)
	synctest.Wait()
	if n := questions(s, c); n != 0 {
		t.Errorf("asked %d times before %v", n, d)
	}
	time.Sleep(time.Millisecond)
	synctest.Wait()
	if n := questions(s, c); n != 1 {
		t.Errorf("asked %d times after %v", n, d)
	}
}

// directed is presence of romeo's for juliet.
const directed = "<presence to='" + julietFull + "'/>"

// Near the bound in octets a client is asked as it is near that in stanzas (smacks SM-41).
func TestAskedBeforeLimitOfOctets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{AskAfter: 1000, MaxBytes: 40 << 10})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		long := func(id int) string {
			return strings.Replace(chat(fmt.Sprint(id)), "<body>", "<body>"+strings.Repeat("x", 4<<10), 1)
		}
		for i, want := range []int{1, 0, 0, 1} {
			romeo.Send(long(i + 1))
			if n := questions(s, juliet); n != want {
				t.Errorf("asked %d times with %d, want %d", n, i+1, want)
			}
			if i == 0 {
				juliet.Send(ack("1"))
			}
		}
	})
}

// Near the bound an answer leads to the next question at once, if something was sent
// behind the last one, and else soon if the client gets on; far from it, later (smacks
// SM-39, SM-41).
func TestAskedAgainAfterAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{AskAfter: 1000, MaxQueue: 40})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		romeo.Send(chats(1, 30)...)
		if n := questions(s, juliet); n != 1 {
			t.Errorf("asked %d times with the first", n)
		}
		juliet.Send(ack("1"))
		if n := questions(s, juliet); n != 1 {
			t.Errorf("asked %d times behind its answer", n)
		}
		juliet.Send(ack("5"))
		expectAfter(t, s, juliet, 500*time.Millisecond)
		juliet.Send(ack("28"))
		expectAfter(t, s, juliet, 10*time.Second)
		juliet.Send(ack("30"))
		time.Sleep(time.Minute)
		juliet.ExpectNone()
	})
}

// A client that acknowledges more than it was asked about is asked about what comes then
// as about what came before; and not at all about what it has acknowledged unasked (smacks
// SM-39, SM-40).
func TestAskedAfterMoreWasAcknowledged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		romeo.Send(directed, directed) // the first takes the question along
		juliet.Clear()
		juliet.Send(ack("2"))
		romeo.Send(directed)
		expectAfter(t, s, juliet, 10*time.Second)
		juliet.Send(ack("3"))
		romeo.Send(directed)
		if n := questions(s, juliet); n != 0 {
			t.Errorf("asked %d times", n)
		}
		juliet.Send(ack("4")) // unasked
		time.Sleep(time.Minute)
		if n := questions(s, juliet); n != 0 {
			t.Errorf("asked %d times about nothing", n)
		}
	})
}

// What services of the account send in messages is not asked about as soon as what people
// write: nobody gets a notification twice (smacks SM-40).
func TestNotificationsAskedAboutLater(t *testing.T) {
	t.Parallel()
	for flags, after := range map[mux.Flags]time.Duration{0: 500 * time.Millisecond, mux.Service: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			juliet, _ := enabled(t, s.Host)
			send := func() {
				m := parsed(t, "<message from='juliet@example.net' to='"+julietFull+"'><event xmlns='urn:x'/></message>")
				s.Mux().Go(juliet.Session.Account(), func(_ context.Context, e *mux.Event) {
					e.Deliver(mux.Item{Stanza: m, Flags: flags}, juliet.Session)
				})
				s.Settle()
			}
			send() // takes the question along
			juliet.Clear()
			juliet.Send(ack("1"))
			send()
			expectAfter(t, s, juliet, after)
		})
	}
}

// Questions that go with many stanzas do not count against those that are put soon, and
// however many were put alone, with time they may be put soon again (smacks SM-40).
func TestSoonAgain(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(romeo, juliet *muxtest.Client, answer func()){
		"nothing": func(_, _ *muxtest.Client, _ func()) {},
		"many stanzas": func(romeo, _ *muxtest.Client, answer func()) {
			for range 9 {
				for range 10 {
					romeo.Send(directed)
				}
				answer()
				time.Sleep(100 * time.Millisecond)
			}
		},
		"many questions": func(_, juliet *muxtest.Client, answer func()) {
			for range 30 {
				juliet.Session.Ask()
				answer()
			}
			time.Sleep(20 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{})
				romeo := s.Connect(t, romeoFull)
				juliet, _ := enabled(t, s.Host)
				n := 0
				answer := func() {
					s.Settle()
					for _, el := range juliet.Arrived() {
						if !strings.HasPrefix(el, "<r ") {
							n++
						}
					}
					juliet.Clear()
					juliet.Send(ack(fmt.Sprint(n)))
				}
				before(romeo, juliet, answer)
				romeo.Send(chat("1"))
				answer()
				romeo.Send(chat("2"))
				n++
				juliet.Clear()
				expectAfter(t, s, juliet, 500*time.Millisecond)
			})
		})
	}
}

// Who asks while a question is out has the next one put behind the answer, once (smacks
// SM-39).
func TestProbeWhileAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		romeo.Send(chats(1, 2)...)
		juliet.Clear()
		juliet.Session.Ask()
		if n := questions(s, juliet); n != 0 {
			t.Errorf("asked %d times while a question was out", n)
		}
		juliet.Send(ack("1"))
		if n := questions(s, juliet); n != 1 {
			t.Errorf("asked %d times behind the answer", n)
		}
		romeo.Send(chat("3"))
		juliet.Send(ack("1"))
		if n := questions(s, juliet); n != 0 {
			t.Errorf("asked %d times behind the next answer", n)
		}
	})
}

// Who is given up before an acknowledgement would be overdue is given up in time, and
// nobody is told that it is (smacks SM-42, SM-45).
func TestGivenUpBeforeOverdue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []smacks.NoticeKind
		s := newSite(t, smacks.Options{AckTimeout: 20 * time.Second, OverdueAfter: time.Minute, Notify: func(_ context.Context, _ *mux.Event, n smacks.Notice) {
			told = append(told, n.Kind)
		}})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		romeo.Send(chat("1"))
		time.Sleep(20 * time.Second)
		s.Settle()
		if n := s.x.Stats(); n.Timeouts != 1 {
			t.Errorf("given up %d times", n.Timeouts)
		}
		time.Sleep(2 * time.Minute)
		s.Settle()
		if fmt.Sprint(told) != fmt.Sprint([]smacks.NoticeKind{smacks.NoticeWaits}) {
			t.Errorf("told %v", told)
		}
		juliet.Clear()
	})
}
