package xmlscan

import "bytes"

// frame is an open element.
type frame struct {
	name   rawName
	nsBase int32 // declarations in scope outside it
	def    int32 // default namespace: index of the binding, -1 for that of the header
}

// binding is a namespace declaration in scope. prefix is empty for the default.
type binding struct {
	prefix  Span
	space   Span
	from    SpaceFrom
	content bool
}

// endStartTag judges the start tag that ends at s.pos.
func (s *Scanner) endStartTag(b []byte, empty bool) Kind {
	f := frame{name: s.elem, nsBase: int32(len(s.ns)), def: -1}
	if n := len(s.frames); n > 0 {
		f.def = s.frames[n-1].def
	}
	if len(s.raw) > 0 && !(s.duplicateFree(b) && s.declare(b, &f)) {
		return None
	}
	name, ok := s.elementName(b, f)
	if !ok || len(s.raw) > 0 && !s.attributeNames(b) {
		return None
	}
	tag := Span{int32(s.markup), int32(s.pos)}
	switch len(s.frames) {
	case 0:
		s.name, s.start = name, tag
		s.setViews(b)
		if s.ctx == nil {
			return s.header(b, empty)
		}
		s.phase = phaseStream
	case 1:
		s.children = append(s.children, Child{Name: name, Span: tag, StartTag: tag})
	}
	s.frames = append(s.frames, f)
	if empty {
		return s.closeElement(s.pos)
	}
	s.st = stText
	return None
}

// closeElement ends the innermost element, whose end tag starts at end.
func (s *Scanner) closeElement(end int) Kind {
	n := len(s.frames) - 1
	s.ns = s.ns[:s.frames[n].nsBase]
	s.frames = s.frames[:n]
	s.st = stText
	switch n {
	case 0:
		s.content = Span{s.start.End, int32(end)}
		return Element
	case 1:
		s.children[len(s.children)-1].Span.End = int32(s.pos)
	}
	return None
}

// duplicateFree refuses attributes written twice; those that only mean the same
// are found once their namespaces are known.
func (s *Scanner) duplicateFree(b []byte) bool {
	for i := 1; i < len(s.raw); i++ {
		n := s.raw[i].name
		for j := range i {
			m := s.raw[j].name
			if n.end-n.off == m.end-m.off && bytes.Equal(b[n.off:n.end], b[m.off:m.end]) {
				s.fail(DuplicateAttr, int(n.off))
				return false
			}
		}
	}
	return true
}

// declare puts the declarations of the tag into scope.
func (s *Scanner) declare(b []byte, f *frame) bool {
	inherited := f.def
	for i := range s.raw {
		a := &s.raw[i]
		if !a.decl {
			continue
		}
		d := binding{space: a.value, from: FromHere}
		if a.escaped && !s.unescapeSpace(b, a, &d) {
			return false
		}
		space := s.spaceIn(b, Name{Space: d.space, From: d.from})
		d.content = isContent(space)
		if a.name.colon < 0 {
			d.prefix = Span{a.name.off, a.name.off}
			if len(space) == 0 {
				d.from = FromNone
			}
			f.def = int32(len(s.ns))
		} else {
			d.prefix = Span{a.name.colon + 1, a.name.end}
		}
		if r := checkBinding(d.prefix.Of(b), space, a.name.colon >= 0); r != Unspecified {
			s.fail(r, int(a.name.off))
			return false
		}
		if d.content && s.misplacedContent(space, a.name.colon >= 0, inherited) {
			s.flags |= FlagContentNS
		}
		s.ns = append(s.ns, d)
	}
	return true
}

// unescapeSpace resolves references in a namespace name.
func (s *Scanner) unescapeSpace(b []byte, a *rawAttr, d *binding) bool {
	if bytes.ContainsAny(a.value.Of(b), "\t\n\r") {
		s.fail(BadNamespaceName, int(a.name.off))
		return false
	}
	off := int32(len(s.side))
	s.side = AppendUnescaped(s.side, a.value.Of(b))
	d.space, d.from = Span{off, int32(len(s.side))}, FromSide
	s.flags |= FlagSide
	return true
}

// checkBinding enforces Namespaces in XML §3 and §5.
func checkBinding(prefix, space []byte, prefixed bool) Reason {
	switch string(space) {
	case "":
		if prefixed {
			return EmptyPrefix
		}
	case nsXML:
		if string(prefix) != "xml" {
			return ReservedBinding
		}
		return Unspecified
	case nsXMLNS, "xml", "xmlns":
		return ReservedBinding
	}
	if p := string(prefix); p == "xml" || p == "xmlns" {
		return ReservedBinding
	}
	return Unspecified
}

