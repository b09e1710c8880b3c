package vcard4

import "github.com/propolis-im/propolis/mux"

// FromTemp maps a card of vcard-temp to vCard4. old is the vCard4 there is, empty for
// none: what has no counterpart in vcard-temp is taken over from it, and so is a property
// of which the card says just what vcard-temp can say of it. rest is the card without what
// was mapped. Both are empty if there is nothing in them.
func FromTemp(card, old mux.Raw) (v4, rest mux.Raw, err error) {
	var b, unmapped []byte
	var known properties4
	if old != "" {
		el, err := mux.Parse([]byte(old))
		if err != nil {
			return "", "", err
		}
		if known, unmapped, err = split(el); err != nil {
			return "", "", err
		}
	}
	if card != "" {
		el, err := mux.Parse([]byte(card))
		if err != nil {
			return "", "", err
		}
		kept := el.Without(func(c mux.Child) bool {
			p := byTemp(c.Name.Local)
			if c.Name.Space != nsTemp || p == nil {
				return false
			}
			child, err := c.Element()
			if err != nil {
				return false
			}
			said, ok := p.appendFour(nil, child)
			b = append(b, known.take(string(said))...)
			return ok
		})
		switch {
		case kept == el:
			rest = card
		case len(kept.Children()) > 0:
			rest = mux.Raw(kept.Append(nil, ""))
		}
	}
	if b = append(b, unmapped...); len(b) == 0 {
		return "", rest, nil
	}
	return mux.Raw("<vcard xmlns='" + NS + "'>" + string(b) + "</vcard>"), rest, nil
}

// properties4 are properties of a vCard4 that have a counterpart, by what would become of
// them if a client set its card as it was shown.
type properties4 map[string][]string

// take is the property of which that is said: one of those that there are, as it stands.
func (k properties4) take(said string) string {
	l := k[said]
	if len(l) == 0 {
		return said
	}
	k[said] = l[1:]
	return l[0]
}

// split gives the properties of a vCard4 that have a counterpart, and the others.
func split(el *mux.Stanza) (known properties4, unmapped []byte, err error) {
	known = make(properties4)
	for _, c := range el.Children() {
		own, err := mux.NewChild(c) // with all declarations
		if err != nil {
			return nil, nil, err
		}
		if !mapped(c) {
			unmapped = append(unmapped, own.Raw()...)
			continue
		}
		said, ok := viaTemp(c)
		switch {
		case !ok:
		case c.Raw() == said:
			known[said] = append(known[said], said)
		default:
			known[said] = append(known[said], own.Raw())
		}
	}
	return known, unmapped, nil
}

// viaTemp is what becomes of a property by way of vcard-temp; ok is false if nothing does.
func viaTemp(c mux.Child) (said string, ok bool) {
	el, err := c.Element()
	if err != nil {
		return "", false
	}
	shown, ok := byFour(c.Name.Local).appendTemp([]byte("<vCard xmlns='"+nsTemp+"'>"), el)
	if !ok {
		return "", false
	}
	card, err := mux.Parse(append(shown, "</vCard>"...))
	if err != nil {
		return "", false
	}
	p := card.Children()[0]
	if el, err = p.Element(); err != nil {
		return "", false
	}
	b, ok := byTemp(p.Name.Local).appendFour(nil, el)
	return string(b), ok && len(b) > 0
}

// mapped reports whether a property of vCard4 has a counterpart, which addresses of other
// networks have not.
func mapped(c mux.Child) bool {
	p := byFour(c.Name.Local)
	if c.Name.Space != NS || p == nil || p.temp != "JABBERID" {
		return c.Name.Space == NS && p != nil
	}
	el, err := c.Element()
	if err != nil {
		return false
	}
	_, ok := p.appendTemp(nil, el)
	return ok
}

// ToTemp maps a vCard4 to vcard-temp. rest is what the card has beside, as FromTemp gives
// it; the result is empty if there is nothing.
func ToTemp(v4, rest mux.Raw) (mux.Raw, error) {
	el, err := mux.Parse([]byte(v4))
	if err != nil {
		return "", err
	}
	var b []byte
	for _, c := range el.Children() {
		p := byFour(c.Name.Local)
		if c.Name.Space != NS || p == nil {
			continue
		}
		child, err := c.Element()
		if err != nil {
			return "", err
		}
		b, _ = p.appendTemp(b, child)
	}
	if rest != "" {
		el, err := mux.Parse([]byte(rest))
		if err != nil {
			return "", err
		}
		for _, c := range el.Children() {
			own, err := mux.NewChild(c)
			if err != nil {
				return "", err
			}
			b = append(b, own.Raw()...)
		}
	}
	if len(b) == 0 {
		return "", nil
	}
	return mux.Raw("<vCard xmlns='" + nsTemp + "'>" + string(b) + "</vCard>"), nil
}
