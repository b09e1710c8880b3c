package smacks_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/smacks"
)

// What holds for a session is begun with each new one, what holds for a connection is told
// on each.
func ExampleClientEvent() {
	state := new(csi.Client) // whether somebody looks at the program
	_ = smacks.NewClient(jid.MustParse("juliet@example.net"), &smacks.ClientOptions{
		OnEvent: func(e smacks.ClientEvent) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var err error
			switch e.Kind {
			case smacks.Started:
				log.Println("new session:", e.Outcome.Kind)
				_, err = state.Started(ctx, e.Session)
			case smacks.Resumed:
				_, err = state.Resumed(ctx, e.Session)
			case smacks.Detached, smacks.SessionLost:
				state.Lost()
			}
			if err != nil {
				log.Println(err)
			}
		},
	})
}

// A policy of one's own: behind each message, and of other stanzas behind twenty.
func ExampleAckPolicy() {
	p := smacks.AskFirst(eachMessage{}, smacks.AskEvery(20))
	fmt.Println(p.Ask(smacks.Unasked{Count: 1, Last: smacks.Pending{Kind: "message"}}) == 0)
	fmt.Println(p.Ask(smacks.Unasked{Count: 1, Last: smacks.Pending{Kind: "presence"}}) == 0)
	// Output:
	// true
	// false
}

// eachMessage asks behind each message.
type eachMessage struct{}

// Ask implements [smacks.AckPolicy].
func (eachMessage) Ask(u smacks.Unasked) time.Duration {
	if u.Count > 0 && u.Last.Kind == "message" {
		return 0
	}
	return -1
}
