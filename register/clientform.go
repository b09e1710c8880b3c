package register

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/dataform"
)

// Form is what a server wants to know of somebody who registers (XEP-0077 §3.1).
type Form struct {
	Instructions string
	Registered   bool   // there is an account already
	URL          string // where registration is to be done, or help is to be had
	// Fields are to be filled in, those of a data form if there is one.
	Fields []FormField

	form bool
}

// FormField is one of them.
type FormField struct {
	Name, Type, Label string
	Required          bool
	Values            []string // what is there already
}

// formXML is the answer to a get.
type answerXML struct {
	ID    string        `xml:"id,attr"`
	Type  string        `xml:"type,attr"`
	Query *queryXML     `xml:"jabber:iq:register query"`
	Error *stanza.Error `xml:"error"`
}

type queryXML struct {
	Any []fieldXML `xml:",any"`
}

type fieldXML struct {
	XMLName  xml.Name
	Type     string    `xml:"type,attr"`
	Text     string    `xml:",chardata"`
	URL      string    `xml:"url"`
	Fields   []dataXML `xml:"jabber:x:data field"`
	FormText string    `xml:"jabber:x:data instructions"`
}

type dataXML struct {
	Var      string    `xml:"var,attr"`
	Type     string    `xml:"type,attr"`
	Label    string    `xml:"label,attr"`
	Values   []string  `xml:"jabber:x:data value"`
	Required *struct{} `xml:"jabber:x:data required"`
}

// formOf reads the answer: a form counts more than fields (XEP-0077 §6).
func formOf(q *queryXML) *Form {
	f := new(Form)
	if q == nil {
		return f
	}
	var plain []FormField
	for _, c := range q.Any {
		switch {
		case c.XMLName.Space == "jabber:x:oob":
			f.URL = c.URL
		case c.XMLName.Space == dataform.NS && c.XMLName.Local == "x":
			f.form = true
			f.Instructions = cmp.Or(c.FormText, f.Instructions)
			for _, d := range c.Fields {
				if d.Var != "" {
					f.Fields = append(f.Fields, FormField{Name: d.Var, Type: d.Type, Label: d.Label, Required: d.Required != nil, Values: d.Values})
				}
			}
		case c.XMLName.Space != NS:
		case c.XMLName.Local == "instructions":
			f.Instructions = c.Text
		case c.XMLName.Local == "registered":
			f.Registered = true
		default:
			p := FormField{Name: c.XMLName.Local, Required: true}
			if c.Text != "" {
				p.Values = []string{c.Text}
			}
			plain = append(plain, p)
		}
	}
	if !f.form {
		f.Fields = plain
	}
	return f
}

// fill answers a form.
func (o *ClientOptions) fill(ctx context.Context, f *Form, domain, name string) (xml.TokenReader, error) {
	if len(f.Fields) == 0 {
		if f.URL != "" {
			return nil, fmt.Errorf("%w: %s", ErrElsewhere, f.URL)
		}
		return nil, ErrNotOffered
	}
	given := map[string][]string{}
	if o.Answer != nil {
		var err error
		if given, err = o.Answer(ctx, f); err != nil {
			return nil, err
		}
	}
	bits := o.MaxBits
	if bits == 0 {
		bits = 22
	}
	var parts []xml.TokenReader
	for _, field := range f.Fields {
		values, ok := given[field.Name]
		switch {
		case ok:
		case field.Name == "username" && name != "":
			values = []string{name}
		case field.Name == "password" && o.Password != "":
			values = []string{o.Password}
		case field.Type == "hidden":
			values = field.Values
		case field.Name == fieldHashcash && f.form && bits > 0:
			solved, err := SolveHashcash(ctx, domain, field.Label, bits)
			switch {
			case err == nil:
				values = []string{solved}
			case !errors.Is(err, ErrTooHard):
				return nil, err
			}
		default:
			values = field.Values
		}
		if len(values) == 0 && field.Required {
			return nil, fmt.Errorf("%w: %s", ErrQuestions, field.Name)
		}
		if f.form {
			parts = append(parts, fieldTokens(field.Name, values))
		} else {
			for _, v := range values {
				parts = append(parts, text(field.Name, v))
			}
		}
	}
	if !f.form {
		return xmlstream.MultiReader(parts...), nil
	}
	return submission(parts...), nil
}

func submission(fields ...xml.TokenReader) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.MultiReader(fields...), xml.StartElement{Name: xml.Name{Space: dataform.NS, Local: "x"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "type"}, Value: "submit"}}})
}

func fieldTokens(name string, values []string) xml.TokenReader {
	var list []xml.TokenReader
	for _, v := range values {
		list = append(list, text("value", v))
	}
	return xmlstream.Wrap(xmlstream.MultiReader(list...), xml.StartElement{Name: xml.Name{Local: "field"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "var"}, Value: name}}})
}

// maxTokens bounds what a server may put into an answer.
const maxTokens = 4096

// asker makes requests on a stream that nobody has logged in to, which it has for itself
// until it is closed.
type asker struct {
	domain string
	w      xmlstream.TokenWriteFlushCloser
	r      xmlstream.TokenReadCloser
	n      int
}

func newAsker(s *xmpp.Session, domain string) *asker {
	return &asker{domain: domain, w: s.TokenWriter(), r: s.TokenReader()}
}

func (a *asker) close() {
	// What could not be written was reported when it was.
	_ = a.w.Close()
	_ = a.r.Close()
}

// ask makes one request and returns what the server wants to know.
func (a *asker) ask(typ string, payload xml.TokenReader) (*Form, error) {
	a.n++
	id := "register" + strconv.Itoa(a.n)
	iq := xml.StartElement{Name: xml.Name{Local: "iq"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "type"}, Value: typ}, {Name: xml.Name{Local: "to"}, Value: a.domain}, {Name: xml.Name{Local: "id"}, Value: id},
	}}
	if _, err := xmlstream.Copy(a.w, xmlstream.Wrap(payload, iq)); err != nil {
		return nil, err
	}
	if err := a.w.Flush(); err != nil {
		return nil, err
	}
	d := xml.NewTokenDecoder(&limited{a.r, maxTokens})
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	start, ok := t.(xml.StartElement)
	if !ok {
		return nil, errServer
	}
	if start.Name.Space == stream.NS && start.Name.Local == "error" {
		var se stream.Error
		if err := d.DecodeElement(&se, &start); err != nil {
			return nil, err
		}
		return nil, se
	}
	var answer answerXML
	if err := d.DecodeElement(&answer, &start); err != nil {
		return nil, err
	}
	switch {
	case start.Name.Local != "iq", answer.ID != id:
		return nil, errServer
	case answer.Type == "error" && answer.Error != nil:
		return nil, *answer.Error
	case answer.Type != "result":
		return nil, errServer
	}
	return formOf(answer.Query), nil
}

// limited ends after a number of tokens.
type limited struct {
	r    xml.TokenReader
	left int
}

// Token implements xml.TokenReader.
func (l *limited) Token() (xml.Token, error) {
	if l.left--; l.left < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return l.r.Token()
}
