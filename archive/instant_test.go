package archive_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// FI-35 of smacks: a message comes in the instant in which a client binds by Bind 2. It
// is in the archive up to the end that the client is told, or it is delivered, and never
// both, however the two meet.
func TestInstantOfBinding(t *testing.T) {
	t.Parallel()
	runs := 10_000
	if testing.Short() || raceEnabled {
		runs = 500
	}
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), NoRecover: true}, archive.New(new(archive.Memory), nil))
		h.AddAccount("juliet@example.net")
		romeo := h.Connect(t, romeoFull)
		newest, lives := "", 0
		for i := range runs {
			j := h.Dial(t, "juliet@example.net")
			o := &mux.BindOptions{Resource: "phone", Bind2: true}
			m, err := mux.Parse([]byte(fmt.Sprintf("<message to='juliet@example.net/phone' type='chat' id='m%d'><body>x</body></message>", i)))
			if err != nil {
				t.Fatal(err)
			}
			var both sync.WaitGroup
			both.Go(func() {
				if err := romeo.Stream.Receive(context.Background(), m); err != nil {
					t.Error(err)
				}
				romeo.Stream.Flush()
			})
			if i%2 == 0 {
				runtime.Gosched() // so that either comes first now and then
			}
			if _, err := j.Stream.Bind(context.Background(), o); err != nil || len(o.InlineReply) != 1 {
				t.Fatalf("%d replies, %v", len(o.InlineReply), err)
			}
			both.Wait()
			c, err := mux.NewChild(o.InlineReply[0])
			if err != nil {
				t.Fatal(err)
			}
			end := cut(c.Raw(), "<end id='")
			live := strings.Join(j.Arrived(), "")
			switch {
			case live == "" && (end == "" || end == newest):
				t.Fatalf("message %d is nowhere: end is %s", i, end)
			case live != "" && (end != newest || !strings.Contains(live, fmt.Sprintf("id='m%d'", i))):
				t.Fatalf("message %d is delivered and in the archive up to %s, which was %s: %s", i, end, newest, live)
			case live != "":
				lives++
				newest = cut(live, "<stanza-id xmlns='urn:xmpp:sid:0' id='")
			default:
				newest = end
			}
			j.Clear()
			j.Close()
			h.Settle()
			j.Clear()
		}
		t.Logf("%d of %d were delivered", lives, runs)
		romeo.ExpectNone()
	})
}

// cut is what comes behind a text, up to the next quote.
func cut(s, before string) string {
	_, rest, _ := strings.Cut(s, before)
	value, _, _ := strings.Cut(rest, "'")
	return value
}
