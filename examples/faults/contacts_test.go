package faults

import "github.com/propolis-im/propolis/mux"

// contact is what one session has seen of another device.
type contact struct {
	d     *device
	n     int  // its session that was seen last
	there bool // and is available
	shown map[int]int
}

// finds notes the presence of a contact, or of another device of the account. Nobody sees
// a change while a session is resumed (INV-5): it is shown as often as it has said so
// itself, and goes when it has ended.
func (d *device) finds(el *mux.Stanza) {
	o := d.w.device(el.From().String())
	if o == nil || o == d || el.Type() != "" && el.Type() != "unavailable" {
		return
	}
	c := d.s.sees[o.full()]
	if c == nil {
		c = &contact{d: o, shown: make(map[int]int)}
		d.s.sees[o.full()] = c
	}
	if el.Type() == "unavailable" {
		d.w.note("%s sees %s go", d, o)
		d.goes(c)
		return
	}
	x, ok := el.Child(name(nsTest, "session"))
	if !ok {
		d.w.t.Errorf("%s got %s", d, el.Append(nil, ""))
		return
	}
	was := *c
	c.n, c.there = int(atou(x.Attr("n"))), true
	d.w.note("%s sees %s in its session %d", d, o, c.n)
	if c.n < was.n {
		d.w.t.Errorf("%s sees %s come in its session %d behind %d", d, o, c.n, was.n)
		return
	}
	if el.Has(name(mux.NSClient, "status")) {
		return // it is for this device alone, and may stand for the other
	}
	// A server that has started asks about the contacts of its sessions once more.
	s := o.sessions[c.n]
	if c.shown[c.n]++; c.shown[c.n] > s.shown+d.w.starts-s.start {
		d.w.t.Errorf("%s sees %s come %d times in a session that has said so %d times", d, o, c.shown[c.n], s.shown)
	}
}

// goes: a contact is seen to go, of which it may know later.
func (d *device) goes(c *contact) {
	if c.there {
		c.there = false
		c.d.sessions[c.n].left++
	}
}

// checkGone: who was seen to go has gone.
func (w *world) checkGone() {
	for _, d := range w.devices {
		for _, s := range d.sessions {
			if s.left > 0 && !s.ended {
				w.t.Errorf("%s lives and was seen to go by %d", d, s.left)
			}
		}
	}
}

func (w *world) device(full string) *device {
	for _, d := range w.devices {
		if d.full() == full {
			return d
		}
	}
	return nil
}

// checkContacts: in the end everybody sees everybody as they are.
func (w *world) checkContacts() {
	if !w.cfg.contacts {
		return
	}
	w.checkGone()
	for _, d := range w.devices {
		for _, o := range w.devices {
			if o == d {
				continue
			}
			if c := d.s.sees[o.full()]; c == nil || !c.there || c.n != o.s.n {
				w.t.Errorf("%s sees %s as %+v, which is there in its session %d", d, o, c, o.s.n)
			}
		}
	}
}
