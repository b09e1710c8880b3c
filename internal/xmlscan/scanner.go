package xmlscan

// Kind is what Next found.
type Kind uint8

const (
	// None: more bytes are needed; nothing was consumed.
	None Kind = iota
	// Space: white space between first-level elements, a keepalive (RFC 6120 §4.6.1).
	Space
	// Open: the start tag of the stream, with an XML declaration if there is one.
	Open
	// Element: one whole first-level element.
	Element
	// Close: the end tag of the stream.
	Close
)

// phase is the place in the stream between two top-level items.
type phase uint8

const (
	phaseStart  phase = iota // before the very first byte
	phaseProlog              // before the stream header, XML declaration no longer allowed
	phaseStream              // inside the stream
	phaseClosed              // after its end tag
)

// state is the place inside markup.
type state uint8

const (
	stOutside  state = iota // at a top-level item
	stLess                  // after <
	stTagName               // in the name of a start tag
	stTagGap                // after that name or an attribute value
	stTagSpace              // after white space in a start tag
	stAttrName              // in the name of an attribute
	stAttrEq                // before =
	stAttrOpen              // before the opening quote
	stAttrVal               // in an attribute value
	stTagSlash              // after / in a start tag
	stText                  // in character data
	stRef                   // after &
	stRefName               // in the name of an entity reference
	stRefNum                // after &#
	stRefDec                // in a decimal reference
	stRefHex                // after &#x
	stRefDigit              // after a hexadecimal digit
	stBang                  // after <!
	stCDATA                 // in a CDATA section
	stPI                    // after <?
	stDecl                  // in the XML declaration
	stEndName               // in the name of an end tag
	stEndSpace              // after the name of an end tag
)

// Scanner cuts one direction of a stream into first-level elements and checks
// them. The zero value is at the very start of a stream and has the default
// limits. It may be kept in a pool between elements: see Resume. Not safe for
// concurrent use.
type Scanner struct {
	lim    Limits
	ctx    *Context // nil before the stream header
	err    *Error   // sticky
	phase  phase
	framed bool

	st       state
	ret      state // where a reference returns to
	quote    byte
	escaped  bool  // current value
	pos      int   // next byte to look at
	mark     int   // start of the current name, value or reference
	markup   int   // offset of the current <
	colon    int   // in the current name, -1 for none
	refMark  int   // start of the reference behind &
	refValue int32 // of a numeric reference, saturated

	elem     rawName // of the current start tag
	raw      []rawAttr
	nAttrs   int // of raw: not declarations
	frames   []frame
	ns       []binding
	elements int

	buf      []byte
	side     []byte
	name     Name
	start    Span
	content  Span
	attrs    []Attr
	decls    []Decl
	children []Child
	hasText  bool
	flags    Flags
}

// keepChildren bounds what a pooled scanner keeps of a list that a peer can
// make long.
const (
	keepChildren = 64
	keepSide     = 1 << 10
)

// Reset puts the scanner at the start of a stream; also for a stream restart,
// which throws away all parser state (core-im XS-17).
func (s *Scanner) Reset(l Limits) {
	s.clear()
	s.SetLimits(l)
}

// ResetFramed puts the scanner at the start of a framed stream (RFC 7395 §3.3):
// there is no stream header, Next is given exactly one whole element a call,
// and no namespace is inherited. An XML declaration is tolerated before the
// first element (core-im WS-3).
func (s *Scanner) ResetFramed(l Limits) {
	s.clear()
	s.SetLimits(l)
	s.framed = true
	s.ctx = framedContext
}

// SetLimits replaces the limits, at any time.
func (s *Scanner) SetLimits(l Limits) { s.lim = l.withDefaults() }

// Context returns the namespace context of the stream: nil before Open, a
// constant for framed streams.
func (s *Scanner) Context() *Context { return s.ctx }

