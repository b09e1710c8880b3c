package blocking

import (
	"encoding/xml"
	"errors"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// maxText is longer than any address may be, in octets.
const maxText = 3*1023 + 2

var errPayload = errors.New("blocking: malformed payload")

// readItems reads an element with items (XEP-0191 §8) and calls f with the address of
// each, as written. What is inside of items is ignored (XEP-0377), as is text. It
// returns the name of the element and whether anything else was in it. An item
// without an address, or with several, is an error.
func readItems(r xml.TokenReader, f func(text string) error) (name xml.Name, other bool, err error) {
	d := xml.NewTokenDecoder(r)
	t, err := d.Token()
	start, ok := t.(xml.StartElement)
	if !ok {
		return name, false, errors.Join(errPayload, err)
	}
	for name = start.Name; ; {
		t, err := d.Token()
		switch t := t.(type) {
		case xml.EndElement:
			return name, other, nil
		case xml.StartElement:
			if t.Name != (xml.Name{Space: NS, Local: "item"}) {
				other = true
			} else if text, ok := jidOf(t); !ok {
				return name, other, errPayload
			} else if err := f(text); err != nil {
				return name, other, err
			}
			if err := d.Skip(); err != nil {
				return name, other, errors.Join(errPayload, err)
			}
		default:
			if err != nil {
				return name, other, errors.Join(errPayload, err)
			}
		}
	}
}

func jidOf(item xml.StartElement) (text string, ok bool) {
	for _, a := range item.Attr {
		if a.Name == (xml.Name{Local: "jid"}) {
			return a.Value, true
		}
	}
	return "", false
}

// readSet reads a set: its addresses, without repetitions, in the order in which they
// were given. Errors are those to answer with.
func readSet(r xml.TokenReader) (items []mux.Address, other bool, err error) {
	seen := make(map[mux.Address]bool)
	_, other, err = readItems(r, func(text string) error {
		if len(text) > maxText {
			return errMalformed
		}
		a, err := mux.ParseAddress(text)
		if err != nil {
			return errMalformed
		}
		if !seen[a] {
			seen[a] = true
			items = append(items, a)
		}
		return nil
	})
	if errors.Is(err, errPayload) {
		err = errBadRequest
	}
	if err != nil {
		return nil, other, err
	}
	return items, other, nil
}

// appendItems writes an element with items.
func appendItems(b []byte, name xml.Name, items []mux.Address) []byte {
	b = append(append(b, '<'), name.Local...)
	b = append(b, " xmlns='"+NS+"'"...)
	if len(items) == 0 {
		return append(b, "/>"...)
	}
	b = append(b, '>')
	for _, a := range items {
		b = append(b, "<item jid='"...)
		b = append(xmlwrite.AppendAttrValue(b, a.String()), "'/>"...)
	}
	return append(append(append(b, "</"...), name.Local...), '>')
}

func element(name xml.Name, items []mux.Address) mux.Child {
	return mux.RawChild(name, string(appendItems(make([]byte, 0, 64+48*len(items)), name, items)))
}
