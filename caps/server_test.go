package caps_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/caps/storetest"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

var juliet = mux.MustParseAddress("juliet@example.net")

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		store, sessions := new(caps.Memory), new(mux.MemorySessions)
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), Sessions: sessions, NoRecover: true},
			Extensions: func() []mux.Extension {
				return []mux.Extension{caps.New(store, &caps.Options{Subscription: friends}), keeper{}}
			},
		}
	})
}

// TestPoisoned: whichever of the infos that are hashed alike comes first, the same is
// taken from it (pep S-13).
func TestPoisoned(t *testing.T) {
	t.Parallel()
	for k, first := range alike {
		synctest.Test(t, func(t *testing.T) {
			h := newRig(t, nil, caps.Options{})
			c := h.Connect(t, "juliet@example.net/1")
			c.Send(toAll(alikeVer))
			c.Send(result(t, c.Next(), first))
			h.want(t, "juliet: juliet@example.net/1 wants [urn:a urn:b urn:c]")
			d := h.Connect(t, "romeo@example.net/2")
			d.Send(toAll(alikeVer))
			d.ExpectNone()
			h.want(t, "romeo: romeo@example.net/2 wants [urn:a urn:b urn:c]")
			if k == 0 && !h.x.OfSession(d.Session).Supports("http://jabber.org/protocol/disco#info") {
				t.Error("a feature is missing")
			}
		})
	}
}

// TestLies is about answers that must not count for anybody else (pep S-12, CAPS-7).
func TestLies(t *testing.T) {
	t.Parallel()
	const honest = idA + "<feature var='urn:a+notify'/>"
	for _, c := range []struct {
		name, claim, says, own string
	}{
		{"another info", "", honest + "<feature var='urn:evil+notify'/>", "[urn:a urn:evil]"},
		{"feature twice", sha1Of("client/pc//A<urn:a+notify<urn:a+notify<"), honest + "<feature var='urn:a+notify'/>", "[urn:a]"},
		{"identity twice", sha1Of("client/pc//A<client/pc//A<urn:a+notify<"), idA + honest, "[urn:a]"},
		{"form twice", sha1Of("client/pc//A<urn:a+notify<urn:f<urn:f<"), honest + formOf(typed("urn:f")) + formOf(typed("urn:f")), "[urn:a]"},
		{"form of two types", sha1Of("client/pc//A<urn:a+notify<urn:f<urn:g<"), honest + formOf("<field var='FORM_TYPE' type='hidden'><value>urn:f</value><value>urn:g</value></field>"), "[urn:a]"},
		{"separator", sha1Of("client/pc//A<urn:a+notify<urn:b+notify<"), idA + "<feature var='urn:a+notify&lt;urn:b+notify'/>", "[urn:a+notify<urn:b]"},
		{"too long", sha1Of("x"), "<feature var='urn:a+notify'/><identity category='client' type='pc' name='" + strings.Repeat("x", 64<<10) + "'/>", ""},
		{"too much", sha1Of("x"), "<feature var='urn:a+notify'/>" + strings.Repeat("<feature var='x'/>", 1000), ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newRig(t, nil, caps.Options{})
			claim := c.claim
			if claim == "" {
				claim = verOf(t, honest)
			}
			liar, next := h.Connect(t, "juliet@example.net/liar"), h.Connect(t, "romeo@example.net/next")
			liar.Send(toAll(claim))
			liar.Send(result(t, liar.Next(), c.says))
			var told []string
			if c.own != "" {
				told = []string{"juliet: juliet@example.net/liar wants " + c.own}
			}
			h.want(t, told...)
			if s := h.x.Stats(); s.Hashes != 0 {
				t.Errorf("%s: %d hashes are remembered", c.name, s.Hashes)
			}
			next.Send(toAll(claim))
			next.Send(result(t, next.Next(), honest))
			h.want(t, "romeo: romeo@example.net/next wants [urn:a]")
			third := h.Connect(t, "nurse@example.net/third") // it is known by now
			third.Send(toAll(claim))
			if s := h.x.Stats(); c.claim == "" && s.Hashes == 1 {
				third.ExpectNone()
				h.want(t, "nurse: nurse@example.net/third wants [urn:a]")
			} else if c.claim == "" {
				t.Errorf("%s: %d hashes are remembered", c.name, s.Hashes)
			}
			liar.Send(strings.Replace(toAll(claim), "</presence>", "<show>away</show></presence>", 1))
			liar.ExpectNone()
		})
	}
}

