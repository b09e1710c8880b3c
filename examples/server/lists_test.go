package main

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/scram"
)

// TestListedHashes: where all accounts have keys for SHA-1 only, that is what both
// profiles list, and what a login is protected with (auth-register PW-12).
func TestListedHashes(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	s := launchInside(t, data, func(st *stores) {
		c, err := st.accounts.Credentials(t.Context(), "alice@example.org")
		if err != nil {
			t.Fatal(err)
		}
		k, _ := c.Key(scram.SHA1)
		c.Keys = []scram.Key{k}
		if _, err := st.accounts.Update(t.Context(), "alice@example.org", c.Generation, c); err != nil {
			t.Fatal(err)
		}
	})
	_, features := as(t, s.addr, "alice")
	const list = "<mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism>"
	if strings.Count(features, list) != 2 || strings.Contains(features, "<mechanism>SCRAM-SHA-256") {
		t.Errorf("features %s", features)
	}
	if _, err := newAccount(t, s.addr, "alice@example.org", password, nil); err != nil {
		t.Error(err)
	}
}

// fickle has keys for other hashes whenever it is asked.
type fickle struct{ n atomic.Int64 }

func (f *fickle) HashCounts(context.Context, string) (int, map[scram.Hash]int, error) {
	return 1, map[scram.Hash]int{scram.Hashes()[f.n.Add(1)%3]: 1}, nil
}

// TestListsKept: what a stream was told counts to its end, whatever is listed meanwhile.
func TestListsKept(t *testing.T) {
	t.Parallel()
	people := new(scram.Memory)
	c, err := scram.NewCredentials(password, scram.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := people.Create(t.Context(), "romeo@example.net", c); err != nil {
		t.Fatal(err)
	}
	store := new(fickle)
	l := &lists{census: scram.NewCensus(store, &scram.CensusOptions{MaxAge: time.Nanosecond})}
	h := muxtest.New(t, nil, negotiate.Extension(), l)
	h.AddAccount("romeo@example.net")
	n := negotiate.New(h.Mux(), &negotiate.Options{SASL: sasl{scram.New(people, nil), l}})
	for range 3 {
		near, far := net.Pipe()
		served := make(chan error, 1)
		go func() {
			tr := negotiate.NewConnTransport(far, &negotiate.ConnOptions{Trusted: true})
			defer tr.Finish()
			st := h.Mux().NewStream(tr, mux.Client)
			err := n.Serve(context.Background(), st, tr)
			if err != nil {
				st.Gone(errors.Is(err, io.EOF))
			} else {
				_ = tr.Receive(context.Background(), st) // ends with the connection
			}
			served <- err
		}()
		j := jid.MustParse("romeo@example.net")
		features := append(scram.Features(&scram.ClientOptions{Password: scram.FixedPassword(password)}), xmpp.BindResource())
		_, err := xmpp.NewSession(t.Context(), j.Domain(), j, near, xmpp.Secure, xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: features}
		}))
		if err != nil {
			t.Error(err)
		}
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	if n := store.n.Load(); n != 3 {
		t.Errorf("counted %d times for 3 streams", n)
	}
}
