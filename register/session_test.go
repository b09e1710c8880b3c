package register_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

const (
	romeo  = "romeo@example.net"
	secret = "wherefore art thou"
)

// watcher notes account events, and writes something at each. It has sessions
// that lose their stream hibernate.
type watcher struct {
	seen []string
	err  error
}

func (*watcher) Name() string { return "watcher" }

func (w *watcher) Register(r *mux.Registry) error {
	note[mux.AccountClosing](r, w, "closing")
	note[mux.AccountRemoved](r, w, "removed")
	note[mux.CredentialsChanged](r, w, "changed")
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
	return nil
}

func note[E any](r *mux.Registry, w *watcher, name string) {
	mux.On(r, func(_ context.Context, e *mux.Event, _ E) error {
		w.seen = append(w.seen, name+" "+e.Account.String())
		e.Work.Write(func(context.Context, mux.Tx) error { return nil })
		return w.err
	})
}

// errorOf is an error stanza with a number; it holds nothing of what was sent.
func errorOf(id, code, typ, condition string) string {
	return "<iq type='error' id='" + id + "' from='*' to='*'><error code='" + code + "' type='" + typ + "'>" +
		"<" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
}

func errorWithText(id, code, typ, condition string) string {
	return strings.Replace(errorOf(id, code, typ, condition), "</error>",
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>*</text></error>", 1)
}

// scene is a host with romeo's account.
type scene struct {
	*muxtest.Host
	store   *broken
	watch   *watcher
	commits *muxtest.Committer
}

func newScene(t *testing.T, o *register.Options) *scene {
	t.Helper()
	s := &scene{store: new(broken), watch: new(watcher), commits: new(muxtest.Committer)}
	accounts := service(s.store)
	if err := accounts.Create(t.Context(), romeo, password); err != nil {
		t.Fatal(err)
	}
	s.Host = muxtest.New(t, &mux.Options{Committer: s.commits}, register.New(accounts, o), s.watch)
	return s
}

// addresses are those that mean our own account here: RG-10.
var addresses = []struct{ name, to string }{
	{"no address", ""},
	{"the server", " to='example.net'"},
	{"the account", " to='romeo@example.net'"},
}

// TestGetRegistered: RG-10, what a client is told, and no password.
func TestGetRegistered(t *testing.T) {
	for _, a := range addresses {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, nil)
				c := s.Connect(t, romeo+"/orchard")
				c.Send("<iq type='get' id='1'" + a.to + "><query xmlns='jabber:iq:register'/></iq>")
				c.Expect("<iq type='result' id='1' from='*' to='" + romeo + "/orchard'><query xmlns='jabber:iq:register'>" +
					"<registered/><instructions>*</instructions><username>romeo</username><password/></query></iq>")
			})
		})
	}
}

// TestChange: PC-3, the new password counts, the session that asked goes on, all
// others end.
func TestChange(t *testing.T) {
	for _, a := range addresses {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, nil)
				c, other := s.Connect(t, romeo+"/orchard"), s.Connect(t, romeo+"/garden")
				half, gone := s.Dial(t, romeo), s.Connect(t, romeo+"/tomb")
				gone.Drop()
				if n := len(s.Mux().Sessions(mux.MustParseAddress(romeo))); n != 3 {
					t.Fatalf("%d sessions, want one that hibernates among three", n)
				}
				juliet := s.Connect(t, "juliet@example.net/balcony")
				c.Send("<iq type='set' id='1'" + a.to + ">" + set("<username>Romeo</username><password>"+secret+"</password>") + "</iq>")
				c.Expect("<iq type='result' id='1' from='*' to='" + romeo + "/orchard'/>")
				if matches(t, s.store, romeo, password) || !matches(t, s.store, romeo, secret) {
					t.Error("the old password still counts, or the new one does not")
				}
				if !slices.Equal(s.watch.seen, []string{"changed " + romeo}) {
					t.Errorf("told of %q", s.watch.seen)
				}
				other.ExpectClosed("reset")
				half.ExpectClosed("reset")
				if n := len(s.Mux().Sessions(mux.MustParseAddress(romeo))); n != 1 {
					t.Errorf("%d sessions, want one", n)
				}
				c.Send("<iq type='get' id='2'><query xmlns='jabber:iq:register'/></iq>")
				c.Expect("<iq type='result' id='2' from='*' to='*'>{*}</iq>")
				juliet.ExpectNone()
			})
		})
	}
}

// TestChangeRefused: PC-1, scenario 33; the old password still counts.
func TestChangeRefused(t *testing.T) {
	name, word := "<username>romeo</username>", "<password>"+secret+"</password>"
	bad := errorOf("1", "400", "modify", "bad-request")
	weak := errorWithText("1", "406", "modify", "not-acceptable")
	denied := errorOf("1", "405", "cancel", "not-allowed")
	tests := []struct{ name, fields, want string }{
		{"nothing", "", bad},
		{"no username", word, bad},
		{"empty username", "<username/>" + word, bad},
		{"no name at all", "<username>a@b</username>" + word, bad},
		{"another account", "<username>juliet</username>" + word, denied},
		{"a new account", "<username>bill</username>" + word, denied},
		{"empty password", name + "<password/>", bad},
		{"no password", name, bad},
		{"short password", name + "<password>1234567</password>", weak},
		{"long password", name + "<password>" + strings.Repeat("x", 2000) + "</password>", weak},
		{"forbidden password", name + "<password>correct horse&#x9;</password>", weak},
		{"username twice", name + name + word, bad},
		{"password twice", name + word + word, bad},
		{"form beside", name + word + "<x xmlns='jabber:x:data' type='submit'/>", bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, nil)
				c, other := s.Connect(t, romeo+"/orchard"), s.Connect(t, romeo+"/garden")
				c.Send("<iq type='set' id='1'>" + set(tt.fields) + "</iq>")
				c.Expect(tt.want)
				other.ExpectNone()
				if !matches(t, s.store, romeo, password) || len(s.watch.seen) > 0 {
					t.Errorf("the old password is gone, told of %q", s.watch.seen)
				}
			})
		})
	}
}

