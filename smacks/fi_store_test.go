package smacks_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// shaky is safe, but for one message.
type shaky struct {
	safe
	id string
	do func() error
}

func (x *shaky) Register(r *mux.Registry) error {
	r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if e.Stanza.ID() == x.id {
			return mux.Pass, x.do()
		}
		return mux.Pass, nil
	}, mux.Blocks())
	return x.safe.Register(r)
}

// FI-29: one who was to keep a message fails, or panics. The rest is dealt with, that
// one goes back, and nothing is left.
func TestFI29KeeperFails(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func() error{
		"error": func() error { return errors.New("disk full") },
		"panic": func() error { panic("disk on fire") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := &shaky{id: "2", do: do}
				s := newSite(t, smacks.Options{Window: time.Minute}, kept)
				romeo := s.Connect(t, romeoFull)
				juliet, _ := enabled(t, s.Host)
				romeo.Send(chats(1, 4)...)
				juliet.Drop()
				time.Sleep(time.Minute)
				s.Settle()
				romeo.Expect("<message type='error' id='2' from='" + julietFull + "' to='" + romeoFull +
					"'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
				romeo.ExpectNone()
				if want := []string{"1", "3", "4"}; !slices.Equal(kept.ids, want) {
					t.Errorf("kept %q, want %q", kept.ids, want)
				}
				if all := s.x.Sessions(mux.MustParseAddress("juliet@example.net")); len(all) != 0 {
					t.Errorf("sessions are left: %+v", all)
				}
				// Nor does it come again.
				s.Restart(slices.Concat([]mux.Extension{smacks.New(&s.store, &s.opt)}, s.more)...)
				s.Settle()
				if len(kept.ids) != 3 {
					t.Errorf("after a restart %q are kept", kept.ids)
				}
			})
		})
	}
}

// FI-29: the one who was to keep a message takes long. Nobody else waits for that, and
// no lock is held: others are served, operators see and end sessions, and what is for
// the account comes behind it.
func TestFI29KeeperStalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stall := make(chan struct{})
		kept := &shaky{id: "1", do: func() error { <-stall; return nil }}
		s := newSite(t, smacks.Options{Window: time.Minute}, kept)
		s.AddAccount("nurse@example.net")
		romeo, nurse := s.Connect(t, romeoFull), s.Connect(t, "nurse@example.net/hall")
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 2)...)
		juliet.Drop()
		time.Sleep(time.Minute)
		s.Settle()
		if len(kept.ids) != 0 {
			t.Errorf("kept %q before the end of the stall", kept.ids)
		}
		nurse.Send("<message to='" + romeoFull + "' type='chat' id='n'/>")
		romeo.Expect("<message from='nurse@example.net/hall' to='" + romeoFull + "' type='chat' id='n'/>")
		romeo.Send("<message to='nurse@example.net/hall' type='chat' id='r'/>", chat("3"))
		nurse.Expect("<message from='" + romeoFull + "' to='nurse@example.net/hall' type='chat' id='r'/>")
		resume(t, s.Host, token, "0").Expect(unknown)
		s.x.Stats()
		s.x.Sessions(mux.Address{})
		close(stall)
		s.Settle()
		romeo.ExpectNone()
		if want := []string{"1", "2", "3"}; !slices.Equal(kept.ids, want) {
			t.Errorf("kept %q, want %q", kept.ids, want)
		}
	})
}

// logged notes what is logged as an error.
type logged struct {
	slog.Handler
	mu  sync.Mutex
	all []string
}

func (l *logged) Enabled(_ context.Context, at slog.Level) bool { return at >= slog.LevelError }

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r.Message)
	return nil
}

// FI-29: the store itself fails, so that neither the end of the session nor what was to
// be kept is there. That is logged, nothing was said to anybody, and the next start does
// it all again, once.
func TestFI29StoreFailsDuringDisposition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept, log := new(safe), new(logged)
		s := newSite(t, smacks.Options{Window: time.Minute}, kept)
		s.log = slog.New(log)
		s.open(t)
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 3)...)
		juliet.Drop()
		s.Settle()
		s.commits.Fail(errors.New("disk full"))
		time.Sleep(time.Minute)
		s.Settle()
		if n := len(s.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		log.mu.Lock()
		if all := strings.Join(log.all, ", "); !strings.Contains(all, "commit failed") {
			t.Errorf("logged: %s", all)
		}
		log.mu.Unlock()
		romeo.ExpectNone()
		if len(kept.ids) != 0 {
			t.Errorf("kept %q by a commit that has failed", kept.ids)
		}
		// The account is as good as before meanwhile.
		next := s.Connect(t, "juliet@example.net/other")
		romeo.Send("<message to='juliet@example.net/other' id='4'/>")
		next.Expect("<message from='" + romeoFull + "' to='juliet@example.net/other' id='4'/>")
		for range 2 {
			s.open(t)
			s.Settle()
			if want := []string{"1", "2", "3"}; !slices.Equal(kept.ids, want) {
				t.Errorf("kept %q, want %q", kept.ids, want)
			}
		}
		resume(t, s.Host, token, "0").Expect(known("0"))
	})
}

// FI-29: the store stalls. What was decided waits, the rest goes on.
func TestFI29StoreStallsDuringDisposition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := new(safe)
		s := newSite(t, smacks.Options{Window: time.Minute}, kept)
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 3)...)
		juliet.Drop()
		s.Settle()
		s.commits.Hold()
		time.Sleep(time.Hour)
		s.Settle()
		s.x.Stats()
		romeo.Send("<iq type='get' id='q' to='example.net'><q xmlns='urn:x'/></iq>") // leads to nothing lasting
		romeo.Expect("<iq type='error' id='q' from='example.net' to='" + romeoFull + "'>{*}</iq>")
		resume(t, s.Host, token, "0").Expect(known("0"))
		if len(kept.ids) != 0 {
			t.Errorf("kept %q", kept.ids)
		}
		s.commits.Release()
		s.Settle()
		if want := []string{"1", "2", "3"}; !slices.Equal(kept.ids, want) {
			t.Errorf("kept %q, want %q", kept.ids, want)
		}
		romeo.ExpectNone()
	})
}
