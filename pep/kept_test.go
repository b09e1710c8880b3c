package pep_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
)

// TestNotKept: events are not archived, copied or kept for somebody who is away, whatever
// the type of their messages (NTF-12).
func TestNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, archived := newAssembly(t), new(archive.Memory)
		exts := append([]mux.Extension{offline.New(new(offline.Memory), nil), archive.New(archived, nil), carbons.New(nil)}, a.extensions()...)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, exts...)
		j, r := h.Connect(t, "juliet@example.net/1"), h.Connect(t, "romeo@example.net/1")
		other := h.Connect(t, "romeo@example.net/2")
		other.Send("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>", "<presence/>")
		r.Send("<presence><c xmlns='x:caps'>n</c></presence>")
		publish := "<iq type='set' id='p'>" + publication("n", "1", "notification_type=normal") + "</iq>"
		j.Send(publish)
		r.Send("<iq type='set' id='s' to='juliet@example.net'>" + pubsub("<subscribe node='n' jid='romeo@example.net'/>") + "</iq>")
		r.Clear()
		other.Clear()
		j.Send(publish)
		if got := strings.Join(r.Arrived(), ""); strings.Count(got, "<event ") != 1 || strings.Contains(got, "headline") {
			t.Errorf("romeo got %s", got)
		}
		if got := other.Arrived(); len(got) != 0 {
			t.Errorf("the other session got %q", got)
		}
		r.Close()
		other.Close()
		j.Send(publish) // to the bare address, where nobody is
		time.Sleep(time.Second)
		back := h.Connect(t, "romeo@example.net/3")
		back.Send("<presence/>")
		for _, el := range back.Arrived() {
			if strings.Contains(el, "<event ") {
				t.Errorf("kept: %s", el)
			}
		}
		for _, who := range []string{"juliet@example.net", "romeo@example.net"} {
			if p, err := archived.Page(context.Background(), addr(who), archive.Query{Max: 10}); err != nil || len(p.Entries) != 0 {
				t.Errorf("archived for %s: %v, error %v", who, p.Entries, err)
			}
		}
		for _, el := range j.Arrived() {
			if strings.Contains(el, "type='error'") {
				t.Errorf("juliet got %s", el)
			}
		}
	})
}

// TestHibernating: a session that waits for its client has what it is sent (R4); one that
// ends has nothing bounced or kept (S-18).
func TestHibernating(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAssembly(t)
		exts := append(a.extensions(), keeper{})
		h := muxtest.New(t, &mux.Options{NoRecover: true}, exts...)
		j, r := h.Connect(t, "juliet@example.net/1"), h.Connect(t, "romeo@example.net/1")
		r.Send("<presence><c xmlns='x:caps'>n</c></presence>")
		s := r.Session
		r.Clear()
		r.Drop()
		j.Send("<iq type='set' id='p'>" + publication("n", "1") + "</iq>")
		if s.State() != mux.Hibernating {
			t.Fatalf("romeo is %v", s.State())
		}
		back := h.Dial(t, "romeo@example.net")
		if err := back.Resume(&mux.Resumption{ID: s.ID(), Reply: func(*mux.Session) xmlstream.Marshaler { return mux.Raw("<resumed xmlns='urn:xmpp:sm:3'/>") }}); err != nil {
			t.Fatal(err)
		}
		back.Send("<presence><c xmlns='x:caps'>n</c></presence>")
		j.Send("<iq type='set' id='q'>" + publication("n", "2") + "</iq>")
		got := strings.Join(back.Arrived(), "")
		if strings.Contains(got, "<delay ") || !strings.Contains(got, "id='2'") {
			t.Errorf("who was there all the time got %s", got)
		}
		back.Clear()
		back.Drop()
		j.Send("<iq type='set' id='r'>" + publication("n", "3") + "</iq>")
		time.Sleep(2 * time.Hour)
		for _, el := range j.Arrived() {
			if strings.Contains(el, "type='error'") {
				t.Errorf("juliet got %s", el)
			}
		}
	})
}

// keeper keeps sessions without a stream for an hour.
type keeper struct{}

func (keeper) Name() string { return "keeper" }

func (keeper) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
	return nil
}
