package xmlscan

import "unicode/utf8"

// rawName is a qualified name as written: b[off:end], colon behind the prefix
// or -1.
type rawName struct{ off, colon, end int32 }

func (n rawName) prefix() Span {
	if n.colon < 0 {
		return Span{n.off, n.off}
	}
	return Span{n.off, n.colon}
}

func (n rawName) local() Span { return Span{n.colonEnd(), n.end} }

func (n rawName) colonEnd() int32 {
	if n.colon < 0 {
		return n.off
	}
	return n.colon + 1
}

// rawAttr is an attribute of the start tag under way.
type rawAttr struct {
	name    rawName
	value   Span
	space   Span // of a prefixed attribute, once the tag is complete
	from    SpaceFrom
	escaped bool
	decl    bool
}

// tag runs through a start tag. The position is kept in a local variable; the
// rest of the state stays in the scanner, so that it can stop anywhere.
func (s *Scanner) tag(b []byte) Kind {
	pos := s.pos
	for pos < len(b) {
		c := b[pos]
		switch s.st {
		case stTagName:
			end, ok := s.readName(b, pos)
			if pos = end; !ok {
				s.pos = pos
				return None
			}
			s.elem = rawName{int32(s.mark), int32(s.colon), int32(pos)}
			s.st = stTagGap
			continue
		case stTagGap:
			switch {
			case isSpace(c):
				s.st = stTagSpace
			case c == '>':
				s.pos = pos + 1
				return s.endStartTag(b, false)
			case c == '/':
				s.st = stTagSlash
			default:
				s.pos = pos
				s.gapError(b)
				return None
			}
		case stTagSpace:
			switch {
			case class[c]&cStart != 0:
				s.mark, s.colon, s.st = pos, -1, stAttrName
				continue
			case isSpace(c):
			case c == '>':
				s.pos = pos + 1
				return s.endStartTag(b, false)
			case c == '/':
				s.st = stTagSlash
			default:
				s.pos = pos
				if !s.nameStartsAt(b, pos) {
					return None
				}
				s.mark, s.colon, s.st = pos, -1, stAttrName
				continue
			}
		case stAttrName:
			end, ok := s.readName(b, pos)
			if pos = end; !ok || !s.addAttr(b, pos) {
				s.pos = pos
				return None
			}
			s.st = stAttrEq
			continue
		case stAttrEq:
			switch {
			case c == '=':
				s.st = stAttrOpen
			case !isSpace(c):
				s.fail(Syntax, pos)
				return None
			}
		case stAttrOpen:
			switch {
			case c == '\'' || c == '"':
				s.quote, s.escaped = c, false
				s.mark, s.st = pos+1, stAttrVal
			case !isSpace(c):
				s.fail(Syntax, pos)
				return None
			}
		case stAttrVal:
			end, ok := s.attrValue(b, pos)
			if pos = end; !ok {
				s.pos = pos
				return None
			}
			a := &s.raw[len(s.raw)-1]
			a.value, a.escaped = Span{int32(s.mark), int32(pos)}, s.escaped
			s.st = stTagGap
		case stTagSlash:
			if c != '>' {
				s.fail(Syntax, pos)
				return None
			}
			s.pos = pos + 1
			return s.endStartTag(b, true)
		}
		pos++
	}
	s.pos = pos
	return None
}

// gapError refuses what follows a name or value without white space.
func (s *Scanner) gapError(b []byte) {
	if c := b[s.pos]; len(s.raw) > 0 && (class[c]&cStart != 0 || c == ':') {
		s.fail(NoSpace, s.pos)
		return
	}
	if b[s.pos] >= utf8.RuneSelf {
		if _, ok := s.char(b, s.pos); !ok {
			return
		}
		if len(s.raw) > 0 {
			s.fail(NoSpace, s.pos)
			return
		}
	}
	s.fail(Syntax, s.pos)
}

// readName runs through a qualified name from pos on (Namespaces in XML §4)
// and tells whether its end is in b.
func (s *Scanner) readName(b []byte, pos int) (int, bool) {
	var reason Reason
	for pos < len(b) {
		c := b[pos]
		// Whether a part of the name starts here; no name starts at -1+1.
		part := pos == s.mark || pos == s.colon+1
		switch {
		case class[c]&cName != 0:
			if part && class[c]&cStart == 0 {
				reason = BadName
				break
			}
			for pos < len(b) && class[b[pos]]&cName != 0 {
				pos++
			}
			continue
		case c == ':':
			if part || s.colon >= 0 {
				reason = BadName
				break
			}
			s.colon = pos
			pos++
			continue
		case c >= utf8.RuneSelf:
			var size int
			size, reason = legalRune(b[pos:])
			if size > 0 {
				if r, _ := utf8.DecodeRune(b[pos:]); isNameRune(r, part) {
					pos += size
					continue
				}
				reason = BadName
			}
		case part:
			reason = BadName // ends with a colon
		}
		break
	}
	switch {
	case pos-s.mark > s.lim.NameBytes:
		s.fail(LimitName, s.mark+s.lim.NameBytes)
		return pos, false
	case reason != Unspecified:
		s.fail(reason, pos)
		return pos, false
	}
	return pos, pos < len(b) && b[pos] < utf8.RuneSelf
}

// addAttr notes the attribute whose name ends at end and counts it.
func (s *Scanner) addAttr(b []byte, end int) bool {
	name := rawName{int32(s.mark), int32(s.colon), int32(end)}
	decl := b[s.mark] == 'x' && isDecl(b, name)
	if decl {
		if len(s.ns)+len(s.raw)-s.nAttrs+s.ctx.size() >= s.lim.Namespaces {
			s.fail(LimitNamespaces, s.mark)
			return false
		}
	} else if s.nAttrs++; s.nAttrs > s.lim.Attrs {
		s.fail(LimitAttrs, s.mark)
		return false
	}
	s.raw = append(s.raw, rawAttr{name: name, decl: decl})
	return true
}

func isDecl(b []byte, n rawName) bool {
	if n.colon < 0 {
		return string(b[n.off:n.end]) == "xmlns"
	}
	return string(b[n.off:n.colon]) == "xmlns"
}

// attrValue runs through an attribute value from pos on; true if it stopped at
// the closing quote.
func (s *Scanner) attrValue(b []byte, pos int) (int, bool) {
	for pos < len(b) {
		c := b[pos]
		if class[c]&cAttrStop == 0 {
			pos++
			continue
		}
		switch {
		case c == s.quote:
			return pos, true
		case c == '"' || c == '\'':
			pos++
		case c == '&':
			s.escaped = true
			s.pos = pos
			s.ampersand()
			return s.pos, false
		case isSpace(c):
			s.escaped = true // XML 1.0 §3.3.3
			pos++
		case c == '<':
			s.fail(LessThanInAttr, pos)
			return pos, false
		case c >= utf8.RuneSelf:
			next, ok := s.char(b, pos)
			if !ok {
				return pos, false
			}
			pos = next
		default:
			s.fail(IllegalChar, pos)
			return pos, false
		}
	}
	return pos, false
}
