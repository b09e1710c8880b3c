package xmlscan

import "unicode/utf8"

// less looks at the byte after <.
func (s *Scanner) less(b []byte) {
	switch c := b[s.pos]; {
	case c == '/':
		if len(s.frames) == 0 && (s.framed || s.phase != phaseStream) {
			s.fail(Syntax, s.pos)
			return
		}
		s.pos++
		s.mark, s.st = s.pos, stEndName
	case c == '!':
		s.pos++
		s.mark, s.st = s.pos, stBang
	case c == '?':
		s.pos++
		s.mark, s.st = s.pos, stPI
	default:
		s.startElement(b)
	}
}

// startElement begins a start tag at s.pos. The limits are checked here: depth
// and number are known before the tag is.
func (s *Scanner) startElement(b []byte) {
	if !s.nameStartsAt(b, s.pos) {
		return
	}
	if len(s.frames) >= s.lim.Depth {
		s.fail(LimitDepth, s.markup)
		return
	}
	if s.elements++; s.elements > s.lim.Elements {
		s.fail(LimitElements, s.markup)
		return
	}
	s.raw, s.nAttrs = s.raw[:0], 0
	s.mark, s.colon, s.st = s.pos, -1, stTagName
}

// nameStartsAt tells whether a name may start at b[pos]; if not it fails with
// Syntax or is unfinished.
func (s *Scanner) nameStartsAt(b []byte, pos int) bool {
	c := b[pos]
	switch {
	case class[c]&cStart != 0:
		return true
	case class[c]&cName != 0 || c == ':':
		s.fail(BadName, pos)
		return false
	case c < utf8.RuneSelf:
		s.fail(Syntax, pos)
		return false
	}
	// Anything else is judged as a part of the name.
	_, ok := s.char(b, pos)
	return ok
}

const cdataOpen = "[CDATA["

// bang looks at what follows <!.
func (s *Scanner) bang(b []byte) {
	for ; s.pos < len(b); s.pos++ {
		c, i := b[s.pos], s.pos-s.mark
		switch first := b[s.mark]; {
		case first == '-' && i == 0:
		case first == '-' && c == '-':
			s.fail(Comment, s.markup)
			return
		case first == '[' && c == cdataOpen[i]:
			if i == len(cdataOpen)-1 {
				s.openCDATA()
				return
			}
		case i == 0:
			s.fail(DTD, s.markup)
			return
		default:
			s.fail(Syntax, s.pos)
			return
		}
	}
}

func (s *Scanner) openCDATA() {
	if len(s.frames) == 0 {
		s.fail(s.strayReason(), s.markup)
		return
	}
	s.pos++
	s.mark, s.st = s.pos, stCDATA
}

// instruction looks at what follows <?: nothing but an XML declaration at the
// very start of a stream may (RFC 6120 §11.1, §11.5).
func (s *Scanner) instruction(b []byte) {
	const target = "xml"
	for ; s.pos < len(b); s.pos++ {
		c, i := b[s.pos], s.pos-s.mark
		switch {
		case i < len(target) && c == target[i]:
			continue
		case i == 0 && class[c]&cStart == 0 && c < utf8.RuneSelf:
			s.fail(Syntax, s.pos)
		case i < len(target) || class[c]&cName != 0 || c == ':' || c >= utf8.RuneSelf:
			s.fail(ProcInst, s.markup)
		case s.phase != phaseStart || s.markup != 0:
			s.fail(MisplacedDecl, s.markup)
		case !isSpace(c):
			s.fail(BadDecl, s.pos)
		default:
			s.st = stDecl
		}
		return
	}
}

// declaration looks for the end of the XML declaration.
func (s *Scanner) declaration(b []byte) {
	for ; s.pos < len(b); s.pos++ {
		switch c := b[s.pos]; {
		case c == '>' && b[s.pos-1] == '?':
			if reason := checkDecl(b[s.mark+len("xml") : s.pos-1]); reason != Unspecified {
				s.fail(reason, s.markup)
				return
			}
			s.pos++
			s.phase, s.st = phaseProlog, stOutside
			return
		case c >= utf8.RuneSelf:
			if _, ok := s.char(b, s.pos); ok {
				s.fail(BadDecl, s.pos)
			}
			return
		case c == '<' || c == '>' || !legalChar(rune(c)):
			s.fail(BadDecl, s.pos)
			return
		}
	}
}

// endTag compares an end tag with the start tag, or at the top with that of
// the stream.
func (s *Scanner) endTag(b []byte) Kind {
	if s.st == stEndName {
		var whole bool
		if n := len(s.frames); n > 0 {
			name := s.frames[n-1].name
			whole = matchEnd(s, b, b[name.off:name.end])
		} else {
			whole = matchEnd(s, b, s.ctx.root)
		}
		if !whole {
			return None
		}
		s.mark, s.st = s.pos, stEndSpace
	}
	for ; s.pos < len(b); s.pos++ {
		c := b[s.pos]
		switch {
		case c == '>':
			s.pos++
			if len(s.frames) == 0 {
				s.phase = phaseClosed
				return Close
			}
			return s.closeElement(s.markup)
		case isSpace(c):
		case s.pos == s.mark:
			s.mismatch(b)
			return None
		default:
			s.fail(Syntax, s.pos)
			return None
		}
	}
	return None
}

// matchEnd compares the bytes from s.mark on with the name expected there, from
// s.pos on, and tells whether all of it was there.
func matchEnd[T string | []byte](s *Scanner, b []byte, want T) bool {
	for i := s.pos - s.mark; i < len(want); i++ {
		if s.pos == len(b) {
			return false
		}
		if b[s.pos] != want[i] {
			s.mismatch(b)
			return false
		}
		s.pos++
	}
	return true
}

// mismatch refuses the end tag that differs at s.pos; ill-formed UTF-8 there
// is the graver fault.
func (s *Scanner) mismatch(b []byte) {
	pos := s.pos
	for pos > s.markup && b[pos]&0xC0 == 0x80 && b[pos-1] >= utf8.RuneSelf {
		pos--
	}
	if b[pos] >= utf8.RuneSelf {
		if _, ok := s.char(b, pos); !ok {
			return
		}
	}
	s.fail(TagMismatch, s.pos)
}
