package carbons_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// device is what the model knows of a session.
type device struct {
	full         string
	client       *muxtest.Client // nil if it has no stream
	session      *mux.Session
	enabled      bool
	available    bool
	priority     int
	got, toBeGot []string // as direct, sent or received and an id
}

// world are romeo's ten sessions and what the model says about copies. It knows the
// rules from the specification, not from the code.
type world struct {
	t       *testing.T
	rnd     *rand.Rand
	h       *muxtest.Host
	tr      *tracker
	devices []*device
	sent    map[string]bool // ids sent to juliet that errors may answer
	n       int
	copies  map[string]int // by direction
}

// kinds of messages: type, children, and whether they are copied; pm and the like are
// decided by direction.
var kindsOfMessages = []struct {
	typ, children string
	sent, arrived bool
	inRoom        bool
}{
	{typ: "chat", children: body, sent: true, arrived: true},
	{typ: "normal", children: body, sent: true, arrived: true},
	{typ: "normal", children: "<x xmlns='urn:example:data'/>"},
	{typ: "normal", children: "<received xmlns='urn:xmpp:receipts' id='1'/>", sent: true, arrived: true},
	{typ: "chat", children: "<composing xmlns='http://jabber.org/protocol/chatstates'/>", sent: true, arrived: true},
	{typ: "normal", children: "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", sent: true, arrived: true},
	{typ: "groupchat", children: body, inRoom: true},
	{typ: "chat", children: body + room, sent: true, inRoom: true},
	{typ: "chat", children: body + "<private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>"},
	{typ: "headline", children: body},
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(280, 1)), tr: new(tracker), sent: make(map[string]bool), copies: make(map[string]int)}
	w.h = muxtest.New(t, &mux.Options{NoRecover: true, Committer: new(muxtest.Committer)}, carbons.New(nil), w.tr)
	for i := range 10 {
		d := &device{full: fmt.Sprint("romeo@example.net/r", i), enabled: i%4 != 3, available: i != 1, priority: i%3 - (i / 9 * 2)}
		d.client = w.h.Connect(t, d.full)
		d.session = d.client.Session
		if d.enabled {
			d.client.Send(enable)
		}
		if d.available {
			d.client.Send(fmt.Sprintf("<presence><priority>%d</priority></presence>", d.priority))
		}
		w.devices = append(w.devices, d)
	}
	for _, i := range []int{2, 3, 4} { // two that have enabled carbons, one of the highest priority
		w.devices[i].client.Drop()
		w.devices[i].client = nil
	}
	for _, d := range w.devices {
		w.tr.take(d.session)
	}
	return w
}

// top are the devices that get what is for the account (core-im DL-2, DL-35).
func (w *world) top() (top []*device) {
	best := -1
	for _, d := range w.devices {
		if d.available {
			best = max(best, d.priority)
		}
	}
	live := false
	for _, d := range w.devices {
		if d.available && best >= 0 && d.priority == best {
			top = append(top, d)
			live = live || d.client != nil
		}
	}
	for _, d := range w.devices {
		if !live && d.available && d.priority >= 0 && d.priority < best && d.client != nil {
			top = append(top, d)
		}
	}
	return top
}

// copyTo expects a copy for all that have enabled carbons but some.
func (w *world) copyTo(what string, but ...*device) {
	for _, d := range w.devices {
		if d.enabled && !slices.Contains(but, d) {
			d.toBeGot = append(d.toBeGot, what)
		}
	}
}

func (w *world) any() *device { return w.devices[w.rnd.IntN(len(w.devices))] }

func (w *world) anyLive() *device {
	for {
		if d := w.any(); d.client != nil {
			return d
		}
	}
}

func (w *world) id() string {
	w.n++
	return fmt.Sprint("m", w.n)
}

// speak has a device send something, to juliet, to the own account or to another
// device of it.
func (w *world) speak() {
	id, k, from := w.id(), kindsOfMessages[w.rnd.IntN(len(kindsOfMessages))], w.anyLive()
	to := "juliet@example.org"
	if k.inRoom {
		to = "darkcave@example.org"
		if k.typ != "groupchat" {
			to += "/juliet"
		}
	} else if w.rnd.IntN(2) == 0 {
		to += "/balcony"
	}
	if !k.inRoom && k.typ != "headline" && w.rnd.IntN(5) == 0 {
		w.toSelf(id, k.typ, k.children, k.sent, from)
		return
	}
	from.client.Send(fmt.Sprintf("<message type='%s' to='%s' id='%s'>%s</message>", k.typ, to, id, k.children))
	if k.sent {
		w.copyTo("sent "+id, from)
		w.sent[id+" "+to] = true
	}
}

