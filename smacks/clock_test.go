package smacks_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// stop ends the host properly, so that the next open is a start.
func (s *site) stop(t *testing.T) {
	t.Helper()
	if err := s.Mux().Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.Settle()
}

// waits reports whether juliet's session can be resumed, and checks that what it had
// comes or went back accordingly, never both.
func (s *site) waits(t *testing.T, token string, romeo *muxtest.Client) bool {
	t.Helper()
	all := strings.Join(resume(t, s.Host, token, "0").Arrived(), "")
	s.Settle()
	back := ""
	if romeo != nil {
		back = strings.Join(romeo.Arrived(), "")
	}
	resumed, disposed := strings.Contains(all, "<resumed") && strings.Contains(all, "<message"), strings.Contains(back, "type='error'")
	if resumed == strings.Contains(all, "<failed") || romeo != nil && resumed == disposed {
		t.Errorf("client got %s, sender %s", all, back)
	}
	return resumed
}

const day = 24 * time.Hour

// FI-53: windows run by the monotonic clock, whatever the clock on the wall does; only
// the time in which there is no process is measured by that (smacks SM-62).
func TestFI53ClockJumps(t *testing.T) {
	t.Parallel()
	const window = 10 * time.Minute
	for _, c := range []struct {
		name string
		// Where the wall's clock is set: while the session is live, while it waits, and
		// while the server is down.
		live, waiting, down time.Duration
		restart             bool // one minute into the window, for a minute
		rest                time.Duration
	}{
		{"live ahead", day, 0, 0, false, window},
		{"live back", -day, 0, 0, false, window},
		{"waiting ahead", 0, day, 0, false, window},
		{"waiting back", 0, -day, 0, false, window},
		{"restart", 0, 0, 0, true, window - 2*time.Minute},
		{"live ahead, restart", day, 0, 0, true, window - 2*time.Minute},
		{"live back, restart", -day, 0, 0, true, window - 2*time.Minute},
		{"waiting ahead, restart", 0, day, 0, true, window - 2*time.Minute},
		{"waiting back, restart", 0, -day, 0, true, window - 2*time.Minute},
		// The process cannot know how long it was away but by the wall.
		{"down, a little ahead", 0, 0, 3 * time.Minute, true, window - 5*time.Minute},
		{"down, a little back", 0, 0, -30 * time.Second, true, window - 90*time.Second},
		// Nobody waits longer than what was left.
		{"down, back", 0, 0, -day, true, window - time.Minute},
		{"down, ahead", 0, 0, day, true, 0},
	} {
		for _, late := range []time.Duration{-time.Millisecond, time.Millisecond} {
			t.Run(fmt.Sprint(c.name, " ", late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, smacks.Options{Window: window})
					romeo := s.Connect(t, romeoFull)
					juliet, token := enabled(t, s.Host)
					romeo.Send(chat("1"))
					s.Settle()
					s.ahead.Add(int64(c.live))
					juliet.Drop()
					s.Settle()
					s.ahead.Add(int64(c.waiting))
					if c.restart {
						time.Sleep(time.Minute)
						s.stop(t)
						romeo = nil // what comes back is for a session that is not there any more
						s.ahead.Add(int64(c.down))
						time.Sleep(time.Minute)
						s.open(t)
						s.Settle()
					}
					time.Sleep(max(c.rest+late, 0))
					s.Settle()
					if got, want := s.waits(t, token, romeo), c.rest > 0 && late < 0; got != want {
						t.Errorf("%v past the end: resumed %v", late, got)
					}
				})
			})
		}
	}
}

// After a crash a session that was live has its whole window, whatever the clock says.
func TestFI53ClockJumpsOverCrash(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{-day, day} {
		for _, late := range []time.Duration{-time.Millisecond, time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{Window: time.Minute})
				romeo := s.Connect(t, romeoFull)
				_, token := enabled(t, s.Host)
				romeo.Send(chat("1"))
				s.Settle()
				s.ahead.Add(int64(jump))
				s.open(t)
				time.Sleep(time.Minute + late)
				s.Settle()
				if got := s.waits(t, token, nil); got != (late < 0) {
					t.Errorf("jump of %v, %v past the end: resumed %v", jump, late, got)
				}
			})
		}
	}
}
