package smacks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// bulk is something long that a session can be fed, in pages, by request; and a
// message that leaves no trace in a Work.
type bulk struct{ page chan []string }

func (bulk) Name() string { return "bulk" }

func (x bulk) Register(r *mux.Registry) error {
	r.IQ(mux.AtSelf, stanza.GetIQ, xml.Name{Space: "urn:x", Local: "bulk"}, func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
		e.Session.Feed(func(ctx context.Context, emit func(mux.Item)) (bool, error) {
			select {
			case ids := <-x.page:
				for _, id := range ids {
					s, err := mux.Parse([]byte("<message to='" + julietFull + "' id='" + id + "'/>"))
					if err != nil {
						return false, err
					}
					emit(mux.Item{Stanza: s, Flags: mux.ArchiveResult})
				}
				return len(ids) > 0, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		})
		return nil, nil
	})
	return nil
}

const askBulk = "<iq type='get' id='bulk'><bulk xmlns='urn:x'/></iq>"

// What is sent behind something long has its number in the store before it is on
// the wire: after a crash the client gets it neither twice nor never.
func TestFI28CrashBehindFeed(t *testing.T) {
	for _, saved := range []bool{false, true} { // whether the session is saved while it is fed
		for h := range uint32(7) {
			t.Run(fmt.Sprint(saved, h), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					feed := bulk{make(chan []string)}
					s := newSite(t, smacks.Options{}, feed)
					romeo := s.Connect(t, romeoFull)
					p := newPhone(t, s)
					p.mute = true
					romeo.Send(chat("1"))
					p.c.Send(askBulk)
					feed.page <- []string{"f1", "f2"}
					romeo.Send(chat("2"))
					if saved {
						p.c.Send("<presence><show>away</show></presence>")
						s.Mux().Go(p.c.Session.Account(), func(_ context.Context, e *mux.Event) { e.Work.Save(p.c.Session) })
					}
					romeo.Send(chat("3"))
					feed.page <- nil
					s.Settle()
					all := p.c.Arrived()
					if n := strings.Count(strings.Join(all, ""), "<message"); n != 5 {
						t.Fatalf("%d messages: %q", n, all)
					}
					n := uint32(0)
					for n < h {
						p.take(p.c.Arrived()[0], new(bool))
						n = p.in
					}
					s.open(t)
					p.back(s)
					p.mute = false
					p.read()
					seen := map[string]int{}
					for _, id := range p.seen {
						seen[id]++
					}
					for _, id := range ids(1, 3) {
						if seen[id] != 1 {
							t.Errorf("message %s seen %d times: %q", id, seen[id], p.seen)
						}
					}
				})
			})
		}
	}
}

// A session that hibernates while it is fed, and then the process crashes.
func TestFI28CrashWhileFed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := bulk{make(chan []string)}
		s := newSite(t, smacks.Options{}, feed)
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		p.mute = true
		romeo.Send(chat("1"))
		p.c.Send(askBulk)
		feed.page <- []string{"f1", "f2", "f3"}
		romeo.Send(chats(2, 3)...)
		p.read() // 1 and the three
		p.c.Drop()
		romeo.Send(chat("4"))
		s.open(t)
		p.back(s)
		p.mute = false
		p.read()
		p.want("1", "f1", "f2", "f3", "bulk", "2", "3", "4")
	})
}

// Crashes one after another, in between a shutdown while nothing is known of what
// was sent.
func TestFI28CrashesInARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := bulk{make(chan []string)}
		s := newSite(t, smacks.Options{}, feed)
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		p.mute = true
		romeo.Send(chat("1"))
		p.c.Send(askBulk)
		feed.page <- []string{"f1", "f2"}
		feed.page <- nil
		s.Settle()
		romeo.Send(chat("2"))
		for p.in < 4 { // 1, f1, f2 and the answer; 2 is still to come
			p.take(p.c.Arrived()[0], new(bool))
		}
		s.open(t)
		romeo = s.Connect(t, romeoFull)
		romeo.Send(chat("3"))
		s.Restart(smacks.New(&s.store, &s.opt)) // nobody came back
		romeo = s.Connect(t, romeoFull)
		romeo.Send(chat("4"))
		p.back(s)
		p.c.Expect(resumedAny)
		p.take(p.c.Arrived()[0], new(bool)) // one more, then the next crash
		s.open(t)
		p.back(s)
		p.c.Expect(resumedAny)
		p.take(p.c.Arrived()[0], new(bool))
		p.c.Drop()
		s.open(t)
		p.mute = false
		p.back(s)
		p.read()
		p.want("1", "f1", "f2", "bulk", "2", "3", "4")
	})
}