// TestNew390: hashes of XEP-0390 are preferred, asked for by their own node, and not
// taken from what is known by XEP-0115.
func TestNew390(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		says := wants("urn:a") + formOf(typed("urn:f+notify"))
		old := verOf(t, says)
		set := caps.Hash{Proto: caps.XEP0390, Algo: "sha3-256"}
		var err error
		if set.Value, err = caps.Hash390(info(t, query(says)), set.Algo); err != nil {
			t.Fatal(err)
		}
		a, b, c := h.Connect(t, "juliet@example.net/a"), h.Connect(t, "juliet@example.net/b"), h.Connect(t, "juliet@example.net/c")
		a.Send(toAll(old))
		a.Send(result(t, a.Next(), says))
		h.want(t, "juliet: juliet@example.net/a wants [urn:a urn:f]")
		both := strings.Replace(toAll(old), "</presence>", string(caps.Append390(nil, set))+"</presence>", 1)
		b.Send(both)
		asked := b.Next()
		if got := parse(t, asked).Children()[0].Attr("node"); got != set.QueryNode() {
			t.Errorf("asked for %s", got)
		}
		b.Send(result(t, asked, says))
		h.want(t, "juliet: juliet@example.net/b wants [urn:a]") // a form's type is no feature
		c.Send(both)
		c.ExpectNone()
		h.want(t, "juliet: juliet@example.net/c wants [urn:a]")
		if !h.x.OfSession(c.Session).Supports("urn:a+notify") || h.x.OfSession(c.Session).Supports("urn:f+notify") {
			t.Error("wrong features")
		}
	})
}

// TestUnsupported: a hash that cannot be checked holds for nobody else.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		a, b := h.Connect(t, "juliet@example.net/a"), h.Connect(t, "juliet@example.net/b")
		md5 := strings.Replace(toAll("v="), "sha-1", "md5", 1)
		a.Send(md5)
		b.Send(md5)
		b.Send(result(t, b.Next(), wants("urn:b"))) // does not wait for the other
		a.Send(result(t, a.Next(), wants("urn:a")))
		h.want(t, "juliet: juliet@example.net/b wants [urn:b]", "juliet: juliet@example.net/a wants [urn:a]")
		a.Send("<presence><c xmlns='http://jabber.org/protocol/caps' node='http://n' ver='0.9'/></presence>") // XEP-0115 §13
		a.ExpectNone()
		h.want(t)
		if s := h.x.Stats(); s.Hashes != 0 {
			t.Errorf("%d hashes are remembered", s.Hashes)
		}
	})
}

// TestChanges: what is told when an own client changes its mind (pep S-16, S-17).
func TestChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		c := h.Connect(t, "juliet@example.net/1")
		one, two := wants("urn:a"), wants("urn:a", "urn:tune")
		c.Send(toAll(verOf(t, one)))
		c.Send(result(t, c.Next(), one))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
		c.Send("<presence><show>away</show></presence>", toAll(verOf(t, one)))
		c.ExpectNone()
		h.want(t)
		c.Send(toAll(verOf(t, two)))
		h.want(t) // the earlier ones hold meanwhile
		c.Send(result(t, c.Next(), two))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a urn:tune]")
		c.Send(toAll(verOf(t, one)))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
		c.Send("<presence type='unavailable'/>")
		h.want(t, "juliet: juliet@example.net/1 wants []")
		c.Send("<presence/>")
		h.want(t)
		c.Send(toAll(verOf(t, one)))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
		c.Close()
		h.want(t, "juliet: juliet@example.net/1 wants []")
		if got := h.x.OfSession(c.Session); got != nil {
			t.Errorf("still known: %v", got.Features)
		}
	})
}

// TestContacts: others' presence, also while the account is away (pep CAPS-1).
func TestContacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		h.AddAccount("juliet@example.net")
		org := h.DialDomain(t, mux.Server, "example.org")
		says := wants("urn:a")
		one := announce("friend@example.org/1", verOf(t, says))
		org.Send(one)
		asked := h.Routed("example.org")
		if len(asked) != 1 {
			t.Fatalf("routed %q", asked)
		}
		if q := parse(t, asked[0]); q.From() != juliet || q.To().String() != "friend@example.org/1" || len(q.ID()) < 20 {
			t.Errorf("asked %s", asked[0])
		}
		org.Send(result(t, asked[0], says))
		h.want(t, "juliet: friend@example.org/1 wants [urn:a]")
		org.Send(one, announce("friend2@example.org/1", verOf(t, says)), announce("stranger@example.org/1", verOf(t, says)),
			announce("friend@example.org", "x="),
			strings.Replace(announce("friend@example.org/nick", "x="), "</presence>", "<x xmlns='http://jabber.org/protocol/muc#user'/></presence>", 1))
		h.ExpectRouted("example.org")
		h.want(t, "juliet: friend2@example.org/1 wants [urn:a]")
		var all []string
		h.x.Each(juliet, func(full mux.Address, c *caps.Capabilities) bool {
			all = append(all, full.String())
			return c.Supports("urn:a+notify")
		})
		slices.Sort(all)
		if !slices.Equal(all, []string{"friend2@example.org/1", "friend@example.org/1"}) {
			t.Errorf("known: %q", all)
		}
		friend := mux.MustParseAddress("friend@example.org/1")
		if c := h.x.Of(juliet, friend); !c.Supports("urn:a+notify") || c.Supports("urn:b") {
			t.Error("wrong features")
		}
		org.Send("<presence from='friend@example.org/1' to='juliet@example.net' type='unavailable'/>")
		h.want(t, "juliet: friend@example.org/1 wants []")
		if c := h.x.Of(juliet, friend); c != nil || c.Supports("urn:a+notify") {
			t.Error("still known")
		}
		org.Send("<presence from='friend2@example.org' to='juliet@example.net' type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>")
		h.want(t, "juliet: friend2@example.org/1 wants []")
		if s := h.x.Stats(); s.Resources != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestForgotten: events of the account end what is known of a contact.
