package mux

import "strings"

// eachAttr goes through the attributes in verified start tag text, raw as
// written, up to the tag's end. It stops when f returns false.
func eachAttr(text string, f func(name, value string) bool) {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		eq := strings.IndexByte(text, '=')
		if text == "" || text[0] == '>' || text[0] == '/' || eq < 0 {
			return
		}
		name := strings.TrimRight(text[:eq], " \t\r\n")
		text = strings.TrimLeft(text[eq+1:], " \t\r\n")
		end := strings.IndexByte(text[1:], text[0]) + 1
		if !f(name, text[1:end]) {
			return
		}
		text = text[end+1:]
	}
}

// rawAttr is the value as written.
func rawAttr(text, name string) (value string, ok bool) {
	eachAttr(text, func(n, v string) bool {
		if n == name {
			value, ok = v, true
		}
		return !ok
	})
	return value, ok
}

func findAttr(text, local string) string {
	v, ok := rawAttr(text, local)
	if !ok {
		return ""
	}
	return unescape(v)
}

// nsDecls picks the namespace declarations out of start tag text, that of the
// default first.
func nsDecls(attrs string) string {
	if !strings.Contains(attrs, "xmlns") {
		return ""
	}
	var b strings.Builder
	if value, ok := rawAttr(attrs, "xmlns"); ok {
		b.WriteString(" xmlns='" + strings.ReplaceAll(value, "'", "&apos;") + "'")
	}
	eachAttr(attrs, func(name, value string) bool {
		if strings.HasPrefix(name, "xmlns:") {
			b.WriteString(" " + name + "='" + strings.ReplaceAll(value, "'", "&apos;") + "'")
		}
		return true
	})
	return b.String()
}

// startTagEnd is the offset just past the > or /> that ends a start tag.
func startTagEnd(text string) int {
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return len(text)
}
