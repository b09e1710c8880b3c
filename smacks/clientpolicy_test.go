package smacks_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

// What the ready policies say (API-6).
func TestAckPolicies(t *testing.T) {
	t.Parallel()
	const never = time.Duration(-1)
	for _, c := range []struct {
		name string
		p    smacks.AckPolicy
		want []time.Duration // for 0, 1, 2 and 5 stanzas, the first of them 3 s ago
	}{
		{"each", smacks.AskEach(), []time.Duration{never, 0, 0, 0}},
		{"every 2", smacks.AskEvery(2), []time.Duration{never, never, 0, 0}},
		{"every 0", smacks.AskEvery(0), []time.Duration{never, 0, 0, 0}},
		{"within 5 s", smacks.AskWithin(5 * time.Second), []time.Duration{5 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}},
		{"within 1 s", smacks.AskWithin(time.Second), []time.Duration{time.Second, 0, 0, 0}},
		{"never", smacks.AskNever(), []time.Duration{never, never, never, never}},
		{"first", smacks.AskFirst(smacks.AskNever(), smacks.AskEvery(5), smacks.AskWithin(4*time.Second), smacks.AskWithin(time.Hour)),
			[]time.Duration{4 * time.Second, time.Second, time.Second, 0}},
		{"first of none", smacks.AskFirst(), []time.Duration{never, never, never, never}},
	} {
		var got []time.Duration
		for _, n := range []int{0, 1, 2, 5} {
			u := smacks.Unasked{Count: n, Unacked: n + 1}
			if n > 0 {
				u.Age = 3 * time.Second
			}
			got = append(got, c.p.Ask(u))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// When a client asks, by each policy and by default.
func TestClientAckPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy smacks.AckPolicy
		send   int
		now    bool          // asks behind the last one
		later  time.Duration // asks then
	}{
		{"default", nil, 4, false, 5 * time.Second},
		{"default", nil, 5, true, 0},
		{"each", smacks.AskEach(), 1, true, 0},
		{"every 3", smacks.AskEvery(3), 2, false, 5 * time.Minute}, // the probe
		{"every 3", smacks.AskEvery(3), 3, true, 0},
		{"within", smacks.AskWithin(time.Minute), 20, false, time.Minute},
		{"never", smacks.AskNever(), 99, false, 5 * time.Minute},
		{"never, at the bound", smacks.AskNever(), 101, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{AckPolicy: c.policy, MaxQueue: 100})
				s := u.begins("tok")
				go func() {
					for range c.send {
						_ = u.session.Send(t.Context(), stanza.Message{}.Wrap(nil)) // the last may wait
					}
				}()
				got := s.take()
				if now := strings.HasSuffix(got, askedFor); now != c.now || strings.Count(got, "<r ") > 1 {
					t.Errorf("asks %v: %s", now, got)
				}
				if c.now {
					return
				}
				time.Sleep(c.later - time.Millisecond)
				s.want()
				time.Sleep(time.Millisecond)
				if got := s.take(); got != askedFor {
					t.Errorf("says %q", got)
				}
			})
		})
	}
}

// asks is a policy that looks at the client, which holds no lock meanwhile, and at what it
// is asked about: it wants to know of messages.
type asks struct {
	u    **user
	seen []smacks.Unasked
}

func (a *asks) Ask(u smacks.Unasked) time.Duration {
	a.seen = append(a.seen, u)
	c := *a.u
	if len(c.Pending()) != u.Unacked || c.State() == nil {
		c.t.Errorf("asked about %+v, pending are %v", u, c.Pending())
	}
	if u.Last.Kind == "message" && u.Count > 0 {
		return 0
	}
	return -1
}

