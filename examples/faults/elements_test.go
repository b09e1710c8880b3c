package faults

import (
	"encoding/xml"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

// got looks at an element.
func (d *device) got(el *mux.Stanza) {
	if el.Kind() == mux.Nonza {
		d.nonza(el)
		return
	}
	if d.enabled {
		d.in++
	}
	if el.Kind() == mux.Presence {
		d.heard(el)
		d.finds(el)
	}
	if el.Kind() != mux.Message {
		return
	}
	if el.Type() == "error" {
		d.w.bounce(d, el)
		return
	}
	inner, how, late, name := el, "direct", el.Has(delayName), ""
	for _, c := range []struct{ space, local string }{{nsCarbons, "sent"}, {nsCarbons, "received"}, {nsMAM, "result"}} {
		outer, ok := el.Child(xml.Name{Space: c.space, Local: c.local})
		if !ok {
			continue
		}
		how = c.local
		if how == "result" {
			d.last = outer.Attr("id")
			name = d.last
		}
		inner = forwarded(outer)
	}
	if inner == nil || !inner.Has(xml.Name{Space: mux.NSClient, Local: "body"}) {
		return
	}
	if name == "" {
		name = d.named(inner)
	}
	d.w.sees(d, inner, sighting{in: d.s, pos: d.in, how: how, late: late || inner.Has(delayName), name: name, at: time.Now()})
}

var delayName = name("urn:xmpp:delay", "delay")

// named is the name that the archive of the device's account has for a message.
func (d *device) named(el *mux.Stanza) string {
	found := ""
	for _, c := range el.Children() {
		if c.Name == name(archive.NSSID, "stanza-id") && c.Attr("by") == d.account {
			if found != "" {
				d.w.t.Errorf("%s got two names for one message: %s", d, el.Append(nil, ""))
			}
			found = c.Attr("id")
		}
	}
	return found
}

func forwarded(c mux.Child) *mux.Stanza {
	el, err := c.Element()
	if err != nil {
		return nil
	}
	f, ok := el.Child(name(nsForward, "forwarded"))
	if !ok {
		return nil
	}
	fe, err := f.Element()
	if err != nil {
		return nil
	}
	m, ok := fe.Child(name(mux.NSClient, "message"))
	if !ok {
		return nil
	}
	inner, err := m.Element()
	if err != nil {
		return nil
	}
	return inner
}

func (d *device) nonza(el *mux.Stanza) {
	if el.Name().Space != nsSM {
		return
	}
	switch el.Name().Local {
	case "enabled":
		d.enabled, d.token = true, el.Attr("id")
	case "r":
		d.acknowledge()
	case "a":
		d.acked(el.Attr("h"))
	default:
		d.w.t.Errorf("%s got %s", d, el.Append(nil, ""))
	}
}
