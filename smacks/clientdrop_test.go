package smacks_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

// What is decided if nobody else does: chat and normal messages are sent again, the rest
// fails (API-5).
func TestResendMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, typ string
		want      smacks.Action
	}{
		{"message", "", smacks.Resend}, {"message", "normal", smacks.Resend}, {"message", "chat", smacks.Resend},
		{"message", "groupchat", smacks.Fail}, {"message", "headline", smacks.Fail}, {"message", "error", smacks.Fail},
		{"presence", "", smacks.Fail}, {"presence", "unavailable", smacks.Fail},
		{"iq", "get", smacks.Fail}, {"iq", "set", smacks.Fail}, {"iq", "result", smacks.Fail},
	} {
		if got := smacks.ResendMessages(smacks.Pending{Kind: c.kind, Type: c.typ}); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.kind, c.typ, got, c.want)
		}
	}
}

// dropper notes what a client says about stanzas, in order.
type dropper struct {
	mu  sync.Mutex
	all []string
}

func (d *dropper) note(what string, ids ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, what+" "+strings.Join(ids, " "))
}

func idsOf(list []smacks.Pending) (ids []string) {
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

// Each stanza that was not acknowledged is decided about, in order, when what failed says
// is handled has been taken out; and until the next session has begun a saved state still
// has all of them (API-5, API-2).
func TestClientActions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := new(dropper)
		var u *user
		u = newUser(t, smacks.ClientOptions{
			OnAcked:  func(list []smacks.Pending) { d.note("acknowledged", idsOf(list)...) },
			OnFailed: func(list []smacks.Pending) { d.note("failed", idsOf(list)...) },
			OnDropped: func(p smacks.Pending) smacks.Action {
				d.note("dropped", p.ID)
				state := u.State() // no lock is held
				if state == nil || state.Token != "" || !slices.Equal(idsOf(state.Unacked), []string{"2", "3", "4", "5", "6"}) {
					t.Errorf("while %s is dropped the state is %+v", p.ID, state)
				}
				if err := u.Send(t.Context(), stanza.Message{}.Wrap(nil)); err == nil {
					t.Error("it is sent in no session")
				}
				switch p.ID {
				case "2", "5":
					return smacks.Resend
				case "3":
					return smacks.Discard
				}
				return smacks.Fail
			},
		})
		u.begins("tok")
		done := make(map[string]<-chan error)
		for _, id := range []string{"1", "2", "3", "4"} {
			done[id] = begun(func() error { return u.SendAcked(t.Context(), stanza.Message{ID: id}.Wrap(nil)) })
		}
		time.Sleep(time.Minute) // nobody answers, and it connects again
		s := u.net.last()
		s.want("<resume ")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		s.want("1", "2", "3", "4")
		u.net.setDown(true)
		_ = s.c.Close()
		synctest.Wait()
		u.send("5", "6")
		u.net.setDown(false)
		time.Sleep(5 * time.Second)
		s = u.net.last()
		s.want("<resume ")
		s.say("<failed xmlns='urn:xmpp:sm:3' h='1'/>")
		s.binds("new")
		u.connects()
		got := s.take()
		if strings.Count(got, "<message ") != 2 || !strings.Contains(got, "'2'") || strings.Index(got, "'2'") > strings.Index(got, "'5'") || strings.Count(got, "<delay ") != 2 {
			t.Errorf("sent again: %s", got)
		}
		is(t, "1", <-done["1"], nil)
		is(t, "3", <-done["3"], smacks.ErrDropped)
		is(t, "4", <-done["4"], smacks.ErrDropped)
		open(t, "2", done["2"])
		if p := u.Pending(); !slices.Equal(idsOf(p), []string{"2", "5"}) || p[0].Attempts != 3 || p[1].Attempts != 1 || !p[0].Since.Before(p[1].Since) {
			t.Errorf("pending are %+v", p)
		}
		s.say(told("2"))
		is(t, "2", <-done["2"], nil)
		synctest.Wait()
		slices.SortStableFunc(d.all, func(a, b string) int { // those of either goroutine in their order
			return strings.Compare(a[:1], b[:1])
		})
		want := []string{"acknowledged 1", "acknowledged 2 5", "dropped 2", "dropped 3", "dropped 4", "dropped 5", "dropped 6", "failed 4 6"}
		if !slices.Equal(d.all, want) {
			t.Errorf("got %q, want %q", d.all, want)
		}
	})
}

// What was not acknowledged in a session that cannot be resumed outlives the process as
// well, by its state.
func TestClientUnackedOverProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		u.send("1")
		s.say("</stream:stream>")
		<-u.served
		state := u.State()
		if state == nil || state.Token != "" || len(state.Unacked) != 1 {
			t.Fatalf("state is %+v", state)
		}
		v := newUser(t, smacks.ClientOptions{State: state})
		s = v.begins("new")
		s.want("id='1'", "<delay ")
		v.check("events", &v.events, "started")
	})
}

// Who is told of acknowledgements may send, and is told in order; no lock is held
// (API-4).
func TestClientOnAckedSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var u *user
		more := []string{"3", "4"}
		u = newUser(t, smacks.ClientOptions{MaxQueue: 2, OnAcked: func(list []smacks.Pending) {
			if len(more) > 0 {
				u.send(more[0])
				more = more[1:]
				if err := u.Send(t.Context(), stanza.Message{ID: "+" + list[0].ID}.Wrap(nil)); err != nil {
					t.Error(err)
				}
			}
		}})
		s := u.begins("tok")
		u.send("1", "2")
		s.say(told("1")) // there is room for one of what follows, and reading goes on
		s.want("2", "3")
		s.say(told("2"))
		s.want("+1")
		s.say(told("3"))
		s.say(told("4"))
		s.want("4", "+2")
		s.say(told("6"))
		u.check("acknowledged", &u.acked, "1", "2", "3", "+1", "4", "+2")
	})
}
