package xmlscan

import (
	"strings"
	"testing"
)

const clientHeader = `<stream:stream to='example.net' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

// refusals is the list of inputs that must be refused, with the place. head is
// "" for the start of a stream, "in" for inside a client stream, "ws" for a
// framed message.
var refusals = []struct {
	name, head, in string
	want           Reason
	offset         int
}{
	// Start of a stream.
	{"byte order mark", "", "\uFEFF<stream", ByteOrderMark, 0},
	{"UTF-16 big endian", "", "\xFE\xFF\x00<", BadUTF8, 0},
	{"UTF-16 little endian", "", "\xFF\xFE<\x00", BadUTF8, 0},
	{"UTF-16 without mark", "", "<\x00s\x00", Syntax, 1},
	{"HTTP request", "", "GET / HTTP/1.1\r\n", TextBeforeRoot, 0},
	{"TLS handshake", "", "\x16\x03\x01\x02\x00", IllegalChar, 0},
	{"declaration after space", "", " <?xml version='1.0'?>", MisplacedDecl, 0},
	{"second declaration", "", "<?xml version='1.0'?><?xml version='1.0'?>", MisplacedDecl, 21},
	{"no version", "", "<?xml encoding='utf-8'?>", BadDecl, 0},
	{"empty declaration", "", "<?xml?>", BadDecl, 5},
	{"version 1.1", "", "<?xml version='1.1'?>", BadDecl, 0},
	{"attributes of the declaration out of order", "", "<?xml version='1.0' standalone='yes' encoding='utf-8'?>", BadDecl, 0},
	{"standalone maybe", "", "<?xml version='1.0' standalone='maybe'?>", BadDecl, 0},
	{"glued declaration", "", "<?xml version='1.0'encoding='utf-8'?>", BadDecl, 0},
	{"tag in declaration", "", "<?xml version='1.0'<stream", BadDecl, 19},
	{"latin-1", "", "<?xml version='1.0' encoding='ISO-8859-1'?>", DeclaredEncoding, 0},
	{"utf-16", "", "<?xml version='1.0' encoding='UTF-16'?>", DeclaredEncoding, 0},
	{"stylesheet", "", "<?xml-stylesheet href='x'?>", ProcInst, 0},
	{"doctype", "", "<!DOCTYPE stream [<!ENTITY a 'b'>]>", DTD, 0},
	{"comment first", "", "<!-- hello -->", Comment, 0},
	{"comment behind declaration", "", "<?xml version='1.0'?><!-- hello -->", Comment, 21},
	{"text behind declaration", "", "<?xml version='1.0'?> x", TextBeforeRoot, 22},
	{"CDATA first", "", "<![CDATA[x]]>", TextBeforeRoot, 0},
	{"end tag first", "", "</stream:stream>", Syntax, 1},
	{"root without namespace", "", "<stream>", RootNamespace, 0},
	{"root in another namespace", "", "<stream:stream xmlns:stream='urn:x'>", RootNamespace, 0},
	{"root not stream", "", "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>", RootName, 0},
	{"root prefix undeclared", "", "<stream:stream xmlns='jabber:client'>", UndeclaredPrefix, 1},
	{"root empty", "", "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>", EmptyRoot, 63},

	// Restricted XML.
	{"comment between", "in", "<!--x-->", Comment, 0},
	{"comment inside", "in", "<a><!--x--></a>", Comment, 3},
	{"instruction between", "in", "<?php 1?>", ProcInst, 0},
	{"instruction inside", "in", "<a><?php 1?></a>", ProcInst, 3},
	{"instruction like xml", "in", "<a><?xmlx 1?></a>", ProcInst, 3},
	{"instruction XML", "in", "<a><?XML 1?></a>", ProcInst, 3},
	{"declaration between", "in", "<?xml version='1.0'?>", MisplacedDecl, 0},
	{"declaration inside", "in", "<a><?xml version='1.0'?></a>", MisplacedDecl, 3},
	{"instruction without target", "in", "<a><? x?></a>", Syntax, 5},
	{"doctype inside", "in", "<a><!DOCTYPE x></a>", DTD, 3},
	{"entity declaration", "in", "<a><!ENTITY x 'y'></a>", DTD, 3},
	{"unknown entity", "in", "<a>&nbsp;</a>", EntityRef, 4},
	{"unknown entity in attribute", "in", "<a b='&eacute;'/>", EntityRef, 7},
	{"entity in wrong case", "in", "<a>&LT;</a>", EntityRef, 4},

	// Encoding.
	{"lone continuation", "in", "<a>\x80</a>", BadUTF8, 3},
	{"overlong slash", "in", "<a>\xC0\xAF</a>", BadUTF8, 3},
	{"overlong three bytes", "in", "<a>\xE0\x80\xAF</a>", BadUTF8, 3},
	{"surrogate", "in", "<a>\xED\xA0\x80</a>", BadUTF8, 3},
	{"beyond U+10FFFF", "in", "<a>\xF4\x90\x80\x80</a>", BadUTF8, 3},
	{"five bytes", "in", "<a>\xF8\x88\x80\x80\x80</a>", BadUTF8, 3},
	{"truncated in text", "in", "<a>\xE2\x82</a>", BadUTF8, 3},
	{"truncated in attribute", "in", "<a b='\xC3'/>", BadUTF8, 6},
	{"ill-formed element name", "in", "<a\xFF/>", BadUTF8, 2},
	{"ill-formed first name byte", "in", "<\xFF/>", BadUTF8, 1},
	{"ill-formed attribute name", "in", "<a b\xFF='x'/>", BadUTF8, 4},
	{"ill-formed attribute start", "in", "<a \xFF='x'/>", BadUTF8, 3},
	{"ill-formed end tag", "in", "<a></a\xFF>", BadUTF8, 6},
	{"ill-formed in CDATA", "in", "<a><![CDATA[\xFF]]></a>", BadUTF8, 12},
	{"ill-formed between", "in", "\xFF", BadUTF8, 0},
	{"ill-formed in entity", "in", "<a>&\xFF;</a>", BadUTF8, 4},
	{"ill-formed behind value", "in", "<a b='c'\xFF", BadUTF8, 8},

	// Characters.
	{"NUL", "in", "<a>\x00</a>", IllegalChar, 3},
	{"escape", "in", "<a b='\x1B'/>", IllegalChar, 6},
	{"U+FFFE", "in", "<a>\uFFFE</a>", IllegalChar, 3},
	{"U+FFFF in attribute", "in", "<a b='\uFFFF'/>", IllegalChar, 6},
	{"U+FFFF in CDATA", "in", "<a><![CDATA[\uFFFF]]></a>", IllegalChar, 12},
	{"control in CDATA", "in", "<a><![CDATA[\x08]]></a>", IllegalChar, 12},
	{"reference to NUL", "in", "<a>&#0;</a>", IllegalChar, 4},
	{"reference to U+FFFE", "in", "<a>&#xFFFE;</a>", IllegalChar, 4},
	{"reference to surrogate", "in", "<a>&#xD800;</a>", IllegalChar, 4},
	{"reference beyond U+10FFFF", "in", "<a>&#x110000;</a>", IllegalChar, 4},
	{"reference beyond 32 bits", "in", "<a>&#4294967361;</a>", IllegalChar, 4},
	{"reference beyond 64 bits", "in", "<a>&#x10000000000000041;</a>", IllegalChar, 4},
	{"control between", "in", "\x01", IllegalChar, 0},

	// References.
	{"bare ampersand", "in", "<a>a & b</a>", BadReference, 6},
	{"reference without semicolon", "in", "<a>&amp </a>", BadReference, 7},
	{"empty reference", "in", "<a>&;</a>", BadReference, 4},
	{"empty number", "in", "<a>&#;</a>", BadReference, 5},
	{"empty hexadecimal", "in", "<a>&#x;</a>", BadReference, 6},
	{"capital X", "in", "<a>&#X41;</a>", BadReference, 5},
	{"letter in decimal", "in", "<a>&#4a;</a>", BadReference, 6},
	{"bad letter in entity", "in", "<a>&a×;</a>", BadReference, 5},
	{"ampersand in attribute", "in", "<a b='?a=1&b=2'/>", BadReference, 12},

	// Tags.
	{"empty tag", "in", "<>", Syntax, 1},
	{"space behind <", "in", "< a>", Syntax, 1},
	{"digit first", "in", "<1a/>", BadName, 1},
	{"colon first", "in", "<:a/>", BadName, 1},
	{"colon last", "in", "<a:/>", BadName, 3},
	{"two colons", "in", "<a:b:c/>", BadName, 4},
	{"digit behind colon", "in", "<stream:1/>", BadName, 8},
	{"bad name character", "in", "<a×/>", BadName, 2},
	{"name of the fifth edition", "in", "<\U00010000/>", BadName, 1},
	{"emoji attribute", "in", "<a 😀='x'/>", BadName, 3},
	{"combining character first", "in", "<\u0300/>", BadName, 1},
	{"colon attribute", "in", "<a :b='x'/>", BadName, 3},
	{"slash in tag", "in", "<a / >", Syntax, 4},
	{"equals first", "in", "<a ='x'>", Syntax, 3},
	{"attribute without value", "in", "<a b>", Syntax, 4},
	{"attribute without quotes", "in", "<a b=c>", Syntax, 5},
	{"two values", "in", "<a b='c' 'd'>", Syntax, 9},
	{"no space between attributes", "in", "<a b='c'd='e'>", NoSpace, 8},
	{"no space before attribute beyond ASCII", "in", "<a b='c'ü='e'>", NoSpace, 8},
	{"quote behind name", "in", "<a'b'>", Syntax, 2},
	{"< in attribute", "in", "<a b='<'/>", LessThanInAttr, 6},
	{"mismatch", "in", "<a></b>", TagMismatch, 5},
	{"mismatch longer", "in", "<a></ab>", TagMismatch, 6},
	{"mismatch shorter", "in", "<ab></a>", TagMismatch, 7},
	{"mismatch of prefix", "in", "<p:a xmlns:p='urn:x' xmlns:q='urn:x'></q:a>", TagMismatch, 39},
	{"mismatch beyond ASCII", "in", "<ä></ö>", TagMismatch, 7},
	{"mismatch of nesting", "in", "<a><b></a></b>", TagMismatch, 8},
	{"attribute in end tag", "in", "<a></a b='c'>", Syntax, 7},
	{"wrong end of the stream", "in", "</stream>", TagMismatch, 8},
	{"]]> in text", "in", "<a>]]></a>", BareCDATAEnd, 5},
	{"]]]> in text", "in", "<a>x]]]></a>", BareCDATAEnd, 7},
	{"bad CDATA", "in", "<a><![cdata[x]]></a>", Syntax, 6},
	{"bad comment", "in", "<a><!-x></a>", Syntax, 6},
	{"bad exclamation", "in", "<a><!></a>", DTD, 3},

	// Namespaces.
	{"undeclared prefix", "in", "<p:a/>", UndeclaredPrefix, 1},
	{"undeclared attribute prefix", "in", "<a p:b='c'/>", UndeclaredPrefix, 3},
	{"prefix out of scope", "in", "<a><b xmlns:p='urn:x'/><p:c/></a>", UndeclaredPrefix, 24},
	{"same attribute twice", "in", "<a b='1' b='1'/>", DuplicateAttr, 9},
	{"same expanded name", "in", "<a xmlns:p='urn:x' xmlns:q='urn:x' p:b='1' q:b='2'/>", DuplicateAttr, 43},
	{"same expanded name by reference", "in", "<a xmlns:p='urn:x' xmlns:q='urn&#58;x' p:b='1' q:b='2'/>", DuplicateAttr, 47},
	{"default declared twice", "in", "<a xmlns='urn:x' xmlns='urn:x'/>", DuplicateAttr, 17},
	{"prefix declared twice", "in", "<a xmlns:p='urn:x' xmlns:p='urn:y'/>", DuplicateAttr, 19},
	{"empty prefix binding", "in", "<a xmlns:p=''/>", EmptyPrefix, 3},
	{"xml bound elsewhere", "in", "<a xmlns:xml='urn:x'/>", ReservedBinding, 3},
	{"xmlns bound", "in", "<a xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", ReservedBinding, 3},
	{"prefix for the XML namespace", "in", "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", ReservedBinding, 3},
	{"default XML namespace", "in", "<a xmlns='http://www.w3.org/XML/1998/namespace'/>", ReservedBinding, 3},
	{"default xmlns namespace", "in", "<a xmlns='http://www.w3.org/2000/xmlns/'/>", ReservedBinding, 3},
	{"namespace named xmlns", "in", "<a xmlns:p='x&#109;lns' p:b='c'/>", ReservedBinding, 3},
	{"line break in namespace", "in", "<a xmlns='urn:\nx'/>", BadNamespaceName, 3},
	{"element in xmlns", "in", "<xmlns:a/>", ReservedName, 1},
	{"element named xmlns", "in", "<xmlns/>", ReservedName, 1},
	{"attribute with local name xmlns", "in", "<a xml:xmlns='b'/>", ReservedName, 3},
	{"attribute in content namespace", "in", "<a xmlns:c='jabber:client' c:to='x'/>", ContentAttr, 27},

	// Stream.
	{"text between", "in", "hello", TextBetween, 0},
	{"text beyond ASCII between", "in", "ä", TextBetween, 0},
	{"reference between", "in", "&lt;", TextBetween, 0},
	{"CDATA between", "in", "<![CDATA[ ]]>", TextBetween, 0},
	{"mark between", "in", "\uFEFF", ByteOrderMark, 0},
	{"element after close", "in", "</stream:stream><a/>", AfterClose, 0},
	{"framed text", "ws", "hello", TextBetween, 0},
	{"framed space", "ws", " <a/>", TextBetween, 0},
	{"framed nothing", "ws", "", Truncated, 0},
	{"framed half", "ws", "<a>", Truncated, 3},
	{"framed half character", "ws", "<a>\xE2\x82", Truncated, 5},
	{"framed two", "ws", "<a/><b/>", Trailing, 4},
	{"framed space behind", "ws", "<a/>\n", Trailing, 4},
	{"framed end tag", "ws", "</stream:stream>", Syntax, 1},
	{"framed mark", "ws", "\uFEFF<a/>", ByteOrderMark, 0},
	{"framed undeclared stream prefix", "ws", "<stream:stream>", UndeclaredPrefix, 1},

	// Limits: see testLimits.
	{"bytes", "in", "<a>" + strings.Repeat("x", 400) + "</a>", LimitBytes, 400},
	{"depth", "in", "<a><b><c><d><e/></d></c></b></a>", LimitDepth, 12},
	{"attributes", "in", "<a a='' b='' c='' d='' e=''/>", LimitAttrs, 23},
	{"declarations of one tag", "in", "<a xmlns:a='b' xmlns:b='c' xmlns:c='d'/>", LimitNamespaces, 27},
	{"declarations in scope", "in", "<a xmlns:a='b'><b xmlns:b='c'><c xmlns:c='d'/></b></a>", LimitNamespaces, 33},
	{"elements", "in", "<a><b/><b/><b/><b/><b/></a>", LimitElements, 19},
	{"element name", "in", "<a2345678901234567890x/>", LimitName, 21},
	{"attribute name", "in", "<a p:345678901234567890x=''/>", BadName, 5},
	{"long attribute name", "in", "<a p:b45678901234567890x=''/>", LimitName, 23},
	{"bad name behind the limit", "in", "<a2345678901234567890x:::", LimitName, 21},
}

// testLimits are low enough to be hit by a line of corpus.
var testLimits = Limits{Bytes: 400, Depth: 4, Attrs: 4, Namespaces: 4, Elements: 5, NameBytes: 20}

func newTestScanner(t testing.TB, head string, l Limits) *Scanner {
	t.Helper()
	var s Scanner
	switch head {
	case "":
		s.Reset(l)
	case "ws":
		s.ResetFramed(l)
	default:
		s.Reset(l)
		if kind, n, err := s.Next([]byte(clientHeader)); kind != Open || n != len(clientHeader) || err != nil {
			t.Fatalf("header: got %v, %d, %v", kind, n, err)
		}
	}
	return &s
}

// drain feeds in until an error or None and returns the last error and what
// came before it.
func drain(s *Scanner, in []byte) (kinds []Kind, last *Error) {
	for len(in) > 0 || s.framed {
		kind, n, err := s.Next(in)
		if err != nil {
			return kinds, err.(*Error)
		}
		if kind == None || s.framed {
			return kinds, nil
		}
		kinds = append(kinds, kind)
		in = in[n:]
	}
	return kinds, nil
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	seen := map[Reason]bool{}
	for _, tc := range refusals {
		seen[tc.want] = true
		s := newTestScanner(t, tc.head, testLimits)
		_, err := drain(s, []byte(tc.in))
		if err == nil {
			t.Errorf("%s: accepted %q", tc.name, tc.in)
			continue
		}
		if err.Reason != tc.want || err.Offset != tc.offset || err.Condition != tc.want.Condition() {
			t.Errorf("%s: got %v, want %v at %d", tc.name, err, tc.want, tc.offset)
		}
		if _, _, again := s.Next([]byte("<a/>")); again != error(err) {
			t.Errorf("%s: then got %v, want the same error", tc.name, again)
		}
	}
	for r := Unspecified + 1; r < reasonCount; r++ {
		if !seen[r] {
			t.Errorf("no corpus entry for the reason %q", r)
		}
		if r.String() == "" || r.Condition() == "" {
			t.Errorf("reason %d has no text", r)
		}
	}
}

// TestRefusalsByteByByte feeds the corpus one byte at a time: the same error,
// at the same place (core-im XS-18).
func TestRefusalsByteByByte(t *testing.T) {
	t.Parallel()
	for _, tc := range refusals {
		if tc.head == "ws" {
			continue
		}
		s := newTestScanner(t, tc.head, testLimits)
		_, whole := drain(newTestScanner(t, tc.head, testLimits), []byte(tc.in))
		var got *Error
		start := 0
		for end := 1; end <= len(tc.in) && got == nil; end++ {
			kind, n, err := s.Next([]byte(tc.in)[start:end])
			if err != nil {
				got = err.(*Error)
			}
			if kind != None {
				start += n
			}
		}
		if (got == nil) != (whole == nil) || got != nil && *got != *whole {
			t.Errorf("%s: got %v, want %v", tc.name, got, whole)
		}
	}
}
