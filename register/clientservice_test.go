package register_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/register"
)

var gateway = jid.MustParse("gateway.example.net")

// request is one as the service sees it.
type request struct {
	To    string `xml:"to,attr"`
	Type  string `xml:"type,attr"`
	ID    string `xml:"id,attr"`
	Inner string `xml:",innerxml"`
}

// at is romeo's session with a service that gives those answers, one after another;
// asked returns what it was asked.
func at(t *testing.T, answers ...string) (s *xmpp.Session, asked func() request) {
	t.Helper()
	near, far := net.Pipe()
	got, ended := make(chan request, len(answers)), make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := io.WriteString(far, "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>"); err != nil {
			return
		}
		for d := xml.NewDecoder(far); len(answers) > 0; answers = answers[1:] {
			var r request
			if err := d.Decode(&r); err != nil {
				return
			}
			got <- r
			if _, err := fmt.Fprintf(far, "<iq from='%s' id='%s' %s</iq>", r.To, r.ID, answers[0]); err != nil {
				return
			}
		}
	}()
	s, served := serve(t, near, xmpp.Secure)
	t.Cleanup(func() {
		near.Close()
		far.Close()
		<-ended
		<-served
	})
	return s, func() request {
		t.Helper()
		select {
		case r := <-got:
			return r
		default:
			t.Fatal("nothing was asked")
			return request{}
		}
	}
}

const (
	plainForm = "type='result'><query xmlns='jabber:iq:register'><instructions>Who are you there?</instructions>" +
		"<registered/><username>rom</username><email/><key>k3y</key></query>"
	dataForm = "type='result'><query xmlns='jabber:iq:register'><instructions>Use a newer client.</instructions><username/>" +
		"<x xmlns='jabber:x:data' type='form'><instructions>Which number?</instructions>" +
		"<field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>" +
		"<field type='text-single' var='number' label='Number'><required/></field>" +
		"<field type='boolean' var='roaming'><value>0</value></field></x></query>"
)

// named is what names an element or attribute of a namespace twice.
var named = regexp.MustCompile(` xmlns="jabber:client"`)

