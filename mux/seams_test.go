package mux_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestRecordOnArrived: who waits for a message to arrive is told once, whenever it
// begins to.
func TestRecordOnArrived(t *testing.T) {
	t.Parallel()
	r, told := new(mux.Record), 0
	r.OnArrived(func() { told++ })
	r.Hold()
	r.Hold()
	r.Lost()
	if told != 0 {
		t.Error("told of a copy that is lost")
	}
	r.Arrived()
	r.Hold()
	r.Arrived()
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	r.OnArrived(func() { told += 10 })
	if told != 11 {
		t.Errorf("late: told %d", told)
	}
	r.SetStored("7")
	if r.Stored() != "7" || r.Archived(addr("juliet@example.net")) != "" {
		t.Errorf("stored as %q, archived as %q", r.Stored(), r.Archived(addr("juliet@example.net")))
	}
	if (*mux.Record)(nil).Stored() != "" {
		t.Error("no record is stored")
	}
}

// TestRestored: who asked is told of items that are read again, with what was noted of
// them.
func TestRestored(t *testing.T) {
	t.Parallel()
	var told []string
	h := muxtest.New(t, nil, with(func(r *mux.Registry) {
		r.Restored(func(it *mux.Item) { told = append(told, it.Record.Stored()+" "+it.Recipient().String()) })
	}))
	it := savedItem()
	it.Record.SetStored("7")
	if _, err := h.Mux().RestoreItem(it.AppendSaved(nil)); err != nil || !slices.Equal(told, []string{"7 juliet@example.net/b"}) {
		t.Errorf("told %q, error %v", told, err)
	}
	if _, err := h.Mux().RestoreItem([]byte("x")); err == nil || len(told) != 1 {
		t.Errorf("told of what is no item: %q, error %v", told, err)
	}
}

// TestLaterFeed: an answer at the end of what is fed comes behind it and behind what
// was fed before, when the writes are durable, however late, and takes credit until
// then.
func TestLaterFeed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fail bool
	}{{"written", false}, {"not written", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				commits := new(muxtest.Committer)
				h := muxtest.New(t, &mux.Options{Committer: commits, Credit: 2, NoRecover: true}, with(func(r *mux.Registry) {
					r.IQ(mux.AtSelf, stanza.GetIQ, name(nsToy, "feed"), func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
						e.Work.Write(func(context.Context, mux.Tx) error { return nil })
						id, n := e.Stanza.ID(), 0
						e.Later().Feed(e.Session, func(_ context.Context, emit func(mux.Item)) (bool, error) {
							if n++; n <= 2 {
								emit(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: fmt.Sprint(id, "-", n)}, mux.RawChild(name("jabber:client", "body"), "<body>"+strings.Repeat("x", 100<<10)+"</body>"))})
								return true, nil
							}
							if id == "bad" {
								return true, errors.New("no more")
							}
							emit(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.IQ, Type: "result", ID: id}), Flags: mux.Service})
							return false, nil
						})
						return nil, nil
					})
				}))
				j := h.Connect(t, julietFull)
				j.Stall()
				commits.Hold()
				for _, id := range []string{"a", "bad", "c", "d"} {
					j.Write("<iq type='get' id='" + id + "'><feed xmlns='" + nsToy + "'/></iq>")
				}
				h.Settle()
				if got := j.Arrived(); len(got) > 0 {
					t.Errorf("before the commit: got %q", ids(got))
				}
				if tt.fail {
					commits.Fail(errTest)
					commits.Release()
					j.Unstall()
					h.Settle()
					if got := ids(j.Arrived()); strings.Contains(got, "-1") {
						t.Errorf("got %s", got)
					}
					return
				}
				commits.Release()
				time.Sleep(10 * time.Minute)
				if n := j.Unread(); n == 0 {
					t.Error("requests take no credit until they are answered")
				}
				j.Unstall()
				h.Settle()
				if got, want := ids(j.Arrived()), "a-1 a-2 a bad-1 bad-2 c-1 c-2 c d-1 d-2 d"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

// TestEachBind2: a member without an element is stepped with each Bind 2, in its order.
func TestEachBind2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		each := with(func(r *mux.Registry) {
			r.Inline(mux.Inline{At: mux.InBind, Step: func(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
				log = append(log, "each "+e.Session.JID().Resource())
				return mux.Raw("<each xmlns='" + nsToy + "'/>"), nil
			}})
		})
		h := muxtest.New(t, nil, member{"a", mux.InBind, &log, false}, each)
		h.Connect(t, "juliet@example.net/plain")
		empty := &mux.BindOptions{Resource: "empty", Bind2: true}
		h.Dial(t, "juliet@example.net").Bind(empty)
		el, err := mux.Parse([]byte("<bind xmlns='urn:xmpp:bind:0'><a xmlns='" + nsToy + "'/><x/></bind>"))
		if err != nil {
			t.Fatal(err)
		}
		h.Dial(t, "juliet@example.net").Bind(&mux.BindOptions{Resource: "full", Inline: el.Children()})
		if want := []string{"each empty", "a juliet@example.net ", "each full"}; !slices.Equal(log, want) {
			t.Errorf("steps %q, want %q", log, want)
		}
		if len(empty.InlineReply) != 1 {
			t.Errorf("%d replies", len(empty.InlineReply))
		}
		var text strings.Builder
		h.Mux().Describe(&text)
		if !strings.Contains(text.String(), "Inline, each Bind 2: toy") {
			t.Errorf("described as\n%s", text.String())
		}
	})
	for _, in := range []mux.Inline{{At: mux.InAuthenticate}, {At: mux.InBind, Name: name("urn:x", "")}} {
		in.Step = func(context.Context, *mux.InlineEvent) (xmlstream.Marshaler, error) { return nil, nil }
		if _, err := mux.New(muxtest.NewHost(t), nil, with(func(r *mux.Registry) { r.Inline(in) })); err == nil {
			t.Errorf("registered %+v", in.Name)
		}
	}
}
