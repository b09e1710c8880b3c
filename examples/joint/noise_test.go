package joint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// noise has contacts come and go for an hour, and returns the ids of what is still true
// at its end, in order.
func (w *world) noise(rnd *rand.Rand, contacts int, half func()) (last []string) {
	who := func(id string) string { return id[:strings.IndexByte(id, '-')] }
	for minute := range 60 {
		if minute == 30 {
			half()
		}
		for n := range 40 {
			c := rnd.IntN(contacts)
			if minute == 0 {
				c = n % contacts
			}
			id := fmt.Sprintf("c%d-%d-%d", c, minute, n)
			typ := [...]string{"", " type='unavailable'"}[rnd.IntN(2)]
			w.org.Send("<presence from='c" + fmt.Sprint(c) + "@example.org/x' to='" + phoneJID + "' id='" + id + "'" + typ + "/>")
			last = append(slices.DeleteFunc(last, func(old string) bool { return who(old) == who(id) }), id)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	}
	return last
}

// TestHourOfNoise: an inactive client with 150 contacts gets nothing for an hour: no
// presence, no request for an acknowledgement. Then somebody writes, and it gets the
// last presence of each contact and then the message; and both sides have counted the
// same. If half of the hour it was not there, or the server was not, it gets the same
// when it comes back.
func TestHourOfNoise(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"live", "away", "restarted"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				if w.sent.Stats().Queued != 0 {
					t.Fatal("something is counted already")
				}
				w.phone.Send(inactive)
				first := "" // what it gets when it comes back
				back := func() {
					time.Sleep(9 * time.Minute)
					w.resume()
					first, _ = w.got()
					w.phone.Send("<a xmlns='urn:xmpp:sm:3' h='"+fmt.Sprint(w.count)+"'/>", inactive)
				}
				last := w.noise(rand.New(rand.NewPCG(352, 2)), 150, func() {
					w.phone.ExpectNone()
					switch way {
					case "away":
						w.phone.Drop()
						back()
					case "restarted":
						w.restart()
						w.others()
						back()
					}
				})
				if n := strings.Count(first, " "); way != "live" && (!strings.HasPrefix(first, "resumed ") || n < 140 || n > 150) {
					t.Fatalf("came back to %d stanzas: %s", n, first)
				}
				last = slices.DeleteFunc(last, func(id string) bool { return strings.Contains(" "+first+" ", " "+id+" ") })
				want := strings.Join(append(last, "m"), " ")
				w.phone.ExpectNone()
				w.org.Send("<message from='c0@example.org/x' to='" + phoneJID + "' type='chat' id='m'>" + body + "</message>")
				got, asked := w.got()
				if got != want {
					t.Errorf("got\n%s, want\n%s", got, want)
				}
				if asked == 0 {
					t.Error("not asked to acknowledge")
				}
				w.counted()
			})
		})
	}
}

// TestRestartKeepsBoth is FI-27, with something of everything: what was sent and not
// acknowledged comes first, then what was held before the restart, then what was held
// after it, then what is new.
func TestRestartKeepsBoth(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			presence, message := stimuli[0], stimuli[2]
			message.send(w, "a", "1")
			w.want("1")
			w.phone.Send(inactive)
			presence.send(w, "b", "2")
			message.send(w, "c", "3") // takes 2 along
			w.want("2 3")
			time.Sleep(6 * time.Second)
			presence.send(w, "d", "4")
			w.phone.Drop()
			message.send(w, "e", "5")
			presence.send(w, "f", "6")
			want := "resumed 2 3 5 4 6 7"
			if crash {
				w.open()
				want = "resumed 2 3 5 4 7" // 6 came after the session was saved
			} else {
				w.restart()
			}
			w.others()
			presence.send(w, "g", "7")
			w.count = 1 // of 3 that were written it has got one
			w.resume()
			w.want(want)
			if n := w.held.Stats(); n.Holding != 0 || n.Inactive != 0 {
				t.Errorf("%+v", n)
			}
			presence.send(w, "h", "8")
			w.want("8")
			w.counted()
		})
	}
}

// TestAskedLessOften is CSI-23a: an inactive client is asked to acknowledge together
// with what wakes it anyway, and else a minute later.
func TestAskedLessOften(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			message := stimuli[2]
			if away {
				w.phone.Send(inactive)
			}
			for _, id := range []string{"1", "2", "3"} {
				message.send(w, "a", id)
			}
			if got, asked := w.got(); got != "1 2 3" || asked != 1 {
				t.Errorf("got %s and was asked %d times", got, asked)
			}
			w.phone.Send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
			time.Sleep(50 * time.Second)
			synctest.Wait()
			want := 1
			if away {
				want = 0
			}
			if _, asked := w.got(); asked != want {
				t.Errorf("inactive %t: asked %d times within 50 s", away, asked)
			}
			if away {
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if _, asked := w.got(); asked != 1 {
					t.Errorf("asked %d times within a minute", asked)
				}
			}
			w.counted()
		})
	}
}
