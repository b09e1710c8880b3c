package smacks_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

const (
	romeoFull  = "romeo@example.net/orchard"
	julietFull = "juliet@example.net/balcony"
	ask        = "<r xmlns='urn:xmpp:sm:3'/>"
)

// site is a host with Stream Management whose stores outlive it.
type site struct {
	*muxtest.Host
	sessions mux.MemorySessions
	store    smacks.Memory
	opt      smacks.Options
	commits  *muxtest.Committer
	x        *smacks.Extension
	more     []mux.Extension
	ahead    atomic.Int64 // of the clock on the wall
	log      *slog.Logger
}

// wall is a clock that can be set.
func (s *site) wall() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func newSite(t *testing.T, opt smacks.Options, more ...mux.Extension) *site {
	s := &site{opt: opt, more: more}
	s.open(t)
	return s
}

// open opens a host; one that there was has crashed: what it had in memory is lost.
func (s *site) open(t *testing.T) {
	s.Host, s.commits = muxtest.NewHost(t), new(muxtest.Committer)
	s.AddAccount("romeo@example.net", "juliet@example.net")
	s.x = smacks.New(&s.store, &s.opt)
	s.Open(&mux.Options{Sessions: &s.sessions, Committer: s.commits, Wall: s.wall, Logger: s.log}, append([]mux.Extension{s.x}, s.more...)...)
}

// enabled is juliet with a session that can be resumed, and its token.
func enabled(t *testing.T, h *muxtest.Host) (*muxtest.Client, string) {
	juliet := h.Connect(t, julietFull)
	juliet.Send("<presence/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	got := muxtest.Captures{}
	juliet.ExpectWith(got, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='{*}'/>")
	return juliet, got["id"]
}

func resume(t *testing.T, h *muxtest.Host, token, counter string) *muxtest.Client {
	c := h.Dial(t, "juliet@example.net")
	c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='" + counter + "'/>")
	return c
}

func chat(id string) string {
	return "<message to='juliet@example.net/balcony' type='chat' id='" + id + "'><body>" + id + "</body></message>"
}

func got(id string) string {
	return "<message from='romeo@example.net/orchard' to='juliet@example.net/balcony' type='chat' id='" + id + "'><body>" + id + "</body></message>"
}

func late(id string) string {
	return "<message from='romeo@example.net/orchard' to='juliet@example.net/balcony' type='chat' id='" + id + "'><body>" + id + "</body><delay xmlns='urn:xmpp:delay' from='example.net' stamp='{*}'/></message>"
}

func TestResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chat("1"), chat("2"))
		juliet.Expect(got("1"), ask, got("2"))
		juliet.Send("<a xmlns='urn:xmpp:sm:3' h='1'/>", "<iq type='get' id='v' to='example.net'><x xmlns='urn:x'/></iq>")
		juliet.Clear()
		juliet.Drop()
		romeo.Send(chat("3"))
		again := resume(t, s.Host, token, "1")
		again.Expect("<resumed xmlns='urn:xmpp:sm:3' previd='"+token+"' h='1'/>", late("2"), "<iq type='error' id='v' from='example.net' to='"+julietFull+"'>{*}</iq>", late("3"), ask)
		again.Send("<a xmlns='urn:xmpp:sm:3' h='4'/>")
		time.Sleep(10 * time.Second)
		romeo.Send(chat("4"))
		again.Expect(got("4"), ask)
		romeo.ExpectNone()
	})
}

// After a restart, and after a crash, a session is resumed with what it had (smacks
// SM-96).
func TestResumeAfterRestart(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			juliet, token := enabled(t, s.Host)
			romeo.Send(chat("1"), chat("2"), chat("3"))
			juliet.Expect(got("1"), ask, got("2"), got("3"))
			juliet.Send("<message to='romeo@example.net/orchard'/>")
			if crash {
				s.open(t) // what the old host has in memory is lost
			} else {
				s.Restart(smacks.New(&s.store, &s.opt))
			}
			romeo = s.Connect(t, romeoFull)
			romeo.Send(chat("4"))
			again := resume(t, s.Host, token, "2")
			again.Expect("<resumed xmlns='urn:xmpp:sm:3' previd='"+token+"' h='1'/>", late("3"), late("4"), ask)
			again.Send("<a xmlns='urn:xmpp:sm:3' h='4'/>", ask)
			again.Expect("<a xmlns='urn:xmpp:sm:3' h='1'/>")
			romeo.ExpectNone()
		})
	}
}

func TestAckTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chat("1"))
		juliet.Expect(got("1"), ask)
		time.Sleep(time.Minute)
		juliet.Expect(muxtest.Dropped)
		again := resume(t, s.Host, token, "1")
		again.Expect("<resumed xmlns='urn:xmpp:sm:3' previd='"+token+"' h='0'/>", ask)
	})
}
