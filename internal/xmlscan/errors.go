package xmlscan

import "strconv"

// Stream error conditions that the scanner answers with (RFC 6120 §4.9.3).
const (
	BadFormat           = "bad-format"
	BadNamespacePrefix  = "bad-namespace-prefix"
	InvalidNamespace    = "invalid-namespace"
	NotWellFormed       = "not-well-formed"
	PolicyViolation     = "policy-violation"
	RestrictedXML       = "restricted-xml"
	UnsupportedEncoding = "unsupported-encoding"
)

// Error says why a stream cannot go on. The scanner keeps returning it until
// it is reset.
type Error struct {
	// Condition is the stream error of RFC 6120 §4.9.3.
	Condition string
	// Reason is the exact rule that was broken.
	Reason Reason
	// Offset counts bytes from the first unconsumed one, the start of the slice
	// given to Next, and points at the first byte that could not be accepted.
	Offset int
}

// Error implements error.
func (e *Error) Error() string {
	return "xmlscan: " + e.Condition + ": " + e.Reason.String() + " at byte " + strconv.Itoa(e.Offset)
}

// Reason is the rule that refused bytes. Marked with a star: encoding/xml
// accepts such a document, so the reason is part of what this package adds.
type Reason uint8

// The reasons, grouped by the condition that they lead to.
const (
	// Unspecified is the zero value and never reported.
	Unspecified Reason = iota

	// Syntax: markup that no other reason describes (XML 1.0 §3).
	Syntax
	// Truncated: a framed message ends inside its element.
	Truncated
	// Trailing*: a framed message goes on after its element (RFC 7395 §3.3).
	Trailing
	// AfterClose*: something other than white space follows the end of the stream.
	AfterClose
	// TextBeforeRoot*: something other than white space precedes the stream header.
	TextBeforeRoot
	// ByteOrderMark*: U+FEFF where no character data may be (RFC 6120 §11.6).
	ByteOrderMark
	// IllegalChar*: a character outside the production Char, literal or by
	// reference (XML 1.0 §2.2). encoding/xml lets references to surrogates pass.
	IllegalChar
	// BadName*: a name that is no QName of XML 1.0, fourth edition, the set that
	// encoding/xml knows (Namespaces in XML §4). encoding/xml lets empty parts and
	// local parts that start with a digit pass.
	BadName
	// ReservedName*: the prefix xmlns on an element, or the local name xmlns on
	// anything that declares no namespace: decoders take it for a declaration.
	ReservedName
	// BadReference: an ampersand that starts no reference (XML 1.0 §4.1).
	BadReference
	// TagMismatch: the end tag names another element.
	TagMismatch
	// DuplicateAttr*: two attributes with the same expanded name, or one written
	// twice (Namespaces in XML §6.3).
	DuplicateAttr
	// UndeclaredPrefix*: a prefix without a namespace (Namespaces in XML §5).
	UndeclaredPrefix
	// EmptyPrefix*: xmlns:p='' (Namespaces in XML §5).
	EmptyPrefix
	// ReservedBinding*: the prefixes xml or xmlns bound to another namespace,
	// their namespaces bound to another prefix (Namespaces in XML §3), or a
	// namespace that is named xml or xmlns, which decoders mix up with the prefix.
	ReservedBinding
	// BadNamespaceName*: a line break or tab inside a namespace name: parsers
	// disagree about what it stands for, and no URI has one.
	BadNamespaceName
	// LessThanInAttr: a literal < in an attribute value (XML 1.0 §3.1).
	LessThanInAttr
	// NoSpace*: no white space between two attributes (XML 1.0 §3.1).
	NoSpace
	// BareCDATAEnd: a literal ]]> in text (XML 1.0 §2.4).
	BareCDATAEnd
	// MisplacedDecl*: an XML declaration that is not the very start (RFC 6120 §11.5).
	MisplacedDecl
	// BadDecl*: an XML declaration against its grammar or with a version other
	// than 1.0 (XML 1.0 §2.8).
	BadDecl

	// Comment*: RFC 6120 §11.1.
	Comment
	// ProcInst*: a processing instruction (RFC 6120 §11.1).
	ProcInst
	// DTD*: a document type declaration or a part of one, or anything else that
	// starts like one (RFC 6120 §11.1).
	DTD
	// EntityRef: a reference to an entity other than lt, gt, amp, apos and quot
	// (RFC 6120 §11.1).
	EntityRef

	// BadUTF8: an ill-formed UTF-8 sequence (RFC 6120 §11.6).
	BadUTF8
	// DeclaredEncoding: the XML declaration names another encoding than UTF-8.
	DeclaredEncoding

	// TextBetween*: character data between first-level elements, or before the
	// element of a framed message (RFC 6120 §4.6.1, RFC 7395 §3.3.3).
	TextBetween
	// RootName*: the root element is not named stream (RFC 6120 §4.8.1).
	RootName
	// EmptyRoot*: the stream header is an empty-element tag, a stream that ends
	// before it can be answered.
	EmptyRoot

	// RootNamespace*: the root element is not in the namespace
	// http://etherx.jabber.org/streams (RFC 6120 §4.8.1).
	RootNamespace

	// ContentAttr*: an attribute in one of the content namespaces: no schema has
	// one, and it would have no form that is right on every kind of stream.
	ContentAttr

	// LimitBytes*: Limits.Bytes, answered with stanza-too-big (LIM-1 to LIM-3).
	LimitBytes
	// LimitDepth*: Limits.Depth (LIM-4).
	LimitDepth
	// LimitAttrs*: Limits.Attrs (LIM-5).
	LimitAttrs
	// LimitNamespaces*: Limits.Namespaces (LIM-5).
	LimitNamespaces
	// LimitElements*: Limits.Elements (LIM-5).
	LimitElements
	// LimitName*: Limits.NameBytes (LIM-5).
	LimitName

	reasonCount
)

