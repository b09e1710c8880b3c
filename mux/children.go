package mux

import (
	"encoding/xml"
	"strings"
)

// Children are the child elements of the child, in order, for looking at them. An
// error means that the child is not well-formed.
func (c Child) Children() ([]Child, error) {
	if kids, ok := c.plainChildren(); ok {
		return kids, nil
	}
	el, err := c.Element()
	if err != nil {
		return nil, err
	}
	return el.Children(), nil
}

// plainChildren finds them where the usual is all there is, elements without prefixes
// and character data, in text that was verified before.
func (c Child) plainChildren() (kids []Child, ok bool) {
	text := c.raw
	content := startTagEnd(text)
	if c.Name.Space == "" || strings.ContainsAny(c.Name.Space, `&<>'"`) || strings.Contains(c.decl, "xmlns:") || !plainTag(text[:content]) {
		return nil, false // what has to be escaped is written anew
	}
	if text[content-2] == '/' {
		return nil, content == len(text)
	}
	decl := ""
	if c.Name.Space != NSClient {
		decl = declOf(c.Name.Space)
	}
	kids = make([]Child, 0, min(4, max(0, strings.Count(text, "<")-2))) // without our own tags
	begin, at := 0, content
	for depth := 1; depth > 0; {
		next := strings.IndexByte(text[at:], '<')
		if next < 0 || at+next+1 == len(text) {
			return nil, false
		}
		tag := at + next
		at = tag + startTagEnd(text[tag:])
		switch text[tag+1] {
		case '!', '?':
			return nil, false
		case '/':
			depth--
		default:
			if depth == 1 {
				if !plainTag(text[tag:at]) {
					return nil, false
				}
				begin = tag
				kids = append(kids, Child{Name: plainName(text[tag:at], c.Name.Space), decl: decl, off: tag - content})
			}
			if text[at-2] != '/' {
				depth++
			} else if depth > 1 {
				continue
			}
		}
		if depth == 1 { // a child of ours ends here
			kids[len(kids)-1].raw = text[begin:at]
		}
	}
	return kids, at == len(text)
}

// plainTag reports whether a start tag has no prefixes of namespaces.
func plainTag(tag string) bool {
	end := tagNameEnd(tag)
	if end < 2 || strings.IndexByte(tag[:end], ':') >= 0 {
		return false
	}
	return !strings.Contains(tag[end:], "xmlns:")
}

// plainName is the name in a start tag without prefixes, where that is the default
// namespace.
func plainName(tag, space string) xml.Name {
	end := tagNameEnd(tag)
	if own, ok := rawAttr(tag[end:], "xmlns"); ok {
		space = unescape(own)
	}
	switch space {
	case "jabber:server", "jabber:component:accept":
		space = NSClient
	}
	return xml.Name{Space: space, Local: tag[1:end]}
}