// A policy of the application's own is asked behind each stanza and each answer that is not
// about all, not while a question is open.
func TestClientAckPolicyOfOnesOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var u *user
		p := &asks{u: &u}
		u = newUser(t, smacks.ClientOptions{AckPolicy: p})
		s := u.begins("tok")
		send := func(r stanza.Presence) {
			if err := u.Send(t.Context(), r.Wrap(nil)); err != nil {
				t.Fatal(err)
			}
		}
		send(stanza.Presence{})
		time.Sleep(time.Second)
		if got := s.take(); strings.Contains(got, "<r ") {
			t.Errorf("asks behind presence: %s", got)
		}
		u.send("1")
		s.want("id=\"1\"", askedFor)
		send(stanza.Presence{}) // is not asked about
		s.say(told("1"))
		s.say(told("3"))
		var counts, ages []int
		for _, a := range p.seen {
			counts, ages = append(counts, a.Count), append(ages, int(a.Age/time.Second))
		}
		if !slices.Equal(counts, []int{1, 2, 1}) || !slices.Equal(ages, []int{0, 1, 0}) {
			t.Errorf("was asked with %v, after %v s", counts, ages)
		}
	})
}

type wishes []time.Duration

func (w *wishes) Ask(smacks.Unasked) time.Duration {
	d := (*w)[0]
	*w = (*w)[1:]
	return d
}

// The earliest wish of a policy counts, until it is fulfilled.
func TestClientAckPolicyWishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{AckPolicy: &wishes{3 * time.Second, 2 * time.Second, 10 * time.Second, -1, 4 * time.Second}})
		s := u.begins("tok")
		u.send("1", "2", "3", "4")
		s.want("1", "4")
		time.Sleep(2*time.Second - time.Millisecond)
		s.want()
		time.Sleep(time.Millisecond)
		s.want(askedFor)
		s.say(told("4"))
		u.send("5")
		s.want("5")
		time.Sleep(4 * time.Second)
		s.want(askedFor)
	})
}

// A server that answers and does not acknowledge all is asked again, but not at once
// (smacks SM-39), and by who waits for it whatever the policy.
func TestClientAskedAgain(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := smacks.ClientOptions{}
			if waits {
				o.AckPolicy = smacks.AskNever()
			}
			u := newUser(t, o)
			s := u.begins("tok")
			u.send("1", "2", "3", "4", "5")
			if waits {
				go func() { _ = u.RequestAck(t.Context()) }()
			}
			s.want("5", askedFor)
			s.say(told("4"))
			s.want()
			time.Sleep(5*time.Second - time.Millisecond)
			s.want()
			time.Sleep(time.Millisecond)
			s.want(askedFor)
			s.say(told("5"))
		})
	}
}

// SendAck tells what is handled, unasked (API-6).
func TestClientSendAck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		u.SendAck() // to nobody
		s := u.begins("tok")
		s.say("<message id='a'/>")
		s.want()
		u.SendAck()
		if got := s.take(); got != told("1") {
			t.Errorf("says %s", got)
		}
		u.net.setDown(true)
		_ = s.c.Close()
		synctest.Wait()
		u.SendAck()
	})
}

// Without acknowledgements there is none to ask for, and no probe.
func TestClientRequestAckWithout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		if err := u.RequestAck(t.Context()); !errors.Is(err, smacks.ErrNoSession) {
			t.Errorf("RequestAck: %v", err)
		}
		u.net.plain = true
		s := u.begins("")
		if err := u.RequestAck(t.Context()); !errors.Is(err, smacks.ErrOff) {
			t.Errorf("RequestAck: %v", err)
		}
		u.SendAck()
		s.want()
	})
}

// A server is not given up for an answer that is not read because the application does not
// read (smacks SM-42), and is for one that does not come behind that.
func TestClientAckTimeoutWhileNotReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		busy := make(chan struct{})
		free := sync.OnceFunc(func() { close(busy) })
		defer free()
		u.mu.Lock()
		u.busy = busy
		u.mu.Unlock()
		u.send("1", "2", "3", "4", "5")
		s.want("5", askedFor)
		s.say("<message id='a'/>")
		big := "<message id='b'><body>" + strings.Repeat("x", 1<<20) + "</body></message>"
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = s.c.Write([]byte(strings.Repeat(big, 6) + "<message id='c'/>")) // as long as it is read
		}()
		time.Sleep(10 * time.Minute)
		if u.net.last() != s {
			t.Fatal("the connection was given up")
		}
		u.mu.Lock()
		u.busy = nil
		u.mu.Unlock()
		free()
		<-answered
		time.Sleep(30*time.Second + time.Millisecond)
		if u.net.last() == s {
			t.Fatal("the connection was not given up")
		}
	})
}
