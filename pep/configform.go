package pep

import (
	"slices"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// Encode writes what differs from the defaults, for stores: a line for each value.
func (c *Config) Encode() string {
	def := defaultConfig()
	var b strings.Builder
	for i := range nodeFields {
		f := &nodeFields[i]
		v := f.values(c)
		if slices.Equal(v, f.values(&def)) {
			continue
		}
		for _, s := range v {
			b.WriteString(f.name)
			b.WriteByte('=')
			b.WriteString(strings.NewReplacer("\\", "\\\\", "\n", "\\n").Replace(s))
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// DecodeConfig reads what Encode wrote. Fields that are not known any more are left
// out, and so are values.
func DecodeConfig(s string) Config {
	c := defaultConfig()
	var groups []string
	for line := range strings.Lines(s) {
		name, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		v = strings.NewReplacer("\\\\", "\\", "\\n", "\n").Replace(v)
		f := findField(name)
		if f == nil {
			continue
		}
		if f.typ == listMultiField {
			groups = append(groups, v)
			continue
		}
		_ = f.set(&c, []string{v}, unlimited) // else it stays the default
	}
	c.Groups = groups
	return c
}

// SendsLast reports whether last items go to who has presence, for [Store.Heads].
func (c *Config) SendsLast() bool { return c.SendLast == lastPresence }

// keeps reports whether items are kept at all.
func (c *Config) keeps() bool { return c.Persist && c.MaxItems != 0 }

// appendForm writes the configuration as a form of a type (XEP-0060 §8.2.2).
func (c *Config) appendForm(b []byte, typ string, l limits) []byte {
	b = appendFormStart(b, typ, "node_config")
	for i := range nodeFields {
		f := &nodeFields[i]
		b = append(b, "<field var='"+varPrefix+f.name+"'"...)
		if typ == "form" {
			b = append(b, " type='"+formTypes[f.typ]+"' label='"+f.label+"'>"...)
			b = f.appendDatatype(b, l)
		} else {
			b = append(b, '>')
		}
		for _, v := range f.values(c) {
			b = append(b, "<value>"...)
			b = xmlwrite.AppendText(b, v)
			b = append(b, "</value>"...)
		}
		if typ == "form" {
			options := f.list
			if f.typ == listMultiField {
				options = c.Groups
			}
			for _, o := range options {
				b = append(b, "<option><value>"...)
				b = xmlwrite.AppendText(b, o)
				b = append(b, "</value></option>"...)
			}
		}
		b = append(b, "</field>"...)
	}
	return append(b, "</x>"...)
}

// appendDatatype says what a number may be (XEP-0122, XEP-0060 §12.23).
func (f *field) appendDatatype(b []byte, l limits) []byte {
	if f.typ != numberField {
		return b
	}
	typ, top := "xs:integer", 1<<31-1
	if f.max {
		typ = "pubsub:integer-or-max"
	}
	switch f.name {
	case "max_items":
		top = l.items
	case "max_payload_size":
		top = l.payload
	}
	b = append(b, "<validate xmlns='http://jabber.org/protocol/xdata-validate'"...)
	if f.max {
		b = append(b, " xmlns:pubsub='"+NS+"'"...)
	}
	return append(b, " datatype='"+typ+"'><range min='0' max='"+strconv.Itoa(top)+"'/></validate>"...)
}

func appendFormStart(b []byte, typ, formType string) []byte {
	return append(b, "<x xmlns='jabber:x:data' type='"+typ+"'><field var='FORM_TYPE' type='hidden'><value>"+nsPrefix+formType+"</value></field>"...)
}
