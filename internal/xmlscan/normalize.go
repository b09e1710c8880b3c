package xmlscan

import (
	"strconv"
	"strings"
)

// AppendNormalized appends the element buf, as Next returned it from this
// scanner's stream, in a form without flags (core-im XS-14): it is for elements
// that have some, and slow.
//
//   - Prefixes that the stream header binds are declared on the top.
//   - Names in a content namespace have no prefix. They inherit it, or carry
//     xmlns='jabber:client' where what they inherit is no content namespace, as
//     inside an XEP-0297 forward; a first-level element then carries that of its
//     stream.
//   - Namespace names have no needless references. FlagSide stays if one has
//     characters that must be escaped.
//
// Names, attributes and text stay the same, content namespaces being held to
// be one. Declarations that are not touched stay even if no name uses them, as
// text may. The result may exceed the limits of the stream, by a small factor.
func (s *Scanner) AppendNormalized(dst, buf []byte) []byte {
	r := rewriter{ctx: s.ctx, in: buf}
	if r.ctx == nil {
		r.ctx = framedContext
	}
	r.used, r.hidden = make([]bool, len(r.ctx.bindings)), make([]bool, 1)
	for _, d := range r.ctx.bindings {
		r.notePrefix(d.prefix)
	}
	r.run() // to learn what has to be declared
	r.out = dst
	r.run()
	return r.out
}

// rewriter copies one verified element.
type rewriter struct {
	ctx *Context
	in  []byte
	out []byte

	stack []rewriteFrame
	ns    []rewriteBinding

	// Learnt in the first run.
	used      []bool // bindings of the header
	hidden    []bool // default declarations, that of the header first, that need a prefix as well
	maxPrefix int    // the greatest number in a prefix of the form that is generated

	defs int // default declarations so far, that of the header counted
}

type rewriteBinding struct{ prefix, space string }

// rewriteFrame is an open element. As it takes the default namespace, an
// element that had a prefix hides the default that its content relies on;
// that content is then written with a generated prefix, declared where the
// default was, so that the size stays linear.
type rewriteFrame struct {
	name       string // as written out
	nsBase     int
	sourceDef  string // default namespace in the source
	def        int    // index of its declaration
	writtenDef string // default namespace in the output
}

type rewriteAttr struct {
	name, value string // value with its quotes
}

type rewriteTag struct {
	prefix, local string
	attrs         []rewriteAttr
	empty         bool
}

func (r *rewriter) run() {
	r.stack, r.ns, r.defs = r.stack[:0], r.ns[:0], 1
	rest := string(r.in)
	if strings.HasPrefix(rest, "<?") { // XML declaration before the first framed element
		_, rest, _ = strings.Cut(rest, "?>")
		rest = strings.TrimLeft(rest, " \t\r\n")
	}
	for rest != "" {
		switch {
		case rest[0] != '<':
			n := strings.IndexByte(rest, '<')
			if n < 0 {
				n = len(rest)
			}
			r.out = append(r.out, rest[:n]...)
			rest = rest[n:]
		case strings.HasPrefix(rest, "<!"):
			n := strings.Index(rest, "]]>") + len("]]>")
			r.out = append(r.out, rest[:n]...)
			rest = rest[n:]
		case strings.HasPrefix(rest, "</"):
			r.out = append(r.out, "</"+r.pop()+">"...)
			rest = rest[strings.IndexByte(rest, '>')+1:]
		default:
			var tag rewriteTag
			tag, rest = cutTag(rest)
			r.start(tag)
		}
	}
}

func (r *rewriter) pop() string {
	f := r.stack[len(r.stack)-1]
	r.stack, r.ns = r.stack[:len(r.stack)-1], r.ns[:f.nsBase]
	return f.name
}

// cutTag splits a verified start tag off the front.
func cutTag(in string) (tag rewriteTag, rest string) {
	n := strings.IndexAny(in, " \t\r\n/>")
	tag.prefix, tag.local = cutName(in[1:n])
	for in = in[n:]; ; {
		in = strings.TrimLeft(in, " \t\r\n")
		switch in[0] {
		case '/':
			tag.empty = true
			return tag, in[2:]
		case '>':
			return tag, in[1:]
		}
		name, after, _ := strings.Cut(in, "=")
		after = strings.TrimLeft(after, " \t\r\n")
		end := strings.IndexByte(after[1:], after[0]) + 2
		tag.attrs = append(tag.attrs, rewriteAttr{strings.TrimRight(name, " \t\r\n"), after[:end]})
		in = after[end:]
	}
}

func cutName(name string) (prefix, local string) {
	if p, l, ok := strings.Cut(name, ":"); ok {
		return p, l
	}
	return "", name
}

// notePrefix keeps generated prefixes apart from those of the peer.
func (r *rewriter) notePrefix(p string) {
	if digits, ok := strings.CutPrefix(p, "d"); ok && len(digits) < 10 {
		if n, err := strconv.Atoi(digits); err == nil {
			r.maxPrefix = max(r.maxPrefix, n)
		}
	}
}

