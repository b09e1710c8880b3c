package mux_test

import (
	"slices"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// childrenCases are elements whose children have children.
var childrenCases = append([]string{
	"<x xmlns='urn:x'><a><b/><c>text</c></a></x>",
	"<x xmlns='urn:x'><a xmlns='urn:a'><b/><c xmlns='urn:c' d='&gt;>/'>text<e><f/></e></c> more <g/></a><h/></x>",
	"<x xmlns='urn:x'><a/><a></a><a>text</a><a b='c' /></x>",
	"<x xmlns='urn:x' xmlns:p='urn:p'><p:a><b/></p:a><a><p:b/></a><a p:c='d'><b/></a></x>",
	"<x xmlns='urn:x'><a><p:b xmlns:p='urn:p'/></a><a><b><p:b xmlns:p='urn:p'/></b><c/></a></x>",
	"<x xmlns='urn:x'><a xmlns='urn:a&amp;b'><b/></a><a xmlns=''><b/></a><a><b xmlns=''/></a></x>",
	"<iq><query><a/><a xmlns='jabber:server'><b/></a></query></iq>",
	"<a:x xmlns:a='urn:x'><y xmlns='urn:y'><z/></y></a:x>",
	"<x xmlns='urn:x'><a><![CDATA[<b/>]]><c/></a><a\n><b\t\nc = \"d\" ></b\n></a\t></x>",
	"<x xmlns='urn:\"'><a><b ></b></a></x>",
	"<x xmlns='urn:x'><a xmlns='urn:a&amp;b'><b ></b></a></x>",
}, withCases...)

func TestChildrenOfChild(t *testing.T) {
	t.Parallel()
	for _, text := range childrenCases {
		checkChildren(t, parse(t, text))
	}
	c := mux.RawChild(name("urn:x", "x"), "<x xmlns='urn:x'><y")
	if kids, err := c.Children(); err == nil {
		t.Errorf("half an element has the children %v", kids)
	}
}

// checkChildren: the children of each child are those of the child as an element.
func checkChildren(t *testing.T, s *mux.Stanza) {
	t.Helper()
	for _, c := range s.Children() {
		el, err := c.Element()
		if err != nil {
			t.Fatalf("%s: %v", c.Raw(), err)
		}
		kids, err := c.Children()
		if err != nil || !slices.EqualFunc(kids, el.Children(), sameChild) {
			t.Errorf("%s: children %+v, %v, want %+v", c.Raw(), kids, err, el.Children())
		}
	}
}

// sameChild reports whether two children are the same to whoever looks at them.
func sameChild(a, b mux.Child) bool {
	x, err1 := a.Element()
	y, err2 := b.Element()
	return err1 == nil && err2 == nil && a.Name == b.Name && a.Raw() == b.Raw() && x.Name() == y.Name() &&
		string(x.Append(nil, "")) == string(y.Append(nil, ""))
}

func FuzzChildren(f *testing.F) {
	for _, s := range childrenCases {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if s, err := mux.Parse(in); err == nil {
			checkChildren(t, s)
		}
	})
}
