package avatar_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// keeper keeps sessions without a stream for an hour.
type keeper struct{}

func (keeper) Name() string { return "keeper" }

func (keeper) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
	return nil
}

// TestRestored: the presence of sessions that wait for their client, after a restart too,
// is told again with another avatar, unless it shows none by itself.
func TestRestored(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"": id2, "<x xmlns='vcard-temp:x:update'><photo/></x>": "none"} {
		synctest.Test(t, func(t *testing.T) {
			s := &stage{assembly: newAssembly(t), t: t, commits: new(muxtest.Committer)}
			exts := func() []mux.Extension { return append([]mux.Extension{keeper{}}, s.extensions()...) }
			s.h = muxtest.New(t, &mux.Options{Committer: s.commits, Sessions: new(mux.MemorySessions), NoRecover: true}, exts()...)
			s.h.AddAccount("juliet@example.net", "romeo@example.net")
			s.juliet = s.h.Connect(t, "juliet@example.net/1")
			s.juliet.Send(data(id1, png1, ""), metadata(id1, ""), "<presence>"+said+"</presence>")
			s.juliet.Drop()
			s.h.Restart(exts()...)
			s.h.Settle()
			s.romeo = s.h.Connect(t, "romeo@example.net/1")
			s.romeo.Send("<presence/>")
			if want == id2 {
				s.expect(id1)
			} else {
				s.expect(want)
			}
			other := s.h.Connect(t, "juliet@example.net/2")
			other.Send(data(id2, png2, ""), metadata(id2, ""))
			if want == id2 {
				s.expect(id2)
			} else {
				s.expect("")
			}
			s.romeo = s.h.Connect(t, "romeo@example.net/2")
			s.romeo.Send("<presence/>")
			s.expect(want)
		})
	}
}

// TestToldAfterRestart: what was still to be told when the server ended is told when the
// account is used again.
func TestToldAfterRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{assembly: newAssembly(t), t: t, commits: new(muxtest.Committer)}
		exts := func() []mux.Extension { return append([]mux.Extension{keeper{}}, s.extensions()...) }
		s.h = muxtest.New(t, &mux.Options{Committer: s.commits, Sessions: new(mux.MemorySessions), NoRecover: true}, exts()...)
		s.h.AddAccount("juliet@example.net", "romeo@example.net")
		s.juliet = s.h.Connect(t, "juliet@example.net/1")
		s.juliet.Send("<presence/>", data(id1, png1, ""), metadata(id1, ""), data(id2, png2, ""), metadata(id2, ""))
		s.juliet.Drop()
		s.h.Restart(exts()...)
		s.h.Settle()
		s.romeo = s.h.Connect(t, "romeo@example.net/1")
		s.romeo.Send("<presence/>")
		s.expect(id1)
		other := s.h.Connect(t, "juliet@example.net/2")
		other.Send("<presence/>")
		s.h.Settle()
		s.expect(id2)
		other.Send("<presence/>", "<presence/>")
		s.expect("")
	})
}
