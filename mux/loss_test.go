package mux_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// store is a toy offline store: it keeps what nobody took.
type store struct {
	mu   sync.Mutex
	kept []string
}

func (x *store) keep(note string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kept = append(x.kept, note)
}

// take empties the store and returns the ids of what it kept.
func (x *store) take() (ids []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range x.kept {
		id, _, _ := strings.Cut(k, " ")
		ids = append(ids, id)
	}
	x.kept = nil
	return ids
}

func (x *store) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.kept)
}

func (x *store) Name() string { return "store" }

func (x *store) Register(r *mux.Registry) error {
	r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		note := e.Stanza.ID()
		if e.Item.Flags&mux.Replay != 0 {
			note += " replay"
		}
		if strings.Contains(string(e.Item.Extra), "urn:xmpp:delay") {
			note += " delayed"
		}
		x.keep(note)
		return mux.Done, nil
	})
	return nil
}

func (x *store) want(t *testing.T, want ...string) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Equal(x.kept, want) {
		t.Errorf("kept %q, want %q", x.kept, want)
	}
	x.kept = nil
}

// Whatever a session took and its peer did not get is neither lost nor doubled:
// with and without tracking, held or not, when the window ends, at a proper end,
// and when another session is there.
func TestSessionEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		tracked, held      bool
		other, clean       bool
		acked              bool
		wantKept, wantSent []string // to the store, to the other session
	}{
		{name: "written, untracked"},
		{name: "written, untracked, clean", clean: true},
		{name: "held", held: true, wantKept: []string{"1 replay delayed", "2 replay delayed"}},
		{name: "held, clean", held: true, clean: true, wantKept: []string{"1 replay delayed", "2 replay delayed"}},
		{name: "held, other", held: true, other: true, wantSent: []string{"1", "2"}},
		{name: "tracked", tracked: true, wantKept: []string{"1 replay delayed", "2 replay delayed"}},
		{name: "tracked, one acknowledged", tracked: true, acked: true, wantKept: []string{"2 replay delayed"}},
		{name: "tracked and held", tracked: true, held: true, wantKept: []string{"1 replay delayed", "2 replay delayed"}},
		{name: "tracked, other", tracked: true, other: true, wantSent: []string{"1", "2"}},
		{name: "tracked, clean", tracked: true, clean: true, wantKept: []string{"1 replay delayed", "2 replay delayed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := new(store)
				h := muxtest.New(t, nil, &csi{}, &smacks{keep: time.Hour}, st)
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				juliet.Send("<presence/>")
				if tt.tracked {
					juliet.Send("<enable xmlns='" + nsSM + "'/>")
				}
				if tt.held {
					juliet.Send("<inactive xmlns='" + nsCSI + "'/>")
				}
				romeo.Send(send("1", "2")...)
				if tt.acked {
					juliet.Send("<a xmlns='" + nsSM + "' h='1'/>")
				}
				if tt.other {
					juliet.Clear()
				}
				var other *muxtest.Client
				if tt.other {
					other = h.Connect(t, "juliet@example.net/other")
					other.Send("<presence/>")
				}
				if tt.clean {
					juliet.Close()
				} else {
					juliet.Drop()
				}
				if tt.tracked && !tt.clean {
					st.want(t)
					time.Sleep(time.Hour + 1)
					h.Settle()
				}
				st.want(t, tt.wantKept...)
				for _, id := range tt.wantSent {
					other.Expect("<message from='" + romeoFull + "' to='" + julietFull + "' id='" + id + "'><body>x</body><delay xmlns='urn:xmpp:delay' from='example.net' stamp='*'/></message>")
				}
				if other != nil {
					other.ExpectNone()
				}
				if s := juliet.Session; s.State() != mux.Gone || h.Mux().SessionByID(s.ID()) != nil {
					t.Errorf("the session is %s", s.State())
				}
				romeo.ExpectNone()
			})
		})
	}
}

