package register_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

const (
	domain   = muxtest.Domain
	password = "correct horse battery"
)

var (
	_ register.Accounts = (*scram.Service)(nil)
	_ register.Refusal  = (*scram.Refusal)(nil)
)

// service is a real one with cheap keys.
func service(store scram.AccountStore) *scram.Service {
	return scram.NewService(store, &scram.ServiceOptions{
		Policy: scram.Policy{Iterations: scram.MinIterations, Floor: scram.MinIterations, Hashes: []scram.Hash{scram.SHA256}},
	})
}

// matches reports whether the store has that password for an account.
func matches(t *testing.T, store scram.Store, account, password string) bool {
	t.Helper()
	c, err := store.Credentials(t.Context(), account)
	if err != nil {
		return false
	}
	k, ok := c.Strongest()
	if !ok {
		return false
	}
	ok, err = k.Matches(password)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// broken is a store that fails in what is set.
type broken struct {
	scram.Memory
	create, update, read, removal error
}

func (b *broken) Create(ctx context.Context, account string, c scram.Credentials, also ...scram.Also) (int64, error) {
	if b.create != nil {
		return 0, b.create
	}
	return b.Memory.Create(ctx, account, c, also...)
}

func (b *broken) Update(ctx context.Context, account string, from int64, c scram.Credentials, also ...scram.Also) (int64, error) {
	if b.update != nil {
		return 0, b.update
	}
	return b.Memory.Update(ctx, account, from, c, also...)
}

func (b *broken) Credentials(ctx context.Context, account string) (scram.Credentials, error) {
	if b.read != nil {
		return scram.Credentials{}, b.read
	}
	return b.Memory.Credentials(ctx, account)
}

func (b *broken) Remove(ctx context.Context, account string) error {
	if b.removal != nil {
		return b.removal
	}
	return b.Memory.Remove(ctx, account)
}

// conn is a connection from somewhere.
type conn struct{ from net.Addr }

func (conn) Write([]byte) error     { return nil }
func (conn) Pending() int           { return 0 }
func (conn) Close(error)            {}
func (c conn) RemoteAddr() net.Addr { return c.from }

// stranger is the stream of a client that has not authenticated.
type stranger struct {
	t  *testing.T
	st *mux.Stream
	f  mux.Feature
}

func newStranger(t *testing.T, h *muxtest.Host, role mux.Role, from string) *stranger {
	t.Helper()
	var addr net.Addr
	if from != "" {
		a, err := net.ResolveTCPAddr("tcp", from)
		if err != nil {
			t.Fatal(err)
		}
		addr = a
	}
	s := &stranger{t: t, st: h.Mux().NewStream(conn{addr}, role)}
	s.st.SetDomain(domain)
	s.st.SetState(mux.Secure)
	for _, f := range h.Mux().Features() {
		if f.Name == "register" {
			s.f = f
		}
	}
	return s
}

// addr is where it is.
func (s *stranger) addr() netip.Addr {
	return s.st.Conn().(conn).from.(*net.TCPAddr).AddrPort().Addr()
}

// listed is the stream feature, empty for none.
func (s *stranger) listed() string {
	if p := s.f.List(s.t.Context(), s.st); p != nil {
		c, err := mux.NewChild(p)
		if err != nil {
			s.t.Fatal(err)
		}
		return c.Raw()
	}
	return ""
}

// ask steps the feature with an IQ and returns its payload, or the error as
// words.
func (s *stranger) ask(iq string) string {
	s.t.Helper()
	el, err := mux.Parse([]byte(iq))
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := s.f.Step(context.Background(), s.st, el)
	if out.Sets != 0 || out.Restart || out.Then != nil || out.Become != nil {
		s.t.Errorf("outcome %+v", out)
	}
	if err != nil {
		return words(s.t, err)
	}
	if out.Reply == nil {
		return ""
	}
	c, err := mux.NewChild(out.Reply)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.Raw()
}

// create asks for an account.
func (s *stranger) create(username, password string) string {
	s.t.Helper()
	return s.ask("<iq type='set' id='2'>" + set("<username>"+escape(username)+"</username><password>"+escape(password)+"</password>") + "</iq>")
}

// set is a request with fields.
func set(fields string) string { return "<query xmlns='" + register.NS + "'>" + fields + "</query>" }

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(s)
}

// words is an error that goes to the peer: its type, condition and number.
func words(t *testing.T, err error) string {
	t.Helper()
	var full *mux.Error
	var st stream.Error
	switch {
	case errors.As(err, &full):
		if full.Payload || full.App != "" {
			t.Errorf("%v: the error repeats what was sent", err)
		}
		return fmt.Sprintf("%s %s %d", full.Stanza.Type, full.Stanza.Condition, full.Code)
	case errors.As(err, &st):
		return "stream " + st.Err
	}
	var se stanza.Error
	if errors.As(err, &se) {
		t.Errorf("%v: an error without a number", err)
	}
	return "error " + err.Error()
}
