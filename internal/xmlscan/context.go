package xmlscan

import "strings"

// Namespaces that the scanner knows.
const (
	nsXML       = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS     = "http://www.w3.org/2000/xmlns/"
	nsStreams   = "http://etherx.jabber.org/streams"
	nsClient    = "jabber:client"
	nsServer    = "jabber:server"
	nsComponent = "jabber:component:accept"
	nsDialback  = "jabber:server:dialback"
)

// xmlBinding stands for the prefix xml where a binding of the header is meant.
const xmlBinding = -1

// isContent tells whether a namespace is one of those that stanzas live in,
// depending on the kind of stream (RFC 6120 §4.8.2, XEP-0114).
func isContent[T string | []byte](space T) bool {
	switch string(space) {
	case nsClient, nsServer, nsComponent:
		return true
	}
	return false
}

// Context is what the elements of a stream inherit from its header. It is
// immutable; streams with a usual header share one.
type Context struct {
	root     string // the name of the root as written
	bindings []headerBinding
}

// headerBinding is a declaration on the stream header; the first one of a
// Context is the default namespace, "" if there is none.
type headerBinding struct {
	prefix, space string
	bytes         []byte // of space
	content       bool
}

func newContext(root, defaultNS string, prefixed ...headerBinding) *Context {
	c := &Context{root: root, bindings: append([]headerBinding{{space: defaultNS}}, prefixed...)}
	for i := range c.bindings {
		d := &c.bindings[i]
		d.bytes, d.content = []byte(d.space), isContent(d.space)
	}
	return c
}

var (
	streamPrefix = headerBinding{prefix: "stream", space: nsStreams}
	dbPrefix     = headerBinding{prefix: "db", space: nsDialback}

	framedContext = newContext("", "")

	xmlSpace = []byte(nsXML)

	// sharedContexts are those of the headers that RFC 6120 and XEP-0220 print.
	sharedContexts = [...]*Context{
		newContext("stream:stream", nsClient, streamPrefix),
		newContext("stream:stream", nsServer, streamPrefix),
		newContext("stream:stream", nsServer, streamPrefix, dbPrefix),
		newContext("stream:stream", nsServer, dbPrefix, streamPrefix),
		newContext("stream:stream", nsComponent, streamPrefix),
	}
)

// ClientContext returns the context of a client's stream with the usual header,
// for elements that come without a stream of their own.
func ClientContext() *Context { return sharedContexts[0] }

// ContentNS returns the default namespace that the stream header declares, ""
// if none. For framed streams, whose elements carry it themselves, it is
// jabber:client (RFC 7395 §3.3.3). Whether it is one that the listener serves is for the
// caller to judge (RFC 6120 §4.8.2).
func (c *Context) ContentNS() string {
	if c == framedContext {
		return nsClient
	}
	return c.bindings[0].space
}

// own is the content namespace that first-level elements may carry.
func (c *Context) own() string {
	if c.bindings[0].content {
		return c.bindings[0].space
	}
	return nsClient
}

// size counts the declarations of the header.
func (c *Context) size() int {
	if c == nil {
		return 0
	}
	n := len(c.bindings)
	if c.bindings[0].space == "" {
		n--
	}
	return n
}

// header ends the stream header (RFC 6120 §4.8.1).
func (s *Scanner) header(b []byte, empty bool) Kind {
	s.flags = 0
	switch {
	case string(s.spaceIn(b, s.name)) != nsStreams:
		s.fail(RootNamespace, s.markup)
		return None
	case string(s.name.Local.Of(b)) != "stream":
		s.fail(RootName, s.markup)
		return None
	case empty:
		s.fail(EmptyRoot, s.pos-1)
		return None
	}
	s.content = Span{s.start.End, s.start.End}
	s.ctx = s.sharedContext(b)
	if s.ctx == nil {
		s.ctx = s.ownContext(b)
	}
	s.phase = phaseStream
	return Open
}

// sharedContext returns the usual context that the header has, nil if none.
func (s *Scanner) sharedContext(b []byte) *Context {
	for _, c := range sharedContexts {
		if string(b[s.elem.off:s.elem.end]) == c.root && s.declares(b, c) {
			return c
		}
	}
	return nil
}

// declares tells whether the header has just the declarations of c in order.
func (s *Scanner) declares(b []byte, c *Context) bool {
	defaultNS, i := "", 1
	for _, d := range s.ns {
		space := s.spaceIn(b, Name{Space: d.space, From: d.from})
		if d.prefix.Len() == 0 {
			if string(space) != c.bindings[0].space {
				return false
			}
			defaultNS = c.bindings[0].space
			continue
		}
		if i >= len(c.bindings) || string(d.prefix.Of(b)) != c.bindings[i].prefix || string(space) != c.bindings[i].space {
			return false
		}
		i++
	}
	return i == len(c.bindings) && defaultNS == c.bindings[0].space
}

// ownContext copies the declarations of an unusual header.
func (s *Scanner) ownContext(b []byte) *Context {
	defaultNS := ""
	var prefixed []headerBinding
	for _, d := range s.ns {
		space := string(s.spaceIn(b, Name{Space: d.space, From: d.from}))
		switch prefix := string(d.prefix.Of(b)); prefix {
		case "":
			defaultNS = space
		case "xml": // always bound
		default:
			prefixed = append(prefixed, headerBinding{prefix: prefix, space: space})
		}
	}
	return newContext(string(b[s.elem.off:s.elem.end]), defaultNS, prefixed...)
}

// checkDecl judges what stands between <?xml and ?> (XML 1.0 §2.8, §4.3.1).
func checkDecl(b []byte) Reason {
	if string(b) == usualDecl {
		return Unspecified
	}
	rest := string(b)
	version, rest, ok := pseudoAttr(rest, "version")
	if !ok || version != "1.0" {
		return BadDecl
	}
	encoding, after, ok := pseudoAttr(rest, "encoding")
	if ok {
		rest = after
	}
	if standalone, after, found := pseudoAttr(rest, "standalone"); found {
		if standalone != "yes" && standalone != "no" {
			return BadDecl
		}
		rest = after
	}
	switch {
	case strings.Trim(rest, " \t\r\n") != "":
		return BadDecl
	case ok && !strings.EqualFold(encoding, "utf-8"):
		return DeclaredEncoding
	}
	return Unspecified
}

// usualDecl is what most clients write.
const usualDecl = " version='1.0'"

// pseudoAttr takes name='value' with white space before it off the front.
func pseudoAttr(in, name string) (value, rest string, ok bool) {
	t := strings.TrimLeft(in, " \t\r\n")
	if t == in || !strings.HasPrefix(t, name) {
		return "", in, false
	}
	t = strings.TrimLeft(t[len(name):], " \t\r\n")
	if t == "" || t[0] != '=' {
		return "", in, false
	}
	t = strings.TrimLeft(t[1:], " \t\r\n")
	if t == "" || t[0] != '\'' && t[0] != '"' {
		return "", in, false
	}
	value, rest, ok = strings.Cut(t[1:], t[:1])
	if !ok {
		return "", in, false
	}
	return value, rest, true
}
