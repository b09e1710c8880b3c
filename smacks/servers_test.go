package smacks_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// realm is a server with one user, and one other server to which it sends.
type realm struct {
	t      *testing.T
	domain string
	m      *mux.Mux
	out    *smacks.Outgoing
	user   *mux.Stream
	seen   *screen

	mu      sync.Mutex
	waiting []mux.Item // for a stream
}

var _ mux.Host = (*realm)(nil)

func newRealm(t *testing.T, user string, o *smacks.OutgoingOptions) *realm {
	t.Helper()
	a := mux.MustParseAddress(user)
	r := &realm{t: t, domain: a.Domain(), seen: new(screen)}
	m, err := mux.New(r, &mux.Options{Committer: new(muxtest.Committer)}, smacks.New(nil, nil), keeper{})
	if err != nil {
		t.Fatal(err)
	}
	r.m = m
	r.out = smacks.NewOutgoing(m.Bounce, o)
	r.user = m.NewStream(r.seen, mux.Client)
	r.user.SetAccount(a.Bare())
	if _, err := r.user.Bind(t.Context(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		t.Fatal(err)
	}
	return r
}

// keeper has the store know of every message, so that acknowledgements wait for it.
type keeper struct{}

func (keeper) Name() string { return "keeper" }

func (keeper) Register(r *mux.Registry) error {
	r.Observe(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) {
		e.Work.Write(func(context.Context, mux.Tx) error { return nil })
	})
	return nil
}

func (r *realm) Local(domain string) bool { return domain == r.domain }

func (r *realm) Account(mux.Address) (exists, known bool) { return true, true }

func (r *realm) LoadAccount(context.Context, mux.Address) (bool, error) { return true, nil }

func (r *realm) Route(_ context.Context, it *mux.Item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.out.Send(*it)
	if errors.Is(err, smacks.ErrNoStream) {
		r.waiting = append(r.waiting, *it)
		return nil
	}
	return err
}

// says has the user say something.
func (r *realm) says(elements ...string) {
	r.t.Helper()
	for _, raw := range elements {
		receive(r.t, r.user, raw)
	}
	r.user.Flush()
	synctest.Wait()
}

// reply has the user answer requests that were not answered.
func (r *realm) reply() {
	r.t.Helper()
	r.seen.mu.Lock()
	all := r.seen.got[r.seen.answered:]
	r.seen.answered = len(r.seen.got)
	r.seen.mu.Unlock()
	for _, el := range all {
		if el.Kind() == mux.IQ && el.Type() == "get" {
			r.says("<iq type='result' to='" + el.From().String() + "' id='" + el.ID() + "'/>")
		}
	}
}

// saw are the stanzas that the user has seen.
func (r *realm) saw() []*mux.Stanza {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	return slices.Clone(r.seen.got)
}

func (r *realm) stop() {
	r.out.Close()
	_ = r.m.Shutdown(context.Background()) // that is not what is tested
}

// screen is what a user sees.
type screen struct {
	mu       sync.Mutex
	got      []*mux.Stanza
	answered int // of those
}

func (c *screen) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p) > 0 {
		var sc xmlscan.Scanner
		sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{})
		k, n, err := sc.Next(p)
		if err != nil || k != xmlscan.Element {
			return errors.New("not an element")
		}
		c.got = append(c.got, mux.FromScanner(&sc, p[:n]))
		p = p[n:]
	}
	return nil
}

func (c *screen) Pending() int { return 0 }
func (c *screen) Close(error)  {}

// cable is a connection from one server to another, of which the test decides how many
// octets get through.
type cable struct {
	from, to *realm
	link     *smacks.Link
	stream   *mux.Stream
	there    half // stanzas
	back     half // acknowledgements
	cut      bool
	sent     int // stanzas, when it was cut
	handled  int // stanzas, by the receiver when it was cut
	acked    int // that the sender was told
}

// half is one direction of a cable.
type half struct {
	c      *cable
	mu     sync.Mutex
	sent   []byte // and not taken yet
	octets int    // taken
	limit  int    // so many get through, negative for all
	closed bool
}

const endTag = "</stream:stream>"

func (h *half) Write(p []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.New("closed")
	}
	h.sent = append(h.sent, p...)
	return nil
}

func (h *half) Pending() int { return 0 }

func (h *half) Close(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed && err == nil {
		h.sent = append(h.sent, endTag...)
	}
	h.closed = true
}

// connect connects two realms. Of what goes each way so many octets get through.
func connect(from, to *realm, there, back int) *cable {
	c := &cable{from: from, to: to}
	c.there.c, c.there.limit, c.back.c, c.back.limit = c, there, c, back
	c.stream = to.m.NewStream(&c.back, mux.Server)
	c.stream.Authorize(from.domain)
	l, err := from.out.Open(&c.there, true)
	if err != nil {
		from.t.Fatal(err)
	}
	c.link = l
	from.mu.Lock()
	waiting := from.waiting
	from.waiting = nil
	from.mu.Unlock()
	if err := from.out.Send(waiting...); err != nil {
		from.t.Fatal(err)
	}
	return c
}

// pump moves what is sent until nothing is, or the cable is cut.
func (c *cable) pump() {
	c.from.t.Helper()
	for more := true; more && !c.cut; {
		synctest.Wait()
		ahead, ok := c.there.move(func(el *mux.Stanza) {
			if el == nil {
				c.stream.Gone(true)
				c.back.Close(nil)
				return
			}
			_ = c.stream.Receive(context.Background(), el) // an error ends the stream
			c.stream.Flush()
		})
		synctest.Wait()
		answers := false
		if ok {
			answers, ok = c.back.move(func(el *mux.Stanza) {
				if el == nil {
					c.link.Gone()
					return
				}
				if el.Name().Local == "a" {
					c.acked = int(number(c.from.t, el.Attr("h")))
				}
				if mine, err := c.link.Receive(el); !mine || err != nil {
					c.from.t.Errorf("%v %v: %s", mine, err, el.Append(nil, ""))
				}
			})
		}
		if !ok {
			c.lose()
		}
		more = ahead || answers
	}
	synctest.Wait()
}

// lose ends both ends, which see that the connection has broken.
func (c *cable) lose() {
	kept, _ := c.from.out.Unacknowledged()
	c.sent = c.acked + kept
	c.cut = true
	c.there.Close(errors.New("cut"))
	c.back.Close(errors.New("cut"))
	c.stream.Gone(false)
	synctest.Wait()
	c.handled = int(c.stream.Handled())
	c.link.Gone()
}

// move gives whole elements to take, nil for the end of the stream. It is not ok if the
// limit is reached.
func (h *half) move(take func(*mux.Stanza)) (some, ok bool) {
	h.mu.Lock()
	p := h.sent
	if h.limit >= 0 && h.octets+len(p) >= h.limit {
		p = p[:h.limit-h.octets]
	}
	h.mu.Unlock()
	for len(p) > 0 {
		n := len(endTag)
		if strings.HasPrefix(string(p), endTag) {
			take(nil)
		} else {
			var sc xmlscan.Scanner
			sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{})
			k, size, err := sc.Next(p)
			if err != nil {
				h.c.from.t.Fatalf("%v: %s", err, p)
			}
			if k != xmlscan.Element {
				break
			}
			n = size
			take(mux.FromScanner(&sc, p[:n]))
		}
		some = true
		p = p[n:]
		h.mu.Lock()
		h.sent = h.sent[n:]
		h.octets += n
		h.mu.Unlock()
	}
	return some, h.limit < 0 || h.octets+len(p) < h.limit
}
