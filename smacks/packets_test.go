package smacks_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// packets is a connection that counts what is written, and what in it is a question.
type packets struct {
	mu                          sync.Mutex
	writes, questions, messages int
	alone                       int // questions that came without a message
}

func (c *packets) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := string(p)
	c.writes++
	n := strings.Count(text, "<message")
	c.messages += n
	q := strings.Count(text, "<r ")
	c.questions += q
	if n == 0 {
		c.alone += q
	}
	return nil
}

func (c *packets) Pending() int { return 0 }
func (c *packets) Close(error)  {}

// numbers are those of what was written since the last call.
func (c *packets) numbers() (writes, questions, alone int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.writes, c.questions, c.alone = 0, 0, 0 }()
	return c.writes, c.questions, c.alone
}

// What Stream Management adds to messages in packets, which are what a message costs:
// the answers that the sender asks for, one for ten messages here, and those of the
// recipient. Questions travel with messages, and there is one for 40 messages if they
// come fast, and one for 50 ms otherwise; only behind the last there is one by itself.
func TestPackets(t *testing.T) {
	t.Parallel()
	const pieces, every = 500, 10
	for _, c := range []struct {
		name      string
		piece     int           // messages that are read together
		gap       time.Duration // before the next
		questions int           // at most
	}{
		{"full", 8, time.Millisecond, pieces*8/40 + 10},
		{"busy", 1, time.Millisecond, pieces/50 + 10},
		{"slow", 1, 100 * time.Millisecond, pieces/10 + 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, smacks.New(nil, nil))
				var conns [2]*packets
				var streams [2]*mux.Stream
				for i, full := range []string{romeoFull, julietFull} {
					a := mux.MustParseAddress(full)
					h.AddAccount(a.Bare().String())
					conns[i] = new(packets)
					streams[i] = h.Mux().NewStream(conns[i], mux.Client)
					streams[i].SetAccount(a.Bare())
					if _, err := streams[i].Bind(t.Context(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
						t.Fatal(err)
					}
					receive(t, streams[i], "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
					h.Settle()
					conns[i].numbers()
				}
				sent, answers, asked := 0, 0, 0
				for range pieces {
					for range c.piece {
						text := "<message to='" + julietFull + "' type='chat'><body>hi</body></message>"
						take(t, streams[0], text)
						if sent++; sent%every == 0 {
							take(t, streams[0], ask)
						}
					}
					streams[0].Flush()
					h.Settle()
					writes, questions, _ := conns[1].numbers()
					if writes != 1 {
						t.Fatalf("%d packets for messages that were read together", writes)
					}
					asked += questions
					if questions > 0 {
						receive(t, streams[1], ack(strconv.Itoa(conns[1].messages)))
					}
					n, _, _ := conns[0].numbers()
					answers += n
					time.Sleep(c.gap)
				}
				if answers != sent/every {
					t.Errorf("%d packets to the sender, who has asked %d times", answers, sent/every)
				}
				if asked > c.questions {
					t.Errorf("%d questions for %d messages", asked, sent)
				}
				time.Sleep(time.Minute)
				if writes, questions, alone := conns[1].numbers(); writes != 1 || questions != 1 || alone != 1 {
					t.Errorf("%d packets with %d questions in the end, %d by themselves", writes, questions, alone)
				}
			})
		})
	}
}

// take gives a stream an element of a larger piece.
func take(tb muxtest.TB, st *mux.Stream, text string) {
	s, err := mux.Parse([]byte(text))
	if err == nil {
		err = st.Receive(context.Background(), s)
	}
	if err != nil {
		tb.Fatalf("%v", err)
	}
}