func (w *world) toSelf(id, typ, children string, copied bool, from *device) {
	to, got := "romeo@example.net", w.top()
	if w.rnd.IntN(2) == 0 {
		d := w.any()
		to, got = d.full, []*device{d}
	}
	from.client.Send(fmt.Sprintf("<message type='%s' to='%s' id='%s'>%s</message>", typ, to, id, children))
	for _, d := range got {
		d.toBeGot = append(d.toBeGot, "direct "+id)
	}
	if copied && to != from.full {
		w.copyTo("sent "+id, append(got, from)...)
	}
}

// hear has something arrive for the account or for a device.
func (w *world) hear() {
	id, k := w.id(), kindsOfMessages[w.rnd.IntN(len(kindsOfMessages))]
	from, to, got := "juliet@example.org/balcony", "romeo@example.net", w.top()
	switch {
	case k.inRoom:
		from = "darkcave@example.org/juliet"
		fallthrough
	case w.rnd.IntN(2) == 0:
		d := w.any()
		to, got = d.full, []*device{d}
	case k.typ == "headline": // to all that are not negative
		got = nil
		for _, d := range w.devices {
			if d.available && d.priority >= 0 {
				got = append(got, d)
			}
		}
	}
	w.arrives(fmt.Sprintf("<message type='%s' from='%s' to='%s' id='%s'>%s</message>", k.typ, from, to, id, k.children))
	for _, d := range got {
		d.toBeGot = append(d.toBeGot, "direct "+id)
	}
	if k.arrived {
		w.copyTo("received "+id, got...)
	}
}

// fail has an error arrive, for something that was sent or for nothing.
func (w *world) fail() {
	id, from := w.id(), "juliet@example.org"
	answers := false
	for old := range w.sent {
		if w.rnd.IntN(3) > 0 {
			id, from, _ = strings.Cut(old, " ")
			answers = true
		}
		delete(w.sent, old) // no longer remembered for sure
		break
	}
	d := w.any()
	w.arrives(fmt.Sprintf("<message type='error' from='%s' to='%s' id='%s'><error type='cancel'/></message>", from, d.full, id))
	d.toBeGot = append(d.toBeGot, "direct "+id)
	if answers {
		w.copyTo("received "+id, d)
	}
}

func (w *world) arrives(text string) {
	s, err := mux.Parse([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.h.Mux().Inject(w.t.Context(), mux.Item{Stanza: s}); err != nil {
		w.t.Fatal(err)
	}
	w.h.Settle()
}

// check compares what all devices have got with what they were to get.
func (w *world) check() {
	for _, d := range w.devices {
		for _, el := range w.tr.take(d.session) {
			what := copyOf(w.t, el, d.session.JID())
			if what == "" {
				s, err := mux.Parse([]byte(el))
				if err != nil {
					w.t.Fatal(err)
				}
				what = "direct " + s.ID()
			}
			d.got = append(d.got, what)
			way, _, _ := strings.Cut(what, " ")
			w.copies[way]++
		}
		if !slices.Equal(d.got, d.toBeGot) {
			w.t.Fatalf("message %d: %s got %q, want %q", w.n, d.full, d.got, d.toBeGot)
		}
		seen := make(map[string]bool)
		for _, what := range d.got {
			if seen[what[strings.Index(what, " "):]] {
				w.t.Fatalf("%s got %q", d.full, d.got)
			}
			seen[what[strings.Index(what, " "):]] = true
		}
		d.got, d.toBeGot = nil, nil
	}
}

// TestGenerated: ten sessions, of which three have no stream, 10 000 messages of all
// kinds in and out, and carbons that are switched on and off between them. All get
// exactly what the model says, in order, and nobody anything twice (CC-24, CC-30,
// FI-49, FI-50).
func TestGenerated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 10_000 {
			switch n := w.rnd.IntN(20); {
			case n < 9:
				w.speak()
			case n < 18:
				w.hear()
			default:
				w.fail()
			}
			w.check()
			if i%50 == 0 {
				clear(w.sent) // more than are remembered
				d := w.anyLive()
				d.enabled = !d.enabled
				text := enable
				if !d.enabled {
					text = strings.ReplaceAll(enable, "enable", "disable")
				}
				d.client.Send(text)
				for _, d := range w.devices {
					if d.client != nil {
						d.client.Clear()
					}
					w.tr.take(d.session)
				}
				w.h.Routed("example.org")
			}
		}
		for _, d := range w.devices {
			if d.client == nil && d.session.State() != mux.Hibernating {
				t.Errorf("%s is %s", d.full, d.session.State())
			}
		}
		t.Logf("got: %v", w.copies)
		if w.copies["sent"] < 10_000 || w.copies["received"] < 10_000 {
			t.Errorf("got %v: not much of a test", w.copies)
		}
	})
}
