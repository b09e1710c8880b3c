package mux

import "strings"

// eachAttr goes through the attributes in verified start tag text, raw as
// written, up to the tag's end. It stops when f returns false.
func eachAttr(text string, f func(name, value string) bool) {
	for {
		text = skipSpace(text)
		eq := strings.IndexByte(text, '=')
		if text == "" || text[0] == '>' || text[0] == '/' || eq < 0 {
			return
		}
		name := text[:eq]
		for name != "" && isSpace(name[len(name)-1]) {
			name = name[:len(name)-1]
		}
		text = skipSpace(text[eq+1:])
		end := strings.IndexByte(text[1:], text[0]) + 1
		if !f(name, text[1:end]) {
			return
		}
		text = text[end+1:]
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func skipSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

// tagNameEnd is where the name in start tag text ends, -1 if it does not.
func tagNameEnd(tag string) int {
	for i := 0; i < len(tag); i++ {
		if c := tag[i]; isSpace(c) || c == '/' || c == '>' {
			return i
		}
	}
	return -1
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
