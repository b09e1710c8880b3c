package carbons_test

import (
	"context"
	"encoding/xml"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		sessions := new(mux.MemorySessions)
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), Sessions: sessions, NoRecover: true},
			Extensions: func() []mux.Extension { return []mux.Extension{carbons.New(nil)} },
		}
	})
}

// ext is an extension made of a function.
type ext func(r *mux.Registry)

func (ext) Name() string { return "test" }

func (f ext) Register(r *mux.Registry) error {
	f(r)
	return nil
}

// TestFeatures: CC-1.
func TestFeatures(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, carbons.New(nil))
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{carbons.NS, carbons.NSRules}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
	var inline []string
	for _, i := range h.Mux().Inlines() {
		if i.At == mux.InBind && i.Offer == nil {
			inline = append(inline, i.Name.Space)
		}
	}
	if !slices.Equal(inline, []string{carbons.NS}) {
		t.Errorf("inline %q", inline)
	}
}

// tracker keeps sessions for an hour, and what was put into them.
type tracker struct {
	key mux.Key[[]string]
	// items is called with each item for a session.
	items func(s *mux.Session, it *mux.Item)
}

func (*tracker) Name() string { return "tracker" }

func (x *tracker) Register(r *mux.Registry) error {
	x.key = mux.Slot[[]string](r)
	r.Outbound(mux.Track, func(s *mux.Session, next mux.Sink) mux.Sink { return &trackerSink{x, s, next} })
	r.Lifecycle(mux.Lifecycle{
		Attached: func(s *mux.Session) { s.SetTracked(true) },
		Detached: func(*mux.Session) time.Duration { return time.Hour },
	})
	return nil
}

type trackerSink struct {
	x    *tracker
	s    *mux.Session
	next mux.Sink
}

func (k *trackerSink) Put(it *mux.Item) error {
	if k.x.items != nil {
		k.x.items(k.s, it)
	}
	got := k.x.key.Of(k.s)
	*got = append(*got, string(it.Append(nil, mux.NSClient)))
	return k.next.Put(it)
}

func (k *trackerSink) Unacked() []mux.Item { return nil }

// take is what was put into a session since the last time.
func (x *tracker) take(s *mux.Session) (got []string) {
	s.Sync(func() {
		got = *x.key.Of(s)
		*x.key.Of(s) = nil
	})
	return got
}

// TestHibernation: CC-5, CC-27: a session without a stream gets copies as any other,
// after a restart too, and only if it has enabled them.
func TestHibernation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := new(tracker)
		exts := func() []mux.Extension { return []mux.Extension{carbons.New(nil), tr} }
		h := muxtest.New(t, &mux.Options{Sessions: new(mux.MemorySessions), NoRecover: true}, exts()...)
		phone, tablet := h.Connect(t, "romeo@example.net/phone"), h.Connect(t, "romeo@example.net/tablet")
		phone.Send(enable)
		tablet.Send(enable, strings.ReplaceAll(enable, "enable", "disable"))
		phone.Drop()
		tablet.Drop()
		for range 2 {
			var away [2]*mux.Session
			for i, c := range []*muxtest.Client{phone, tablet} {
				away[i] = h.Mux().SessionByID(c.Session.ID())
				if away[i] == nil || away[i].State() != mux.Hibernating {
					t.Fatal("the session was not kept")
				}
				tr.take(away[i])
			}
			desk := h.Connect(t, "romeo@example.net/desk")
			desk.Send("<message to='juliet@example.org' type='chat' id='m'><body>x</body></message>")
			got := tr.take(away[0])
			if len(got) != 1 || copyOf(t, got[0], away[0].JID()) != "sent m" {
				t.Errorf("got %q", got)
			}
			if got := tr.take(away[1]); len(got) > 0 {
				t.Errorf("disabled, and got %q", got)
			}
			desk.Close()
			h.Restart(exts()...)
		}
	})
}

// TestSaved: CC-5: that a session has enabled carbons is durable with the answer.
func TestSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sessions := new(mux.MemorySessions)
		h := muxtest.New(t, &mux.Options{Sessions: sessions, NoRecover: true, Committer: new(muxtest.Committer)}, carbons.New(nil), new(tracker))
		phone := h.Connect(t, "romeo@example.net/phone")
		for _, on := range []bool{true, false} {
			phone.Send(enable)
			if !on {
				phone.Send(strings.ReplaceAll(enable, "enable", "disable"))
			}
			saved, err := sessions.Load(t.Context())
			if err != nil || len(saved) != 1 || strings.Contains(string(saved[0].Data), `"carbons":"AQ=="`) != on {
				t.Errorf("enabled %t: saved %+v, error %v", on, saved, err)
			}
		}
	})
}

