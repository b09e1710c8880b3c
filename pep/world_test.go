package pep_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/smacks"
	"github.com/propolis-im/propolis/vcard"
)

// world is the extensions that events pass, as a server puts them together, with clients
// that answer what they are asked about their capabilities.
type world struct {
	t        testing.TB
	h        *muxtest.Host
	sessions mux.MemorySessions
	nodes    *counted
	rosters  *roster.Memory
	blocked  blocking.Memory
	streams  smacks.Memory
	hashes   caps.Memory
	kept     offline.Memory
	archived archive.Memory
	cards    vcard.Memory
	caps     *caps.Extension
	asked    int // queries that clients and others were asked
	far      *muxtest.Client
	n        int
}

// inWorld runs a test in a world with the contacts of the other tests.
func inWorld(t *testing.T, before func(w *world), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, nodes: &counted{Store: new(pep.Memory)}, rosters: contacts(t)}
		if before != nil {
			before(w)
		}
		w.h = muxtest.NewHost(t)
		w.h.AddAccount("juliet@example.net", "romeo@example.net", "nurse@example.net", "paris@example.net", "tybalt@example.net")
		w.h.Open(&mux.Options{NoRecover: true, Sessions: &w.sessions, Committer: new(muxtest.Committer)}, w.extensions()...)
		f(w)
	})
}

func (w *world) extensions() []mux.Extension {
	r, b := roster.New(w.rosters, nil), blocking.New(&w.blocked, nil)
	waits := func(e *mux.Event) bool { return !r.Cached(e) }
	events := pep.New(w.nodes, &pep.Options{Subscription: r.Subscription, Contacts: r.Contacts, Groups: r.Groups, Blocked: b.Blocked,
		Blockers: w.blocked.Blockers, Waits: func(e *mux.Event) bool { return waits(e) || !b.Cached(e) }})
	w.caps = caps.New(&w.hashes, &caps.Options{Subscription: r.Subscription, Waits: waits, Changed: events.Wants, Restored: events.Known})
	archives := archive.New(&w.archived, nil)
	return []mux.Extension{smacks.New(&w.streams, nil), b, r, presence.New(r, nil), w.caps,
		offline.New(&w.kept, &offline.Options{ReadsArchive: archives.Reads, Archived: archives.Messages}), archives, carbons.New(nil), events,
		disco.New(&disco.Options{Waits: events.Waits, MaySee: func(ctx context.Context, e *mux.Event, _, from mux.Address) bool {
			sees, _ := r.Subscription(ctx, e, from)
			return sees || events.Visible(ctx, e, from)
		}}), vcard.New(&w.cards, nil)}
}

// actor is a client of that world.
type actor struct {
	w     *world
	c     *muxtest.Client
	wants []string
	mute  bool     // does not answer queries
	arr   []string // what has arrived
	count int      // stanzas, as XEP-0198 counts them
	token string
}

func (w *world) connect(full string) *actor { return &actor{w: w, c: w.h.Connect(w.t, full)} }

// manage enables stream management.
func (a *actor) manage() {
	a.w.t.Helper()
	a.c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	got := muxtest.Captures{}
	a.c.ExpectWith(got, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
	a.token = got["id"]
}

// resume comes back on a new stream.
func (a *actor) resume() {
	a.w.t.Helper()
	a.c = a.w.h.Dial(a.w.t, a.c.Session.JID().Bare().String())
	a.c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + a.token + "' h='" + strconv.Itoa(a.count) + "'/>")
	a.pump()
}

// capsInfo is what a client says of itself that wants some nodes.
func capsInfo(nodes []string) *caps.Info {
	i := &caps.Info{Identities: []caps.Identity{{Category: "client", Type: "pc", Name: "C"}}, Features: []string{caps.NSInfo}}
	for _, n := range nodes {
		i.Features = append(i.Features, n+"+notify")
	}
	return i
}

// capsVer is the hash of that, by XEP-0115.
func capsVer(t testing.TB, nodes []string) string {
	t.Helper()
	ver, err := caps.Hash115(capsInfo(nodes), "sha-1")
	if err != nil {
		t.Fatal(err)
	}
	return ver
}

// hash is the element for presence.
func (w *world) hash(nodes []string) string {
	w.t.Helper()
	return string(caps.Append115(nil, "https://client.example", "sha-1", capsVer(w.t, nodes)))
}

