package caps_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// listener notes what Changed and Restored are told.
type listener struct {
	mu   sync.Mutex // guards what follows
	told []string
}

func (l *listener) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, fmt.Sprintf(format, args...))
}

func (l *listener) changed(_ context.Context, e *mux.Event, who mux.Address, notify []string) {
	l.add("%s: %s wants [%s]", e.Account.Local(), who, strings.Join(notify, " "))
}

func (l *listener) restored(who mux.Address, notify []string) {
	l.add("restored: %s wants [%s]", who, strings.Join(notify, " "))
}

// take returns what was told since it was asked.
func (l *listener) take() (told []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	told, l.told = l.told, nil
	return told
}

// want takes what was told.
func (l *listener) want(t testing.TB, want ...string) {
	t.Helper()
	got := l.take()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told %q, want %q", got, want)
	}
}

// keeper keeps sessions without a stream for an hour.
type keeper struct{}

func (keeper) Name() string { return "keeper" }

func (keeper) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
	return nil
}

// friends are the people of example.org that accounts share presence with.
func friends(_ context.Context, _ *mux.Event, contact mux.Address) (from, to bool) {
	f := strings.HasPrefix(contact.Local(), "friend") || contact.Domain() == "friends.example"
	return f, f
}

// rig is a host with the extension.
type rig struct {
	*muxtest.Host
	*listener
	x *caps.Extension
}

func newRig(t *testing.T, store caps.Store, o caps.Options) *rig {
	t.Helper()
	r := &rig{listener: new(listener)}
	o.Changed, o.Restored = r.changed, r.restored
	if o.Subscription == nil {
		o.Subscription = friends
	}
	r.x = caps.New(store, &o)
	r.Host = muxtest.New(t, &mux.Options{NoRecover: true}, r.x, keeper{})
	return r
}

// announce is a presence with a hash of XEP-0115.
func announce(from, ver string) string {
	if from != "" {
		from = " from='" + from + "'"
	}
	return "<presence" + from + " to='juliet@example.net'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://n' ver='" + ver + "'/></presence>"
}

// toAll is announce for an own session.
func toAll(ver string) string {
	return strings.Replace(announce("", ver), " to='juliet@example.net'", "", 1)
}

// result answers a query that has arrived.
func result(t testing.TB, asked, children string) string {
	t.Helper()
	q := parse(t, asked)
	if len(q.Children()) != 1 || q.Type() != "get" {
		t.Fatalf("not a question: %s", asked)
	}
	return fmt.Sprintf("<iq type='result' id='%s' from='%s' to='%s'><query xmlns='http://jabber.org/protocol/disco#info' node='%s'>%s</query></iq>",
		q.ID(), q.To(), q.From(), q.Children()[0].Attr("node"), children)
}

// refusal refuses one.
func refusal(t testing.TB, asked string) string {
	t.Helper()
	q := parse(t, asked)
	return fmt.Sprintf("<iq type='error' id='%s' from='%s' to='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", q.ID(), q.To(), q.From())
}

// verOf is the hash of XEP-0115 of what a query has.
func verOf(t testing.TB, children string) string {
	t.Helper()
	v, err := caps.Hash115(info(t, query(children)), "sha-1")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wants is what somebody says who wants some nodes.
func wants(nodes ...string) string {
	var b strings.Builder
	b.WriteString("<identity category='client' type='pc' name='C'/>")
	for _, n := range nodes {
		b.WriteString("<feature var='" + n + "+notify'/>")
	}
	return b.String()
}

// emit has juliet's account told of something.
func (r *rig) emit(t *testing.T, ev any) error {
	t.Helper()
	var failed error
	err := r.Mux().Do(t.Context(), juliet, func(ctx context.Context, e *mux.Event) {
		switch ev := ev.(type) {
		case mux.SubscriptionChanged:
			failed = mux.Emit(ctx, e, ev)
		case mux.BlockChanged:
			failed = mux.Emit(ctx, e, ev)
		}
	})
	return errors.Join(err, failed)
}
