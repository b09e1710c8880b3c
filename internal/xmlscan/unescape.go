package xmlscan

import (
	"bytes"
	"unicode/utf8"
)

// AppendUnescaped appends the value of an attribute that the scanner accepted,
// given what stands between its quotes: references are replaced (XML 1.0 §4.4)
// and line breaks and tabs become spaces (§2.11, §3.3.3).
func AppendUnescaped(dst, src []byte) []byte {
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '\r':
			if i+1 < len(src) && src[i+1] == '\n' {
				i++
			}
			dst = append(dst, ' ')
		case '\n', '\t':
			dst = append(dst, ' ')
		case '&':
			n := bytes.IndexByte(src[i:], ';')
			if n < 0 {
				return append(dst, src[i:]...)
			}
			dst = appendReference(dst, src[i+1:i+n])
			i += n
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendReference appends what &ref; stands for.
func appendReference(dst, ref []byte) []byte {
	switch string(ref) {
	case "lt":
		return append(dst, '<')
	case "gt":
		return append(dst, '>')
	case "amp":
		return append(dst, '&')
	case "apos":
		return append(dst, '\'')
	case "quot":
		return append(dst, '"')
	}
	digits, base := bytes.TrimPrefix(ref, []byte("#")), int32(10)
	if len(digits) > 0 && digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	var r int32
	for _, c := range digits {
		r = min(r*base+digitValue(c), utf8.MaxRune+1)
	}
	return utf8.AppendRune(dst, r)
}