// misplacedContent tells whether the declaration of a content namespace has to
// be rewritten (core-im XS-14).
func (s *Scanner) misplacedContent(space []byte, prefixed bool, inherited int32) bool {
	switch {
	case prefixed:
		return true
	case len(s.frames) == 0:
		return s.ctx != nil && string(space) != s.ctx.own()
	case s.defaultIsContent(inherited):
		return true
	default:
		return string(space) != nsClient
	}
}

func (s *Scanner) defaultIsContent(def int32) bool {
	if def >= 0 {
		return s.ns[def].content
	}
	return s.ctx != nil && s.ctx.bindings[0].content
}

// elementName resolves the name of the start tag (Namespaces in XML §6.2).
func (s *Scanner) elementName(b []byte, f frame) (Name, bool) {
	n := Name{Local: s.elem.local(), Prefix: s.elem.prefix()}
	if isXMLNS(b, n.Local) {
		s.fail(ReservedName, int(s.elem.off))
		return n, false
	}
	switch {
	case s.elem.colon >= 0:
		var ok bool
		n.Space, n.From, ok = s.lookup(b, n.Prefix)
		return n, ok
	case f.def >= 0:
		n.Space, n.From = s.ns[f.def].space, s.ns[f.def].from
	case s.ctx != nil && s.ctx.bindings[0].space != "":
		n.From = FromHeader
		if !s.ctx.bindings[0].content {
			s.flags |= FlagHeaderPrefix
		}
	}
	return n, true
}

func isXMLNS(b []byte, local Span) bool {
	return b[local.Off] == 'x' && string(local.Of(b)) == "xmlns"
}

// lookup finds what a prefix is bound to.
func (s *Scanner) lookup(b []byte, prefix Span) (Span, SpaceFrom, bool) {
	p := prefix.Of(b)
	if string(p) == "xml" {
		return Span{Off: xmlBinding}, FromHeader, true
	}
	for i := len(s.ns) - 1; i >= 0; i-- {
		d := &s.ns[i]
		if bytes.Equal(p, d.prefix.Of(b)) {
			return d.space, d.from, true
		}
	}
	switch {
	case string(p) == "xmlns":
		s.fail(ReservedName, int(prefix.Off))
		return Span{}, FromNone, false
	case s.ctx != nil:
		for i := 1; i < len(s.ctx.bindings); i++ {
			d := &s.ctx.bindings[i]
			if string(p) != d.prefix {
				continue
			}
			if d.content {
				s.flags |= FlagContentNS
			} else {
				s.flags |= FlagHeaderPrefix
			}
			return Span{Off: int32(i)}, FromHeader, true
		}
	}
	s.fail(UndeclaredPrefix, int(prefix.Off))
	return Span{}, FromNone, false
}

// attributeNames resolves the prefixes of the attributes and compares their
// expanded names (Namespaces in XML §6.3).
func (s *Scanner) attributeNames(b []byte) bool {
	for i := range s.raw {
		a := &s.raw[i]
		if a.decl {
			continue
		}
		if a.name.colon < 0 {
			a.from = FromNone
			continue
		}
		var ok bool
		if a.space, a.from, ok = s.lookup(b, a.name.prefix()); !ok {
			return false
		}
		space := s.spaceIn(b, Name{Space: a.space, From: a.from})
		switch {
		case isXMLNS(b, a.name.local()):
			s.fail(ReservedName, int(a.name.off))
			return false
		case isContent(space):
			s.fail(ContentAttr, int(a.name.off))
			return false
		}
		local := a.name.local().Of(b)
		for _, o := range s.raw[:i] {
			if !o.decl && o.name.colon >= 0 && bytes.Equal(local, o.name.local().Of(b)) &&
				bytes.Equal(space, s.spaceIn(b, Name{Space: o.space, From: o.from})) {
				s.fail(DuplicateAttr, int(a.name.off))
				return false
			}
		}
	}
	return true
}

// setViews fills what callers see of the top-level start tag.
func (s *Scanner) setViews(b []byte) {
	for i := range s.raw {
		a := &s.raw[i]
		if a.decl {
			d := Decl{Value: a.value, Escaped: a.escaped, Prefix: Span{a.name.end, a.name.end}}
			if a.name.colon >= 0 {
				d.Prefix = a.name.local()
			}
			s.decls = append(s.decls, d)
			continue
		}
		name := Name{Local: a.name.local(), Prefix: a.name.prefix(), Space: a.space, From: a.from}
		s.attrs = append(s.attrs, Attr{Name: name, Value: a.value, Escaped: a.escaped})
	}
}
