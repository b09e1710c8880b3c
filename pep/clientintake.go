package pep

import (
	"context"
	"encoding/xml"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// intake decides whose events are whose, and has them handled.
type intake struct {
	opt *ClientOptions

	mu       sync.Mutex // guards what follows
	own      mux.Address
	watchers map[string][]*watcher // by node
	subs     map[ownedNode]struct{}
	stats    Stats
	told     []string    // features that Changed was told of
	settle   *time.Timer // until Changed is told
	queues   [2]queue    // see queue
	last     *xml.Attr   // of the message that came last
}

// ownedNode is a node of somebody.
type ownedNode struct {
	owner mux.Address
	node  string
}

// watcher is a Watch with what it has seen. The intake's lock guards it.
type watcher struct {
	Watch
	stopped bool
	seen    seen
	reads   map[*reading]struct{} // that are under way
}

// reading is the reading of a node, with what events were about meanwhile.
type reading struct {
	w       *watcher
	touched map[string]struct{} // items
	all     bool                // it was all of them
}

func (in *intake) init(o *ClientOptions) {
	in.opt = o
	in.watchers = make(map[string][]*watcher)
	in.subs = make(map[ownedNode]struct{})
	for i := range in.queues {
		in.queues[i].init(&in.mu, o)
	}
}

func (in *intake) setOwn(own mux.Address) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if own != in.own {
		clear(in.subs)
	}
	in.own = own
	for i := range in.queues {
		in.queues[i].open()
	}
}

// queue is where events wait: those of the own account, which matter most, are not behind
// those of others, who may send many or keep handlers waiting.
func (in *intake) queue(own bool) *queue {
	if own {
		return &in.queues[0]
	}
	return &in.queues[1]
}

// close drops what waits and waits for what runs.
func (in *intake) close() {
	in.mu.Lock()
	if in.settle != nil {
		in.settle.Stop()
	}
	for i := range in.queues {
		in.queues[i].drop()
	}
	in.mu.Unlock()
	for i := range in.queues {
		in.queues[i].running.Wait()
	}
}

// watch adds a watcher, and returns what removes it.
func (in *intake) watch(w *watcher) (stop func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.watchers[w.Node] = append(in.watchers[w.Node], w)
	in.changed()
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		w.stopped = true
		left := slices.DeleteFunc(slices.Clone(in.watchers[w.Node]), func(o *watcher) bool { return o == w })
		if len(left) == 0 {
			delete(in.watchers, w.Node)
		} else {
			in.watchers[w.Node] = left
		}
		in.changed()
	}
}

// changed has the application told of other features, soon; the lock is held.
func (in *intake) changed() {
	switch {
	case in.opt.Changed == nil:
	case in.settle == nil:
		in.settle = time.AfterFunc(in.opt.Settle, in.tell)
	default:
		in.settle.Reset(in.opt.Settle)
	}
}

func (in *intake) tell() {
	in.mu.Lock()
	now := in.list()
	same := slices.Equal(now, in.told)
	in.told = now
	in.mu.Unlock()
	if !same {
		in.opt.Changed()
	}
}

func (in *intake) features() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.list()
}

func (in *intake) list() []string {
	var l []string
	for node, ws := range in.watchers {
		if slices.ContainsFunc(ws, func(w *watcher) bool { return !w.Silent }) {
			l = append(l, node+"+notify")
		}
	}
	slices.Sort(l)
	return l
}

// subscribed notes a subscription, and returns what forgets it if it is new.
func (in *intake) subscribed(owner mux.Address, node string) (forget func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	k := ownedNode{owner, node}
	if _, had := in.subs[k]; had {
		return func() {}
	}
	in.subs[k] = struct{}{}
	return func() { in.unsubscribed(owner, node) }
}

func (in *intake) unsubscribed(owner mux.Address, node string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.subs, ownedNode{owner, node})
}

// first reports whether a message, known by where its attributes are, is not the one
// that came before: mellium's mux gives one again for each event in it.
func (in *intake) first(attrs []xml.Attr) bool {
	if len(attrs) == 0 {
		return true // it is told by the own server, and counts if it has one event
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	again := in.last == &attrs[0]
	in.last = &attrs[0]
	return !again
}

func (in *intake) malformed() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stats.Malformed++
}

func (in *intake) wrong() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stats.Wrong++
}

func (in *intake) counted() Stats {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.stats
}

// take takes the events of a message, and reports whether it has any, taken or not. from
// is the zero value if the sender is no address.
func (in *intake) take(s *mux.Stanza, from mux.Address) bool {
	if !isEvent(s) {
		return false
	}
	events, wrong, err := readEvents(s)
	if err != nil || from.IsZero() {
		in.malformed()
		return true
	}
	// The application is asked without the lock: it may ask back.
	contact := from.IsBare() && in.asks(events) && in.opt.Contact(from.JID())
	in.mu.Lock()
	defer in.mu.Unlock()
	if !from.IsBare() {
		in.stats.Resource++ // pep C-10; XEP-0223 §6 of the own account's too
		return true
	}
	for i, e := range events {
		e.From, e.Own = from.JID(), from == in.own
		in.dispatch(from, contact, e, wrong[i])
	}
	return true
}

// asks reports whether it matters that the sender is a contact.
func (in *intake) asks(events []Event) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.ContainsFunc(events, func(e Event) bool {
		return slices.ContainsFunc(in.watchers[e.Node], func(w *watcher) bool { return w.From != FromOwn })
	})
}

