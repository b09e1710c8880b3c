package muxtest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Captures are what ${name} stands for, by name.
type Captures map[string]string

// Expand replaces ${name} by what was captured; others stay.
func (c Captures) Expand(text string) string {
	return captureName.ReplaceAllStringFunc(text, func(ref string) string {
		if v, ok := c[ref[2:len(ref)-1]]; ok {
			return escape(v)
		}
		return ref
	})
}

var captureName = regexp.MustCompile(`\$\{[A-Za-z0-9_-]+\}`)

func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return s
	}
	return b.String()
}

// Match compares an element with what was expected, as trees; see the package
// comment. Captures, which may be nil, are added to if it matches. The error says
// where they differ.
func Match(want, got string, c Captures) error {
	if want == got {
		return nil
	}
	w, err := parse(want)
	if err != nil {
		return fmt.Errorf("what is expected is no element: %w", err)
	}
	g, err := parse(got)
	if err != nil {
		return fmt.Errorf("no element has arrived: %w", err)
	}
	m := matcher{Captures{}}
	maps.Copy(m.captures, c)
	if err := m.node(w, g, ""); err != nil {
		return err
	}
	if c != nil {
		maps.Copy(c, m.captures)
	}
	return nil
}

// node is an element, or text if it has no name.
type node struct {
	name  xml.Name
	attrs map[xml.Name]string
	kids  []*node
	text  string
}

// parse reads one element as it stands in a client's stream.
func parse(text string) (*node, error) {
	d := xml.NewDecoder(strings.NewReader("<x xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" + text + "</x>"))
	root := &node{}
	stack := []*node{root}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := t.(type) {
		case xml.StartElement:
			n := &node{name: t.Name, attrs: make(map[xml.Name]string)}
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					n.attrs[a.Name] = a.Value
				}
			}
			top.kids = append(top.kids, n)
			stack = append(stack, n)
		case xml.EndElement:
			top.trim()
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if n := len(top.kids); n > 0 && top.kids[n-1].name.Local == "" {
				top.kids[n-1].text += string(t)
			} else {
				top.kids = append(top.kids, &node{text: string(t)})
			}
		}
	}
	if len(root.kids) != 1 || len(root.kids[0].kids) != 1 || root.kids[0].kids[0].name.Local == "" {
		return nil, errors.New("not exactly one element")
	}
	return root.kids[0].kids[0], nil
}

// trim drops white space between elements.
func (n *node) trim() {
	elements := slices.ContainsFunc(n.kids, func(k *node) bool { return k.name.Local != "" })
	n.kids = slices.DeleteFunc(n.kids, func(k *node) bool {
		return k.name.Local == "" && (elements || strings.Contains(k.text, "\n")) && strings.TrimSpace(k.text) == ""
	})
}

type matcher struct{ captures Captures }

func wild(s string) bool { return s == "*" || s == "{*}" }

func (m matcher) node(w, g *node, path string) error {
	if w.name.Local == "" || g.name.Local == "" {
		if w.name.Local != "" {
			return fmt.Errorf("text %q at %s, want <%s>", g.text, path, w.name.Local)
		}
		if g.name.Local != "" {
			return fmt.Errorf("<%s> at %s, want text %q", g.name.Local, path, w.text)
		}
		return m.value("text of "+path, strings.TrimSpace(w.text), strings.TrimSpace(g.text))
	}
	path += "/" + w.name.Local
	if w.name.Local != g.name.Local || w.name.Space != g.name.Space && !wild(w.name.Space) {
		return fmt.Errorf("{%s}%s, want {%s}%s at %s", g.name.Space, g.name.Local, w.name.Space, w.name.Local, path)
	}
	if err := m.attrs(w, g, path); err != nil {
		return err
	}
	if len(w.kids) == 1 && w.kids[0].name.Local == "" && strings.TrimSpace(w.kids[0].text) == "{*}" {
		return nil
	}
	for i := range min(len(w.kids), len(g.kids)) {
		if err := m.node(w.kids[i], g.kids[i], path); err != nil {
			return err
		}
	}
	if len(w.kids) != len(g.kids) {
		return fmt.Errorf("%d pieces of content in %s, want %d", len(g.kids), path, len(w.kids))
	}
	return nil
}

func (m matcher) attrs(w, g *node, path string) error {
	for name, want := range w.attrs {
		got, ok := g.attrs[name]
		if !ok {
			return fmt.Errorf("attribute %s of %s is missing", name.Local, path)
		}
		if err := m.value("attribute "+name.Local+" of "+path, want, got); err != nil {
			return err
		}
	}
	for name, got := range g.attrs {
		if _, ok := w.attrs[name]; !ok {
			return fmt.Errorf("attribute %s=%q of %s is unexpected", name.Local, got, path)
		}
	}
	return nil
}

// value compares a value with one that may have captures.
func (m matcher) value(what, want, got string) error {
	if wild(want) || want == got {
		return nil
	}
	refs := captureName.FindAllStringIndex(want, -1)
	if refs == nil {
		return fmt.Errorf("%s is %q, want %q", what, got, want)
	}
	pattern, at := "^", 0
	var names []string
	for _, r := range refs {
		pattern += regexp.QuoteMeta(want[at:r[0]])
		at = r[1]
		name := want[r[0]+2 : r[1]-1]
		if v, ok := m.captures[name]; ok {
			pattern += regexp.QuoteMeta(v)
			continue
		}
		pattern += "(?s:(.+?))"
		names = append(names, name)
	}
	found := regexp.MustCompile(pattern + regexp.QuoteMeta(want[at:]) + "$").FindStringSubmatch(got)
	if found == nil {
		return fmt.Errorf("%s is %q, want %q with %v", what, got, want, m.captures)
	}
	for i, name := range names {
		m.captures[name] = found[i+1]
	}
	return nil
}
