package smacks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// What romeo sends to juliet, who has another server.
var acrossBursts = [][]string{{
	"<message to='juliet@example.org/balcony' id='1'><body>Überall &amp; überhaupt</body></message>",
	"<iq type='get' to='juliet@example.org/balcony' id='2'><x xmlns='urn:x'/></iq>",
	"<presence to='juliet@example.org/balcony' id='3'/>",
}, {
	"<message to='juliet@example.org/balcony' id='4'><body><![CDATA[<4>]]></body></message>",
	"<message to='juliet@example.org/balcony' id='5'/>",
}}

const across = 5

// FI-55: a stream between two servers is cut after every octet, in either direction, and
// the peer is back two seconds later. Each stanza arrives or comes back to its sender, and
// only one whose acknowledgement was cut off does both, or arrives once on each of the two
// streams if it is sent again (smacks SM-98).
func TestFI55CutBetweenServers(t *testing.T) {
	t.Parallel()
	for _, resend := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("resend=%v,answers=%v", resend, back), func(t *testing.T) {
				t.Parallel()
				doubts, cut := 0, true
				for k := 0; cut; k++ {
					synctest.Test(t, func(t *testing.T) {
						there, answers := k, -1
						if back {
							there, answers = -1, k
						}
						var n int
						n, cut = cutBetweenServers(t, resend, there, answers)
						doubts += n
					})
					if t.Failed() {
						t.Fatalf("cut after %d octets", k)
					}
				}
				if doubts == 0 {
					t.Error("no acknowledgement was cut off")
				}
			})
		}
	}
}

// cutBetweenServers lets so many octets through, and returns for how many stanzas it
// cannot be known at the sender's whether they arrived, and whether anything was cut.
func cutBetweenServers(t *testing.T, resend bool, there, answers int) (doubts int, cut bool) {
	o := &smacks.OutgoingOptions{}
	if resend {
		o.Resend = func(*mux.Item) bool { return true }
	}
	here, far := newRealm(t, romeoFull, o), newRealm(t, "juliet@example.org/balcony", nil)
	defer here.stop()
	defer far.stop()
	replies := connect(far, here, -1, -1)
	defer replies.lose()
	c := connect(here, far, there, answers)
	for _, burst := range acrossBursts {
		here.says(burst...)
		if !c.cut {
			c.pump()
		}
		far.reply()
		replies.pump()
	}
	if !c.cut {
		c.there.Close(nil)
		c.pump()
	}
	early := far.saw()
	if c.cut {
		time.Sleep(2 * time.Second)
		again := connect(here, far, -1, -1)
		again.pump()
		far.reply()
		replies.pump()
		again.there.Close(nil)
		again.pump()
	}
	here.out.Close()
	synctest.Wait()
	j := &judge{t: t, c: c, resend: resend, first: early, second: far.saw()[len(early):], back: here.saw()}
	for id := 1; id <= across; id++ {
		j.one(id)
	}
	j.inOrder()
	return max(0, c.handled-c.acked), c.cut
}

// judge says whether what has become of the stanzas is right.
type judge struct {
	t             *testing.T
	c             *cable
	resend        bool
	first, second []*mux.Stanza // what juliet got from each stream
	back          []*mux.Stanza // what romeo got
}

// one is about one stanza.
func (j *judge) one(id int) {
	const request = 2
	name := fmt.Sprint(id)
	count := func(list []*mux.Stanza, typ string) (n int) {
		for _, el := range list {
			if el.ID() == name && (el.Type() == "error") == (typ == "error") {
				n++
			}
		}
		return n
	}
	first, second := count(j.first, ""), count(j.second, "")
	failed, answers := count(j.back, "error"), count(j.back, "result")
	again := j.resend && id != request
	want := "once, and nothing comes back"
	ok := first+second == 1 && failed == 0
	switch {
	case !j.c.cut || id <= j.c.acked:
		ok = first == 1 && second == 0 && failed == 0
	case id <= j.c.handled && again:
		want = "once on each stream, and nothing comes back"
		ok = first == 1 && second == 1 && failed == 0
	case id <= j.c.handled:
		want = "once, and comes back"
		ok = first == 1 && second == 0 && failed == 1
	case id <= j.c.sent && !again:
		want = "never, and comes back"
		ok = first+second == 0 && failed == 1
	case id <= j.c.sent:
		want = "once on the second stream, and nothing comes back"
		ok = first == 0 && second == 1 && failed == 0
	}
	if id == request && answers != first+second {
		j.t.Errorf("%d answers to a request that arrived %d times", answers, first+second)
	}
	if !ok {
		j.t.Errorf("%d of %d sent, %d handled, %d acknowledged: arrived %d and %d times, came back %d times; want it to arrive %s",
			id, j.c.sent, j.c.handled, j.c.acked, first, second, failed, want)
	}
}

// inOrder: on each stream in the order in which they were sent, and what comes again is
// marked as late.
func (j *judge) inOrder() {
	for i, list := range [][]*mux.Stanza{j.first, j.second} {
		last := ""
		for _, el := range list {
			if el.ID() <= last {
				j.t.Errorf("%s behind %s", el.ID(), last)
			}
			last = el.ID()
			late := i == 1 && last <= fmt.Sprint(j.c.sent)
			if strings.Contains(string(el.Append(nil, "")), "urn:xmpp:delay") != late {
				j.t.Errorf("late %v: %s", late, el.Append(nil, ""))
			}
		}
	}
}