// What comes between two crashes has no number yet, however many the client has got that
// left no trace: it is not taken for one of those.
func TestFI28CrashTwiceBeforeItComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := bulk{make(chan []string)}
		s := newSite(t, smacks.Options{}, feed)
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		p.mute = true
		romeo.Send(chat("1"))
		p.c.Send(askBulk)
		feed.page <- []string{"f1", "f2", "f3"}
		feed.page <- nil
		s.Settle()
		p.read()
		s.open(t)
		romeo = s.Connect(t, romeoFull)
		romeo.Send(chats(2, 3)...)
		s.Settle()
		s.open(t)
		p.mute = false
		p.back(s)
		p.read()
		p.want("1", "f1", "f2", "f3", "bulk", "2", "3")
	})
}

// Nothing of a take-over is on the wire before the store knows of it.
func TestFI28CrashDuringResumption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		romeo.Send(chats(1, 2)...)
		s.open(t)
		romeo = s.Connect(t, romeoFull)
		s.commits.Hold()
		p.back(s)
		romeo.Send(chat("3"))
		p.c.ExpectNone()
		s.open(t) // what was not committed never was: neither 3 nor the resumption
		p.back(s)
		p.read()
		p.want(ids(1, 2)...)
	})
}

// A stanza, what it leads to and that it counts are there together, or not at all.
func TestFI28CrashBetweenCommits(t *testing.T) {
	for _, committed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			romeo.Send("<presence/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			captured := muxtest.Captures{}
			romeo.ExpectWith(captured, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
			p := newPhone(t, s)
			s.commits.Hold()
			romeo.Send(chat("1"), ask)
			romeo.Expect(ack("0"))
			if committed {
				s.commits.Commit()
				s.Settle()
				romeo.Expect(ack("1"))
			}
			p.c.Clear()
			s.open(t)
			p.back(s)
			back := s.Dial(t, "romeo@example.net")
			back.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + captured["id"] + "' h='0'/>")
			if committed {
				back.Expect(resumedWith(captured["id"], "1"), ask)
			} else {
				back.Expect(resumedWith(captured["id"], "0"), ask)
				back.Send(chat("1")) // as the client does
			}
			p.read()
			p.want("1")
		})
	}
}

// The order of commits is that of the stanzas, so that what counts is always all up
// to one.
func TestFI28SlowStanzaBeforeFastOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newSite(t, smacks.Options{}, slowArrival{gate})
		p := newPhone(t, s)
		romeo := s.Connect(t, romeoFull)
		p.c.Send("<message to='mercutio@example.net' id='slow'/>", "<message to='"+romeoFull+"' id='fast'/>", ask)
		p.c.Expect(ack("0"))
		s.open(t)
		p.back(s)
		p.c.Expect(resumedWith(p.token, "0"), ask)
		romeo.Clear()
		close(gate)
	})
}

// slowArrival lets messages for mercutio wait.
type slowArrival struct{ gate chan struct{} }

func (slowArrival) Name() string { return "slow" }

func (x slowArrival) Register(r *mux.Registry) error {
	mercutio := mux.MustParseAddress("mercutio@example.net")
	r.Guard(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if e.Account == mercutio {
			<-x.gate
		}
		return mux.Pass, nil
	}, mux.BlocksIf(func(e *mux.Event) bool { return e.Account == mercutio }), mux.Unknown())
	return nil
}

