package caps

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// flight is the search for what one hash stands for (pep CAPS-12). One of those who
// announce it is asked; if it does not know, others are, each time twice as many at
// once, so that liars cannot keep the others waiting for long.
type flight struct {
	k       key
	waiting []subject            // who may be asked
	in      map[subject]struct{} // those, and who is being asked
	asking  int
	width   int // how many may be asked at once
	parked  bool
}

// maxWidth bounds how many are asked at once for one hash.
const maxWidth = 16

// join has a subject wait for what its hash stands for; nil if there are too many new
// hashes. The flight returned must be advanced.
func (x *Extension) join(who subject, h Hash, l limit) *flight {
	k := h.key()
	f := x.flights[k]
	if f == nil {
		if !x.limits.allow(who, l, x.opt.NewHashes) {
			return nil
		}
		f = &flight{k: h.clone().key(), in: make(map[subject]struct{}), width: 1}
		if !h.supported() {
			f.width = maxWidth // each must be asked itself (XEP-0115 §5.4)
		}
		x.flights[f.k] = f
	}
	if _, ok := f.in[who]; !ok {
		who = who.own()
		f.in[who] = struct{}{}
		f.waiting = append(f.waiting, who)
	}
	return f
}

// advance asks as many as may be asked now. It is called in a turn, and asks those of the
// account of that turn at once.
func (x *Extension) advance(ctx context.Context, e *mux.Event, f *flight) {
	for {
		x.mu.Lock()
		who, ok := x.pick(e.Mux(), f)
		x.mu.Unlock()
		switch {
		case !ok:
			return
		case who.account == e.Account:
			x.ask(ctx, e, f, who)
		default:
			e.Mux().Go(who.account, func(ctx context.Context, e *mux.Event) { x.ask(ctx, e, f, who) })
		}
	}
}

// pick takes the next to be asked: one of ours if there is one, since nobody is nearer,
// else the first whose domain is not busy.
func (x *Extension) pick(m *mux.Mux, f *flight) (who subject, ok bool) {
	if x.flights[f.k] != f || f.asking >= f.width || len(f.waiting) == 0 {
		return who, false
	}
	at := slices.IndexFunc(f.waiting, func(w subject) bool { return outside(m, w.full) == "" })
	if at < 0 {
		at = slices.IndexFunc(f.waiting, func(w subject) bool { return x.pending[w.full.Domain()] < x.opt.MaxPending })
	}
	if at < 0 {
		if domain := f.waiting[0].full.Domain(); !f.parked {
			f.parked = true
			x.parked[domain] = append(x.parked[domain], f)
		}
		return who, false
	}
	who = f.waiting[at]
	f.waiting = slices.Delete(f.waiting, at, at+1)
	f.asking++
	if domain := outside(m, who.full); domain != "" {
		x.pending[domain]++
	}
	return who, true
}

// ask sends the question, in a turn of who.account.
func (x *Extension) ask(ctx context.Context, e *mux.Event, f *flight, who subject) {
	r, _ := x.find(e, who)
	x.mu.Lock()
	var h Hash
	if r != nil && r.hash.key() == f.k {
		h = r.hash
	}
	x.mu.Unlock()
	if h == (Hash{}) {
		x.landed(ctx, e, f, who, nil) // it has left, or is another one now
		return
	}
	// pep CAPS-3: the kernel makes an id that cannot be guessed, and matches the answer
	// by id and address.
	iq := mux.Make(mux.Head{Kind: mux.IQ, Type: "get", From: who.account, To: who.full},
		mux.RawChild(infoName, string(appendQuery(nil, h.QueryNode()))))
	e.Query(ctx, iq, func(ctx context.Context, e *mux.Event, reply *mux.Stanza, err error) {
		a := x.read(reply, err, h)
		x.landed(ctx, e, f, who, &a)
	})
}

// answer is what came back.
type answer struct {
	caps     *Capabilities // nil if there is nothing of use
	verified bool
	err      error // what is wrong with it
}

