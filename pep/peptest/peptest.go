// Package peptest tests what clients do with nodes of personal eventing: on the service
// itself, in memory, with sessions of mellium.im/xmpp.
//
// A test runs in a bubble of testing/synctest:
//
//	synctest.Test(t, func(t *testing.T) {
//		s := peptest.New(t)
//		juliet, romeo := s.Client("juliet@example.net/balcony", nil), s.Client("romeo@example.net/orchard", nil)
//		… // romeo watches a node
//		s.Present(romeo)
//		_, err := juliet.Publish(t.Context(), …)
//		synctest.Wait()
//		…
//	})
package peptest

import (
	"context"
	"encoding/xml"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// Server is a server of example.net with nodes, where all accounts are contacts but some.
type Server struct {
	// Host is where it runs, Extension the service.
	Host      *muxtest.Host
	Extension *pep.Extension

	t         testing.TB
	strangers []mux.Address

	mu       sync.Mutex // guards what follows
	accounts []mux.Address
	sessions map[*pep.Client]*xmpp.Session
}

// New returns a server; the strangers are nobody's contacts. Accounts come to be with their
// clients.
func New(t testing.TB, strangers ...string) *Server {
	t.Helper()
	s := &Server{t: t, sessions: make(map[*pep.Client]*xmpp.Session)}
	for _, a := range strangers {
		s.strangers = append(s.strangers, mux.MustParseAddress(a))
	}
	s.Extension = pep.New(new(pep.Memory), &pep.Options{
		Subscription: func(_ context.Context, e *mux.Event, contact mux.Address) (from, to bool) {
			is := s.contacts(e.Account, contact.Bare())
			return is, is
		},
		Contacts: func(_ context.Context, e *mux.Event, yield func(contact mux.Address, from, to bool) bool) error {
			for _, a := range s.all() {
				if s.contacts(e.Account, a) && !yield(a, true, true) {
					break
				}
			}
			return nil
		},
	})
	s.Host = muxtest.New(t, &mux.Options{NoRecover: true}, s.Extension, answerer{})
	return s
}

// contacts reports whether two accounts are.
func (s *Server) contacts(a, b mux.Address) bool {
	return a != b && !slices.Contains(s.strangers, a) && !slices.Contains(s.strangers, b)
}

func (s *Server) all() []mux.Address {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accounts)
}

// Client is a client of an account. o may be nil; unless it says who is a contact, the
// accounts are that. more goes to mellium's mux.
func (s *Server) Client(full string, o *pep.ClientOptions, more ...xmppmux.Option) *pep.Client {
	s.t.Helper()
	var opt pep.ClientOptions
	if o != nil {
		opt = *o
	}
	own := mux.MustParseAddress(full).Bare()
	if opt.Contact == nil {
		opt.Contact = func(j jid.JID) bool { return s.contacts(own, mux.AddressOf(j)) }
	}
	session := s.Session(full)
	c := pep.NewClient(session, &opt)
	go func() { _ = session.Serve(xmppmux.New(stanza.NSClient, append(more, c.Handle())...)) }() // ends with the connection
	s.t.Cleanup(c.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[c] = session
	return c
}

// Session is a session of an account that nobody serves yet.
func (s *Server) Session(full string) *xmpp.Session {
	s.t.Helper()
	a := mux.MustParseAddress(full)
	s.mu.Lock()
	if !slices.Contains(s.accounts, a.Bare()) {
		s.accounts = append(s.accounts, a.Bare())
	}
	s.mu.Unlock()
	return s.Host.Session(full)
}

// Present makes a client available with the features it has now, as presence with its
// capabilities would.
func (s *Server) Present(c *pep.Client) {
	s.t.Helper()
	s.mu.Lock()
	session := s.sessions[c]
	s.mu.Unlock()
	ctx := context.Background()
	if err := session.Send(ctx, stanza.Presence{}.Wrap(nil)); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	var nodes []string
	for _, f := range c.Features() {
		nodes = append(nodes, strings.TrimSuffix(f, "+notify"))
	}
	full := mux.AddressOf(session.LocalAddr())
	if err := s.Host.Mux().Do(ctx, full.Bare(), func(ctx context.Context, e *mux.Event) { s.Extension.Wants(ctx, e, full, nodes) }); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// Send sends a stanza from the server to a client, as it is written.
func (s *Server) Send(text string) {
	s.t.Helper()
	st, err := mux.Parse([]byte(text))
	if err == nil {
		err = s.Host.Mux().Inject(context.Background(), mux.Item{Stanza: st})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// answerer answers service discovery with what others say.
type answerer struct{}

// Name implements [mux.Extension].
func (answerer) Name() string { return "answerer" }

// Register implements [mux.Extension].
func (answerer) Register(r *mux.Registry) error {
	for _, scope := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		r.IQ(scope, stanza.GetIQ, xml.Name{Space: "http://jabber.org/protocol/disco#info", Local: "query"}, func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			q := &mux.DiscoQuery{Scope: scope, Address: e.Account, From: e.Stanza.From(), Event: e, Node: e.Stanza.Children()[0].Attr("node")}
			if err := e.Mux().Disco(ctx, q); err != nil {
				return nil, err
			}
			b := "<query xmlns='http://jabber.org/protocol/disco#info'>"
			for _, i := range q.Identities {
				b += "<identity category='" + i.Category + "' type='" + i.Type + "'/>"
			}
			for _, f := range q.Features {
				b += "<feature var='" + f + "'/>"
			}
			return mux.Raw(b + "</query>"), nil
		}, mux.Blocks())
	}
	return nil
}