// has reports whether a request has this in it, in that order, whatever is between.
func (r *request) has(parts ...string) bool {
	rest := strings.ReplaceAll(named.ReplaceAllString(r.Inner, ""), `"`, "'")
	for _, p := range parts {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return true
}

// TestServiceForm: auth-register RG-12, what a service wants to know and knows.
func TestServiceForm(t *testing.T) {
	t.Parallel()
	s, asked := at(t, plainForm, dataForm)
	f, err := register.FormAt(t.Context(), s, gateway)
	if err != nil {
		t.Fatal(err)
	}
	if r := asked(); r.To != gateway.String() || r.Type != "get" || !r.has("<query xmlns='jabber:iq:register'>") {
		t.Errorf("asked %+v", r)
	}
	if !f.Registered || f.Instructions != "Who are you there?" || len(f.Fields) != 3 || f.Fields[0].Name != "username" || !slices.Equal(f.Fields[0].Values, []string{"rom"}) {
		t.Errorf("got %+v", f)
	}
	if f, err = register.FormAt(t.Context(), s, gateway); err != nil {
		t.Fatal(err)
	}
	if f.Registered || f.Instructions != "Which number?" || len(f.Fields) != 3 || f.Fields[1].Name != "number" || !f.Fields[1].Required || f.Fields[1].Label != "Number" || f.Fields[2].Required {
		t.Errorf("got %+v", f)
	}
}

// TestServiceRegister: both kinds of fields are filled in; what nobody has changed stays,
// and what is missing is not asked for in vain.
func TestServiceRegister(t *testing.T) {
	t.Parallel()
	s, asked := at(t, plainForm, "type='result'>", dataForm, "type='result'>")
	f, err := register.FormAt(t.Context(), s, gateway)
	if err != nil {
		t.Fatal(err)
	}
	asked()
	if err := register.RegisterAt(t.Context(), s, gateway, f, nil); !errors.Is(err, register.ErrQuestions) {
		t.Errorf("no email: %v", err)
	}
	if err := register.RegisterAt(t.Context(), s, gateway, f, map[string][]string{"email": {"<r@m>"}}); err != nil {
		t.Fatal(err)
	}
	if r := asked(); r.To != gateway.String() || r.Type != "set" || !r.has("<query xmlns='jabber:iq:register'>", ">rom</username>", ">&lt;r@m&gt;</email>", ">k3y</key>") || r.has("registered") || r.has("password") {
		t.Errorf("asked %+v", r)
	}
	if f, err = register.FormAt(t.Context(), s, gateway); err != nil {
		t.Fatal(err)
	}
	asked()
	if err := register.RegisterAt(t.Context(), s, gateway, f, map[string][]string{"number": {"123"}}); err != nil {
		t.Fatal(err)
	}
	if r := asked(); r.Type != "set" || !r.has("<x xmlns='jabber:x:data' type='submit'>", "var='FORM_TYPE'>", ">jabber:iq:register</value>", "var='number'>", ">123</value>", "var='roaming'>", ">0</value>") {
		t.Errorf("asked %+v", r)
	}
}

// TestServiceRemove: XEP-0077 §3.2, also where the service asks back.
func TestServiceRemove(t *testing.T) {
	t.Parallel()
	const no = "<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	s, asked := at(t, "type='result'>",
		"type='error'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'><field type='hidden' var='FORM_TYPE'><value>jabber:iq:register:cancel</value></field>"+
			"<field type='text-private' var='pin'><required/></field></x></query>"+no,
		"type='result'>", "type='error'><query xmlns='jabber:iq:register'><remove/></query>"+no)
	if err := register.RemoveAt(t.Context(), s, gateway); err != nil {
		t.Fatal(err)
	}
	if r := asked(); r.To != gateway.String() || r.Type != "set" || !r.has("<query xmlns='jabber:iq:register'>", "<remove") {
		t.Errorf("asked %+v", r)
	}
	err := register.RemoveAt(t.Context(), s, gateway)
	var fe *register.FormError
	var se stanza.Error
	if !errors.As(err, &fe) || len(fe.Form.Fields) != 2 || !errors.As(err, &se) || se.Condition != stanza.NotAllowed || err.Error() == "" {
		t.Fatalf("error %v", err)
	}
	asked()
	if err := register.RegisterAt(t.Context(), s, gateway, fe.Form, map[string][]string{"pin": {"0000"}}); err != nil {
		t.Fatal(err)
	}
	if r := asked(); !r.has("type='submit'", ">jabber:iq:register:cancel</value>", ">0000</value>") {
		t.Errorf("asked %+v", r)
	}
	if err := register.RemoveAt(t.Context(), s, gateway); errors.As(err, &fe) || !errors.As(err, &se) {
		t.Errorf("error %v", err)
	}
}

// TestServiceRefusals: what is no answer, and what is not asked at all.
func TestServiceRefusals(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("<email/>", 5000)
	s, _ := at(t, "type='error'>", "type='result'><query xmlns='jabber:iq:register'>"+many+"</query>",
		"type='result'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:oob'><url>https://example.net/</url></x></query>", "type='result'>")
	for _, own := range []string{domain, romeo, romeo + "/balcony"} {
		if err := register.RemoveAt(t.Context(), s, jid.MustParse(own)); !errors.Is(err, register.ErrOwnServer) {
			t.Errorf("%s: error %v", own, err)
		}
	}
	if err := register.RemoveAt(t.Context(), s, jid.JID{}); !errors.Is(err, register.ErrOwnServer) {
		t.Errorf("error %v", err)
	}
	for _, what := range []string{"an error without one", "too much"} {
		if _, err := register.FormAt(t.Context(), s, gateway); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	f, err := register.FormAt(t.Context(), s, gateway)
	if err != nil || f.URL != "https://example.net/" {
		t.Fatalf("got %+v, error %v", f, err)
	}
	if err := register.RegisterAt(t.Context(), s, gateway, f, nil); !errors.Is(err, register.ErrElsewhere) {
		t.Errorf("error %v", err)
	}
	if f, err = register.FormAt(t.Context(), s, gateway); err != nil {
		t.Fatal(err)
	}
	if err := register.RegisterAt(t.Context(), s, gateway, f, nil); !errors.Is(err, register.ErrNotOffered) {
		t.Errorf("error %v", err)
	}
	clear, got := client(t, 0, result)
	if _, err := register.FormAt(t.Context(), clear, gateway); !errors.Is(err, register.ErrInsecure) || len(got) != 0 {
		t.Errorf("error %v", err)
	}
}
