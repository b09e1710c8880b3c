package xmlscan

import "unicode/utf8"

// outside looks at the first byte of a top-level item.
func (s *Scanner) outside(b []byte) Kind {
	c := b[s.pos]
	if c == '<' && s.phase != phaseClosed {
		s.markup = s.pos
		s.pos++
		s.st = stLess
		return None
	}
	behindDecl := s.pos > 0
	if isSpace(c) && (behindDecl || !s.framed) {
		for s.pos < len(b) && isSpace(b[s.pos]) {
			s.pos++
		}
		if s.phase == phaseStart {
			s.phase = phaseProlog
		}
		if behindDecl { // part of what follows
			return None
		}
		return Space
	}
	s.stray(b)
	return None
}

// stray refuses what is neither markup nor white space outside the elements.
func (s *Scanner) stray(b []byte) {
	c := b[s.pos]
	if c >= utf8.RuneSelf {
		end, ok := s.char(b, s.pos)
		if !ok {
			return
		}
		if string(b[s.pos:end]) == "\uFEFF" {
			s.fail(ByteOrderMark, s.pos)
			return
		}
	} else if !legalChar(rune(c)) {
		s.fail(IllegalChar, s.pos)
		return
	}
	s.fail(s.strayReason(), s.pos)
}

func (s *Scanner) strayReason() Reason {
	switch {
	case s.phase == phaseClosed:
		return AfterClose
	case s.framed || s.phase == phaseStream:
		return TextBetween
	default:
		return TextBeforeRoot
	}
}

// text runs through character data up to the next markup or reference.
func (s *Scanner) text(b []byte) {
	pos := s.pos
	if len(s.frames) == 1 && !s.hasText {
		for pos < len(b) && isSpace(b[pos]) {
			pos++
		}
		s.hasText = pos < len(b) && b[pos] != '<' && b[pos] != '&'
	}
	for pos < len(b) {
		c := b[pos]
		if class[c]&cTextStop == 0 {
			pos++
			continue
		}
		switch {
		case c == '<':
			s.markup, s.pos, s.st = pos, pos+1, stLess
			return
		case c == '&':
			s.pos = pos
			s.ampersand()
			return
		case c == '>':
			// XML 1.0 §2.4. What precedes text in an element ends in > or ;, so the
			// look back never leaves the text.
			if b[pos-1] == ']' && b[pos-2] == ']' {
				s.fail(BareCDATAEnd, pos)
				return
			}
			pos++
		case c >= utf8.RuneSelf:
			next, ok := s.char(b, pos)
			if !ok {
				s.pos = pos
				return
			}
			pos = next
		default:
			s.fail(IllegalChar, pos)
			return
		}
	}
	s.pos = pos
}

// cdata runs through a CDATA section (XML 1.0 §2.7).
func (s *Scanner) cdata(b []byte) {
	pos := s.pos
	for pos < len(b) {
		c := b[pos]
		if class[c]&cCDATAStop == 0 {
			pos++
			continue
		}
		switch {
		case c == '>':
			pos++
			// The section starts with [, so the look back never leaves it.
			if b[pos-2] == ']' && b[pos-3] == ']' {
				s.pos, s.st = pos, stText
				s.noteText(b[s.mark : pos-3])
				return
			}
		case c >= utf8.RuneSelf:
			next, ok := s.char(b, pos)
			if !ok {
				s.pos = pos
				return
			}
			pos = next
		default:
			s.fail(IllegalChar, pos)
			return
		}
	}
	s.pos = pos
}

// noteText remembers whether the first-level element has text of its own.
func (s *Scanner) noteText(data []byte) {
	if s.hasText || len(s.frames) != 1 {
		return
	}
	for _, c := range data {
		if !isSpace(c) {
			s.hasText = true
			return
		}
	}
}

// ampersand starts a reference at s.pos.
func (s *Scanner) ampersand() {
	s.ret = s.st
	s.pos++
	s.refMark, s.refValue = s.pos, 0
	s.st = stRef
}

// reference runs through what follows an ampersand (XML 1.0 §4.1). Entities
// other than the predefined ones are restricted (RFC 6120 §11.1).
func (s *Scanner) reference(b []byte) {
	for s.pos < len(b) {
		c := b[s.pos]
		switch s.st {
		case stRef:
			if c == '#' {
				s.st = stRefNum
				break
			}
			if !s.nameChar(b, true) {
				return
			}
			s.st = stRefName
			continue
		case stRefName:
			if c == ';' {
				s.entity(b[s.refMark:s.pos])
				return
			}
			if !s.nameChar(b, false) {
				return
			}
			continue
		case stRefNum:
			if c == 'x' {
				s.st = stRefHex
				break
			}
			if !s.digit(c, 10) {
				return
			}
			s.st = stRefDec
		case stRefHex:
			if !s.digit(c, 16) {
				return
			}
			s.st = stRefDigit
		case stRefDec, stRefDigit:
			if c == ';' {
				s.charRef()
				return
			}
			base := int32(10)
			if s.st == stRefDigit {
				base = 16
			}
			if !s.digit(c, base) {
				return
			}
		}
		s.pos++
	}
}

// nameChar steps over a character of an entity's name.
func (s *Scanner) nameChar(b []byte, start bool) bool {
	c := b[s.pos]
	if c < utf8.RuneSelf {
		if !isNameRune(rune(c), start) {
			s.fail(BadReference, s.pos)
			return false
		}
		s.pos++
		return true
	}
	next, ok := s.char(b, s.pos)
	if !ok {
		return false
	}
	if r, _ := utf8.DecodeRune(b[s.pos:]); !isNameRune(r, start) {
		s.fail(BadReference, s.pos)
		return false
	}
	s.pos = next
	return true
}

func (s *Scanner) digit(c byte, base int32) bool {
	v := digitValue(c)
	if v >= base {
		s.fail(BadReference, s.pos)
		return false
	}
	s.refValue = min(s.refValue*base+v, utf8.MaxRune+1)
	return true
}

func digitValue(c byte) int32 {
	switch {
	case '0' <= c && c <= '9':
		return int32(c - '0')
	case 'a' <= c && c <= 'f':
		return int32(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int32(c-'A') + 10
	}
	return 16
}

func (s *Scanner) entity(name []byte) {
	switch string(name) {
	case "lt", "gt", "amp", "apos", "quot":
		s.endReference(false)
	default:
		s.fail(EntityRef, s.refMark)
	}
}

func (s *Scanner) charRef() {
	r := s.refValue
	if !utf8.ValidRune(r) || !legalChar(r) {
		s.fail(IllegalChar, s.refMark)
		return
	}
	s.endReference(r < utf8.RuneSelf && isSpace(byte(r)))
}

func (s *Scanner) endReference(space bool) {
	s.pos++
	s.st = s.ret
	if !space && s.ret == stText && len(s.frames) == 1 {
		s.hasText = true
	}
}
