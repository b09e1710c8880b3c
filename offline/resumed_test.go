package offline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
)

// halfway is a session that has a part of what waits for its account when the server stops.
type halfway struct {
	st    *stores
	h     *muxtest.Host
	want  []string // the ids of all
	had   []string // and of that part
	token string
}

func newHalfway(t *testing.T, commits *muxtest.Committer) *halfway {
	w := &halfway{st: new(stores)}
	w.h = muxtest.New(t, &mux.Options{Committer: commits, Sessions: &w.st.sessions, NoRecover: true}, w.st.extensions(false, offline.Options{})...)
	w.h.AddAccount("juliet@example.net")
	romeo := w.h.Connect(t, romeoFull)
	for i := range 30 {
		w.want = append(w.want, fmt.Sprint("m", i))
		romeo.Send(chat(w.want[i], strings.Repeat("x", 10<<10)))
	}
	j := w.h.Connect(t, "juliet@example.net/balcony")
	j.Send(enable)
	w.token = j.Recv().Attr("id")
	j.Stall()
	j.Send("<presence/>")
	if w.had = strings.Fields(ids(j)); len(w.had) >= len(w.want) {
		t.Fatalf("all %d came at once", len(w.had))
	}
	return w
}

// resumed is the session again, whose client has got the first h.
func (w *halfway) resumed(t *testing.T, h int) *muxtest.Client {
	j := w.h.Dial(t, "juliet@example.net")
	j.Send(fmt.Sprintf("<resume xmlns='"+nsSM+"' previd='%s' h='%d'/>", w.token, h))
	return j
}

// wants: with what it had the client gets all, in order and once, and nothing is stored.
func (w *halfway) wants(t *testing.T, j *muxtest.Client, had []string) {
	got := slices.Clone(had)
	for range 30 {
		for _, id := range strings.Fields(ids(j)) {
			if strings.HasPrefix(id, "m") {
				got = append(got, id)
			}
		}
		j.Send(fmt.Sprintf("<a xmlns='"+nsSM+"' h='%d'/>", len(got)))
		w.h.Settle()
	}
	if !slices.Equal(got, w.want) || stored(t, &w.st.offline) != 0 {
		t.Errorf("got %v, %d are stored", got, stored(t, &w.st.offline))
	}
	j.Clear()
}

// TestGoesOnAfterRestart: of what waits a part is on its way when the server stops. A
// session that is resumed gets the rest as well, in order and once.
func TestGoesOnAfterRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHalfway(t, new(muxtest.Committer))
		w.h.Restart(w.st.extensions(false, offline.Options{})...)
		w.wants(t, w.resumed(t, len(w.had)), w.had)
	})
}

// TestGoesOnAfterFailure: a session is resumed, and the commit behind which it is to be
// sent the rest of what waits fails. It gets that all the same: its client sends no
// presence, for which it could wait.
func TestGoesOnAfterFailure(t *testing.T) {
	t.Parallel()
	played := false
	for i := 0; i < 200 && !played; i++ { // which turn is first is not ours to say
		synctest.Test(t, func(t *testing.T) { played = goesOnAfterFailure(t) })
	}
	if !played {
		t.Error("no commit failed behind the resumption alone")
	}
}

// goesOnAfterFailure is false if the resumption itself was to be in the commit that fails.
func goesOnAfterFailure(t *testing.T) bool {
	commits := new(muxtest.Committer)
	w := newHalfway(t, commits)
	w.h.Restart(append([]mux.Extension{attached(commits.Hold)}, w.st.extensions(false, offline.Options{})...)...)
	j := w.resumed(t, 0)
	w.h.Settle()
	if n := len(j.Arrived()); n == 0 {
		commits.Release()
		w.h.Settle()
		j.Clear()
		return false
	} else if n >= len(w.want) {
		t.Fatal("all come with the resumption")
	}
	commits.Fail(errors.New("the disk is full"))
	commits.Release()
	w.h.Settle()
	if strings.Contains(strings.Join(j.Arrived(), ""), "<stream:error>") {
		j.Clear()
		return false
	}
	w.wants(t, j, nil)
	return true
}

// attached is an extension that does something in the turn behind that of a session which
// gets a stream.
type attached func()

func (f attached) Name() string { return "attached" }

func (f attached) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Attached: func(s *mux.Session) {
		s.Mux().Go(s.Account(), func(context.Context, *mux.Event) { f() })
	}})
	return nil
}
