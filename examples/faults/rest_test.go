package faults

import (
	"context"
	"runtime"
	"slices"
	"time"
	"weak"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
)

// checkRest: all have taken and acknowledged what there was, so that both sides count
// the same and keep nothing (INV-4).
func (w *world) checkRest() {
	for _, d := range w.devices {
		if d.c == nil || !d.enabled {
			continue
		}
		// That it is all that was sent shows below: nothing is kept then.
		d.c.Send("<a xmlns='"+nsSM+"' h='"+utoa(d.in)+"'/>", "<r xmlns='"+nsSM+"'/>")
		el, ok := d.next()
		if !ok || el.Name() != name(nsSM, "a") {
			w.t.Errorf("%s asks at rest, and gets no answer", d)
			continue
		}
		if h := atou(el.Attr("h")); h != d.out {
			w.t.Errorf("%s has sent %d stanzas, and the server counts %d", d, d.out, h)
		}
		if d.acked(el.Attr("h")); len(d.unacked) > 0 {
			w.t.Errorf("%s keeps %d stanzas", d, len(d.unacked))
		}
		if more := d.c.Arrived(); len(more) > 0 {
			w.t.Errorf("%s gets more at rest: %q", d, more)
		}
	}
	if n := w.sm.Stats(); n.Queued != 0 || n.Bytes != 0 {
		w.t.Errorf("%d stanzas of %d octets are kept although all is acknowledged", n.Queued, n.Bytes)
	}
}

// leave has everybody leave, some by letting time pass, and asks what is left of them:
// nothing (INV-6). thorough is for what is dear: not even something that refers to them.
// Goroutines that are left would be found by the bubble.
func (w *world) leave(thorough bool) {
	for i, d := range w.devices {
		if d.c == nil {
			continue
		}
		if i%2 == 0 {
			d.leave()
		} else {
			d.cut(-1)
		}
	}
	w.pass(w.cfg.window + time.Minute)
	w.pass(time.Minute)
	w.checkEmpty()
	if !thorough {
		return
	}
	w.checkFree()
}

// checkEmpty: no session is there or kept, with anything of it.
func (w *world) checkEmpty() {
	for s := range w.host.Mux().AllSessions() {
		w.t.Errorf("%s is left, %v", s.JID(), s.State())
	}
	if n := w.sm.Stats(); n.Managed != 0 || n.Waiting != 0 || n.Queued != 0 || n.Bytes != 0 || n.WaitingBytes != 0 {
		w.t.Errorf("left: %+v", n)
	}
	ctx := context.Background()
	if saved, err := w.kept.sessions.Load(ctx); err != nil || len(saved) != 0 {
		w.t.Errorf("%d sessions are kept, %v", len(saved), err)
	}
	streams, err := w.kept.streams.Load(ctx, time.Now())
	if err != nil {
		w.t.Error(err)
	}
	for _, s := range streams {
		if s.Last == nil || len(s.Entries) > 0 {
			w.t.Errorf("kept: %+v", s)
		}
	}
	for _, a := range accounts {
		list, _, err := w.kept.offline.Load(ctx, mux.MustParseAddress(a), offline.Message{}, 100, 1<<20)
		if err != nil || len(list) > 0 {
			w.t.Errorf("%d messages are kept for %s, %v", len(list), a, err)
		}
	}
}

// checkFree: no timer, goroutine or map refers to a session or stream that there was,
// while the server goes on; nor to the server when it has stopped.
func (w *world) checkFree() {
	for _, c := range w.clients {
		c.Drop() // or its reader goes on
		if c.Session != nil {
			w.gone = append(w.gone, remainsOf("session", c.Session))
		}
		w.gone = append(w.gone, remainsOf("stream", c.Stream))
		c.Session, c.Stream = nil, nil // which the host's list of clients refers to
	}
	w.clients = nil // which refer to servers that there were
	w.collect()
	w.gone = append(w.gone, remainsOf("stream management", w.sm), remainsOf("mux", w.host.Mux()))
	w.t.clean()
	w.host, w.sm, w.commit = nil, nil, nil
	w.collect()
}

// collect asks whether all that is to be gone is. What is in pools goes some time: other
// schedules use them as well.
func (w *world) collect() {
	for range 20 {
		runtime.GC()
		w.gone = slices.DeleteFunc(w.gone, func(r remains) bool { return r.gone() })
		if len(w.gone) == 0 {
			return
		}
	}
	left := make(map[string]int)
	for _, r := range w.gone {
		left[r.what]++
	}
	w.t.Errorf("not free: %v", left)
}

// remains is something that has to become garbage.
type remains struct {
	what string
	gone func() bool
}

func remainsOf[T any](what string, v *T) remains {
	p := weak.Make(v)
	return remains{what, func() bool { return p.Value() == nil }}
}
