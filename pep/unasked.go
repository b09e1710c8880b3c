package pep

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"sync"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// waiting are the accounts that may have requests for subscriptions which nobody has
// answered, as far as their nodes were read.
type waiting struct {
	mu sync.RWMutex // guards what follows
	in map[mux.Address]struct{}
}

func (w *waiting) has(account mux.Address) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, ok := w.in[account]
	return ok
}

func (w *waiting) set(account mux.Address, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !on {
		delete(w.in, account)
		return
	}
	if w.in == nil {
		w.in = make(map[mux.Address]struct{})
	}
	w.in[account] = struct{}{}
}

// asked is what the owner was asked in one session.
type asked struct {
	mu      sync.Mutex // guards what follows
	of      map[question]struct{}
	feeding bool
}

// question stands for a node and who wants to subscribe to it.
type question uint64

func questionOf(node string, who mux.Address) question {
	h := sha256.Sum256([]byte(node + "\x00" + who.String()))
	return question(binary.BigEndian.Uint64(h[:]))
}

func (a *asked) note(q question, is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !is:
		delete(a.of, q)
	case a.of == nil:
		a.of = map[question]struct{}{q: {}}
	default:
		a.of[q] = struct{}{}
	}
}

func (a *asked) ended() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.feeding = false
}

// askedCodec keeps that with sessions that outlive the process: the questions, eight
// octets each.
var askedCodec = mux.Codec[asked]{
	Encode: func(dst []byte, a *asked) []byte {
		a.mu.Lock()
		defer a.mu.Unlock()
		for q := range a.of {
			dst = binary.BigEndian.AppendUint64(dst, uint64(q))
		}
		return dst
	},
	Decode: func(src []byte, a *asked) error {
		if len(src)%8 != 0 {
			return errAsked
		}
		for ; len(src) > 0; src = src[8:] {
			a.note(question(binary.BigEndian.Uint64(src)), true)
		}
		return nil
	},
}

var errAsked = errors.New("pep: saved state cannot be read")

// askOwnerAbout asks the owner to approve of a subscriber (XEP-0060 §8.6). One that is
// away is asked when it comes.
func (x *Extension) askOwnerAbout(ctx context.Context, e *mux.Event, n *node, who mux.Address) {
	x.waiting.set(e.Account, true)
	best := -1
	for _, s := range e.Sessions() {
		if p := s.Presence(); p != nil && p.Available {
			best = max(best, p.Priority)
		}
	}
	q := questionOf(n.Name, who)
	for _, s := range e.Sessions() { // those that the message will reach
		p := s.Presence()
		x.asked.Of(s).note(q, best >= 0 && p != nil && p.Available && p.Priority == best)
	}
	if best >= 0 {
		e.Send(ctx, authorization(e.Account, n.Name, who))
	}
}

// authorization is the question.
func authorization(account mux.Address, node string, who mux.Address) *mux.Stanza {
	b := appendFormStart(nil, "form", formAuthorize)
	b = append(b, "<field var='"+varPrefix+"node' type='text-single' label='Node'><value>"...)
	b = xmlwrite.AppendText(b, node)
	b = append(b, "</value></field><field var='"+varPrefix+"subscriber_jid' type='jid-single' label='Subscriber'><value>"...)
	b = xmlwrite.AppendText(b, who.String())
	b = append(b, "</value></field><field var='"+varPrefix+"allow' type='boolean' label='Allow?'><value>0</value></field></x>"...)
	return mux.Make(mux.Head{Kind: mux.Message, ID: "sub-" + newID(), From: account, To: account},
		mux.RawChild(xml.Name{Space: nsForm, Local: "x"}, string(b)))
}

// came asks a session of the owner that says it is there.
func (x *Extension) came(_ context.Context, e *mux.Event) {
	if e.Session != nil && e.Stanza.To().IsZero() && e.Stanza.Type() == "" && x.waiting.has(e.Account) {
		x.askIn(e.Session)
	}
}

// askAll asks in all sessions, when the nodes of their account have been read.
func (x *Extension) askAll(e *mux.Event, a *account) {
	for _, n := range a.nodes {
		for _, p := range n.peers {
			if p.Subscription == Pending {
				x.waiting.set(e.Account, true)
				for _, s := range e.Sessions() {
					x.askIn(s)
				}
				return
			}
		}
	}
}

// askIn asks what was not asked in a session, as fast as its client reads.
func (x *Extension) askIn(s *mux.Session) {
	has := x.asked.Of(s)
	has.mu.Lock()
	defer has.mu.Unlock()
	if has.feeding || !s.Available() {
		return
	}
	has.feeding = true
	s.Feed(func(ctx context.Context, emit func(mux.Item)) (more bool, err error) {
		var l []*mux.Stanza
		err = s.Mux().Do(ctx, s.Account(), func(ctx context.Context, e *mux.Event) { l = x.unasked(ctx, e, s) })
		for _, m := range l {
			emit(mux.Item{Stanza: m, To: s.JID(), Flags: mux.Service})
		}
		if err != nil {
			has.ended()
		}
		return len(l) > 0, err
	})
}

// unasked are the next questions for a session, as things are now.
func (x *Extension) unasked(ctx context.Context, e *mux.Event, s *mux.Session) (l []*mux.Stanza) {
	has := x.asked.Of(s)
	defer func() {
		if len(l) == 0 {
			has.ended()
		}
	}()
	a, err := x.load(ctx, e)
	if p := s.Presence(); err != nil || p == nil || !p.Available || p.Priority < 0 {
		return nil
	}
	has.mu.Lock()
	before := has.of
	has.of = make(map[question]struct{}) // of what is still to be answered
	has.mu.Unlock()
	some := false
	for _, name := range sortedKeys(a.nodes) {
		for _, p := range a.nodes[name].sorted() {
			if p.Subscription != Pending {
				continue
			}
			some = true
			q := questionOf(name, p.JID)
			if _, was := before[q]; !was {
				if len(l) == pace {
					continue
				}
				l = append(l, authorization(e.Account, name, p.JID))
			}
			has.note(q, true)
		}
	}
	x.waiting.set(e.Account, some)
	return l
}
