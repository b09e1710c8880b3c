package xmlwrite

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlscan"
)

// Errors of [AppendTokens], wrapped with the name or text they are about;
// errors of the reader are passed on as they are.
var (
	// ErrName: a name or prefix that XML or its namespaces do not allow.
	ErrName = errors.New("xmlwrite: illegal name")
	// ErrNamespace: a namespace that cannot be declared or, on an attribute, is a
	// content namespace.
	ErrNamespace = errors.New("xmlwrite: illegal namespace")
	// ErrChar: text that is not UTF-8 or has characters that XML does not allow.
	ErrChar = errors.New("xmlwrite: illegal character")
	// ErrDuplicate: two attributes with the same name.
	ErrDuplicate = errors.New("xmlwrite: duplicate attribute")
	// ErrRestricted: a comment, processing instruction or directive (RFC 6120 §11.1).
	ErrRestricted = errors.New("xmlwrite: restricted token")
	// ErrUnbalanced: start and end elements do not match, or text outside them.
	ErrUnbalanced = errors.New("xmlwrite: unbalanced tokens")
)

const (
	nsXML   = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS = "http://www.w3.org/2000/xmlns/"
)

// maxEmptyReads is how often in a row a reader may return neither token nor
// error.
const maxEmptyReads = 100

// AppendTokens appends the elements that r yields, up to io.EOF, as they have to
// be written where the default namespace is ns. It is for token streams as
// xml.Decoder.Token and the builders of mellium.im/xmlstream make them:
//
//   - An element whose Name.Space is empty is in the namespace of its parent, at
//     the top in ns, unless it has an attribute xmlns, which then says it; an
//     empty one stands for no namespace.
//   - Otherwise Name.Space counts and an attribute xmlns says nothing.
//   - Each element gets the default namespace it needs, no prefix, and no
//     declaration where it inherits the namespace.
//   - An attribute in a namespace gets a prefix that is declared for it in the
//     tokens (Name.Space or the part before a colon in Name.Local is xmlns) or
//     a generated one; those that no attribute uses are not written, so
//     prefixes inside text lose their meaning. The spellings xml:lang,
//     {xml}lang and {http://www.w3.org/XML/1998/namespace}lang are the same.
//   - White space outside of the elements is left out.
//
// A reader with a method AppendXML(dst []byte) []byte is trusted to append
// itself, for such a place, and is not read.
//
// On an error nothing is appended: a name, namespace, character or token that
// would break the peer's stream must not get that far. The memory used is
// bounded by the tokens alone; limiting them is for the caller.
func AppendTokens(dst []byte, r xml.TokenReader, ns string) ([]byte, error) {
	if a, ok := r.(interface{ AppendXML(dst []byte) []byte }); ok {
		return a.AppendXML(dst), nil
	}
	w := writer{out: dst, ns: ns}
	if err := w.copy(r); err != nil {
		return dst, err
	}
	return w.out, nil
}

// writer is the state of one AppendTokens.
type writer struct {
	out   []byte
	ns    string
	open  bool // a start tag lacks its > or />
	stack []element
	scope []prefix
}

type element struct {
	token     xml.Name // as it was in the start token
	space     string   // resolved; also the default namespace inside
	prefixes  int      // length of scope outside
	localName string
}

// prefix is one that the tokens declare, or a generated one; it is written once
// an attribute needs it.
type prefix struct {
	name, space string
	written     bool
}