func parsed(t testing.TB, el string) *mux.Stanza {
	t.Helper()
	st, err := mux.Parse([]byte(el))
	if err != nil {
		t.Fatalf("%s: %v", el, err)
	}
	return st
}

// there sends presence with capabilities.
func (a *actor) there(nodes ...string) *actor {
	a.w.t.Helper()
	a.wants = nodes
	return a.send("<presence>" + a.w.hash(nodes) + "</presence>")
}

func (a *actor) send(elements ...string) *actor {
	a.c.Send(elements...)
	return a.pump()
}

// pump takes what has arrived and answers what is asked.
func (a *actor) pump() *actor {
	a.w.t.Helper()
	for l := a.c.Arrived(); len(l) > 0; l = a.c.Arrived() {
		a.c.Clear()
		for _, el := range l {
			st, err := mux.Parse([]byte(el))
			if err != nil || st.Kind() == mux.Nonza {
				continue
			}
			a.count++
			if answer := a.w.answer(st, a.wants); answer != "" && !a.mute {
				a.c.Send(answer)
			} else {
				a.arr = append(a.arr, el)
			}
		}
	}
	return a
}

// answer answers a query about capabilities, which it counts.
func (w *world) answer(st *mux.Stanza, nodes []string) string {
	if st.Kind() != mux.IQ || st.Type() != "get" || st.Children()[0].Name.Space != caps.NSInfo {
		return ""
	}
	w.asked++
	return fmt.Sprintf("<iq type='result' id='%s' from='%s' to='%s'>%s</iq>", st.ID(), st.To(), st.From(),
		caps.AppendInfo(nil, st.Children()[0].Attr("node"), capsInfo(nodes)))
}

// events takes the events that have arrived, in short.
func (a *actor) events() string {
	a.w.t.Helper()
	a.pump()
	var l []string
	for _, el := range a.arr {
		if st, err := mux.Parse([]byte(el)); err == nil && st.Kind() == mux.Message {
			l = append(l, shortEvent(st))
		}
	}
	a.arr = nil
	return strings.Join(l, " ")
}

// ask sends a request, to juliet unless it is her own, and returns the error in short and
// the answer. What else arrives is kept for events.
func (a *actor) ask(typ, payload string) (short, whole string) {
	a.w.t.Helper()
	return a.of("juliet@example.net", typ, payload)
}

func (a *actor) of(to, typ, payload string) (short, whole string) {
	a.w.t.Helper()
	a.w.n++
	id := fmt.Sprint("w", a.w.n)
	a.send("<iq type='" + typ + "' to='" + to + "' id='" + id + "'>" + payload + "</iq>")
	for i, el := range a.arr {
		st, err := mux.Parse([]byte(el))
		if err != nil || st.ID() != id {
			continue
		}
		a.arr = append(a.arr[:i:i], a.arr[i+1:]...)
		if st.Type() == "error" {
			short = shortError(st)
		}
		return short, el
	}
	a.w.t.Errorf("no answer to %s", payload)
	return "none", ""
}

func (a *actor) publish(node, id string, options ...string) {
	a.w.t.Helper()
	if short, _ := a.ask("set", publication(node, id, options...)); short != "" {
		a.w.t.Errorf("publishing %s: %s", id, short)
	}
}

// sleep lets time pass in the bubble.
func (w *world) sleep(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
	synctest.Wait()
}

// org is the stream of example.org.
func (w *world) org() *muxtest.Client {
	w.t.Helper()
	if w.far == nil {
		w.far = w.h.DialDomain(w.t, mux.Server, "example.org")
	}
	return w.far
}

// farAll takes what was sent to example.org, answering queries for clients that want
// these nodes.
func (w *world) farAll(nodes ...string) (l []string) {
	w.t.Helper()
	for all := w.h.Routed("example.org"); len(all) > 0; all = w.h.Routed("example.org") {
		for _, el := range all {
			st, err := mux.Parse([]byte(el))
			if err != nil {
				w.t.Fatal(err)
			}
			if answer := w.answer(st, nodes); answer != "" {
				w.org().Write(answer)
			} else if st.Kind() == mux.Message {
				l = append(l, st.To().String()+" "+shortEvent(st))
			}
		}
		w.h.Settle()
	}
	return l
}
