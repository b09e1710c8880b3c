package smacks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/ping"
	"github.com/propolis-im/propolis/smacks"
)

// world is what happens with one seed, and what was seen of it.
type world struct {
	*weather
	seed  uint64
	tame  bool // sessions do not end on the server's side
	roomy bool // nobody waits for room: who does so in a write to mellium has its lock, for which the bubble's clock would stand still
	romeo *muxtest.Client
	begin time.Time
	all   sync.WaitGroup
	last  *smacks.ClientState

	mu       sync.Mutex
	client   *smacks.Client
	session  *xmpp.Session
	n        int
	calls    map[int]string // that have not returned
	notes    []string
	epochs   []*epoch // sessions of mellium
	down     time.Time
	seen     map[string][]*seen
	toJuliet []string
	unsafe   map[string]bool   // of these, nobody may know
	accepted map[string]string // what romeo must get, by how
	refused  map[string]string // what he must not
	acked    map[string]int
	asked    map[string]int // times that it was to be decided about
	failed   map[string]int
}

// epoch is a session of mellium.
type epoch struct {
	gen   int       // the server's session
	left  time.Time // when it ended, at the latest
	order []*seen
}

// seen is that a message was given to a handler.
type seen struct {
	e    *epoch
	at   time.Time
	done time.Time // zero if it was not
}

func newWorld(t *testing.T, seed uint64) *world {
	r := dice(seed, 1)
	w := &world{weather: newWeather(t, r), seed: seed, tame: r.IntN(2) == 0, roomy: r.IntN(2) == 0, begin: time.Now(), calls: map[int]string{},
		seen: map[string][]*seen{}, accepted: map[string]string{}, refused: map[string]string{},
		acked: map[string]int{}, asked: map[string]int{}, failed: map[string]int{}, unsafe: map[string]bool{}}
	w.romeo = w.host.Connect(t, romeoFull)
	t.Cleanup(func() {
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("seed is %d", seed)
			t.Log("\n" + strings.Join(w.notes, "\n") + "\n" + w.log.String())
		}
	})
	return w
}

func (w *world) number() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	return w.n
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf("%9.3f ", time.Since(w.begin).Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) starts(f func()) {
	w.all.Add(1)
	go func() { defer w.all.Done(); f() }()
}

// timed makes a call, which may last so long; below zero as long as it likes.
func (w *world) timed(what string, limit time.Duration, f func() error) error {
	n, begin := w.number(), time.Now()
	w.mu.Lock()
	w.calls[n] = fmt.Sprintf("%s, since %v", what, begin.Sub(w.begin))
	w.mu.Unlock()
	err := f()
	w.mu.Lock()
	delete(w.calls, n)
	w.mu.Unlock()
	if d := time.Since(begin); limit >= 0 && d > limit {
		w.note("%s has taken %v of %v: %v", what, d, limit, err)
		w.t.Errorf("%s has taken %v of %v: %v", what, d, limit, err)
	}
	return err
}

func (w *world) timedSend(what string, limit time.Duration, ctx context.Context, send func(context.Context, xml.TokenReader) error) (how, id string, err error) {
	id = fmt.Sprintf("c%d", w.number())
	return what, id, w.timed(what+" "+id, limit, func() error {
		return send(ctx, stanza.Message{ID: id, Type: stanza.ChatMessage, To: jid.MustParse(romeoFull)}.Wrap(nil))
	})
}

// sent notes what became of a message.
func (w *world) sent(how, id string, err error) {
	if err != nil {
		w.note("%s %s: %v", how, id, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.accepted[id] = how
	case how == "Send", errors.Is(err, smacks.ErrNoSession), errors.Is(err, smacks.ErrNoConnection):
		w.refused[id] = how
	}
}

func pingElement() xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: ping.NS, Local: "ping"}})
}