// read reads a reply.
func (x *Extension) read(reply *mux.Stanza, err error, h Hash) answer {
	switch {
	case err != nil:
		return answer{err: err}
	case reply.Type() != "result":
		return answer{err: errRefused}
	case reply.Size() > maxReply:
		return answer{err: ErrTooLarge}
	}
	q, ok := reply.Child(infoName)
	if !ok {
		return answer{err: errRefused}
	}
	i, err := ReadInfo(q.TokenReader(), reply.Lang())
	if err != nil {
		return answer{err: err}
	}
	c, err := learnt(i, h)
	if err != nil {
		// pep CAPS-9: what it says of itself holds for itself.
		return answer{caps: newCapabilities(h.key(), i.Features), err: err}
	}
	return answer{caps: c, verified: true}
}

var errRefused = errors.New("caps: no answer to the question")

// landed takes an answer, in a turn of who.account; a is nil if who was not asked.
func (x *Extension) landed(ctx context.Context, e *mux.Event, f *flight, who subject, a *answer) {
	domain := outside(e.Mux(), who.full)
	x.mu.Lock()
	x.freed(domain)
	f.asking--
	delete(f.in, who)
	current := x.flights[f.k] == f
	var result *Capabilities
	var all []subject
	switch {
	case !current || a == nil:
	case a.verified:
		a.caps.seen = time.Now()
		all = f.members(who)
		if by, ok := x.payer(e.Mux(), all, a.caps); ok {
			result = x.cache.add(a.caps)
			x.cache.charge(by, result)
		}
		delete(x.flights, f.k)
	default:
		if a.caps != nil && x.cache.adopt(domain, a.caps) {
			result = a.caps
		}
		x.failures.add(who.full, f.k, result, x.opt.Retry)
		f.width = min(f.width+1, maxWidth) // two for each that failed
		all = []subject{who}
	}
	if current && f.asking == 0 && len(f.waiting) == 0 {
		delete(x.flights, f.k)
	}
	for range all {
		x.cache.hold(result) // until it is applied
	}
	x.mu.Unlock()
	if a != nil && a.err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelDebug, "capabilities are not confirmed",
			slog.String("account", who.account.String()), slog.String("from", who.full.String()), slog.Any("err", a.err))
	}
	p := failed
	if a != nil && a.verified {
		x.save(e, result)
		p = known
	}
	x.applyAll(ctx, e, f.k, all, result, p)
	x.advance(ctx, e, f)
	x.unpark(ctx, e, domain)
}

// members are all who wait, first the one that was just asked.
func (f *flight) members(first subject) []subject {
	list := append(make([]subject, 0, len(f.in)+1), first)
	for who := range f.in {
		list = append(list, who)
	}
	return list
}

// applyAll tells those who waited, each in a turn of its account.
func (x *Extension) applyAll(ctx context.Context, e *mux.Event, k key, all []subject, c *Capabilities, p progress) {
	for _, who := range all {
		if who.account == e.Account {
			x.apply(ctx, e, k, who, c, p)
			continue
		}
		e.Mux().Go(who.account, func(ctx context.Context, e *mux.Event) { x.apply(ctx, e, k, who, c, p) })
	}
}

// apply gives a resource what its hash stands for; nil if that could not be found out, or
// kept.
func (x *Extension) apply(ctx context.Context, e *mux.Event, k key, who subject, c *Capabilities, p progress) {
	r, _ := x.find(e, who)
	if c == nil && p == known {
		p = unasked // no room
	}
	x.mu.Lock()
	mine := r != nil && r.hash.key() == k && r.state == waiting
	if mine {
		x.set(r, c, p)
	}
	x.cache.release(c)
	x.mu.Unlock()
	if mine {
		x.tell(ctx, e, who, r)
	}
}

// freed notes that a query to a domain has ended.
func (x *Extension) freed(domain string) {
	if domain == "" {
		return
	}
	if x.pending[domain]--; x.pending[domain] <= 0 {
		delete(x.pending, domain)
	}
}

// unpark goes on with flights that waited for a domain.
func (x *Extension) unpark(ctx context.Context, e *mux.Event, domain string) {
	for domain != "" {
		x.mu.Lock()
		list := x.parked[domain]
		if len(list) == 0 || x.pending[domain] >= x.opt.MaxPending {
			x.mu.Unlock()
			return
		}
		f := list[0]
		f.parked = false
		if list = list[1:]; len(list) == 0 {
			delete(x.parked, domain)
		} else {
			x.parked[domain] = list
		}
		x.mu.Unlock()
		x.advance(ctx, e, f)
	}
}