var reasons = [reasonCount]struct{ condition, text string }{
	Unspecified:      {NotWellFormed, "unspecified"},
	Syntax:           {NotWellFormed, "syntax error"},
	Truncated:        {NotWellFormed, "message ends inside its element"},
	Trailing:         {NotWellFormed, "message goes on after its element"},
	AfterClose:       {NotWellFormed, "data after the end of the stream"},
	TextBeforeRoot:   {NotWellFormed, "text before the stream header"},
	ByteOrderMark:    {NotWellFormed, "byte order mark"},
	IllegalChar:      {NotWellFormed, "illegal character"},
	BadName:          {NotWellFormed, "bad name"},
	ReservedName:     {NotWellFormed, "reserved name"},
	BadReference:     {NotWellFormed, "bad reference"},
	TagMismatch:      {NotWellFormed, "end tag does not match"},
	DuplicateAttr:    {NotWellFormed, "duplicate attribute"},
	UndeclaredPrefix: {NotWellFormed, "undeclared prefix"},
	EmptyPrefix:      {NotWellFormed, "prefix bound to no namespace"},
	ReservedBinding:  {NotWellFormed, "reserved prefix or namespace"},
	BadNamespaceName: {NotWellFormed, "bad namespace name"},
	LessThanInAttr:   {NotWellFormed, "< in attribute value"},
	NoSpace:          {NotWellFormed, "no white space between attributes"},
	BareCDATAEnd:     {NotWellFormed, "]]> in text"},
	MisplacedDecl:    {NotWellFormed, "XML declaration not at the start"},
	BadDecl:          {NotWellFormed, "bad XML declaration"},
	Comment:          {RestrictedXML, "comment"},
	ProcInst:         {RestrictedXML, "processing instruction"},
	DTD:              {RestrictedXML, "document type declaration"},
	EntityRef:        {RestrictedXML, "entity reference"},
	BadUTF8:          {UnsupportedEncoding, "ill-formed UTF-8"},
	DeclaredEncoding: {UnsupportedEncoding, "declared encoding is not UTF-8"},
	TextBetween:      {BadFormat, "text between elements"},
	RootName:         {BadFormat, "root element is not stream"},
	EmptyRoot:        {BadFormat, "stream header is an empty element"},
	RootNamespace:    {InvalidNamespace, "root element is not in the streams namespace"},
	ContentAttr:      {BadNamespacePrefix, "attribute in a content namespace"},
	LimitBytes:       {PolicyViolation, "element has too many bytes"},
	LimitDepth:       {PolicyViolation, "elements nested too deep"},
	LimitAttrs:       {PolicyViolation, "too many attributes"},
	LimitNamespaces:  {PolicyViolation, "too many namespace declarations"},
	LimitElements:    {PolicyViolation, "too many elements"},
	LimitName:        {PolicyViolation, "name too long"},
}

// String describes the reason in a few words.
func (r Reason) String() string {
	if r >= reasonCount {
		return "reason " + strconv.Itoa(int(r))
	}
	return reasons[r].text
}

// Condition returns the stream error condition (RFC 6120 §4.9.3) of the reason.
func (r Reason) Condition() string {
	if r >= reasonCount {
		return NotWellFormed
	}
	return reasons[r].condition
}