// generated returns the prefix for a default declaration.
func (r *rewriter) generated(def int) string { return "d" + strconv.Itoa(r.maxPrefix+1+def) }

// start writes a start tag.
func (r *rewriter) start(tag rewriteTag) {
	f := rewriteFrame{nsBase: len(r.ns), sourceDef: r.ctx.bindings[0].space, writtenDef: r.ctx.bindings[0].space}
	top := len(r.stack) == 0
	if !top {
		parent := r.stack[len(r.stack)-1]
		f.sourceDef, f.def, f.writtenDef = parent.sourceDef, parent.def, parent.writtenDef
	}
	declared := r.declare(tag, &f)
	if declared {
		f.def = r.defs
		if r.defs++; r.defs > len(r.hidden) {
			r.hidden = append(r.hidden, false)
		}
	} else if top && r.used[0] && f.sourceDef != "" && !isContent(f.sourceDef) {
		declared = true // that of the header, number 0
	}
	var decls []byte
	if def, ok := r.name(tag, &f, declared); ok {
		decls = appendDecl(decls, "", def)
		f.writtenDef = def
	}
	if declared && r.hidden[f.def] {
		decls = appendDecl(decls, r.generated(f.def), f.sourceDef)
	}
	if top {
		decls = r.headerDecls(decls)
	}
	for _, d := range r.ns[f.nsBase:] {
		if !isContent(d.space) {
			decls = appendDecl(decls, d.prefix, d.space)
		}
	}
	r.out = append(append(append(r.out, '<'), f.name...), decls...)
	for _, a := range tag.attrs {
		if prefix, _ := cutName(a.name); prefix == "xmlns" || a.name == "xmlns" {
			continue
		} else if prefix != "" {
			r.space(prefix)
		}
		r.out = append(append(append(append(r.out, ' '), a.name...), '='), a.value...)
	}
	if tag.empty {
		r.out = append(r.out, "/>"...)
		r.ns = r.ns[:f.nsBase]
		return
	}
	r.out = append(r.out, '>')
	r.stack = append(r.stack, f)
}

// declare reads the declarations of a tag and tells whether the default is
// among them.
func (r *rewriter) declare(tag rewriteTag, f *rewriteFrame) (def bool) {
	for _, a := range tag.attrs {
		prefix, local := cutName(a.name)
		if prefix != "xmlns" && a.name != "xmlns" {
			continue
		}
		space := string(AppendUnescaped(nil, []byte(a.value[1:len(a.value)-1])))
		if prefix == "" {
			f.sourceDef, def = space, true
			continue
		}
		r.notePrefix(local)
		r.ns = append(r.ns, rewriteBinding{local, space})
	}
	return def
}

// name chooses how the element is written and which default namespace it
// declares, if any.
func (r *rewriter) name(tag rewriteTag, f *rewriteFrame, declared bool) (def string, declare bool) {
	space := f.sourceDef
	if tag.prefix != "" {
		space = r.space(tag.prefix)
	} else if f.sourceDef == r.ctx.bindings[0].space {
		r.used[0] = true // at most one declaration too many, on the top
	}
	f.name = tag.local
	content := nsClient
	if len(r.stack) == 0 {
		content = r.ctx.own()
	}
	switch {
	case isContent(space):
		return content, !isContent(f.writtenDef)
	case tag.prefix == "" && (declared || f.writtenDef == space):
		return space, declared
	case tag.prefix == "" && space == "":
		return "", true
	case tag.prefix == "":
		r.hidden[f.def] = true
		f.name = r.generated(f.def) + ":" + tag.local
		return "", false
	}
	f.name = tag.prefix + ":" + tag.local
	if isContent(f.sourceDef) {
		return content, declared && !isContent(f.writtenDef)
	}
	return f.sourceDef, declared
}

// space resolves a prefix.
func (r *rewriter) space(prefix string) string {
	for i := len(r.ns) - 1; i >= 0; i-- {
		if r.ns[i].prefix == prefix {
			return r.ns[i].space
		}
	}
	for i, d := range r.ctx.bindings[1:] {
		if d.prefix == prefix {
			r.used[i+1] = true
			return d.space
		}
	}
	return nsXML
}

// headerDecls declares on the top what was found to be bound by the header.
func (r *rewriter) headerDecls(dst []byte) []byte {
	for i, d := range r.ctx.bindings[1:] {
		if r.used[i+1] && !d.content {
			dst = appendDecl(dst, d.prefix, d.space)
		}
	}
	return dst
}

// appendDecl appends a namespace declaration with a blank in front.
func appendDecl(dst []byte, prefix, space string) []byte {
	dst = append(dst, " xmlns"...)
	if prefix != "" {
		dst = append(append(dst, ':'), prefix...)
	}
	quote := byte('\'')
	if strings.IndexByte(space, quote) >= 0 && strings.IndexByte(space, '"') < 0 {
		quote = '"'
	}
	dst = append(dst, '=', quote)
	for i := range len(space) {
		switch c := space[i]; c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case quote, '\t', '\n', '\r':
			dst = append(append(append(dst, "&#"...), strconv.Itoa(int(c))...), ';')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, quote)
}
