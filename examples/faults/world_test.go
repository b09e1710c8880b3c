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
	"github.com/propolis-im/propolis/smacks"
)

// config says what a server has, and how long sessions wait.
type config struct {
	archive bool
	window  time.Duration
}

// stores are what survives the server.
type stores struct {
	sessions mux.MemorySessions
	streams  smacks.Memory
	archives archive.Memory
	offline  offline.Memory
	blocked  blocking.Memory
}

// world is a server and what it has kept, its clients and their messages.
type world struct {
	t      *testing.T
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
}

// accounts are who there is.
var accounts = []string{"romeo@example.net", "juliet@example.net", "nurse@example.net"}

func newWorld(t *testing.T, cfg config) *world {
	w := &world{t: t, cfg: cfg, kept: new(stores)}
	w.open()
	return w
}

// open starts a server on what is kept.
func (w *world) open() {
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
