package mux_test

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestText: what encoding/xml reads, Text reads.
func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "a b", "a b"},
		{"references", "&lt;a&gt; &amp;amp; &#x41;&#13;&#9;", "<a> &amp; A\r\t"},
		{"CDATA", "<![CDATA[a<b&amp;]]>", "a<b&amp;"},
		{"CDATA among others", "1<![CDATA[<]]>2<![CDATA[]]]>&lt;", "1<2]<"},
		{"lines", "a\nb\tc\r\nd\re<![CDATA[\r\n]]>", "a\nb\tc\nd\ne\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := mux.Parse([]byte("<message><body>" + tt.in + "</body></message>"))
			if err != nil {
				t.Fatal(err)
			}
			body := s.Children()[0]
			if got := body.Text(); got != tt.want {
				t.Errorf("Text of the child %q, want %q", got, tt.want)
			}
			el, err := body.Element()
			if err != nil || el.Text() != tt.want {
				t.Errorf("Text of the element %q, error %v, want %q", el.Text(), err, tt.want)
			}
			var oracle struct {
				Body string `xml:"body"`
			}
			if err := s.Decode(&oracle); err != nil || oracle.Body != tt.want {
				t.Errorf("encoding/xml reads %q, error %v, want %q", oracle.Body, err, tt.want)
			}
		})
	}
	for _, in := range []string{"a<b/>", "<![CDATA[a]]><b/>", "<b>a</b>"} {
		s, err := mux.Parse([]byte("<message><body>" + in + "</body></message>"))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Children()[0].Text(); got != "" {
			t.Errorf("%s: Text %q, want none", in, got)
		}
	}
}