// A message that another session has got is not kept when the first one's copy
// is lost, and one that two lose is kept once.
func TestDisposedOnce(t *testing.T) {
	t.Parallel()
	for _, acked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h := muxtest.New(t, nil, &smacks{keep: time.Hour}, st)
			romeo := h.Connect(t, romeoFull)
			phone, desk := h.Connect(t, "juliet@example.net/phone"), h.Connect(t, "juliet@example.net/desk")
			for _, c := range []*muxtest.Client{phone, desk} {
				c.Send("<presence/>", "<enable xmlns='"+nsSM+"'/>")
			}
			romeo.Send("<message to='juliet@example.net' id='1'><body>x</body></message>")
			if acked {
				desk.Send("<a xmlns='" + nsSM + "' h='1'/>")
			}
			phone.Drop()
			desk.Drop()
			time.Sleep(time.Hour + 1)
			h.Settle()
			if acked {
				st.want(t)
			} else {
				st.want(t, "1 replay delayed")
			}
		})
	}
}

// What else is lost with a session: requests are answered, the rest is dropped.
func TestSessionEndOtherKinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		h := muxtest.New(t, nil, &smacks{keep: time.Hour}, st)
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		romeo.Send("<iq type='get' id='1' to='"+julietFull+"'><x xmlns='urn:x'/></iq>", "<iq type='result' id='2' to='"+julietFull+"'/>",
			"<presence id='3' to='"+julietFull+"'/>", "<message type='groupchat' id='4' to='"+julietFull+"'><body>x</body></message>",
			"<message type='headline' id='5' to='"+julietFull+"'><body>x</body></message>",
			"<message type='error' id='6' to='"+julietFull+"'><error/></message>")
		juliet.Drop()
		time.Sleep(time.Hour + 1)
		romeo.Expect(refused("iq", julietFull, romeoFull, "1", "cancel", "service-unavailable"))
		romeo.ExpectNone()
		st.want(t)
	})
}

// Without anybody to keep it, the sender learns (core-im ER-28).
func TestSessionEndBounces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, &smacks{keep: time.Hour})
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		romeo.Send(send("1")...)
		juliet.Drop()
		romeo.ExpectNone()
		time.Sleep(time.Hour + 1)
		romeo.Expect(refused("message", julietFull, romeoFull, "1", "wait", "recipient-unavailable"))
		romeo.ExpectNone()
	})
}

// A connection whose writes fail: what was not written is not lost.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	for _, tracked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h := muxtest.New(t, nil, &smacks{keep: time.Hour}, st)
			romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
			juliet.Send("<presence/>")
			if tracked {
				juliet.Send("<enable xmlns='" + nsSM + "'/>")
				juliet.Clear()
			}
			juliet.FailWrites(errTest)
			romeo.Send(send("1", "2")...)
			juliet.Expect(muxtest.Dropped)
			if !tracked {
				st.want(t, "1 replay delayed", "2 replay delayed")
				return
			}
			again := resume(t, h, juliet, "0")
			again.Expect(resumed("1"), message("1"), message("2"), ask)
			st.want(t)
		})
	}
}

// More waiting than a session may have: the connection counts as dead.
func TestQueueOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, MaxQueue: 2000}, writing(), new(store))
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		c.Hold()
		for i := range 40 {
			romeo.Send("<message type='chat' to='" + julietFull + "' id='" + string(rune('a'+i)) + "'><body>x</body></message>")
		}
		juliet.ExpectClosed("policy-violation")
		romeo.ExpectNone()
	})
}

// A replay may be longer than the write limit (kernel rule 5).
func TestLongReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{MaxQueue: 2000}, &smacks{keep: time.Hour})
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		juliet.Drop()
		const n = 100
		for range n {
			romeo.Send(send("x")...)
		}
		again := resume(t, h, juliet, "0")
		again.Expect(resumed("1"))
		for range n {
			again.Expect(message("x"))
		}
		again.Expect(ask)
		again.ExpectNone()
	})
}
