package lastactivity_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/lastactivity"
	"github.com/propolis-im/propolis/lastactivity/storetest"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// friend is who may see juliet.
const friend = "romeo@example.net"

var juliet = mux.MustParseAddress("juliet@example.net")

func maySee(_ context.Context, _ *mux.Event, account, from mux.Address) bool {
	return account == juliet && from.Bare().String() == friend
}

// keeper keeps sessions without a stream for an hour.
type keeper struct{}

func (keeper) Name() string { return "keeper" }

func (keeper) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
	return nil
}

func options() *lastactivity.Options {
	return &lastactivity.Options{MaySee: maySee, MaxStatus: 12}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		store, sessions := new(lastactivity.Memory), new(mux.MemorySessions)
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), Sessions: sessions, NoRecover: true},
			Extensions: func() []mux.Extension {
				return []mux.Extension{lastactivity.New(store, options()), keeper{}}
			},
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store {
		return storetest.Store{Store: new(lastactivity.Memory)}
	})
}

const ask = "<iq type='get' id='1' to='juliet@example.net'><query xmlns='jabber:iq:last'/></iq>"

// TestUncommitted: what is not durable yet counts already, and not any more if its
// commit fails.
func TestUncommitted(t *testing.T) {
	t.Parallel()
	for _, fail := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := new(muxtest.Committer)
			h := muxtest.New(t, &mux.Options{Committer: c, NoRecover: true}, lastactivity.New(new(lastactivity.Memory), options()))
			romeo, j := h.Connect(t, friend+"/orchard"), h.Connect(t, juliet.String()+"/balcony")
			j.Send("<presence/>")
			c.Hold()
			j.Close()
			if fail {
				c.Fail(errors.New("on purpose"))
			}
			c.Release()
			time.Sleep(5 * time.Second)
			romeo.Send(ask)
			want := "<query xmlns='jabber:iq:last' seconds='5'/>"
			if fail {
				want = "<service-unavailable "
			}
			if got := romeo.Next(); !strings.Contains(got, want) {
				t.Errorf("failed %t: got %s", fail, got)
			}
		})
	}
}

// TestAccountRemoved: who gets the name next inherits nothing.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(lastactivity.Memory)
		h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: new(muxtest.Committer)}, lastactivity.New(store, options()))
		j := h.Connect(t, juliet.String()+"/balcony")
		j.Send("<presence/>")
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if l, err := store.Load(t.Context(), juliet); err != nil || l != (lastactivity.Last{}) {
			t.Errorf("kept %+v, error %v", l, err)
		}
	})
}

// broken is a store that cannot be read.
type broken struct{ lastactivity.Memory }

func (*broken) Load(context.Context, mux.Address) (lastactivity.Last, error) {
	return lastactivity.Last{}, errors.New("on purpose")
}

func TestBrokenStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, lastactivity.New(new(broken), options()))
		h.AddAccount(juliet.String())
		romeo := h.Connect(t, friend+"/orchard")
		romeo.Send(ask)
		romeo.Expect("<iq type='error' id='1' from='juliet@example.net' to='romeo@example.net/orchard'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	})
}

// TestDefaults: without options nobody else may know, and without a store there is
// no extension.
func TestDefaults(t *testing.T) {
	t.Parallel()
	if _, err := mux.New(nil, nil, lastactivity.New(nil, nil)); err == nil {
		t.Error("no error without a store")
	}
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, lastactivity.New(new(lastactivity.Memory), nil))
		romeo, j := h.Connect(t, friend+"/orchard"), h.Connect(t, juliet.String()+"/balcony")
		romeo.Send(ask)
		if got := romeo.Next(); !strings.Contains(got, "<error type='auth'><forbidden ") {
			t.Errorf("got %s", got)
		}
		j.Send("<presence type='unavailable'><status>" + strings.Repeat("é", 1000) + "</status></presence>")
		j.Clear()
		j.Send(ask)
		if got := j.Next(); !strings.Contains(got, ">"+strings.Repeat("é", 511)+"<") {
			t.Errorf("got %s", got)
		}
	})
}

func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, lastactivity.New(new(lastactivity.Memory), nil))
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		q := &mux.DiscoQuery{Scope: s}
		if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{lastactivity.NS}) {
			t.Errorf("%s: features %q, error %v", s, q.Features, err)
		}
	}
}
