package joint

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

const (
	phoneJID = "romeo@example.net/phone"
	deskJID  = "romeo@example.net/desk"
	active   = "<active xmlns='urn:xmpp:csi:0'/>"
	inactive = "<inactive xmlns='urn:xmpp:csi:0'/>"
	typing   = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
	body     = "<body>x</body>"
)

// keeper keeps messages that nobody took, by id, as an offline store would.
type keeper struct{ ids []string }

func (*keeper) Name() string { return "keeper" }

func (x *keeper) Register(r *mux.Registry) error {
	r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		x.ids = append(x.ids, e.Stanza.ID())
		return mux.Done, nil
	})
	return nil
}

// world is romeo with a phone, which uses everything, and a desk, which uses nothing;
// and another server from which others write to him.
type world struct {
	t           *testing.T
	h           *muxtest.Host
	sessions    mux.MemorySessions
	store       smacks.Memory
	held        *csi.Extension
	sent        *smacks.Extension
	kept        *keeper
	opt         *csi.Options
	phone, desk *muxtest.Client
	org         *muxtest.Client
	token       string
	count       int // stanzas the phone has got in its session
}

func newWorld(t *testing.T, o *csi.Options) *world {
	w := &world{t: t, opt: o, kept: new(keeper)}
	w.open()
	w.others()
	w.phone = w.h.Connect(t, phoneJID)
	w.phone.Send("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	got := muxtest.Captures{}
	w.phone.ExpectWith(got, "<iq type='result' id='c' from='romeo@example.net' to='"+phoneJID+"'/>",
		"<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
	w.token = got["id"]
	return w
}

func (w *world) extensions() []mux.Extension {
	w.held = csi.New(w.opt)
	w.sent = smacks.New(&w.store, &smacks.Options{Idle: w.held.Inactive})
	return []mux.Extension{w.kept, carbons.New(nil), w.sent, w.held}
}

// open begins with what the stores have: after a crash, if there was a host before.
func (w *world) open() {
	w.h = muxtest.NewHost(w.t)
	w.h.AddAccount("romeo@example.net")
	w.h.Open(&mux.Options{NoRecover: true, Sessions: &w.sessions, Committer: new(muxtest.Committer)}, w.extensions()...)
}

func (w *world) restart() { w.h.Restart(w.extensions()...) }

// others has all but the phone connect.
func (w *world) others() {
	w.desk = w.h.Connect(w.t, deskJID)
	w.org = w.h.DialDomain(w.t, mux.Server, "example.org")
}

// resume has the phone come back.
func (w *world) resume() {
	w.t.Helper()
	w.phone = w.h.Dial(w.t, "romeo@example.net")
	w.phone.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + w.token + "' h='" + strconv.Itoa(w.count) + "'/>")
}

// got is what has arrived at the phone, by ids; of a copy by that of the message in
// it. Requests for acknowledgements are left out and counted.
func (w *world) got() (ids string, asked int) {
	w.t.Helper()
	var all []string
	for _, el := range w.phone.Arrived() {
		if el == muxtest.Dropped {
			continue
		}
		s, err := mux.Parse([]byte(el))
		if err != nil {
			w.t.Fatalf("%s: %v", el, err)
		}
		switch {
		case s.Kind() == mux.Nonza && s.Name().Local == "r":
			asked++
			continue
		case s.Kind() == mux.Nonza:
			all = append(all, s.Name().Local)
			continue
		}
		w.count++
		id := s.ID()
		if c, err := carbons.Unwrap(s, mux.MustParseAddress(phoneJID)); err == nil {
			id = c.Message.ID()
		}
		all = append(all, id)
	}
	w.phone.Clear()
	return strings.Join(all, " "), asked
}

func (w *world) want(ids string) {
	w.t.Helper()
	if got, _ := w.got(); got != ids {
		w.t.Fatalf("the phone got %q, want %q", got, ids)
	}
}

// counted checks that both sides have counted the same: the phone acknowledges all it
// has got, and one more is too many.
func (w *world) counted() {
	w.t.Helper()
	w.phone.Send("<a xmlns='urn:xmpp:sm:3' h='" + strconv.Itoa(w.count) + "'/>")
	if n := w.sent.Stats(); n.Queued != 0 {
		w.t.Errorf("%d stanzas are not acknowledged by %d", n.Queued, w.count)
	}
	w.got()
	w.phone.Send("<a xmlns='urn:xmpp:sm:3' h='" + strconv.Itoa(w.count+1) + "'/>")
	w.phone.ExpectClosed("undefined-condition")
}

// bounced are the ids of what others have got back.
func (w *world) bounced() string {
	w.t.Helper()
	var all []string
	for _, el := range w.h.Routed("example.org") {
		s, err := mux.Parse([]byte(el))
		if err != nil {
			w.t.Fatalf("%s: %v", el, err)
		}
		if s.Type() == "error" {
			all = append(all, s.ID())
		}
	}
	return strings.Join(all, " ")
}
