package archive_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const (
	romeoFull  = "romeo@example.net/orchard"
	julietFull = "juliet@example.net/balcony"
)

// filled is a host with an archive in which juliet has n messages, m0 and so on.
func filled(t testing.TB, n int) *muxtest.Host {
	store := new(archive.Memory)
	account := mux.MustParseAddress("juliet@example.net")
	for i := range n {
		with := mux.MustParseAddress([]string{romeoFull, "nurse@example.org"}[i%2])
		w := store.Append(account, archive.Entry{ID: fmt.Sprint("m", i), With: with,
			Stanza: fmt.Appendf(nil, "<message xmlns='jabber:client' from='%s' id='i%d'><body>text %d</body></message>", with, i, i)})
		if err := w(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	return muxtest.New(t, nil, archive.New(store, &archive.Options{Prefs: store}))
}

// clients are the ways to see results.
func clients(t *testing.T, h *muxtest.Host) map[string]func(t *testing.T) (*xmpp.Session, *archive.Client) {
	return map[string]func(t *testing.T) (*xmpp.Session, *archive.Client){
		"mellium": func(t *testing.T) (*xmpp.Session, *archive.Client) {
			c, s := new(archive.Client), h.Session(julietFull)
			served := make(chan struct{})
			go func() {
				defer close(served)
				_ = s.Serve(xmppmux.New(stanza.NSClient, xmppmux.Message(stanza.NormalMessage, xml.Name{Space: archive.NS, Local: "result"}, c)))
			}()
			t.Cleanup(func() { s.Conn().Close(); <-served })
			return s, c
		},
		"client session": func(t *testing.T) (*xmpp.Session, *archive.Client) {
			c, s := new(archive.Client), h.Session("juliet@example.net/chamber")
			cs, err := mux.NewClientSession(t.Context(), s, nil, c)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				_ = s.Serve(cs)
			}()
			t.Cleanup(func() { cs.Close(nil); s.Conn().Close(); <-served })
			return s, c
		},
	}
}

func TestClientMessages(t *testing.T) {
	t.Parallel()
	const n = 57
	h := filled(t, n)
	for name, open := range clients(t, h) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := open(t)
			all := make([]string, n)
			for i := range all {
				all[i] = fmt.Sprint("m", i)
			}
			even := []string{}
			for i := 0; i < n; i += 2 {
				even = append(even, all[i])
			}
			for _, tt := range []struct {
				name string
				r    archive.Request
				want []string
			}{
				{"all", archive.Request{}, all},
				{"small pages", archive.Request{Page: 10}, all},
				{"pages that fit", archive.Request{Page: 19}, all},
				{"with", archive.Request{Page: 7, With: jid.MustParse("romeo@example.net")}, even},
				{"from", archive.Request{Page: 7, From: "m49"}, all[50:]},
				{"between", archive.Request{AfterID: "m3", BeforeID: "m9"}, all[4:9]},
				{"ids", archive.Request{IDs: []string{"m9", "m3"}}, []string{"m3", "m9"}},
				{"nobody", archive.Request{With: jid.MustParse("x@example.org")}, []string{}},
			} {
				for _, tt.r.Backward = range []bool{false, true} {
					got, want := []string{}, slices.Clone(tt.want)
					if tt.r.Backward {
						if tt.r.From != "" {
							continue
						}
						slices.Reverse(want)
					}
					for m, err := range c.Messages(t.Context(), s, tt.r) {
						if err != nil {
							t.Fatalf("%s: %v", tt.name, err)
						}
						if m.Stanza.ID() != "i"+m.ID[1:] || m.Stanza.From().IsZero() {
							t.Errorf("%s: got %v from %v", m.ID, m.Stanza.ID(), m.Stanza.From())
						}
						got = append(got, m.ID)
					}
					if !reflect.DeepEqual(got, want) {
						t.Errorf("%s, backward %t: got %v, want %v", tt.name, tt.r.Backward, got, want)
					}
				}
			}
			for m, err := range c.Messages(t.Context(), s, archive.Request{From: "none"}) {
				if !errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}) {
					t.Errorf("unknown ID: got %v, error %v", m, err)
				}
			}
			for m, err := range c.Messages(t.Context(), s, archive.Request{Page: 3}) { // no more is asked for
				if err != nil || m.ID != "m0" {
					t.Errorf("got %v, error %v", m, err)
				}
				break
			}
			for _, err := range c.Messages(t.Context(), s, archive.Request{Archive: jid.MustParse("romeo@example.net")}) {
				if !errors.Is(err, stanza.Error{Condition: stanza.Forbidden}) {
					t.Errorf("another's archive: error %v", err)
				}
			}
		})
	}
}

func TestClientMetadata(t *testing.T) {
	t.Parallel()
	s, _ := clients(t, filled(t, 3))["mellium"](t)
	m, err := archive.GetMetadata(t.Context(), s, jid.JID{})
	if err != nil || m.FirstID != "m0" || m.LastID != "m2" {
		t.Errorf("got %+v, error %v", m, err)
	}
	s, _ = clients(t, filled(t, 0))["mellium"](t)
	if m, err = archive.GetMetadata(t.Context(), s, jid.JID{}); err != nil || m != (archive.Metadata{}) {
		t.Errorf("empty: got %+v, error %v", m, err)
	}
}

func TestClientPrefs(t *testing.T) {
	t.Parallel()
	s, _ := clients(t, filled(t, 0))["mellium"](t)
	if p, err := archive.GetPrefs(t.Context(), s); err != nil || p.Default != archive.Always {
		t.Errorf("got %+v, error %v", p, err)
	}
	want := archive.Prefs{Default: archive.Never, Always: []mux.Address{mux.MustParseAddress("a@example.org"), mux.MustParseAddress("b@example.org/x & y")}}
	if p, err := archive.SetPrefs(t.Context(), s, want); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("set: got %+v, error %v", p, err)
	}
	if p, err := archive.GetPrefs(t.Context(), s); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("then: got %+v, error %v", p, err)
	}
	want.Default = archive.Roster // nobody knows rosters
	if p, err := archive.SetPrefs(t.Context(), s, want); !errors.Is(err, stanza.Error{Condition: stanza.FeatureNotImplemented}) {
		t.Errorf("roster: got %+v, error %v", p, err)
	}
}
