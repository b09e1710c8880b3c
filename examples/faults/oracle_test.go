package faults

import (
	"time"

	"github.com/propolis-im/propolis/mux"
)

// sees notes that a device has seen a message, and that this is no double it could
// not help: one is allowed only if it was seen before in a session that was not
// resumed, and not acknowledged there (INV-2, INV-3). What is read from an archive is
// compared with what was seen before by its name there, which is what archives are for.
func (w *world) sees(d *device, el *mux.Stanza, now sighting) {
	m := w.find(el.ID())
	if m == nil {
		w.t.Errorf("%s has seen %s, which nobody has sent", d, el.ID())
		return
	}
	w.note("%s sees %s (%s, late %t, named %q) at %d", d, m.id, now.how, now.late, now.name, now.pos)
	w.recognizes(d, m, el, now)
	if now.how != "result" {
		for _, s := range m.seen[d] {
			w.mayDouble(d, m, s, now)
		}
	}
	m.seen[d] = append(m.seen[d], now)
}

// mayDouble: a device that has seen a message sees it again.
func (w *world) mayDouble(d *device, m *message, s, now sighting) {
	switch {
	case s.how == "result":
		// It was read from the archive before: what is under way then may
		// come, too, but not what is stored for those who are away.
	case s.in == now.in:
		w.t.Errorf("%s sees %s twice in one session (%s, %s)", d, m.id, s.how, now.how)
	case w.killedAfter(s.at):
		// The server was killed before it could keep what it knew.
	case !s.in.ended:
		w.t.Errorf("%s sees %s twice, in sessions that both live (%s, %s)", d, m.id, s.how, now.how)
	case !s.unacked():
		w.t.Errorf("%s sees %s twice (%s, %s), although it was acknowledged: at %d, of %d", d, m.id, s.how, now.how, s.pos, s.in.sure(false, time.Now()))
	}
}

// unacked reports whether the server could not know of it.
func (s *sighting) unacked() bool { return s.pos > s.in.sure(false, time.Now()) }

// recognizes: whatever way a message comes, and however often, its account has one name
// for it if it is in its archive, which is that of no other message; else, and besides,
// it has the ID, sender and payload it was sent with (INV-3).
func (w *world) recognizes(d *device, m *message, el *mux.Stanza, now sighting) {
	if w.archived(m) != (now.name != "") {
		w.t.Errorf("%s sees %s (%s), which has the name %q in the archive", d, m.id, now.how, now.name)
	}
	if now.name != "" {
		key := d.account + " " + now.name
		if other := w.names[key]; other != nil && other != m {
			w.t.Errorf("%s sees %s, which has the name of %s", d, m.id, other.id)
		}
		w.names[key] = m
	}
	for other, seen := range m.seen {
		if other.account == d.account && seen[0].name != now.name {
			w.t.Errorf("%s sees %s (%s) with the name %q, and %s has seen it with %q", d, m.id, now.how, now.name, other, seen[0].name)
		}
	}
	sent, err := mux.Parse([]byte(m.raw()))
	if err != nil {
		w.t.Fatal(err)
	}
	if el.From().String() != m.from.full() || el.Type() != sent.Type() {
		w.t.Errorf("%s sees %s of %s, type %s: %s", d, m.id, m.from, m.typ, el.Append(nil, ""))
	}
	for _, want := range sent.Children() {
		got, ok := el.Child(want.Name)
		if !ok || got.Text() != want.Text() {
			w.t.Errorf("%s sees %s without what was in it: %s", d, m.id, el.Append(nil, ""))
		}
	}
}

// archived reports whether a message has to be in the archives of both its accounts.
func (w *world) archived(m *message) bool { return w.cfg.archive && m.more != noStore }

// noStore says that a message is for those who are there.
const noStore = "<no-store xmlns='urn:xmpp:hints'/>"

func (w *world) find(id string) *message {
	for _, m := range w.messages {
		if m.id == id {
			return m
		}
	}
	return nil
}

// bounce notes that a message came back.
func (w *world) bounce(d *device, el *mux.Stanza) {
	m := w.find(el.ID())
	if m == nil {
		return
	}
	w.note("%s comes back to %s", m.id, d)
	if m.bounced && m.from == d {
		return // an error that was not acknowledged may come again
	}
	m.bounced = true
}

// arrived reports whether anybody who was to get a message has it.
func (w *world) arrived(m *message) bool {
	to := mux.MustParseAddress(m.to).Bare().String()
	for d, seen := range m.seen {
		if d.account == to && len(seen) > 0 {
			return true
		}
	}
	return false
}

// lost reports whether a message that comes back has no one to come back to: its sender
// has ended the session that would have been told.
func (m *message) lost() bool { return m.more == noStore && m.in.ended }

