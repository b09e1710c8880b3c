package muxtest

import (
	"context"
	"errors"
	"sync"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// TB is what the package needs of a [testing.TB]. Fatalf must not return.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Domain is the domain that a new [Host] serves.
const Domain = "example.net"

var _ mux.Host = (*Host)(nil)

// Host is a [mux.Host] in memory, with the mux it hosts. Its methods may be
// called concurrently.
type Host struct {
	t      TB
	bubble bool
	opt    mux.Options

	mu       sync.Mutex // guards what follows
	mux      *mux.Mux
	exts     []mux.Extension
	domains  map[string]bool
	accounts map[mux.Address]bool
	unknown  map[mux.Address]bool // not known without waiting
	refused  map[string]error
	routed   map[string][]string
	clients  []*Client
	arrived  *sync.Cond // at a client or a domain
}

// New makes a host that serves [Domain], with a mux. o may be nil. The mux is
// started at once and shut down when the test ends.
func New(t TB, o *mux.Options, exts ...mux.Extension) *Host {
	t.Helper()
	h := NewHost(t)
	h.Open(o, exts...)
	return h
}

// NewHost makes a host that serves [Domain] and has no mux yet, for accounts and
// the like that must be there when it starts.
func NewHost(t TB) *Host {
	h := &Host{t: t, bubble: inBubble(), domains: map[string]bool{Domain: true},
		accounts: make(map[mux.Address]bool), unknown: make(map[mux.Address]bool),
		refused: make(map[string]error), routed: make(map[string][]string)}
	h.arrived = sync.NewCond(&h.mu)
	return h
}

// Open makes and starts the mux, as [New] does. It is called once.
func (h *Host) Open(o *mux.Options, exts ...mux.Extension) {
	h.t.Helper()
	if o != nil {
		h.opt = *o
	}
	h.exts = exts
	h.start(exts)
	h.t.Cleanup(h.stop)
}

func (h *Host) start(exts []mux.Extension) {
	h.t.Helper()
	m, err := mux.New(h, &h.opt, exts...)
	if err != nil {
		h.t.Fatalf("mux.New: %v", err)
	}
	h.mu.Lock()
	h.mux = m
	h.mu.Unlock()
	if err := m.Start(context.Background()); err != nil {
		h.t.Fatalf("mux.Start: %v", err)
	}
}

// stop shuts the mux down, with a minute's patience.
func (h *Host) stop() {
	if c, ok := h.opt.Committer.(*Committer); ok {
		c.Release()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// A test may have shut it down itself.
	if err := h.Mux().Shutdown(ctx); err != nil && !errors.Is(err, mux.ErrClosed) {
		h.t.Errorf("mux.Shutdown: %v", err)
	}
	h.mu.Lock()
	clients := h.clients
	h.clients = nil
	h.mu.Unlock()
	for _, c := range clients {
		c.conn.Close(errTestEnds)
		c.wait()
	}
}

// Restart shuts the mux down and starts a new one with the same options; exts,
// if any, stand for the extensions it had. A [Committer] is reset, since a mux
// expects one of its own.
func (h *Host) Restart(exts ...mux.Extension) {
	h.t.Helper()
	h.stop()
	if c, ok := h.opt.Committer.(*Committer); ok {
		c.reset()
	}
	if len(exts) == 0 {
		exts = h.exts
	}
	h.start(exts)
}

// Mux is the mux; after Restart another one.
func (h *Host) Mux() *mux.Mux {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mux
}

// Settle waits until everything has come to rest, inside a bubble; outside it
// does nothing.
func (h *Host) Settle() {
	if h.bubble {
		synctest.Wait()
	}
}

// inBubble finds out whether the caller is in a bubble; there is no function for
// it.
func inBubble() (in bool) {
	defer func() {
		if recover() != nil {
			in = false
		}
	}()
	synctest.Wait()
	return true
}

// AddDomain has the host serve one more domain.
func (h *Host) AddDomain(domain string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.domains[domain] = true
}

// AddAccount makes accounts exist.
func (h *Host) AddAccount(bare ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range bare {
		h.accounts[mux.MustParseAddress(b)] = true
	}
}

// RemoveAccount makes an account no longer exist. It does not tell the mux.
func (h *Host) RemoveAccount(bare string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.accounts, mux.MustParseAddress(bare))
}

// Unknown makes the host not know without waiting whether an account exists.
func (h *Host) Unknown(bare string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unknown[mux.MustParseAddress(bare)] = true
}

// RefuseRoute has Route return err for a domain; nil accepts again.
func (h *Host) RefuseRoute(domain string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused[domain] = err
}

// Local implements [mux.Host].
func (h *Host) Local(domain string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.domains[domain]
}

// Account implements [mux.Host].
func (h *Host) Account(a mux.Address) (exists, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unknown[a] {
		return false, false
	}
	return h.accounts[a], true
}

// LoadAccount implements [mux.Host].
func (h *Host) LoadAccount(_ context.Context, a mux.Address) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.accounts[a], nil
}

// Route implements [mux.Host]: it notes the item, for [Host.Routed] and
// [Host.ExpectRouted].
func (h *Host) Route(_ context.Context, it *mux.Item) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	domain := it.Recipient().Domain()
	if err := h.refused[domain]; err != nil {
		return err
	}
	h.routed[domain] = append(h.routed[domain], string(it.Append(nil, "")))
	h.arrived.Broadcast()
	return nil
}
