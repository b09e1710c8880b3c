package sasl2

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"

	"mellium.im/xmpp/stream"
)

// Element is an element that the server has sent.
type Element struct {
	Name     xml.Name
	Attrs    []xml.Attr `json:",omitempty"` // without declarations of namespaces
	Text     string     `json:",omitempty"`
	Children []Element  `json:",omitempty"`
}

// Attr is the value of an attribute without namespace, empty if it is not there.
func (e *Element) Attr(local string) string {
	for _, a := range e.Attrs {
		if a.Name.Space == "" && a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// Child is the first child of that name, nil if there is none, also of nil.
func (e *Element) Child(space, local string) *Element {
	if e == nil {
		return nil
	}
	for i := range e.Children {
		if e.Children[i].Name == (xml.Name{Space: space, Local: local}) {
			return &e.Children[i]
		}
	}
	return nil
}

// Bounds of one element of a server that is not authenticated yet; what it sends
// before is bounded too, by maxUnread.
const (
	maxElementTokens = 2000
	maxElementDepth  = 16
)

// nextElement reads the next element of a stream. A stream error is an error, and
// so is the end.
func nextElement(r xml.TokenReader) (Element, error) {
	for range maxElementTokens {
		token, err := r.Token()
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name == (xml.Name{Space: stream.NS, Local: "error"}) {
				return Element{}, streamError(r, t)
			}
			return readElement(r, t)
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return Element{}, broken("text between elements")
			}
		case xml.EndElement:
			return Element{}, io.ErrUnexpectedEOF
		case nil:
		default:
			return Element{}, broken("restricted XML")
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Element{}, err
		}
	}
	return Element{}, broken("nothing but white space")
}

// streamError reads the rest of one (RFC 6120 §4.9).
func streamError(r xml.TokenReader, start xml.StartElement) error {
	el, err := readElement(r, start)
	if err != nil {
		return err
	}
	e := stream.UndefinedCondition
	for _, c := range el.Children {
		if c.Name.Space == stream.NSError && c.Name.Local != "text" {
			e.Err = c.Name.Local
			break
		}
	}
	return e
}

// readElement reads up to the end of an element that has begun.
func readElement(r xml.TokenReader, start xml.StartElement) (Element, error) {
	open := []Element{elementOf(start)}
	for range maxElementTokens {
		token, err := r.Token()
		top := &open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if len(open) == maxElementDepth {
				return Element{}, broken("elements too deep")
			}
			open = append(open, elementOf(t))
		case xml.EndElement:
			if len(open) == 1 {
				return *top, nil
			}
			open = open[:len(open)-1]
			parent := &open[len(open)-1]
			parent.Children = append(parent.Children, *top)
		case xml.CharData:
			if top.Text += string(t); len(top.Text) > maxText {
				return Element{}, broken("text too long")
			}
		case nil:
		default:
			return Element{}, broken("restricted XML")
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Element{}, err
		}
	}
	return Element{}, broken("element too large")
}

func elementOf(start xml.StartElement) Element {
	e := Element{Name: start.Name}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			e.Attrs = append(e.Attrs, a)
		}
	}
	return e
}

// parseElement reads text that is to be one element with a namespace.
func parseElement(text string) (Element, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	e, err := nextElement(d)
	if err != nil {
		return Element{}, err
	}
	if rest, err := d.Token(); err != io.EOF || rest != nil || e.Name.Space == "" {
		return Element{}, broken("not one element with a namespace")
	}
	return e, nil
}
