package xmlscan

import (
	"unicode"
	"unicode/utf8"
)

// Classes of single bytes. The stop classes hold what ends a run of bytes that
// need no thought.
const (
	cSpace     = 1 << iota // XML 1.0 §2.3 S
	cStart                 // ASCII that may start an NCName
	cName                  // ASCII that may go on in an NCName
	cTextStop              // < & > and bytes that are no legal ASCII character
	cAttrStop              // < & quotes, \t \n \r and bytes that are no legal ASCII character
	cCDATAStop             // > and bytes that are no legal ASCII character
)

var class = makeClass()

func makeClass() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		switch {
		case c == ' ', c == '\t', c == '\n', c == '\r':
			t[i] |= cSpace
			if c != ' ' {
				t[i] |= cAttrStop
			}
		case c < ' ', c >= utf8.RuneSelf:
			t[i] |= cTextStop | cAttrStop | cCDATAStop
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			t[i] |= cStart | cName
		case '0' <= c && c <= '9', c == '-', c == '.':
			t[i] |= cName
		case c == '<', c == '&':
			t[i] |= cTextStop | cAttrStop
		case c == '>':
			t[i] |= cTextStop | cCDATAStop
		case c == '"', c == '\'':
			t[i] |= cAttrStop
		}
	}
	return t
}

func isSpace(c byte) bool { return class[c]&cSpace != 0 }

// legalChar is the production Char of XML 1.0 §2.2 for what UTF-8 can encode.
func legalChar(r rune) bool {
	return r >= ' ' && r != 0xFFFE && r != 0xFFFF || r == '\t' || r == '\n' || r == '\r'
}

// isNameRune tells whether r may stand in an NCName, start whether as its
// first character.
func isNameRune(r rune, start bool) bool {
	if r < utf8.RuneSelf {
		if start {
			return class[byte(r)]&cStart != 0
		}
		return class[byte(r)]&cName != 0
	}
	return unicode.Is(nameStart, r) || !start && unicode.Is(nameMore, r)
}

// ValidNCName tells whether s is a name without a prefix as the scanner
// accepts it (Namespaces in XML §4), of any length.
func ValidNCName(s string) bool {
	for i, r := range s {
		if r == utf8.RuneError || !isNameRune(r, i == 0) {
			return false
		}
	}
	return s != ""
}

// legalRune measures the character at b[0], which is not ASCII. It returns the
// size and Unspecified, or 0 and Unspecified if more bytes are needed to tell,
// or the reason to refuse it.
func legalRune(b []byte) (int, Reason) {
	if len(b) > 1 && 0xC2 <= b[0] && b[0] <= 0xDF && b[1]&0xC0 == 0x80 {
		return 2, Unspecified
	}
	if !utf8.FullRune(b) {
		return 0, Unspecified
	}
	r, size := utf8.DecodeRune(b)
	switch {
	case r == utf8.RuneError && size == 1:
		return 0, BadUTF8
	case !legalChar(r):
		return 0, IllegalChar
	}
	return size, Unspecified
}