func (w *writer) copy(r xml.TokenReader) error {
	for empty := 0; empty < maxEmptyReads; empty++ {
		tok, err := r.Token()
		if tok != nil {
			empty = -1
			if err := w.token(tok); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && len(w.stack) > 0:
			return fmt.Errorf("%w: end inside <%s>", ErrUnbalanced, w.stack[len(w.stack)-1].localName)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func (w *writer) token(tok xml.Token) error {
	switch tok := tok.(type) {
	case xml.StartElement:
		return w.start(tok)
	case xml.EndElement:
		return w.end(tok.Name)
	case xml.CharData:
		return w.text(string(tok))
	default:
		return fmt.Errorf("%w: %T", ErrRestricted, tok)
	}
}

func (w *writer) text(s string) error {
	if !ValidText(s) {
		return fmt.Errorf("%w in text %q", ErrChar, s)
	}
	if len(w.stack) == 0 {
		if strings.Trim(s, " \t\r\n") != "" {
			return fmt.Errorf("%w: text %q outside of an element", ErrUnbalanced, s)
		}
		return nil
	}
	if s == "" {
		return nil
	}
	w.closeTag()
	w.out = AppendText(w.out, s)
	return nil
}

// closeTag ends a start tag that is followed by content.
func (w *writer) closeTag() {
	if w.open {
		w.out = append(w.out, '>')
		w.open = false
	}
}

func (w *writer) end(name xml.Name) error {
	if len(w.stack) == 0 {
		return fmt.Errorf("%w: end of <%s>", ErrUnbalanced, name.Local)
	}
	e := w.stack[len(w.stack)-1]
	if name != e.token && name != (xml.Name{Space: e.space, Local: e.token.Local}) {
		return fmt.Errorf("%w: end of <%s> in <%s>", ErrUnbalanced, name.Local, e.localName)
	}
	w.stack, w.scope = w.stack[:len(w.stack)-1], w.scope[:e.prefixes]
	if w.open {
		w.out = append(w.out, "/>"...)
		w.open = false
		return nil
	}
	w.out = append(append(append(w.out, "</"...), e.localName...), '>')
	return nil
}

func (w *writer) start(tok xml.StartElement) error {
	if err := checkName(tok.Name.Local); err != nil {
		return err
	}
	inherited := w.ns
	if n := len(w.stack); n > 0 {
		inherited = w.stack[n-1].space
	}
	e := element{token: tok.Name, space: tok.Name.Space, prefixes: len(w.scope), localName: tok.Name.Local}
	if e.space == "" {
		e.space = inherited
	}
	attrs, err := w.declarations(tok, &e)
	if err != nil {
		return err
	}
	if err := checkSpace(e.space); err != nil {
		return err
	}
	w.closeTag()
	w.out = append(append(w.out, '<'), e.localName...)
	if e.space != inherited {
		w.attr("xmlns", e.space)
	}
	if err := w.attributes(attrs); err != nil {
		return err
	}
	w.stack = append(w.stack, e)
	w.open = true
	return nil
}

// declarations takes the namespace declarations out of the attributes and
// returns those that are left, in canonical spelling.
func (w *writer) declarations(tok xml.StartElement, e *element) ([]xml.Attr, error) {
	attrs := make([]xml.Attr, 0, len(tok.Attr))
	for _, a := range tok.Attr {
		a.Name = canonical(a.Name)
		switch {
		case a.Name == xml.Name{Local: "xmlns"}:
			if tok.Name.Space == "" {
				e.space = a.Value
			}
		case a.Name.Space == "xmlns":
			if err := checkDeclaration(a); err != nil {
				return nil, err
			}
			if a.Name.Local != "xml" {
				w.scope = append(w.scope, prefix{name: a.Name.Local, space: a.Value})
			}
		default:
			attrs = append(attrs, a)
		}
	}
	return attrs, nil
}

// canonical undoes the spellings of attribute names that encoding/xml knows.
func canonical(n xml.Name) xml.Name {
	if n.Space == "" {
		if p, local, ok := strings.Cut(n.Local, ":"); ok && (p == "xml" || p == "xmlns") {
			n = xml.Name{Space: p, Local: local}
		}
	}
	if n.Space == "xml" {
		n.Space = nsXML
	}
	return n
}

// attributes writes the attributes, each behind the declaration it may need.
func (w *writer) attributes(attrs []xml.Attr) error {
	for i, a := range attrs {
		if err := checkName(a.Name.Local); err != nil {
			return err
		}
		if !ValidText(a.Value) {
			return fmt.Errorf("%w in attribute %s=%q", ErrChar, a.Name.Local, a.Value)
		}
		for _, b := range attrs[:i] {
			if a.Name == b.Name {
				return fmt.Errorf("%w %s", ErrDuplicate, a.Name.Local)
			}
		}
		name := a.Name.Local
		if a.Name.Space != "" {
			p, err := w.prefixFor(a.Name.Space)
			if err != nil {
				return err
			}
			name = p + ":" + name
		}
		w.attr(name, a.Value)
	}
	return nil
}

func (w *writer) attr(name, value string) {
	w.out = append(append(append(w.out, ' '), name...), "='"...)
	w.out = append(AppendAttrValue(w.out, value), '\'')
}

// prefixFor returns a prefix that is bound to space in the tag under way,
// declaring it there if need be.
func (w *writer) prefixFor(space string) (string, error) {
	switch space {
	case nsXML:
		return "xml", nil
	case "jabber:client", "jabber:server", "jabber:component:accept":
		// What is written must mean the same on every kind of stream (core-im XS-14).
		return "", fmt.Errorf("%w: attribute in %s", ErrNamespace, space)
	}
	if err := checkSpace(space); err != nil {
		return "", err
	}
	given := -1
	for i := len(w.scope) - 1; i >= 0; i-- {
		switch p := w.scope[i]; {
		case p.space != space:
		case p.written:
			return p.name, nil
		case given < 0 && !w.written(p.name):
			given = i
		}
	}
	name := ""
	if given >= 0 {
		name = w.scope[given].name
	} else {
		name = w.unusedPrefix()
	}
	w.scope = append(w.scope, prefix{name, space, true})
	w.attr("xmlns:"+name, space)
	return name, nil
}

// written tells whether a prefix already stands for something here: it is not
// declared anew, as that could hide what another attribute of the tag uses.
func (w *writer) written(name string) bool {
	for _, p := range w.scope {
		if p.written && p.name == name {
			return true
		}
	}
	return false
}

func (w *writer) unusedPrefix() string {
	// Behind all that the scope can have generated, for the common case.
	for i := len(w.scope); ; i++ {
		if name := "ns" + strconv.Itoa(i); !w.written(name) {
			return name
		}
	}
}

func checkName(local string) error {
	// A decoder would take the name xmlns for a declaration.
	if !xmlscan.ValidNCName(local) || local == "xmlns" {
		return fmt.Errorf("%w %q", ErrName, local)
	}
	return nil
}

// checkSpace refuses what cannot be declared (Namespaces in XML §3), and the
// names that decoders mix up with the reserved prefixes.
func checkSpace(space string) error {
	switch space {
	case nsXML, nsXMLNS, "xml", "xmlns":
		return fmt.Errorf("%w %q", ErrNamespace, space)
	}
	if !ValidText(space) {
		return fmt.Errorf("%w in namespace %q", ErrChar, space)
	}
	return nil
}

func checkDeclaration(a xml.Attr) error {
	switch {
	case !xmlscan.ValidNCName(a.Name.Local) || a.Name.Local == "xmlns":
		return fmt.Errorf("%w: prefix %q", ErrName, a.Name.Local)
	case (a.Name.Local == "xml") != (a.Value == nsXML) || a.Value == "":
		return fmt.Errorf("%w: %q for prefix %q", ErrNamespace, a.Value, a.Name.Local)
	case a.Name.Local == "xml":
		return nil
	}
	return checkSpace(a.Value)
}