// dispatch puts an event into the queues of those who watch; the lock is held.
func (in *intake) dispatch(from mux.Address, contact bool, e Event, wrong error) {
	k := ownedNode{from, e.Node}
	_, subscribed := in.subs[k]
	if ended(e, in.own) {
		delete(in.subs, k)
	}
	watchers := in.watchers[e.Node]
	if len(watchers) == 0 {
		in.stats.Unwatched++
	}
	for _, w := range watchers {
		if !e.Own && !(contact && w.From != FromOwn) && !(subscribed && w.From == FromSubscribed) {
			in.stats.Foreign++
			continue
		}
		w.touch(e)
		in.offer(w, from, e, wrong)
	}
}

// ended reports whether an event is the end of the own subscription.
func ended(e Event, own mux.Address) bool {
	switch e.Kind {
	case NodeDeleted:
		return true
	case SubscriptionChanged:
		return e.Subscription.State == "none" && mux.AddressOf(e.Subscription.JID) == own
	}
	return false
}

// offer has an event handled, as what it is; the lock is held. It reports whether there
// was room.
func (in *intake) offer(w *watcher, from mux.Address, e Event, wrong error) bool {
	if wrong == nil {
		wrong = w.check(&e)
	}
	if wrong != nil {
		in.stats.Wrong++
		if w.Wrong == nil {
			return true
		}
	}
	if !in.queue(e.Own).add(w, from, job{e, wrong}) {
		in.stats.Overflow++
		return false
	}
	return true
}

// check reports what is wrong with the payload of an item (pep C-11).
func (w *watcher) check(e *Event) error {
	switch {
	case e.Kind != ItemPublished || e.Item.Payload == "":
	case len(e.Item.Payload) > w.MaxPayload:
		return fmt.Errorf("%w: %d octets", ErrPayload, len(e.Item.Payload))
	case w.Payload.Local != "" && e.Item.Name() != w.Payload:
		return fmt.Errorf("%w: it is another", ErrPayload)
	}
	return nil
}

// touch notes what an event is about, while the node is being read.
func (w *watcher) touch(e Event) {
	if !e.Own {
		return
	}
	for r := range w.reads {
		switch e.Kind {
		case ItemPublished, ItemRetracted:
			r.touched[e.Item.ID] = struct{}{}
		case NodePurged, NodeDeleted:
			r.all = true
		}
	}
}

func (in *intake) toFetch() []*watcher {
	in.mu.Lock()
	defer in.mu.Unlock()
	var l []*watcher
	for _, ws := range in.watchers {
		for _, w := range ws {
			if w.Fetch {
				l = append(l, w)
			}
		}
	}
	slices.SortFunc(l, func(a, b *watcher) int { return strings.Compare(a.Node, b.Node) })
	return l
}

// reading begins to note what events are about, and returns what ends that.
func (in *intake) reading(w *watcher) (r *reading, end func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if w.reads == nil {
		w.reads = make(map[*reading]struct{})
	}
	r = &reading{w: w, touched: make(map[string]struct{})}
	w.reads[r] = struct{}{}
	return r, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		delete(w.reads, r)
	}
}

// fetched has an item handled that was read, when there is room, unless an event has told
// something newer meanwhile.
func (in *intake) fetched(ctx context.Context, r *reading, own mux.Address, e Event) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.queue(true).wait(ctx); err != nil {
		return err
	}
	_, touched := r.touched[e.Item.ID]
	if e.Kind == ItemPublished && (touched || r.all) || r.w.stopped {
		return nil
	}
	in.offer(r.w, own, e, nil)
	return nil
}

// unread has the watcher told that the node was not read to its end.
func (in *intake) unread(w *watcher, own mux.Address, e Event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !w.stopped {
		in.offer(w, own, e, nil)
	}
}

// seen knows the content of the items that were handled last, of a bounded number.
type seen struct {
	m     map[itemKey]uint64
	order []itemKey
}

type itemKey struct {
	owner mux.Address
	id    string
}

const maxSeen = 4096

var seed = maphash.MakeSeed()

// note notes an event that is going to be handled, and reports whether its content is
// what was noted last.
func (s *seen) note(from mux.Address, e *Event) (known bool) {
	if len(e.Item.ID) > maxName {
		return false // none that is allowed (pep PEP-11)
	}
	k := itemKey{from, strings.Clone(e.Item.ID)} // which would keep the whole message otherwise
	switch e.Kind {
	case ItemPublished:
		if e.Item.Payload == "" {
			delete(s.m, k) // nobody knows what it is now
			return false
		}
		h := maphash.String(seed, string(e.Item.Payload))
		old, had := s.m[k]
		if had && old == h {
			return true
		}
		s.keep(k, h)
	case ItemRetracted:
		delete(s.m, k)
	case NodePurged, NodeDeleted:
		for k := range s.m {
			if k.owner == from {
				delete(s.m, k)
			}
		}
	}
	return false
}

func (s *seen) keep(k itemKey, h uint64) {
	if s.m == nil {
		s.m = make(map[itemKey]uint64)
	}
	if _, had := s.m[k]; !had {
		if len(s.order) >= maxSeen {
			delete(s.m, s.order[0])
			s.order = s.order[1:]
		}
		s.order = append(s.order, k)
	}
	s.m[k] = h
}
