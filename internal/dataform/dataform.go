// Package dataform reads and writes data forms (XEP-0004 2.13) as far as the
// extensions of this module need them: a form that is shown, and its submission.
package dataform

import (
	"encoding/xml"
	"errors"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// NS is the namespace of data forms.
const NS = "jabber:x:data"

// Bounds of what is read.
const (
	maxFields = 64
	maxValues = 64 // of one field
)

// Errors of [Read].
var (
	ErrMalformed = errors.New("dataform: malformed")
	ErrType      = errors.New("dataform: another type of form")
)

// Field is a field of a form.
type Field struct {
	Var, Type, Label string
	Values           []string
	Options          []Option
	Required         bool
	Extra            string // elements behind the values, such as media
}

// Option is what may be chosen in a field of a list type.
type Option struct{ Label, Value string }

// Form is a form to be written. Types are form and result.
type Form struct {
	Type, Title, Instructions string
	FormType                  string // XEP-0068; empty for none
	Fields                    []Field
	// Reported are the columns of a result with several items (§3.4), and each of
	// Items has a value for each of them.
	Reported []Field
	Items    [][]string
}

// Hidden is a hidden field with one value.
func Hidden(name, value string) Field {
	return Field{Var: name, Type: "hidden", Values: []string{value}}
}

// Append writes the form.
func (f *Form) Append(b []byte) []byte {
	b = append(b, "<x xmlns='"+NS+"' type='"...)
	b = xmlwrite.AppendAttrValue(b, f.Type)
	b = append(b, "'>"...)
	b = element(b, "title", f.Title)
	b = element(b, "instructions", f.Instructions)
	if f.FormType != "" {
		hidden := Hidden("FORM_TYPE", f.FormType)
		b = hidden.append(b)
	}
	for i := range f.Fields {
		b = f.Fields[i].append(b)
	}
	return append(f.appendItems(b), "</x>"...)
}

func (f *Form) appendItems(b []byte) []byte {
	if len(f.Reported) == 0 {
		return b
	}
	b = append(b, "<reported>"...)
	for i := range f.Reported {
		b = f.Reported[i].append(b)
	}
	b = append(b, "</reported>"...)
	for _, item := range f.Items {
		b = append(b, "<item>"...)
		for i, v := range item {
			value := Field{Var: f.Reported[i].Var, Values: []string{v}}
			b = value.append(b)
		}
		b = append(b, "</item>"...)
	}
	return b
}

func (f *Field) append(b []byte) []byte {
	b = append(b, "<field"...)
	for _, a := range [...]struct{ name, value string }{{"type", f.Type}, {"var", f.Var}, {"label", f.Label}} {
		if a.value != "" {
			b = append(b, " "+a.name+"='"...)
			b = xmlwrite.AppendAttrValue(b, a.value)
			b = append(b, '\'')
		}
	}
	b = append(b, '>')
	if f.Required {
		b = append(b, "<required/>"...)
	}
	for _, v := range f.Values {
		b = append(b, "<value>"...)
		b = xmlwrite.AppendText(b, v)
		b = append(b, "</value>"...)
	}
	for _, o := range f.Options {
		b = append(b, "<option label='"...)
		b = xmlwrite.AppendAttrValue(b, o.Label)
		b = append(b, "'><value>"...)
		b = xmlwrite.AppendText(b, o.Value)
		b = append(b, "</value></option>"...)
	}
	return append(append(b, f.Extra...), "</field>"...)
}

func element(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(b, "<"+name+">"...)
	b = xmlwrite.AppendText(b, text)
	return append(b, "</"+name+">"...)
}

// Submission is what a peer has filled in.
type Submission struct {
	FormType string
	Values   map[string][]string // without FORM_TYPE
}

// One is the only value of a field, empty if it has none; ok is false if it has
// several.
func (s *Submission) One(name string) (value string, ok bool) {
	switch v := s.Values[name]; len(v) {
	case 0:
		return "", true
	case 1:
		return v[0], true
	}
	return "", false
}

type formXML struct {
	XMLName xml.Name   `xml:"jabber:x:data x"`
	Type    string     `xml:"type,attr"`
	Fields  []fieldXML `xml:"jabber:x:data field"`
}

type fieldXML struct {
	Var    string     `xml:"var,attr"`
	Values []valueXML `xml:"jabber:x:data value"`
}

type valueXML struct {
	Text string     `xml:",chardata"`
	Any  []struct{} `xml:",any"`
}

// Element is an XML element that can be decoded, such as a mux.Child.
type Element interface{ Decode(v any) error }

// Read reads a submission: a form of type submit. One of type cancel is an
// [ErrType], like any other. A field that comes twice is [ErrMalformed], and so are
// values with elements and more than 64 of either.
func Read(c Element) (*Submission, error) {
	var x formXML
	if c.Decode(&x) != nil {
		return nil, ErrMalformed
	}
	if x.Type != "submit" {
		return nil, ErrType
	}
	if len(x.Fields) > maxFields {
		return nil, ErrMalformed
	}
	s := &Submission{Values: make(map[string][]string, len(x.Fields))}
	for _, f := range x.Fields {
		if _, twice := s.Values[f.Var]; twice || len(f.Values) > maxValues {
			return nil, ErrMalformed
		}
		values := make([]string, len(f.Values))
		for i, v := range f.Values {
			if len(v.Any) > 0 {
				return nil, ErrMalformed
			}
			values[i] = v.Text
		}
		s.Values[f.Var] = values
	}
	formType, ok := s.One("FORM_TYPE")
	if !ok {
		return nil, ErrMalformed
	}
	s.FormType = formType
	delete(s.Values, "FORM_TYPE")
	delete(s.Values, "") // fixed texts, sent back
	return s, nil
}