func TestFI28FailedCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		p := newPhone(t, s)
		romeo := s.Connect(t, romeoFull)
		s.commits.Fail(errors.New("disk full"))
		romeo.Send(chat("1"))
		romeo.ExpectClosed("internal-server-error")
		p.c.ExpectClosed("internal-server-error") // it could not be restored as it is
		s.open(t)
		p.back(s)
		p.c.ExpectWith(nil, "<failed xmlns='urn:xmpp:sm:3' h='0'>{*}</failed>")
	})
}

// A session that is told of its end while it waits, restored or not, ends once.
func TestFI27Restart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := bulk{make(chan []string)}
		s := newSite(t, smacks.Options{}, feed)
		romeo := s.Connect(t, romeoFull)
		live, waiting := newPhone(t, s), &phone{t: t}
		other := s.Connect(t, "juliet@example.net/garden")
		other.Send("<enable xmlns='urn:xmpp:sm:3' resume='1'/>")
		captured := muxtest.Captures{}
		other.ExpectWith(captured, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
		waiting.c, waiting.token = other, captured["id"]
		other.Drop()
		to := func(id string) string { return strings.Replace(chat(id), "balcony", "garden", 1) }
		romeo.Send(chat("1"), to("2"))
		live.c.Send(askBulk)
		feed.page <- []string{"f1"}
		romeo.Send(chat("3")) // waits behind the feed
		time.Sleep(time.Minute)
		s.x = smacks.New(&s.store, &s.opt)
		s.Restart(s.x)
		live.c.Clear()
		if n := s.x.Stats(); n.Waiting != 2 || n.Restored != 2 {
			t.Errorf("got %+v", n)
		}
		live.back(s)
		live.read()
		live.want("1", "f1", "bulk", "3")
		time.Sleep(8*time.Minute + 59*time.Second) // of the window a minute is gone
		waiting.back(s)
		waiting.read()
		waiting.want("2")
		romeo = s.Connect(t, romeoFull)
		waiting.c.Drop()
		romeo.Send(to("4"))
		s.Restart(smacks.New(&s.store, &s.opt))
		time.Sleep(time.Hour)
		s.Settle()
		if n := len(s.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		waiting.back(s)
		waiting.c.Expect(known("0"))
	})
}

// fanOut sends a copy of each message for juliet on to mercutio, in the same Work.
type fanOut struct{}

func (fanOut) Name() string { return "fan-out" }

func (fanOut) Register(r *mux.Registry) error {
	mercutio := mux.MustParseAddress("mercutio@example.net")
	r.Observe(mux.ToAccount, mux.Message, func(ctx context.Context, e *mux.Event) {
		if e.Account != mercutio {
			e.SendItem(ctx, mux.Item{Stanza: e.Stanza, To: mercutio})
		}
	})
	return nil
}

// A session is saved while the Work of a stanza that it has is still open: the store
// has the stanza once, wherever the writes come from.
func TestSavedWhileWorkIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newSite(t, smacks.Options{}, slowArrival{gate}, fanOut{})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		juliet.Session.Put(mux.Item{Stanza: must(t, "<message id='untraced'/>")})
		romeo.Send(chat("1")) // waits for mercutio
		juliet.Clear()
		juliet.Drop() // and the session is saved
		close(gate)
		s.Settle()
		saved, err := s.store.Load(t.Context(), time.Now())
		if err != nil || len(saved) != 1 || len(saved[0].Entries) != 2 {
			t.Errorf("kept: %+v, %v", saved, err)
		}
		romeo.Clear()
	})
}

