package faults

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/smacks"
)

// config says what a server has, and how long sessions wait.
type config struct {
	archive  bool
	contacts bool // everybody is in everybody's roster
	window   time.Duration
}

// stores are what survives the server.
type stores struct {
	sessions mux.MemorySessions
	streams  smacks.Memory
	archives archive.Memory
	offline  offline.Memory
	blocked  blocking.Memory
	rosters  roster.Memory
}

// world is a server and what it has kept, its clients and their messages.
type world struct {
	t      *bench
	cfg    config
	kept   *stores
	host   *muxtest.Host
	commit *committer
	sm     *smacks.Extension

	devices  []*device
	messages []*message
	noise    []*message // presences
	log      []string
	kills    []time.Time
	starts   int
	names    map[string]*message // in archives, see sees
	clients  []*muxtest.Client   // of all connections
	gone     []remains           // see checkFree
}

// bench is a test whose cleanups can be run before its end.
type bench struct {
	*testing.T
	cleanups []func()
}

// Cleanup implements [testing.TB].
func (b *bench) Cleanup(f func()) { b.cleanups = append(b.cleanups, f) }

func (b *bench) clean() {
	for len(b.cleanups) > 0 {
		last := len(b.cleanups) - 1
		f := b.cleanups[last]
		b.cleanups[last] = nil
		b.cleanups = b.cleanups[:last]
		f()
	}
}

// accounts are who there is.
var accounts = []string{"romeo@example.net", "juliet@example.net", "nurse@example.net"}

func newWorld(t *testing.T, cfg config) *world {
	w := &world{t: &bench{T: t}, cfg: cfg, kept: new(stores), names: make(map[string]*message)}
	t.Cleanup(w.t.clean)
	if cfg.contacts {
		w.acquaint()
	}
	w.open()
	return w
}

// acquaint has everybody see the presence of all others.
func (w *world) acquaint() {
	for _, a := range accounts {
		for i, b := range accounts {
			if a == b {
				continue
			}
			put := w.kept.rosters.Put(mux.MustParseAddress(a), roster.Item{JID: mux.MustParseAddress(b), Subscription: roster.Both, Listed: true, Ver: uint64(i + 1)})
			if err := put(w.t.Context(), nil); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// opened notes a connection.
func (w *world) opened(c *muxtest.Client) { w.clients = append(w.clients, c) }

// open starts a server on what is kept.
func (w *world) open() {
	w.starts++
	w.host = muxtest.NewHost(w.t)
	w.host.AddAccount(accounts...)
	w.commit = &committer{Committer: new(muxtest.Committer)}
	w.host.Open(&mux.Options{Committer: w.commit, Sessions: &w.kept.sessions}, w.extensions()...)
}

// extensions are those of the reference server that messages pass.
func (w *world) extensions() []mux.Extension {
	states := csi.New(nil)
	w.sm = smacks.New(&w.kept.streams, &smacks.Options{Window: w.cfg.window, Idle: states.Inactive})
	list := []mux.Extension{w.sm, states, blocking.New(&w.kept.blocked, nil)}
	if w.cfg.contacts {
		contacts := roster.New(&w.kept.rosters, nil)
		list = append(list, contacts, presence.New(contacts, nil))
	}
	if w.cfg.archive {
		archives := archive.New(&w.kept.archives, nil)
		list = append(list, offline.New(&w.kept.offline, &offline.Options{ReadsArchive: archives.Reads, Archived: archives.Messages}), archives,
			carbons.New(&carbons.Options{StanzaID: archive.StanzaID}))
	} else {
		list = append(list, offline.New(&w.kept.offline, nil), carbons.New(nil))
	}
	return list
}

func (w *world) note(format string, a ...any) {
	w.log = append(w.log, fmt.Sprintf("%s %s", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, a...)))
}

// committer is one whose server can be killed: from then on nothing becomes
// durable.
type committer struct {
	*muxtest.Committer
	dead    atomic.Bool
	holding bool
}

var errKilled = errors.New("killed")

// Submit implements [mux.Committer].
func (c *committer) Submit(writes []mux.Write) uint64 {
	if c.dead.Load() {
		writes = nil // whatever the dead do is of no consequence
	}
	return c.Committer.Submit(writes)
}

// kill ends the server at once: what was not committed is lost, and so is what is
// under way to clients.
func (w *world) kill() {
	w.note("kill")
	w.kills = append(w.kills, time.Now())
	w.commit.dead.Store(true)
	w.commit.Fail(errKilled)
	for _, d := range w.devices {
		d.lost(true)
	}
	w.commit.Committer.Release()
	w.t.clean()
	w.open()
}

// restart ends it in order, and starts it again.
func (w *world) restart() {
	w.note("restart")
	w.commit.Release()
	if err := w.host.Mux().Shutdown(w.t.Context()); err != nil {
		w.t.Errorf("shutdown: %v", err)
	}
	for _, d := range w.devices {
		d.lost(false)
	}
	w.t.clean()
	w.open()
}

// settle waits until everything has come to rest.
func (w *world) settle() { synctest.Wait() }

// pass lets time pass, and all that is due in it.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// sleep lets it pass, and what is due at its end comes together with what follows.
func (w *world) sleep(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
}
