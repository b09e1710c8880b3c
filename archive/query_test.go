package archive

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// submitted is a query with a form.
func submitted(fields ...string) string {
	return "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>" +
		strings.Join(fields, "") + "</x></query>"
}

func field(name string, values ...string) string {
	f := "<field var='" + name + "'>"
	for _, v := range values {
		f += "<value>" + v + "</value>"
	}
	return f + "</field>"
}

func paged(set string) string {
	return "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>" + set + "</set></query>"
}

func child(t testing.TB, text string) (mux.Child, error) {
	s, err := mux.Parse([]byte("<iq xmlns='jabber:client' type='set' id='1'>" + text + "</iq>"))
	if err != nil || len(s.Children()) == 0 {
		return mux.Child{}, errors.New("no child")
	}
	return s.Children()[0], nil
}

func TestParseQuery(t *testing.T) {
	t.Parallel()
	x := New(new(Memory), &Options{MaxPage: 100, Page: 20, PageBytes: 7})
	at := func(text string) time.Time {
		u, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	with := mux.MustParseAddress("juliet@example.org/a")
	for _, tt := range []struct {
		name, in string
		want     request
	}{
		{"nothing", "<query xmlns='urn:xmpp:mam:2'/>", request{Query: Query{Max: 20}}},
		{"name", "<query xmlns='urn:xmpp:mam:2' queryid='&lt;1'/>", request{Query: Query{Max: 20}, queryID: "<1"}},
		{"what is not known is ignored", "<query xmlns='urn:xmpp:mam:2'><flip-page xmlns='urn:x'/><x xmlns='urn:x'/></query>", request{Query: Query{Max: 20}}},
		{"flipped", "<query xmlns='urn:xmpp:mam:2'><flip-page/></query>", request{Query: Query{Max: 20}, flip: true}},
		{"no conditions", submitted(), request{Query: Query{Max: 20}}},
		{"with", submitted(field("with", "Juliet@example.org/a")), request{Query: Query{Max: 20, With: with}}},
		{"empty ones", submitted(field("with"), field("start", ""), field("end"), field("ids"), field("after-id"), field("include-groupchat")), request{Query: Query{Max: 20}}},
		{"times", submitted(field("start", "2010-06-07T00:00:00Z"), field("end", "2010-07-07T13:23:54+01:00")),
			request{Query: Query{Max: 20, Start: at("2010-06-07T00:00:00Z"), End: at("2010-07-07T13:23:54+01:00")}}},
		{"ids", submitted(field("ids", "a", "b"), field("after-id", "c"), field("before-id", "d")),
			request{Query: Query{Max: 20, IDs: []string{"a", "b"}, AfterID: "c", BeforeID: "d"}}},
		{"groupchat", submitted(field("include-groupchat", "true")), request{Query: Query{Max: 20}}},
		{"max", paged("<max>10</max>"), request{Query: Query{Max: 10}}},
		{"none", paged("<max>0</max>"), request{Query: Query{}}},
		{"too many", paged("<max>1000000000000000000</max>"), request{Query: Query{Max: 100}}},
		{"after", paged("<max>10</max><after>x</after>"), request{Query: Query{Max: 10, PageAfter: "x"}}},
		{"before", paged("<before>x</before>"), request{Query: Query{Max: 20, PageBefore: "x", Backward: true}}},
		{"last", paged("<before/>"), request{Query: Query{Max: 20, Backward: true}}},
		{"first", paged("<after/>"), request{Query: Query{Max: 20}}},
		{"both", paged("<after>x</after><before>y</before>"), request{Query: Query{Max: 20, PageAfter: "x", PageBefore: "y", Backward: true}}},
	} {
		c, err := child(t, tt.in)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		tt.want.Bytes = 7
		got, err := x.parseQuery(c)
		if err != nil || !reflect.DeepEqual(normal(got), normal(tt.want)) {
			t.Errorf("%s: got %+v, error %v, want %+v", tt.name, got, err, tt.want)
		}
	}
	many := make([]string, 101)
	for _, tt := range []struct {
		name, in string
		want     stanza.Condition
	}{
		{"no form type", "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>" + field("with", "a@b") + "</x></query>", stanza.BadRequest},
		{"another form type", "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>" + field("FORM_TYPE", "urn:xmpp:mam:1") + "</x></query>", stanza.BadRequest},
		{"not submitted", "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='form'>" + field("FORM_TYPE", "urn:xmpp:mam:2") + "</x></query>", stanza.BadRequest},
		{"unknown field", submitted(field("{urn:x}text", "a")), stanza.FeatureNotImplemented},
		{"field without a name", submitted("<field><value>x</value></field>"), stanza.FeatureNotImplemented},
		{"field twice", submitted(field("with", "a@b"), field("with", "a@b")), stanza.BadRequest},
		{"two values", submitted(field("with", "a@b", "c@d")), stanza.BadRequest},
		{"no address", submitted(field("with", "@")), stanza.JIDMalformed},
		{"no time", submitted(field("start", "yesterday")), stanza.BadRequest},
		{"no time either", submitted(field("end", "2010-06-07")), stanza.BadRequest},
		{"no boolean", submitted(field("include-groupchat", "maybe")), stanza.BadRequest},
		{"too many ids", submitted(field("ids", many...)), stanza.NotAcceptable},
		{"no number", paged("<max>ten</max>"), stanza.BadRequest},
		{"negative", paged("<max>-1</max>"), stanza.BadRequest},
		{"empty max", paged("<max/>"), stanza.BadRequest},
		{"index", paged("<max>10</max><index>5</index>"), stanza.FeatureNotImplemented},
		{"node", "<query xmlns='urn:xmpp:mam:2' node='a'/>", stanza.ItemNotFound},
	} {
		c, err := child(t, tt.in)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got, err := x.parseQuery(c); !errors.Is(err, stanza.Error{Condition: tt.want}) {
			t.Errorf("%s: got %+v, error %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

// normal is a request that compares by what times mean.
func normal(r request) string {
	r.Start, r.End = r.Start.UTC(), r.End.UTC()
	return fmt.Sprintf("%+v", r)
}

func TestParsePrefs(t *testing.T) {
	t.Parallel()
	a, b := mux.MustParseAddress("a@example.org"), mux.MustParseAddress("b@example.org/x")
	for _, tt := range []struct {
		in   string
		want Prefs
	}{
		{"<prefs xmlns='urn:xmpp:mam:2' default='always'/>", Prefs{Default: Always}},
		{"<prefs xmlns='urn:xmpp:mam:2' default='roster'><always/><never/></prefs>", Prefs{Default: Roster}},
		{"<prefs xmlns='urn:xmpp:mam:2' default='never'><never><jid>A@example.org</jid><jid>a@example.org</jid></never><always><jid>b@example.org/x</jid></always></prefs>",
			Prefs{Default: Never, Always: []mux.Address{b}, Never: []mux.Address{a}}},
	} {
		c, err := child(t, tt.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsePrefs(c)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, error %v", tt.in, got, err)
		}
	}
	many := strings.Repeat("<jid>a@example.org</jid>", maxListed+1)
	for in, want := range map[string]stanza.Condition{
		"<prefs xmlns='urn:xmpp:mam:2'/>":                                                                                               stanza.BadRequest,
		"<prefs xmlns='urn:xmpp:mam:2' default=''/>":                                                                                    stanza.BadRequest,
		"<prefs xmlns='urn:xmpp:mam:2' default='Always'/>":                                                                              stanza.BadRequest,
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid/></always></prefs>":                                                 stanza.JIDMalformed,
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><never><jid>a@b@c</jid></never></prefs>":                                         stanza.JIDMalformed,
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><never>" + many + "</never></prefs>":                                             stanza.NotAcceptable,
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><always>" + many[:24*1000] + "</always><never>" + many[:24] + "</never></prefs>": stanza.NotAcceptable,
	} {
		c, err := child(t, in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parsePrefs(c); !errors.Is(err, stanza.Error{Condition: want}) {
			t.Errorf("%.100s: got %+v, error %v, want %s", in, got, err, want)
		}
	}
}

func TestWants(t *testing.T) {
	t.Parallel()
	full, other := mux.MustParseAddress("a@example.org/x"), mux.MustParseAddress("a@example.org/y")
	yes, no := func() bool { return true }, func() bool { return false }
	for _, tt := range []struct {
		name string
		p    Prefs
		peer mux.Address
		ask  func() bool
		want bool
	}{
		{"nothing said", Prefs{}, full, no, true},
		{"always", Prefs{Default: Always}, full, no, true},
		{"never", Prefs{Default: Never}, full, yes, false},
		{"in the roster", Prefs{Default: Roster}, full, yes, true},
		{"not in the roster", Prefs{Default: Roster}, full, no, false},
		{"bare listed", Prefs{Default: Never, Always: []mux.Address{full.Bare()}}, full, no, true},
		{"full listed", Prefs{Default: Never, Always: []mux.Address{full}}, full, no, true},
		{"other resource listed", Prefs{Default: Never, Always: []mux.Address{full}}, other, no, false},
		{"full listed, bare asked", Prefs{Default: Never, Always: []mux.Address{full}}, full.Bare(), no, false},
		{"never listed", Prefs{Default: Always, Never: []mux.Address{full.Bare()}}, full, no, false},
		{"in both", Prefs{Default: Always, Never: []mux.Address{full}, Always: []mux.Address{full.Bare()}}, full, no, false},
	} {
		if got := tt.p.wants(tt.peer, tt.ask); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

// FuzzQuery: whatever a client asks is a query within bounds, or one of the errors
// that the specification names, and what it is answered with is XML.
func FuzzQuery(f *testing.F) {
	for _, in := range []string{
		"<query xmlns='urn:xmpp:mam:2' queryid='&lt;\"1'/>", submitted(field("with", "a@b/c"), field("start", "2010-06-07T00:00:00Z")),
		submitted(field("ids", "m1", "m2"), field("before-id", "m3")), paged("<max>10</max><before/>"), paged("<max>3</max><after>m1</after>"),
		"<query xmlns='urn:xmpp:mam:2'><flip-page/></query>", submitted(field("include-groupchat", "1"), field("end", "2999-06-07T00:00:00.123456789-12:00")),
	} {
		f.Add(in)
	}
	store := new(Memory)
	account := mux.MustParseAddress("juliet@example.net")
	for i := range 5 {
		w := store.Append(account, Entry{ID: fmt.Sprint("m", i), At: time.Unix(int64(i), 0), With: mux.MustParseAddress("a@b/c"), Stanza: []byte("<message xmlns='jabber:client'/>")})
		if err := w(f.Context(), nil); err != nil {
			f.Fatal(err)
		}
	}
	x := New(store, nil)
	f.Fuzz(func(t *testing.T, in string) {
		c, err := child(t, in)
		if err != nil || c.Name != queryName {
			return
		}
		r, err := x.parseQuery(c)
		if err != nil {
			var se stanza.Error
			if !errors.As(err, &se) || se.Condition == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		if r.Max < 0 || r.Max > x.opt.MaxPage || len(r.IDs) > x.opt.MaxPage {
			t.Fatalf("got %+v", r)
		}
		iq := mux.Make(mux.Head{Kind: mux.IQ, Type: "set", ID: "1"}, c)
		a := &answer{x: x, request: r, account: account, to: account, iq: iq}
		n := 0
		more, err := a.next(t.Context(), func(it mux.Item) {
			n++
			if _, err := mux.Parse(it.Append(nil, mux.NSClient)); err != nil {
				t.Fatalf("%s: %v", it.Append(nil, mux.NSClient), err)
			}
		})
		if more || err != nil || n == 0 || n > 6 {
			t.Fatalf("%d items, more %t, error %v", n, more, err)
		}
	})
}

// FuzzPrefs: preferences are within bounds, and what is answered reads the same.
func FuzzPrefs(f *testing.F) {
	f.Add("<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>a@b/&lt;c</jid></always><never><jid>x@y</jid></never></prefs>")
	f.Add("<prefs xmlns='urn:xmpp:mam:2' default='roster'/>")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := child(t, in)
		if err != nil || c.Name != prefsName {
			return
		}
		p, err := parsePrefs(c)
		if err != nil {
			return
		}
		if len(p.Always)+len(p.Never) > maxListed {
			t.Fatalf("%d addresses", len(p.Always)+len(p.Never))
		}
		again, err := mux.NewChild(p.payload())
		if err != nil {
			t.Fatal(err)
		}
		q, err := parsePrefs(again)
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("got %+v, error %v, want %+v", q, err, p)
		}
	})
}

// FuzzResult: a client reads whatever an archive says.
func FuzzResult(f *testing.F) {
	f.Add("<result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-06-07T00:00:00Z'/><message xmlns='jabber:client' id='2'><body>x</body></message></forwarded></result>")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := child(t, in)
		if err != nil || c.Name != resultName {
			return
		}
		if m, err := readResult(c); err == nil && (m.ID == "" || m.Stanza.Kind() != mux.Message) {
			t.Fatalf("got %+v", m)
		}
	})
}