// Resume puts the scanner between two elements of the stream with the given
// context, so that an idle stream needs to keep nothing else. A nil context is
// the start of a stream.
func (s *Scanner) Resume(c *Context, l Limits) {
	s.clear()
	s.SetLimits(l)
	if c == nil {
		return
	}
	s.ctx = c
	s.framed = c == framedContext
	s.phase = phaseStream
}

func (s *Scanner) clear() {
	s.begin()
	if cap(s.children) > keepChildren {
		s.children = nil
	}
	if cap(s.side) > keepSide {
		s.side = nil
	}
	s.ctx, s.err, s.phase, s.framed = nil, nil, phaseStart, false
	s.st, s.pos = stOutside, 0
}

// begin forgets the last element.
func (s *Scanner) begin() {
	s.buf = nil
	s.side = s.side[:0]
	s.name, s.start, s.content = Name{}, Span{}, Span{}
	s.attrs, s.decls, s.children = s.attrs[:0], s.decls[:0], s.children[:0]
	s.frames, s.ns = s.frames[:0], s.ns[:0]
	s.hasText, s.flags, s.elements = false, 0, 0
}

// Next looks at the bytes from the first unconsumed one on and returns what
// they start with and how many bytes that is. With None nothing is consumed:
// call again with the same bytes, which may have moved, and more behind them;
// the scanner goes on where it stopped. White space between elements comes as a
// Space of its own, so the bytes of an Element start with <. An error is an
// [*Error] and final. On a framed stream an incomplete element is an error.
func (s *Scanner) Next(buf []byte) (Kind, int, error) {
	if s.lim.Bytes == 0 {
		s.SetLimits(s.lim)
	}
	if s.pos == 0 && s.st == stOutside && s.err == nil {
		s.begin()
	}
	b := buf
	if len(b) > s.lim.Bytes {
		b = b[:s.lim.Bytes]
	}
	kind := s.run(b)
	if kind == None && s.err == nil {
		s.incomplete(buf, b)
	}
	if kind == Element && s.framed && s.pos < len(buf) {
		s.fail(Trailing, s.pos)
	}
	if s.err != nil {
		return None, 0, s.err
	}
	if kind == None {
		return None, 0, nil
	}
	n := s.pos
	s.buf, s.pos, s.st = buf[:n], 0, stOutside
	return kind, n, nil
}

// incomplete decides whether an unfinished item may go on.
func (s *Scanner) incomplete(buf, looked []byte) {
	switch {
	case len(buf) > len(looked):
		s.fail(LimitBytes, len(looked))
	case s.framed:
		s.fail(Truncated, len(buf))
	}
}

// run steps through b until something is complete, an error, or the end.
func (s *Scanner) run(b []byte) Kind {
	for s.err == nil && s.pos < len(b) {
		pos, st := s.pos, s.st
		if kind := s.step(b); kind != None {
			return kind
		}
		if s.pos == pos && s.st == st {
			return None // an unfinished character
		}
	}
	return None
}

func (s *Scanner) step(b []byte) Kind {
	switch s.st {
	case stText:
		s.text(b)
	case stLess:
		s.less(b)
	case stTagName, stTagGap, stTagSpace, stAttrName, stAttrEq, stAttrOpen, stAttrVal, stTagSlash:
		return s.tag(b)
	case stEndName, stEndSpace:
		return s.endTag(b)
	case stRef, stRefName, stRefNum, stRefDec, stRefHex, stRefDigit:
		s.reference(b)
	case stCDATA:
		s.cdata(b)
	case stBang:
		s.bang(b)
	case stPI:
		s.instruction(b)
	case stDecl:
		s.declaration(b)
	case stOutside:
		return s.outside(b)
	}
	return None
}

func (s *Scanner) fail(r Reason, off int) {
	s.err = &Error{Condition: r.Condition(), Reason: r, Offset: off}
}

// char steps over the character at b[pos], which is not ASCII; false if it is
// unfinished or refused.
func (s *Scanner) char(b []byte, pos int) (int, bool) {
	size, reason := legalRune(b[pos:])
	if reason != Unspecified {
		s.fail(reason, pos)
	}
	return pos + size, size > 0
}
