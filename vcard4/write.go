package vcard4

import (
	"slices"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// appendFour writes a property of vcard-temp as one of vCard4; ok is false if it says
// nothing that vCard4 could. One that is empty is left out, and counts as mapped.
func (p *property) appendFour(b []byte, el *mux.Stanza) (_ []byte, ok bool) {
	values, ok := p.values(el)
	if !ok {
		return b, false
	}
	if !slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
		return b, true
	}
	b = append(append(append(b, '<'), p.four...), '>')
	b = p.appendTypes(b, el)
	for i, v := range values {
		name, text := p.value, v
		switch {
		case p.value == "":
			name = p.parts[i].four
		case p.write != nil:
			name, text = p.write(v)
		}
		b = appendElement(b, name, text)
	}
	return append(append(append(b, "</"...), p.four...), '>'), true
}

// values are those of a property of vcard-temp: one for each part, those of a list, or
// the one it has.
func (p *property) values(el *mux.Stanza) (values []string, ok bool) {
	text := func(c mux.Child, found bool) string {
		if t, simple := textOf(c); found && simple {
			return t
		}
		return ""
	}
	switch {
	case p.parts != nil:
		for _, part := range p.parts {
			values = append(values, text(el.Child(temp(part.temp))))
		}
		return values, true
	case p.list != "" && p.list != ",":
		for _, c := range el.Children() {
			if v := text(c, slices.Contains(strings.Fields(p.list), c.Name.Local) && c.Name.Space == nsTemp); v != "" {
				values = append(values, v)
			}
		}
		return values, true
	case len(el.Children()) > 0:
		return nil, false
	case p.list == ",":
		for v := range strings.SplitSeq(el.Text(), ",") {
			if v = strings.TrimSpace(v); v != "" {
				values = append(values, v)
			}
		}
		return values, true
	}
	return []string{strings.TrimSpace(el.Text())}, true
}

// textOf is the text of an element that has no children.
func textOf(c mux.Child) (text string, ok bool) {
	el, err := c.Element()
	if err != nil || len(el.Children()) > 0 {
		return "", false
	}
	return strings.TrimSpace(el.Text()), true
}

func (p *property) appendTypes(b []byte, el *mux.Stanza) []byte {
	var in []byte
	for _, t := range p.types {
		if el.Has(temp(t.temp)) {
			in = appendElement(in, "text", t.four)
		}
	}
	if in != nil {
		in = append(append([]byte("<type>"), in...), "</type>"...)
	}
	if p.types != nil && el.Has(temp("PREF")) {
		in = append(in, "<pref><integer>1</integer></pref>"...)
	}
	if in == nil {
		return b
	}
	return append(append(append(b, "<parameters>"...), in...), "</parameters>"...)
}

// appendTemp writes a property of vCard4 as one of vcard-temp; ok is false if it says
// nothing that vcard-temp could.
func (p *property) appendTemp(b []byte, el *mux.Stanza) (_ []byte, ok bool) {
	var in []byte
	in = p.tempTypes(in, el)
	none := len(in)
	switch {
	case p.value == "":
		for _, part := range p.parts {
			c, found := el.Child(four(part.four))
			if text, simple := textOf(c); found && simple && text != "" {
				in = appendElement(in, part.temp, text)
			}
		}
	default:
		values := p.fourValues(el)
		names := strings.Fields(p.list)
		switch {
		case len(values) == 0:
		case p.list == ",":
			in = xmlwrite.AppendText(in, strings.Join(values, ", "))
		case p.list != "":
			for i, v := range values {
				in = appendElement(in, names[min(i, 1)], v)
			}
		case p.parts != nil:
			in = appendElement(in, p.parts[0].temp, values[0])
		default:
			in = xmlwrite.AppendText(in, values[0])
		}
	}
	if len(in) == none {
		return b, false
	}
	b = append(append(append(b, '<'), p.temp...), '>')
	b = append(b, in...)
	return append(append(append(b, "</"...), p.temp...), '>'), true
}

// fourValues are the values of a property of vCard4 that vcard-temp can have.
func (p *property) fourValues(el *mux.Stanza) (values []string) {
	for _, c := range el.Children() {
		if c.Name.Space != NS || c.Name.Local == "parameters" {
			continue
		}
		text, ok := textOf(c)
		if ok && text != "" && p.read != nil {
			text, ok = p.read(c.Name.Local, text)
		}
		if ok && text != "" {
			values = append(values, text)
		}
	}
	return values
}

func (p *property) tempTypes(b []byte, el *mux.Stanza) []byte {
	c, ok := el.Child(four("parameters"))
	if !ok || p.types == nil {
		return b
	}
	params, err := c.Element()
	if err != nil {
		return b
	}
	var said []string
	if c, ok := params.Child(four("type")); ok {
		if el, err := c.Element(); err == nil {
			for _, t := range el.Children() {
				said = append(said, strings.ToLower(strings.TrimSpace(t.Text())))
			}
		}
	}
	for _, t := range p.types {
		if slices.Contains(said, t.four) {
			b = appendElement(b, t.temp, "")
		}
	}
	if params.Has(four("pref")) {
		b = appendElement(b, "PREF", "")
	}
	return b
}

// appendElement writes an element with a text.
func appendElement(b []byte, name, text string) []byte {
	b = append(append(b, '<'), name...)
	if text == "" {
		return append(b, "/>"...)
	}
	b = xmlwrite.AppendText(append(b, '>'), text)
	return append(append(append(b, "</"...), name...), '>')
}