// What was acknowledged is known to have arrived after a crash, also if only what the
// client sent next said so to the store, or asked, or what it was sent; whether it comes
// back or not.
func TestFI28CrashBehindAcknowledgement(t *testing.T) {
	t.Parallel()
	for _, next := range [][]string{{"<message to='romeo@example.net/orchard'/>"}, {answer, ask}, nil, {}} {
		for _, back := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{})
				romeo := s.Connect(t, romeoFull)
				juliet, token := enabled(t, s.Host)
				romeo.Send(chats(1, 3)...)
				juliet.Expect(got("1"), ask, got("2"), got("3"))
				juliet.Send(ack("2"))
				switch {
				case next == nil:
					romeo.Send("<message to='" + julietFull + "' type='headline'/>")
				case len(next) == 0:
					time.Sleep(time.Second) // then it is noted by itself
				}
				juliet.Send(next...)
				s.Settle()
				romeo.Clear()
				juliet.Clear()
				s.open(t)
				romeo = s.Connect(t, romeoFull)
				if back {
					resume(t, s.Host, token, "2").Clear()
					time.Sleep(time.Second)
					want := 1
					if next == nil {
						want++ // the headline
					}
					saved, err := s.store.Load(t.Context(), time.Now())
					if err != nil || len(saved) != 1 || len(saved[0].Entries) != want || saved[0].Counters.Acked != 2 {
						t.Errorf("%q: kept %+v, %v", next, saved, err)
					}
					return
				}
				s.Connect(t, julietFull)
				romeo.Expect("<message type='error' id='3' from='" + julietFull + "' to='" + romeoFull + "'>{*}</message>")
				romeo.ExpectNone()
				if n := s.x.Stats(); n.Queued != 0 {
					t.Errorf("%d stanzas are kept", n.Queued)
				}
			})
		}
	}
}

// What the store has of sessions that nobody knows is forgotten at the next start.
func TestNobodysIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		nobody := mux.SessionID{1, 2, 3}.String()
		for _, w := range []mux.Write{s.store.Note(nobody, smacks.Counters{Handled: 1}), s.store.Note("no id", smacks.Counters{Handled: 1})} {
			if err := w(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		_, token := enabled(t, s.Host)
		s.Settle()
		s.open(t)
		saved, err := s.store.Load(t.Context(), time.Now())
		if err != nil || len(saved) != 1 {
			t.Errorf("kept: %+v, %v", saved, err)
		}
		resume(t, s.Host, token, "0").Expect(resumedWith(token, "0"), ask)
	})
}

// Who was cut before its wish to enable it came round has not enabled it: its session
// ends with its connection (smacks SM-56).
func TestCutBeforeEnableComesRound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet := s.Connect(t, julietFull)
		session, gate := juliet.Session, make(chan struct{})
		s.Mux().Go(session.Account(), func(context.Context, *mux.Event) { <-gate })
		s.Settle()
		juliet.Write("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.Settle()
		juliet.Drop()
		s.Settle()
		close(gate)
		s.Settle()
		if session.State() <= mux.Hibernating {
			t.Errorf("it is %v", session.State())
		}
	})
}

// safe keeps durably what nobody took.
type safe struct{ ids []string }

func (*safe) Name() string { return "safe" }

func (x *safe) Register(r *mux.Registry) error {
	r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		id := e.Stanza.ID()
		e.Work.Write(func(context.Context, mux.Tx) error {
			x.ids = append(x.ids, id)
			return nil
		})
		return mux.Done, nil
	})
	return nil
}

// A session ends while what it was sent is being committed, and then the process
// crashes, after any commit: it is disposed of together with the end of the session, or
// the session is still there.
func TestFI28CrashAtEndOfSession(t *testing.T) {
	for commits := range 4 {
		synctest.Test(t, func(t *testing.T) {
			kept := new(safe)
			s := newSite(t, smacks.Options{}, kept)
			romeo := s.Connect(t, romeoFull)
			juliet, _ := enabled(t, s.Host)
			s.Settle()
			s.commits.Hold()
			old := s.commits
			romeo.Send(chat("1"))
			s.x.End(juliet.Session.ID())
			s.Settle()
			for range commits {
				s.commits.Commit()
				s.Settle()
			}
			s.open(t)
			time.Sleep(601 * time.Second)
			s.Settle()
			if n := len(kept.ids); n != min(commits, 1) {
				t.Errorf("after %d commits the message is kept %d times", commits, n)
			}
			old.Release()
		})
	}
}
