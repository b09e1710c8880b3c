package vcard4

import "github.com/propolis-im/propolis/mux"

// FromTemp maps a card of vcard-temp to vCard4. old is the vCard4 there is, empty for
// none: what has no counterpart in vcard-temp is taken over from it. rest is the card
// without what was mapped. Both are empty if there is nothing in them.
func FromTemp(card, old mux.Raw) (v4, rest mux.Raw, err error) {
	var b []byte
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
			var ok bool
			b, ok = p.appendFour(b, child)
			return ok
		})
		switch {
		case kept == el:
			rest = card
		case len(kept.Children()) > 0:
			rest = mux.Raw(kept.Append(nil, ""))
		}
	}
	if old != "" {
		el, err := mux.Parse([]byte(old))
		if err != nil {
			return "", "", err
		}
		for _, c := range el.Children() {
			if !mapped(c) {
				own, err := mux.NewChild(c) // with all declarations
				if err != nil {
					return "", "", err
				}
				b = append(b, own.Raw()...)
			}
		}
	}
	if len(b) == 0 {
		return "", rest, nil
	}
	return mux.Raw("<vcard xmlns='" + NS + "'>" + string(b) + "</vcard>"), rest, nil
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
