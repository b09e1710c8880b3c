package sasl2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
)

// siteRun is SCRAM-TEST as the site has it.
type siteRun struct {
	testRun
	password string
}

func (r *siteRun) Next(context.Context, []byte) ([]byte, error) { return []byte(r.password), nil }

func (r *siteRun) Verify(data []byte) error {
	if string(data) != "v=romeo" {
		return errors.New("wrong signature")
	}
	return nil
}

// program is a client with its state.
type program struct {
	s     *site
	state sasl2.ClientState
	// asked counts what needed the password.
	asked int
}

// login opens a session and leaves it at once, without a farewell.
func (p *program) login(password string, change func(*sasl2.ClientOptions)) (l sasl2.Login, err error) {
	p.s.t.Helper()
	ours, theirs := net.Pipe()
	t := negotiate.NewConnTransport(theirs, &p.s.conn)
	st := p.s.host.Mux().NewStream(t, mux.Client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.Finish()
		if err := p.s.n.Serve(context.Background(), st, t); err != nil {
			st.Gone(errors.Is(err, io.EOF))
			return
		}
		_ = t.Receive(context.Background(), st) // how it ends is the client's affair
	}()
	o := &sasl2.ClientOptions{
		State: p.state, Save: func(_ context.Context, s sasl2.ClientState) error { p.state = s; return nil },
		Mechanism: func(context.Context, sasl2.Attempt) (sasl2.Run, error) {
			p.asked++
			return &siteRun{testRun{"SCRAM-TEST"}, password}, nil
		},
		Binding: func(typ string, _ *tls.ConnectionState, _ *x509.Certificate) ([]byte, error) {
			return []byte("data"), nil
		},
		Tokens: []string{"HT-SHA-256-NONE"}, // without TLS there is no other
		Done:   func(_ context.Context, got sasl2.Login) error { l = got; return nil },
	}
	if change != nil {
		change(o)
	}
	account := jid.MustParse("romeo@example.net")
	_, err = xmpp.NewSession(context.Background(), account.Domain(), account, ours, xmpp.Secure, sasl2.Negotiator(o))
	_ = ours.Close()
	<-done
	return l, err
}

// TestClientWithServer: the client's life with an account on our server: token,
// rotation, upgrades, a lost state, a changed password, a client that was revoked
// (scenarios 23, 24, 25).
func TestClientWithServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := fasts(t)
		p := &program{s: s}
		login := func(what string, asked int, change func(*sasl2.ClientOptions)) sasl2.Login {
			t.Helper()
			l, err := p.login("secret", change)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if p.asked != asked || l.Token != (asked == 0) || l.Bound == nil {
				t.Errorf("%s: password needed %d times, %+v", what, p.asked, l)
			}
			p.asked = 0
			return l
		}
		first := login("first", 1, func(o *sasl2.ClientOptions) {
			o.UpgradeUnbound = true
			o.Upgrade = func(context.Context, string, []byte, int) ([]byte, error) { return []byte("hash"), nil }
		})
		if want := []string{"UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256"}; !reflect.DeepEqual(first.Upgraded, want) {
			t.Errorf("upgraded %q", first.Upgraded)
		}
		if got, want := s.auth.accounts["romeo@example.net"].salted, []string{"UPGR-SCRAM-SHA-512 hash", "UPGR-SCRAM-SHA-256 hash"}; !reflect.DeepEqual(got, want) {
			t.Errorf("server has %q", got)
		}
		old := p.state
		if second := login("token", 0, nil); !second.JID.Equal(first.JID) {
			t.Errorf("resource %s, before %s", second.JID, first.JID)
		}
		time.Sleep(25 * time.Hour)
		login("rotation", 0, nil)
		if got := secrets(p.state); len(got) != 2 || got[1] != secrets(old)[0] {
			t.Errorf("after rotation %q, before %q", got, secrets(old))
		}
		rotated := p.state
		login("new token", 0, func(o *sasl2.ClientOptions) { o.Pipeline = true })
		if got := secrets(p.state); len(got) != 1 || got[0] != secrets(rotated)[0] {
			t.Errorf("after its use %q", got)
		}
		login("in one flight", 0, func(o *sasl2.ClientOptions) { o.Pipeline = true })

		// A copy of before: its token is void by now, and the password still works.
		current := p.state
		p.state = old
		login("restored", 1, nil)
		p.state = current
		login("one installation, two states", 0, nil)

		time.Sleep(22 * 24 * time.Hour)
		login("expired", 1, nil)
		s.auth.set("romeo@example.net", func(x *account) { x.password, x.generation = "new", 9 })
		if _, err := p.login("secret", nil); !errors.Is(err, sasl2.ErrNotAuthorized) || len(p.state.Tokens) != 0 {
			t.Errorf("old password: %v, tokens %q", err, secrets(p.state))
		}
		s.auth.down = errors.New("down")
		if _, err := p.login("new", nil); !errors.Is(err, sasl2.ErrTemporary) {
			t.Errorf("no store: %v", err)
		}
	})
}