// TestChangeNotPossible: by option, without TLS, or because something is broken.
func TestChangeNotPossible(t *testing.T) {
	change := "<iq type='set' id='1'>" + set("<username>romeo</username><password>"+secret+"</password>") + "</iq>"
	tests := []struct {
		name   string
		o      register.Options
		before func(s *scene)
		want   string
	}{
		{"switched off", register.Options{KeepPassword: true}, nil, errorOf("1", "405", "cancel", "not-allowed")},
		{"store down", register.Options{}, func(s *scene) { s.store.update = errors.New("down") }, errorOf("1", "500", "wait", "internal-server-error")},
		{"store unreadable", register.Options{}, func(s *scene) { s.store.read = errors.New("down") }, errorOf("1", "500", "wait", "internal-server-error")},
		{"account gone", register.Options{}, func(s *scene) { s.store.update = scram.ErrNoAccount }, errorOf("1", "400", "wait", "unexpected-request")},
		{"busy", register.Options{}, func(s *scene) { s.store.update = scram.ErrBusy }, errorOf("1", "500", "wait", "resource-constraint")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, &tt.o)
				c := s.Connect(t, romeo+"/orchard")
				if tt.before != nil {
					tt.before(s)
				}
				c.Send(change)
				c.Expect(tt.want)
				s.store.read = nil
				if !matches(t, s.store, romeo, password) {
					t.Error("the old password is gone")
				}
			})
		})
	}
	t.Run("without TLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, nil)
			said := &recorder{}
			st := s.Mux().NewStream(said, mux.Client)
			st.SetDomain(domain)
			st.SetAccount(mux.MustParseAddress(romeo))
			if _, err := st.Bind(t.Context(), &mux.BindOptions{Resource: "attic"}); err != nil {
				t.Fatal(err)
			}
			el, err := mux.Parse([]byte(change))
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Receive(t.Context(), el); err != nil {
				t.Fatal(err)
			}
			st.Flush()
			synctest.Wait()
			if err := muxtest.Match(errorWithText("1", "401", "auth", "not-authorized"), said.text, nil); err != nil {
				t.Error(err)
			}
			if !matches(t, s.store, romeo, password) {
				t.Error("the old password is gone")
			}
			st.Gone(true)
		})
	})
}

// recorder is a connection that keeps what is written.
type recorder struct{ text string }

func (r *recorder) Write(p []byte) error { r.text += string(p); return nil }
func (*recorder) Pending() int           { return 0 }
func (*recorder) Close(error)            {}

// TestChangeToldBadly: what other extensions make of it does not undo it.
func TestChangeToldBadly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		s.watch.err = errors.New("broken")
		c := s.Connect(t, romeo+"/orchard")
		c.Send("<iq type='set' id='1'>" + set("<username>romeo</username><password>"+secret+"</password>") + "</iq>")
		c.Expect("<iq type='result' id='1' from='*' to='*'/>")
		if !matches(t, s.store, romeo, secret) {
			t.Error("the new password does not count")
		}
	})
}

// TestRemote: RG-11, nobody from elsewhere registers here, and nobody at another's
// account.
func TestRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, &register.Options{Policy: register.Open})
		for name, role := range map[string]mux.Role{"example.org": mux.Server, "gateway.example.net": mux.Component} {
			peer := s.DialDomain(t, role, name)
			ask := func(typ, to, payload, want string) {
				t.Helper()
				peer.Send("<iq type='" + typ + "' id='1' from='tybalt@" + name + "/street' to='" + to + "'>" + payload + "</iq>")
				s.ExpectRouted(name, want)
			}
			denied := errorOf("1", "405", "cancel", "not-allowed")
			ask("get", domain, set(""), denied)
			ask("set", domain, set("<username>bill</username><password>"+password+"</password>"), denied)
			ask("set", domain, set("<username/><username/>"), denied)
			ask("set", domain, set("<remove/>"), errorOf("1", "407", "auth", "registration-required"))
			unavailable := "<iq type='error' id='1' from='" + romeo + "' to='*'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
			ask("set", romeo, set("<remove/>"), unavailable)
		}
		juliet := s.Connect(t, "juliet@example.net/balcony")
		juliet.Send("<iq type='set' id='1' to='" + romeo + "'>" + set("<remove/>") + "</iq>")
		juliet.Expect("<iq type='error' id='1' from='" + romeo + "' to='*'>{*}</iq>")
		if !matches(t, s.store, romeo, password) || len(s.watch.seen) > 0 {
			t.Error("the account is gone")
		}
	})
}

// TestFeature: XEP-0077 §10, in service discovery if a client could do anything.
func TestFeature(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		o    register.Options
		want []string
	}{
		{"all", register.Options{}, []string{register.NS}},
		{"password only", register.Options{KeepAccount: true}, []string{register.NS}},
		{"removal only", register.Options{KeepPassword: true}, []string{register.NS}},
		{"nothing", register.Options{KeepPassword: true, KeepAccount: true, Policy: register.Open}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := muxtest.New(t, nil, register.New(service(new(scram.Memory)), &tt.o))
			q := &mux.DiscoQuery{Scope: mux.AtHost}
			if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, tt.want) {
				t.Errorf("features %q, error %v, want %q", q.Features, err, tt.want)
			}
		})
	}
}
