package dataform

import (
	"encoding/xml"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// text is an element as it is written.
type text string

func (e text) Decode(v any) error { return xml.Unmarshal([]byte(e), v) }

func child(raw string) (Element, bool) {
	var x struct {
		XMLName xml.Name `xml:"jabber:x:data x"`
	}
	return text(raw), xml.Unmarshal([]byte(raw), &x) == nil
}

func TestAppend(t *testing.T) {
	t.Parallel()
	f := Form{Type: "form", Title: "a<b", Instructions: "do & don't", FormType: "urn:x", Fields: []Field{
		{Var: "v", Type: "text-single", Label: "it's", Values: []string{"<1>", "2"}, Required: true, Extra: "<media xmlns='urn:m'/>"},
	}}
	want := "<x xmlns='jabber:x:data' type='form'><title>a&lt;b</title><instructions>do &amp; don't</instructions>" +
		"<field type='hidden' var='FORM_TYPE'><value>urn:x</value></field>" +
		"<field type='text-single' var='v' label='it&apos;s'><required/><value>&lt;1&gt;</value><value>2</value><media xmlns='urn:m'/></field></x>"
	if got := strings.ReplaceAll(string(f.Append(nil)), "&#39;", "&apos;"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestAppendItems: a choice, and a table (§3.3, §3.4).
func TestAppendItems(t *testing.T) {
	t.Parallel()
	f := Form{Type: "form", Fields: []Field{{Var: "v", Type: "list-multi", Options: []Option{{"o<ne", "1"}, {"two", "&2"}}}}}
	want := "<x xmlns='jabber:x:data' type='form'><field type='list-multi' var='v'><option label='o&lt;ne'><value>1</value></option>" +
		"<option label='two'><value>&amp;2</value></option></field></x>"
	if got := string(f.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f = Form{Type: "result", Reported: []Field{{Var: "a", Label: "A"}, {Var: "b"}}, Items: [][]string{{"1", "<"}, {"3", "4"}}}
	want = "<x xmlns='jabber:x:data' type='result'><reported><field var='a' label='A'></field><field var='b'></field></reported>" +
		"<item><field var='a'><value>1</value></field><field var='b'><value>&lt;</value></field></item>" +
		"<item><field var='a'><value>3</value></field><field var='b'><value>4</value></field></item></x>"
	if got := string(f.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("<field var='a'/>", 65)
	for _, tt := range []struct {
		in   string
		want *Submission
		err  error
	}{
		{"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>t</value></field><field var='a'><value>1</value><value>2</value></field><field var='b'/><field type='fixed'><value>z</value></field></x>",
			&Submission{FormType: "t", Values: map[string][]string{"a": {"1", "2"}, "b": {}}}, nil},
		{"<x xmlns='jabber:x:data' type='submit'/>", &Submission{Values: map[string][]string{}}, nil},
		{"<x xmlns='jabber:x:data' type='cancel'/>", nil, ErrType},
		{"<x xmlns='jabber:x:data' type='form'/>", nil, ErrType},
		{"<x xmlns='jabber:x:data' type='submit'><field var='a'/><field var='a'/></x>", nil, ErrMalformed},
		{"<x xmlns='jabber:x:data' type='submit'><field var='a'><value><b/></value></field></x>", nil, ErrMalformed},
		{"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>a</value><value>b</value></field></x>", nil, ErrMalformed},
		{"<x xmlns='jabber:x:data' type='submit'>" + many + "</x>", nil, ErrMalformed},
	} {
		c, ok := child(tt.in)
		if !ok {
			t.Fatal(tt.in)
		}
		got, err := Read(c)
		if !errors.Is(err, tt.err) || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, error %v, want %+v, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

// FuzzRead: whatever is submitted, what was read can be written as a form.
func FuzzRead(f *testing.F) {
	f.Add("<field var='FORM_TYPE'><value>t</value></field><field var='a'><value>1</value></field>")
	f.Add("<field var='a'><value>&lt;</value></field><field><value/></field>text")
	f.Fuzz(func(t *testing.T, inside string) {
		c, ok := child("<x xmlns='" + NS + "' type='submit'>" + inside + "</x>")
		if !ok {
			return
		}
		s, err := Read(c)
		if err != nil {
			return
		}
		form := Form{Type: "submit", FormType: s.FormType}
		for name, values := range s.Values {
			form.Fields = append(form.Fields, Field{Var: name, Values: values})
		}
		c, ok = child(string(form.Append(nil)))
		if !ok {
			t.Fatalf("wrote %s", form.Append(nil))
		}
		again, err := Read(c)
		if err != nil || again.FormType != s.FormType || len(again.Values) != len(s.Values) {
			t.Errorf("read %+v, then %+v, error %v", s, again, err)
		}
	})
}
