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
	st, commits := new(stores), new(muxtest.Committer)
	h := muxtest.New(t, &mux.Options{Committer: commits, Sessions: &st.sessions, NoRecover: true}, st.extensions(false, offline.Options{})...)
	h.AddAccount("juliet@example.net")
	romeo := h.Connect(t, romeoFull)
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint("m", i))
		romeo.Send(chat(want[i], strings.Repeat("x", 10<<10)))
	}
	j := h.Connect(t, "juliet@example.net/balcony")
	j.Send(enable)
	token := j.Recv().Attr("id")
	j.Stall()
	j.Send("<presence/>")
	if n := len(strings.Fields(ids(j))); n >= len(want) {
		t.Fatalf("all %d came at once", n)
	}
	h.Restart(append([]mux.Extension{attached(commits.Hold)}, st.extensions(false, offline.Options{})...)...)
	j = h.Dial(t, "juliet@example.net")
	j.Send("<resume xmlns='" + nsSM + "' previd='" + token + "' h='0'/>")
	h.Settle()
	if n := len(j.Arrived()); n == 0 {
		commits.Release()
		h.Settle()
		j.Clear()
		return false
	} else if n >= len(want) {
		t.Fatal("all come with the resumption")
	}
	commits.Fail(errors.New("the disk is full"))
	commits.Release()
	h.Settle()
	if strings.Contains(strings.Join(j.Arrived(), ""), "<stream:error>") {
		j.Clear()
		return false
	}
	var got []string
	for range 30 {
		for _, id := range strings.Fields(ids(j)) {
			if strings.HasPrefix(id, "m") {
				got = append(got, id)
			}
		}
		j.Send(fmt.Sprintf("<a xmlns='"+nsSM+"' h='%d'/>", len(got)))
	}
	if !slices.Equal(got, want) || stored(t, &st.offline) != 0 {
		t.Errorf("got %v, %d are stored", got, stored(t, &st.offline))
	}
	j.Clear()
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
