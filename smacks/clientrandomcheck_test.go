package smacks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// actor is a handler that does what handlers may.
type actor struct {
	w *world
	c *smacks.Client
	e *epoch
	r *rand.Rand
}

// HandleXMPP implements xmpp.Handler.
func (a *actor) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	id, typ := "", ""
	for _, attr := range start.Attr {
		switch attr.Name.Local {
		case "id":
			id = attr.Value
		case "type":
			typ = attr.Value
		}
	}
	if err := discard(t); err != nil {
		return err
	}
	if start.Name.Local != "message" || typ != "chat" || !strings.HasPrefix(id, "s") {
		return nil
	}
	s := &seen{e: a.e, at: time.Now()}
	a.w.mu.Lock()
	a.w.seen[id] = append(a.w.seen[id], s)
	a.e.order = append(a.e.order, s)
	a.w.mu.Unlock()
	return a.acts(t, s)
}

func (a *actor) done(s *seen) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	s.done = time.Now()
}

var errActor = errors.New("handler's")

func (a *actor) acts(t xmlstream.TokenReadEncoder, s *seen) error {
	d := upTo(a.r, 3*time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	switch n := a.r.IntN(100); {
	case n < 15:
		sleeps(d)
	case n < 25:
		handled := a.c.Hold()
		a.w.starts(func() {
			sleeps(d)
			handled()
			a.done(s)
		})
		return nil
	case n < 30:
		a.w.sent(a.w.timedSend("SendAcked", d, ctx, a.c.SendAcked))
	case n < 32:
		a.w.ping(a.c, ctx, d)
	case n < 34:
		a.w.timed("RequestAck", d, func() error { return a.c.RequestAck(ctx) })
	case n < 38 && a.w.roomy:
		_, id, err := a.w.timedSend("handler's writing", -1, ctx, func(_ context.Context, r xml.TokenReader) error {
			_, err := xmlstream.Copy(t, r)
			return err
		})
		a.w.note("handler writes %s: %v", id, err) // it is sent behind that, if at all
	case n < 40:
		a.w.timed("presence", d, func() error {
			return a.c.Send(ctx, stanza.Presence{To: jid.MustParse(romeoFull)}.Wrap(nil))
		})
	case n < 41:
		return errActor
	}
	a.done(s)
	return nil
}

// rests checks that everything has come to rest, with a connection.
func (w *world) rests() {
	w.mu.Lock()
	c := w.client
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	if err := c.RequestAck(ctx); err != nil {
		w.t.Errorf("RequestAck in good weather: %v", err)
	}
	for _, p := range c.Pending() {
		w.t.Errorf("is not acknowledged: %s", p.Raw)
	}
	if n := w.x.Stats(); n.Queued != 0 || n.Waiting != 0 {
		w.t.Errorf("the server has %+v", n)
	}
}

// check compares what was sent with what has arrived.
func (w *world) check() {
	arrived, bounced := map[string]int{}, map[string]int{}
	for _, el := range w.romeo.Arrived() {
		s, err := mux.Parse([]byte(el))
		switch {
		case err != nil:
			w.t.Errorf("romeo gets %s", el)
		case s.Kind() == mux.Message && s.Type() == "error":
			bounced[s.ID()]++
		case s.Kind() == mux.Message:
			arrived[s.ID()]++
		}
	}
	w.romeo.Clear()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, how := range w.accepted {
		if arrived[id] == 0 {
			w.t.Errorf("%s of %s was good, and it has not arrived (acknowledged %d, asked %d, failed %d times)", how, id, w.acked[id], w.asked[id], w.failed[id])
		}
	}
	for id, n := range arrived {
		if n > 1+w.asked[id] {
			w.t.Errorf("%s has arrived %d times, and was dropped %d times", id, n, w.asked[id])
		}
		if how := w.refused[id]; how != "" {
			w.t.Errorf("%s has arrived, and %s has failed", id, how)
		}
		if w.acked[id] > 1 {
			w.t.Errorf("%s was acknowledged %d times", id, w.acked[id])
		}
	}
	gens := 0
	if n := len(w.epochs); n > 0 {
		gens = w.epochs[n-1].gen
	}
	for _, id := range w.toJuliet {
		if len(w.seen[id]) == 0 && bounced[id] == 0 && !w.unsafe[id] {
			w.t.Errorf("%s is lost, and has come on connections %v of %d", id, w.carried("id='"+id+"'"), len(w.every))
		}
		if len(w.seen[id]) > 0 && bounced[id] > 0 && gens == 1 {
			w.t.Errorf("%s was seen, and has gone back", id)
		}
		w.checkSeen(id)
	}
	if got := w.log.String(); strings.Contains(got, "count") || strings.Contains(got, "ERROR") {
		w.t.Errorf("logged: %s", got)
	}
}

// checkSeen checks that a message has come again just where it may: to another session of
// mellium, if it, or one before it, was not handled when the one before had ended.
func (w *world) checkSeen(id string) {
	for i, s := range w.seen[id] {
		if i == 0 {
			continue
		}
		before := w.seen[id][i-1]
		if before.e == s.e {
			w.t.Errorf("%s was seen twice in a session, at %v and %v", id, before.at.Sub(w.begin), s.at.Sub(w.begin))
			continue
		}
		open := before.e.gen != s.e.gen
		for _, o := range before.e.order {
			if o.done.IsZero() || before.e.left.IsZero() || !o.done.Before(before.e.left) {
				open = true
			}
			if o == before {
				break
			}
		}
		if !open {
			w.t.Errorf("%s was seen again at %v, handled at %v", id, s.at.Sub(w.begin), before.done.Sub(w.begin))
		}
	}
}