// TestItem: CC-16, CC-27: copies are known by their marks, whatever is in them, and all
// recipients share one.
func TestItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var copies []*mux.Stanza
		var inner *mux.Stanza
		tr := &tracker{items: func(_ *mux.Session, it *mux.Item) {
			if it.Stanza.Kind() != mux.Message || it.Stanza.ID() == "m" { // what was sent to oneself
				return
			}
			if it.Flags != mux.Copy || it.Inner == nil || it.Inner.ID() != "m" || it.Record != nil && len(copies) < 3 || it.At.IsZero() {
				t.Errorf("flags %b, inner %v", it.Flags, it.Inner)
			}
			copies, inner = append(copies, it.Stanza), it.Inner
		}}
		seen := 0
		count := func(context.Context, *mux.Event) { seen++ }
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil), tr, ext(func(r *mux.Registry) {
			r.Observe(mux.ToAccount, mux.Message, count)
			r.Observe(mux.FromAccount, mux.Message, count)
			r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				if e.Stanza.From().Bare() != e.Account {
					t.Errorf("undelivered: %s", e.Stanza.Append(nil, ""))
				}
				return mux.Done, nil
			})
		}))
		desk := h.Connect(t, "romeo@example.net/desk")
		var others []*muxtest.Client
		for _, r := range []string{"a", "b", "c"} {
			c := h.Connect(t, "romeo@example.net/"+r)
			c.Send(enable)
			others = append(others, c)
		}
		desk.Send("<presence/>", "<message to='juliet@example.org' type='chat' id='m'><body>x</body></message>")
		if len(copies) != 3 || copies[0] != copies[1] || copies[1] != copies[2] {
			t.Errorf("%d copies, not of one stanza", len(copies))
		}
		desk.Send("<message type='chat' id='m'><body>x</body></message>") // to the account itself
		if len(copies) != 6 || copies[3] == copies[0] || inner.To() != desk.Session.Account() {
			t.Errorf("%d copies, the last of a message to %s", len(copies), inner.To())
		}
		desk.Clear()
		others[0].Drop() // the end of a session with a copy that was not acknowledged
		time.Sleep(2 * time.Hour)
		h.Settle()
		if seen != 2 {
			t.Errorf("messages passed %d times, of which two were sent", seen)
		}
		desk.ExpectNone()
	})
}

// TestOtherItems: what was delivered before, or comes from an archive, is not copied;
// what the item adds to a message is in the copy.
func TestOtherItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil))
		desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
		desk.Send("<presence/>")
		phone.Send(enable)
		phone.Clear()
		text := mux.RawChild(xml.Name{Space: mux.NSClient, Local: "body"}, body)
		for _, flags := range []mux.Flags{mux.Replay, mux.Offline, mux.ArchiveResult, mux.Copy, 0, mux.Service} {
			m := mux.Make(mux.Head{Kind: mux.Message, Type: "chat", ID: "m", From: mux.MustParseAddress("juliet@example.org/x")}, text)
			it := mux.Item{Stanza: m, To: mux.MustParseAddress("romeo@example.net"), Extra: []byte("<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"), Flags: flags}
			if _, err := h.Mux().Deliver(t.Context(), it); err != nil {
				t.Fatal(err)
			}
			h.Settle()
			if flags&^mux.Service != 0 {
				phone.ExpectNone()
				continue
			}
			phone.Expect("<message from='romeo@example.net' to='romeo@example.net/phone' type='chat'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" +
				"<message xmlns='jabber:client' from='juliet@example.org/x' to='romeo@example.net' type='chat' id='m'><body>x</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></message></forwarded></received></message>")
		}
	})
}

// TestHibernatingTop: DL-35: when the sessions with the highest priority wait for their
// clients, the others that get the message too get no copy of it.
func TestHibernatingTop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := new(tracker)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil), tr)
		var all []*muxtest.Client
		for i, priority := range []string{"5", "1", "-1"} {
			c := h.Connect(t, "romeo@example.net/"+string(rune('a'+i)))
			c.Send(enable, "<presence><priority>"+priority+"</priority></presence>")
			all = append(all, c)
		}
		all[0].Drop()
		for _, c := range all {
			tr.take(c.Session)
		}
		h.Connect(t, "juliet@example.net/x").Send("<message type='chat' to='romeo@example.net' id='m'><body>x</body></message>")
		for i, want := range []string{"", "", "received m"} {
			got := tr.take(all[i].Session)
			if len(got) != 1 || copyOf(t, got[0], all[i].Session.JID()) != want {
				t.Errorf("%s got %q, want %q", all[i].Session.JID(), got, want)
			}
		}
	})
}

// TestCommit: IN-17, COMB-3: a copy leaves when what the message has written is durable,
// and not at all if that fails.
func TestCommit(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := new(muxtest.Committer)
			h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: c}, carbons.New(nil), ext(func(r *mux.Registry) {
				r.Observe(mux.FromAccount, mux.Message, func(_ context.Context, e *mux.Event) {
					e.Work.Write(func(context.Context, mux.Tx) error { return nil })
				})
			}))
			desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
			phone.Send(enable)
			phone.Clear()
			c.Hold()
			desk.Send("<message type='chat' to='juliet@example.org' id='m'><body>x</body></message>")
			phone.ExpectNone()
			if fails {
				c.Fail(errors.New("on purpose"))
			}
			c.Release()
			h.Settle()
			got := strings.Join(phone.Arrived(), "")
			phone.Clear()
			if strings.Contains(got, "<message") == fails {
				t.Errorf("failed %t: got %q", fails, got)
			}
		})
	}
}

// TestNobody: CC-26: what nobody got is not copied: whoever keeps messages gets each
// once, and will give it to sessions that are not available now when they are.
func TestNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var kept []string
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil), ext(func(r *mux.Registry) {
			r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				kept = append(kept, e.Stanza.ID())
				return mux.Done, nil
			})
		}))
		h.AddAccount("romeo@example.net")
		juliet := h.Connect(t, "juliet@example.net/x")
		juliet.Send("<message type='chat' to='romeo@example.net' id='m1'><body>x</body></message>")
		romeo := h.Connect(t, "romeo@example.net/phone")
		romeo.Send(enable)
		romeo.Clear()
		juliet.Send("<message type='chat' to='romeo@example.net' id='m2'><body>x</body></message>")
		if got := copies(t, romeo); len(got) > 0 || !slices.Equal(kept, []string{"m1", "m2"}) {
			t.Errorf("copies %q, kept %q", got, kept)
		}
	})
}