func TestForgotten(t *testing.T) {
	t.Parallel()
	says := wants("urn:a")
	for _, c := range []struct {
		name string
		do   func(h *rig) error
		left int
	}{
		{"subscription", func(h *rig) error {
			return h.emit(t, mux.SubscriptionChanged{Contact: mux.MustParseAddress("friend@example.org"), ToWas: true})
		}, 1},
		{"other subscription", func(h *rig) error {
			return h.emit(t, mux.SubscriptionChanged{Contact: mux.MustParseAddress("friend@example.org"), FromWas: true, ToWas: true, To: true})
		}, 2},
		{"blocked", func(h *rig) error {
			return h.emit(t, mux.BlockChanged{Contact: mux.MustParseAddress("friend2@example.org"), Blocked: true})
		}, 1},
		{"unblocked", func(h *rig) error {
			return h.emit(t, mux.BlockChanged{Contact: mux.MustParseAddress("friend2@example.org")})
		}, 2},
		{"domain blocked", func(h *rig) error {
			return h.emit(t, mux.BlockChanged{Contact: mux.MustParseAddress("example.org"), Blocked: true})
		}, 0},
		{"account removed", func(h *rig) error { return h.Mux().RemoveAccount(t.Context(), juliet) }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newRig(t, nil, caps.Options{})
			h.AddAccount("juliet@example.net")
			org := h.DialDomain(t, mux.Server, "example.org")
			org.Send(announce("friend@example.org/1", verOf(t, says)), announce("friend2@example.org/1", verOf(t, says)))
			org.Send(result(t, h.Routed("example.org")[0], says))
			h.take()
			if err := c.do(h); err != nil {
				t.Fatal(err)
			}
			h.Settle()
			if n := h.x.Stats().Resources; n != c.left {
				t.Errorf("%s: %d left", c.name, n)
			}
			if told := h.take(); len(told) != 2-c.left {
				t.Errorf("%s: told %q", c.name, told)
			}
		})
	}
}

// TestLocalStranger: what an own client says to somebody who is no contact counts there.
func TestLocalStranger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{Strangers: true})
		h.AddAccount("juliet@example.net")
		says := wants("urn:a")
		c := h.Connect(t, "romeo@example.net/1")
		c.Send(announce("", verOf(t, says)))
		c.Send(result(t, c.Next(), says))
		h.want(t, "juliet: romeo@example.net/1 wants [urn:a]")
		c.Send("<presence to='juliet@example.net' type='unavailable'/>")
		h.want(t, "juliet: romeo@example.net/1 wants []")
		friend := h.Connect(t, "friend@example.net/1")
		friend.Send(announce("", verOf(t, says)))
		h.want(t) // it says so to all, or should
		toContact := mux.Item{Stanza: parse(t, announce("romeo@example.net/1", verOf(t, says))), Flags: mux.Service}
		if err := h.Mux().Inject(t.Context(), toContact); err != nil {
			t.Fatal(err)
		}
		h.want(t) // what is said to all is seen where it is said
	})
}