// finish brings everybody together and asks whether anything is missing.
func (w *world) finish() {
	w.commit.Release()
	w.commit.holding = false
	w.settle()
	for _, d := range w.devices {
		if d.c == nil {
			d.resume()
		}
	}
	w.exchange()
	w.pass(3 * time.Second)
	w.exchange()
	// Whoever has not come back is away for good now.
	w.pass(2 * w.cfg.window)
	w.exchange()
	for _, d := range w.devices {
		if d.c == nil {
			d.resume()
		}
	}
	w.exchange()
	for _, d := range w.devices {
		if d.reads {
			d.sync()
		}
		if d.c != nil {
			d.says("active") // which brings what was held back
		}
	}
	w.exchange()
	w.check()
}

// exchange has everybody take what is there and acknowledge it.
func (w *world) exchange() {
	for range 3 {
		for _, d := range w.devices {
			if d.c == nil {
				continue
			}
			if d.take(-1); d.c == nil {
				continue
			}
			if d.enabled {
				d.acknowledge()
			}
			d.ask()
		}
		w.settle()
	}
	for _, d := range w.devices {
		d.take(-1)
	}
}

func (w *world) check() {
	for _, m := range w.messages {
		w.checkBounced(m)
		switch {
		case m.unsure, !m.accepted && m.from.c == nil:
			continue
		case !m.accepted:
			w.t.Errorf("%s was never acknowledged to %s", m.id, m.from)
		case !w.arrived(m) && !m.bounced && !m.lost():
			w.t.Errorf("%s from %s to %s was accepted and is lost", m.id, m.from, m.to)
		}
		w.checkEntitled(m)
	}
	w.checkOrder()
	w.checkNoise()
	w.checkContacts()
	w.checkRest()
}

// checkBounced: what came back was seen, if at all, just where nobody could know: in
// sessions that ended before it was acknowledged (INV-1).
func (w *world) checkBounced(m *message) {
	if !m.bounced {
		return
	}
	to := mux.MustParseAddress(m.to).Bare().String()
	for d, seen := range m.seen {
		for _, s := range seen {
			if d.account != to || s.how == "sent" || w.killedAfter(s.at) || s.in.ended && s.unacked() {
				continue
			}
			w.t.Errorf("%s came back, and %s has seen it (%s)", m.id, d, s.how)
		}
	}
}

// checkEntitled: a device that was there all the time, with copies, has each message
// of its account once.
func (w *world) checkEntitled(m *message) {
	to := mux.MustParseAddress(m.to).Bare().String()
	for _, d := range w.devices {
		if d == m.from || !d.copies || d.priority < 0 || d.steady.IsZero() || !m.at.After(d.steady) || m.bounced {
			continue
		}
		if d.account != to && d.account != m.from.account {
			continue
		}
		live := 0
		for _, s := range m.seen[d] {
			if s.how != "result" {
				live++
			}
		}
		if live != 1 {
			w.t.Errorf("%s, which was there all the time, has seen %s from %s to %s %d times", d, m.id, m.from, m.to, live)
		}
	}
}

// checkOrder: in one session the messages of one sender to one recipient come in the
// order in which they were sent, however often its connection broke (INV-2). What comes
// late may come behind what is newer if it was meant for another session that has ended
// meanwhile, or if the server was killed.
func (w *world) checkOrder() {
	type pair struct {
		in   *attachment
		from *device
		to   string
	}
	last := make(map[pair]uint32)
	for _, m := range w.messages {
		for d, seen := range m.seen {
			for _, s := range seen {
				if s.how == "result" || s.late && (w.killedSince(m.at) || w.leftSince(d, s.in, m.at)) {
					continue
				}
				p := pair{s.in, m.from, m.to}
				if s.pos < last[p] {
					w.t.Errorf("%s overtook an earlier message of %s", m.id, m.from)
				}
				last[p] = s.pos
			}
		}
	}
}

// leftSince reports whether another session of the device's account has ended since.
func (w *world) leftSince(d *device, in *attachment, at time.Time) bool {
	for _, o := range w.devices {
		for _, s := range o.sessions {
			if o.account == d.account && s != in && s.ended && !s.endedAt.Before(at) {
				return true
			}
		}
	}
	return false
}

// killedAfter reports whether the server was killed so soon after that it may not
// have been able to keep what it knew then.
func (w *world) killedAfter(at time.Time) bool {
	for _, k := range w.kills {
		if !k.Before(at) && k.Sub(at) < time.Second {
			return true
		}
	}
	return false
}

// checkNoise: a device that was there all the time has the last presence of each other
// one that the server had. What is held back of such is not worth a write for each, so
// a kill may cost it.
func (w *world) checkNoise() {
	type pair struct {
		from *device
		to   string
	}
	last := make(map[pair]*message)
	for _, m := range w.noise {
		last[pair{m.from, m.to}] = m
	}
	for _, m := range last {
		for _, d := range w.devices {
			if d.full() != m.to || d.steady.IsZero() || !m.at.After(d.steady) || !m.accepted || m.unsure || w.killedSince(m.at) {
				continue
			}
			if got := d.noise[m.from.full()]; got != m.n {
				w.t.Errorf("%s, which was there all the time, has seen presence %d of %s, and the last was %d", d, got, m.from, m.n)
			}
		}
	}
}

func (w *world) killedSince(at time.Time) bool {
	return len(w.kills) > 0 && !w.kills[len(w.kills)-1].Before(at)
}