func (w *world) options(r *rand.Rand, state *smacks.ClientState) *smacks.ClientOptions {
	o := &smacks.ClientOptions{Dial: w.dial, Features: w.features(), State: state, Logger: w.log.logger(),
		MaxQueue: []int{3, 10, 1000}[r.IntN(3)], FailDetached: r.IntN(3) == 0,
		AckPolicy:  []smacks.AckPolicy{nil, smacks.AskNever(), smacks.AskEach(), smacks.AskWithin(time.Second), smacks.AskEvery(3)}[r.IntN(5)],
		AckTimeout: 10 * time.Second, LoginTimeout: 10 * time.Second}
	if w.roomy {
		o.MaxQueue = 1000
	}
	backoff := dice(w.seed, r.Uint64())
	var mu sync.Mutex
	gives := r.IntN(3) == 0
	o.Backoff = func(failed int, _ error) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		d := upTo(backoff, 4*time.Second)
		w.weather.mu.Lock()
		fair := w.fair
		w.weather.mu.Unlock()
		if gives && !fair && failed > 2 {
			return -1
		}
		return d
	}
	o.OnAcked = func(list []smacks.Pending) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range list {
			w.acked[p.ID]++
		}
	}
	o.OnDropped = func(p smacks.Pending) smacks.Action {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked[p.ID]++
		return smacks.ResendMessages(p)
	}
	o.OnFailed = func(list []smacks.Pending) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range list {
			w.failed[p.ID]++
		}
	}
	o.OnEvent = func(e smacks.ClientEvent) {
		w.note("%v %v %v", e.Kind, e.Outcome, e.Err)
		w.mu.Lock()
		defer w.mu.Unlock()
		switch e.Kind {
		case smacks.Detached, smacks.SessionLost:
			if w.down.IsZero() {
				w.down = time.Now()
			}
		case smacks.Started, smacks.Resumed:
			w.down = time.Time{}
		}
	}
	return o
}

// left notes that a session of mellium is over.
func (w *world) left() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.epochs) > 0 {
		w.epochs[len(w.epochs)-1].leave(w.down)
	}
}

func (e *epoch) leave(down time.Time) {
	if !e.left.IsZero() {
		return
	}
	if e.left = time.Now(); !down.IsZero() {
		e.left = down
	}
}

// begins is a new session of mellium.
func (w *world) begins(c *smacks.Client, s *xmpp.Session, r *rand.Rand) (xmpp.Handler, error) {
	e := new(epoch)
	w.mu.Lock()
	if n := len(w.epochs); n > 0 {
		w.epochs[n-1].leave(w.down)
		e.gen = w.epochs[n-1].gen
	}
	out := c.Outcome()
	if out.Kind != smacks.OutcomeResumed {
		e.gen++
	}
	w.epochs = append(w.epochs, e)
	w.session = s
	w.mu.Unlock()
	w.note("session of mellium %d, server's %d", len(w.epochs), e.gen)
	h := &actor{w: w, c: c, e: e, r: dice(w.seed, r.Uint64())}
	if out.Kind == smacks.OutcomeResumed {
		return h, nil
	}
	w.timed("presence", -1, func() error { return c.Send(context.Background(), stanza.Presence{}.Wrap(nil)) })
	return h, nil // an error is one of the session, as its Serve will say
}

// unmanaged reports whether there is a session in which nothing is acknowledged yet: what it
// is sent is lost with its connection.
func (w *world) unmanaged() bool {
	return len(w.host.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))) > w.x.Stats().Managed
}

// endSessions has the server end what there is.
func (w *world) endSessions() {
	for _, s := range w.host.Mux().Sessions(mux.MustParseAddress("juliet@example.net")) {
		if err := s.End(context.Background()); err != nil {
			w.note("End: %v", err)
		}
	}
}

// discard reads what is left of an element.
func discard(t xmlstream.TokenReadEncoder) error {
	_, err := xmlstream.Copy(xmlstream.Discard(), t)
	if err == io.EOF {
		return nil
	}
	return err
}
