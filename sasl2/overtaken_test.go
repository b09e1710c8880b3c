package sasl2_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

// meddled is a store that does something between two steps of a login: when it has
// written, and before it says so.
type meddled struct {
	sasl2.Memory
	written func()
}

func (m *meddled) Put(ctx context.Context, a mux.Address, c sasl2.Client, k sasl2.Keep) error {
	err := m.Memory.Put(ctx, a, c, k)
	if f := m.written; f != nil {
		m.written = nil
		f()
	}
	return err
}

// ends has the sessions of an account end, as after a change of its credentials.
func (s *site) ends(account mux.Address) {
	if err := s.host.Mux().Do(context.Background(), account, func(ctx context.Context, e *mux.Event) { e.EndSessions(ctx, nil) }); err != nil {
		s.t.Error(err)
	}
}

// TestOvertaken: what a client has proved is worth nothing if the account's sessions
// end before the login is through, however it logs in; an end before the attempt,
// or of another account, does no harm.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text string }{
		{"older profile", "<auth{1} mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>"},
		{"plain", "{plain}{end}"},
		{"with bind", "{plain}<bind{bind2}/>{end}"},
		{"known client", "{plain}{agent}<bind{bind2}/>{end}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				site := fasts(t)
				p := site.connect()
				defer p.stop()
				site.auth.changed = func() { site.ends(romeo) }
				p.run("C: {romeo}\nC: {wrong}\nS: {fail not-authorized}\n")
				site.auth.changed = func() { site.ends(mux.MustParseAddress("mallory@example.net")) }
				p.send(tt.text)
				if got := p.take(); !strings.Contains(got, "<success") || strings.Contains(got, "error") {
					t.Errorf("another account's end: %s", got)
				}

				q := site.connect()
				defer q.stop()
				site.auth.changed = func() { site.ends(romeo) }
				q.run("C: {romeo}\n")
				q.send(tt.text)
				if got := q.take(); !strings.HasSuffix(got, expand("{error reset}")) || strings.Contains(got, "<bound") {
					t.Errorf("got %s", got)
				}
				site.host.Settle()
				for _, s := range site.host.Mux().Sessions(romeo) {
					if s.Stream() == q.st {
						t.Error("a session was bound")
					}
				}
			})
		})
	}
}

// TestOvertakenToken: the same with a token, which is checked against what was in
// force when the login began.
func TestOvertakenToken(t *testing.T) {
	t.Parallel()
	for name, bind := range map[string]string{"bare": "", "bound": "<bind{bind2}/>"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := new(meddled)
				site := fasts(t, func(s *setup) { s.store = store })
				token, _ := site.issue()
				p := site.connect()
				defer p.stop()
				p.run("C: {romeo}\n")
				store.written = func() { site.ends(romeo) }
				p.send(attempt{token: token, attrs: " count='1'", children: bind}.text())
				if got := p.take(); !strings.HasSuffix(got, expand("{error reset}")) || strings.Contains(got, "<bound") {
					t.Errorf("got %s", got)
				}
				site.host.Settle()
				if n := len(site.host.Mux().Sessions(romeo)); n != 0 {
					t.Errorf("%d sessions", n)
				}
			})
		})
	}
}

// TestOvertakenRevoked: a client that is revoked while it logs in with its token is
// out, too (auth-register CA-2).
func TestOvertakenRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(meddled)
		site := fasts(t, func(s *setup) { s.store = store })
		token, _ := site.issue()
		list, err := site.x.Devices(t.Context(), site.host.Mux(), romeo)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\n")
		store.written = func() {
			if err := site.x.Revoke(context.Background(), site.host.Mux(), romeo, list[0].ID); err != nil {
				t.Error(err)
			}
		}
		p.send(attempt{token: token, attrs: " count='1'", children: "<bind{bind2}/>"}.text())
		if got := p.take(); !strings.HasSuffix(got, expand("{error not-authorized}")) || strings.Contains(got, "<bound") {
			t.Errorf("got %s", got)
		}
		site.host.Settle()
		if n := len(site.host.Mux().Sessions(romeo)); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

// TestRemovedMeanwhile: of an account that was removed while a client logged in
// nothing is kept, so that who gets the name next does not find it.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		site.auth.changed = func() {
			site.auth.mu.Lock()
			delete(site.auth.accounts, romeo.String())
			site.auth.mu.Unlock()
			if err := site.host.Mux().RemoveAccount(context.Background(), romeo); err != nil {
				t.Error(err)
			}
		}
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\n")
		p.send("{plain}" + wants + "<bind{bind2}/>{end}")
		if got := p.take(); strings.Contains(got, "<success") {
			t.Errorf("got %s", got)
		}
		site.host.Settle()
		if list, err := site.store.Clients(t.Context(), romeo); err != nil || len(list) != 0 {
			t.Errorf("left %+v, %v", list, err)
		}
	})
}
