package mux

import (
	"strings"

	"github.com/propolis-im/propolis/internal/xmlscan"
)

// charData is the value of verified character data, given as written: references
// are replaced, CDATA sections are what is in them, and line ends are one
// character (XML 1.0 §2.4, §2.7, §2.11). It is empty if there is an element in it.
func charData(s string) string {
	if !strings.ContainsAny(s, "&<\r") {
		return s
	}
	b := make([]byte, 0, len(s))
	for s != "" {
		switch {
		case strings.HasPrefix(s, cdata):
			var in string
			in, s, _ = strings.Cut(s[len(cdata):], "]]>")
			b = appendLines(b, in)
		case s[0] == '<':
			return ""
		case s[0] == '&':
			n := strings.IndexByte(s, ';') + 1
			if n == 0 {
				n = len(s)
			}
			b = xmlscan.AppendUnescaped(b, []byte(s[:n]))
			s = s[n:]
		default:
			n := strings.IndexAny(s, "&<")
			if n < 0 {
				n = len(s)
			}
			b = appendLines(b, s[:n])
			s = s[n:]
		}
	}
	return string(b)
}

const cdata = "<![CDATA["

func appendLines(b []byte, s string) []byte {
	for {
		n := strings.IndexByte(s, '\r')
		if n < 0 {
			return append(b, s...)
		}
		b = append(append(b, s[:n]...), '\n')
		s = strings.TrimPrefix(s[n+1:], "\n")
	}
}