// TestRestart: a session that waits for its client is told of before anything else, if
// its hash is known; else the client is asked when it is back.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store, sessions := new(caps.Memory), new(mux.MemorySessions)
			l := new(listener)
			o := &caps.Options{Changed: l.changed, Restored: l.restored}
			h := muxtest.NewHost(t)
			h.Open(&mux.Options{Sessions: sessions, NoRecover: true, Committer: new(muxtest.Committer)}, caps.New(store, o), keeper{})
			says := wants("urn:a", "urn:b")
			c := h.Connect(t, "juliet@example.net/1")
			c.Send(toAll(verOf(t, says)))
			c.Send(result(t, c.Next(), says))
			l.want(t, "juliet: juliet@example.net/1 wants [urn:a urn:b]")
			if !kept {
				store = new(caps.Memory)
			}
			id := c.Session.ID()
			h.Restart(caps.New(store, o), keeper{})
			if kept {
				l.want(t, "restored: juliet@example.net/1 wants [urn:a urn:b]")
			} else {
				l.want(t)
			}
			d := h.Dial(t, "juliet@example.net")
			if err := d.Resume(&mux.Resumption{ID: id, Check: func(*mux.Session) error { return nil }}); err != nil {
				t.Fatal(err)
			}
			if !kept {
				d.Send(result(t, d.Next(), says))
				l.want(t, "juliet: juliet@example.net/1 wants [urn:a urn:b]")
			}
			d.Send(toAll(verOf(t, says)), "<presence><show>away</show></presence>")
			d.ExpectNone()
			l.want(t)
			// The time when it was seen is kept, about once a day.
			time.Sleep(25 * time.Hour)
			before, err := store.Load(t.Context(), 10)
			if err != nil || len(before) != 1 {
				t.Fatalf("kept %+v, error %v", before, err)
			}
			e := h.Connect(t, "romeo@example.net/1")
			e.Send(toAll(verOf(t, says)))
			e.ExpectNone()
			after, err := store.Load(t.Context(), 10)
			if err != nil || len(after) != 1 || !after[0].Seen.After(before[0].Seen) {
				t.Errorf("kept %+v, error %v", after, err)
			}
		})
	}
}

func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, caps.New(nil, nil))
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{"urn:xmpp:caps"}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store {
		return storetest.Store{Store: new(caps.Memory)}
	})
}

// broken is a store that cannot be read.
type broken struct{ caps.Memory }

func (*broken) Load(context.Context, int) ([]caps.Saved, error) { return nil, errors.New("on purpose") }

func TestBrokenStore(t *testing.T) {
	t.Parallel()
	h := muxtest.NewHost(t)
	m, err := mux.New(h, nil, caps.New(new(broken), nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err == nil {
		t.Error("no error")
	}
	if err := m.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// guard refuses presence of some people.
type guard struct{}

func (guard) Name() string { return "guard" }

func (guard) Register(r *mux.Registry) error {
	r.Guard(mux.ToAccount, mux.Presence, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if strings.HasPrefix(e.Stanza.From().Local(), "friend-blocked") {
			return mux.Done, nil
		}
		return mux.Pass, nil
	})
	return nil
}

// TestAdmitted: who somebody is, is asked once, by a turn that may wait; presence that a
// guard keeps away does not count, in whatever order the extensions are.
func TestAdmitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(listener)
		asked := 0
		x := caps.New(nil, &caps.Options{
			Changed: l.changed,
			Waits:   func(*mux.Event) bool { return true },
			Subscription: func(ctx context.Context, e *mux.Event, contact mux.Address) (bool, bool) {
				time.Sleep(time.Second) // the store is slow
				asked++
				return friends(ctx, e, contact)
			},
		})
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x, guard{})
		h.AddAccount("juliet@example.net")
		org := h.DialDomain(t, mux.Server, "example.org")
		says := wants("urn:a")
		org.Send(announce("friend@example.org/1", verOf(t, says)), announce("friend-blocked@example.org/1", "x="))
		time.Sleep(10 * time.Second)
		h.Settle()
		org.Send(result(t, h.Routed("example.org")[0], says))
		org.Send(announce("friend@example.org/1", verOf(t, says)), "<presence from='friend2@example.org/1' to='juliet@example.net'/>")
		l.want(t, "juliet: friend@example.org/1 wants [urn:a]")
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// TestRemovedMeanwhile: the account that asked is gone when the answer comes.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		h.AddAccount("juliet@example.net", "romeo@example.net")
		org := h.DialDomain(t, mux.Server, "example.org")
		says := wants("urn:a")
		p := announce("friend@example.org/1", verOf(t, says))
		org.Send(p)
		asked := h.Routed("example.org")
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		h.RemoveAccount("juliet@example.net")
		org.Send(result(t, asked[0], says))
		org.Send(strings.Replace(p, "juliet", "romeo", 1))
		time.Sleep(time.Minute)
		h.Settle()
		if again := h.Routed("example.org"); len(again) > 0 {
			org.Send(result(t, again[0], says))
		}
		h.want(t, "romeo: friend@example.org/1 wants [urn:a]")
		if s := h.x.Stats(); s.Asking != 0 || s.Resources != 1 {
			t.Errorf("%+v", s)
		}
	})
}
