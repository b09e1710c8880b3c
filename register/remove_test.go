package register_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

// TestRemove: PC-7, the result first, then every session ends and everybody
// removes what he keeps.
func TestRemove(t *testing.T) {
	for _, a := range addresses {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, nil)
				c, other := s.Connect(t, romeo+"/orchard"), s.Connect(t, romeo+"/garden")
				juliet := s.Connect(t, "juliet@example.net/balcony")
				c.Send("<iq type='set' id='1'" + a.to + ">" + set("<remove/>") + "</iq>")
				c.Expect("<iq type='result' id='1' from='*' to='" + romeo + "/orchard'/>")
				c.ExpectClosed("not-authorized")
				other.ExpectClosed("not-authorized")
				if _, err := s.store.Credentials(t.Context(), romeo); !errors.Is(err, scram.ErrNoAccount) {
					t.Errorf("credentials: %v", err)
				}
				if want := []string{"closing " + romeo, "removed " + romeo}; !slices.Equal(s.watch.seen, want) {
					t.Errorf("told of %q, want %q", s.watch.seen, want)
				}
				if n := len(s.Mux().Sessions(mux.MustParseAddress(romeo))); n != 0 {
					t.Errorf("%d sessions", n)
				}
				juliet.ExpectNone()
			})
		})
	}
}

// TestRemoveNotDurable: nothing is said to be gone that might come back; and the
// sessions end all the same.
func TestRemoveNotDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		c := s.Connect(t, romeo+"/orchard")
		s.commits.Hold()
		c.Send("<iq type='set' id='1'>" + set("<remove/>") + "</iq>")
		c.ExpectNone()
		s.commits.Release()
		s.Settle()
		c.Expect("<iq type='result' id='1' from='*' to='" + romeo + "/orchard'/>")
		c.ExpectClosed("not-authorized")
	})
}

// TestRemovePipelined: what follows in the same packet is nobody's any more.
func TestRemovePipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		c, other := s.Connect(t, romeo+"/orchard"), s.Connect(t, romeo+"/garden")
		juliet := s.Connect(t, "juliet@example.net/balcony")
		const message = "<message to='juliet@example.net/balcony'><body>Adieu</body></message>"
		c.Write("<iq type='set' id='1'>"+set("<remove/>")+"</iq>", message, message)
		other.Send(message)
		c.Expect("<iq type='result' id='1' from='*' to='*'/>")
		c.ExpectClosed("not-authorized")
		other.ExpectClosed("not-authorized")
		for _, el := range juliet.Arrived() {
			if !strings.Contains(el, "from='"+romeo+"/garden'") { // it may have been faster
				t.Errorf("juliet got %s", el)
			}
		}
	})
}

// TestRemoveHalfLoggedIn: a login that was on its way does not get a session of
// an account that is gone (scenario 31).
func TestRemoveHalfLoggedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		c, half := s.Connect(t, romeo+"/orchard"), s.Dial(t, romeo)
		c.Send("<iq type='set' id='1'>" + set("<remove/>") + "</iq>")
		c.Expect("<iq type='result' id='1' from='*' to='*'/>")
		c.ExpectClosed("not-authorized")
		half.ExpectClosed("not-authorized")
		if _, err := half.Stream.Bind(t.Context(), nil); !errors.Is(err, mux.ErrClosed) {
			t.Errorf("bound, error %v", err)
		}
	})
}

// TestRemoveRefused: PC-5, PC-6, scenario 32.
func TestRemoveRefused(t *testing.T) {
	bad := errorOf("1", "400", "modify", "bad-request")
	tests := []struct {
		name   string
		o      register.Options
		before func(s *scene)
		fields string
		want   string
	}{
		{"another child", register.Options{}, nil, "<remove/><x xmlns='urn:example'/>", bad},
		{"twice", register.Options{}, nil, "<remove/><remove/>", bad},
		{"own credentials", register.Options{}, nil, "<username>romeo</username><password>" + password + "</password><remove/>", bad},
		{"another's credentials", register.Options{}, nil, "<remove/><username>juliet</username><password>x</password>", bad},
		{"switched off", register.Options{KeepAccount: true}, nil, "<remove/>", errorOf("1", "405", "cancel", "not-allowed")},
		{"account gone", register.Options{}, func(s *scene) { s.store.update = scram.ErrNoAccount }, "<remove/>", errorOf("1", "407", "auth", "registration-required")},
		{"store down", register.Options{}, func(s *scene) { s.store.update = errors.New("down") }, "<remove/>", errorOf("1", "500", "wait", "internal-server-error")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, &tt.o)
				c, other := s.Connect(t, romeo+"/orchard"), s.Connect(t, romeo+"/garden")
				if tt.before != nil {
					tt.before(s)
				}
				c.Send("<iq type='set' id='1'>" + set(tt.fields) + "</iq>")
				c.Expect(tt.want)
				c.ExpectNone()
				other.ExpectNone()
				if !matches(t, s.store, romeo, password) || len(s.watch.seen) > 0 {
					t.Errorf("the account is gone, told of %q", s.watch.seen)
				}
			})
		})
	}
}
