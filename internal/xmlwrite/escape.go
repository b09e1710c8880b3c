// Package xmlwrite writes the XML that goes out to XMPP peers.
//
// What it appends is always well-formed by itself and passes package xmlscan:
// whatever a string from above contains, it cannot end an element early, bring
// in markup, or make a peer close its stream (RFC 6120 §11.1, §11.3).
//
//	b, err = xmlwrite.AppendTokens(b, roster.IQ{}.TokenReader(), "jabber:client")
//
// Security notes. [AppendText] and [AppendAttrValue] only escape: characters
// that XML has no form for must be kept out by [ValidText], at the border where
// the string enters. [AppendTokens] checks everything and appends nothing on
// an error.
package xmlwrite

import "unicode/utf8"

const (
	inText = 1 << iota // must be escaped in text
	inAttr             // must be escaped in an attribute value
)

var escapes = makeEscapes()

func makeEscapes() (t [256]uint8) {
	for _, c := range []byte("&<>\r") {
		t[c] = inText | inAttr
	}
	for _, c := range []byte("'\"\t\n") {
		t[c] = inAttr
	}
	return t
}

// AppendText appends s as character data: & < > are escaped, so that neither
// markup nor ]]> comes about, and carriage return, which parsers would turn
// into a line feed (XML 1.0 §2.4, §2.11). s must be [ValidText].
func AppendText(dst []byte, s string) []byte { return appendEscaped(dst, s, inText) }

// AppendAttrValue appends s as the value of an attribute in single (or double)
// quotes, which the caller writes: & < > and quotes are escaped, and the white
// space that parsers would turn into blanks (XML 1.0 §3.3.3). s must be
// [ValidText].
func AppendAttrValue(dst []byte, s string) []byte { return appendEscaped(dst, s, inAttr) }

func appendEscaped(dst []byte, s string, where uint8) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		if escapes[s[i]]&where == 0 {
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = append(dst, escape(s[i])...)
		start = i + 1
	}
	return append(dst, s[start:]...)
}

func escape(c byte) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '\'':
		return "&apos;"
	case '"':
		return "&quot;"
	case '\t':
		return "&#x9;"
	case '\n':
		return "&#xA;"
	default:
		return "&#xD;"
	}
}

// ValidText tells whether s is UTF-8 and has only characters that XML can
// express (XML 1.0 §2.2).
func ValidText(s string) bool {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == 0xFFFE || r == 0xFFFF {
			return false
		}
		i += size
	}
	return true
}
