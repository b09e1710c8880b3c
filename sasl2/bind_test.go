package sasl2_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
)

const bare = "S: {ok}{full}<bound{bind2}></bound></success>{bound}\n"

// TestBind: auth-register B2-2, B2-4, B2-6, IN-6 to IN-9.
func TestBind(t *testing.T) {
	t.Parallel()
	seen := func(s *setup) { withMembers(s) }
	play(t, []transcript{
		{name: "nothing more", text: "C: {open}\nC: {plain}<bind{bind2}/>{end}\n" + bare},
		{name: "with requests", with: seen, text: "C: {open}\nC: {plain}<bind{bind2}><tag>Hive</tag><inactive xmlns='urn:xmpp:csi:0'/><unknown xmlns='urn:x'/><enable{sm}/></bind>{end}\n" +
			"S: {ok}{full}<bound{bind2}><enabled{sm}/></bound></success>{bound}"},
		{name: "resumption refused", with: seen, text: "C: {open}\nC: {plain}<bind{bind2}/><resume{sm} previd='x' h='1'/>{end}\nS: {ok}{full}<failed{sm}/><bound{bind2}></bound></success>{bound}"},
		{name: "resumption of nothing", with: seen, text: "C: {open}\nC: {plain}<bind{bind2}/><resume{sm} previd='AAAAAAAAAAAAAAAAAAAAAA' h='1'/>{end}\nS: {ok}{full}<failed{sm}/><bound{bind2}></bound></success>{bound}"},
		{name: "resumption alone", with: seen, text: "C: {open}\nC: {plain}<resume{sm} previd='AAAAAAAAAAAAAAAAAAAAAA' h='1'/>{end}\nS: {ok}{is}<failed{sm}/></success>{ready}"},
		{name: "not after a failure", with: seen, text: "C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>AHJvbWVvAHdyb25n</initial-response><bind{bind2}/>{end}\nS: {fail not-authorized}"},
		{name: "unknown request", text: "C: {open}\nC: {plain}<x xmlns='urn:x'/>{end}\n" + success},
		{name: "two binds", text: "C: {open}\nC: {plain}<bind{bind2}/><bind{bind2}/>{end}\nS: {fail malformed-request}"},
	})
}

// TestOrder: members are stepped in order of registration, resumption first, and
// none before authentication is done (auth-register B2-2, IN-2).
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s setup
		m := withMembers(&s)
		p := newSite(t, s).connect()
		defer p.stop()
		p.run("C: {open}\nC: {scram}<bind{bind2}><active xmlns='urn:xmpp:csi:0'/><enable{sm}/></bind><resume{sm} previd='x'/>{end}\nS: {who}\n")
		if len(*m.seen) != 0 {
			t.Errorf("stepped before authentication: %q", *m.seen)
		}
		p.send("{secret}")
		p.take()
		if want := []string{"resume", "enable romeo@example.net", "active", "bind"}; !slices.Equal(*m.seen, want) {
			t.Errorf("stepped %q, want %q", *m.seen, want)
		}
	})
}

// TestLimit: who has too many sessions learns that his stream cannot go on.
func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, setup{mux: mux.Options{MaxSessions: 1}})
		one, two := site.connect(), site.connect()
		defer one.stop()
		defer two.stop()
		one.run("C: {open}\nC: {plain}<bind{bind2}/>{end}\n" + bare)
		two.run("C: {open}\nC: {plain}<bind{bind2}/>{end}\nS: {error resource-constraint}\nEND")
	})
}

// TestResource: auth-register B2-4.
func TestResource(t *testing.T) {
	t.Parallel()
	const other = "<user-agent id='00000000-0000-4000-8000-000000000000'/>"
	full := func(t *testing.T, children string) string {
		var got string
		synctest.Test(t, func(t *testing.T) {
			p := newSite(t, setup{}).connect()
			defer p.stop()
			p.run("C: {open}\nC: {plain}" + children + "{end}\n" + bare)
			got = strings.TrimPrefix(p.full, "romeo@example.net/")
		})
		return got
	}
	stable := full(t, "{agent}<bind{bind2}><tag>Hive</tag></bind>")
	if again := full(t, "{agent}<bind{bind2}><tag>Hive</tag></bind>"); again != stable {
		t.Errorf("%s and then %s", stable, again)
	}
	if tag, part, ok := strings.Cut(stable, "/"); !ok || tag != "Hive" || len(part) != 12 || strings.Contains(stable, "d4565fa7") {
		t.Errorf("resource %s", stable)
	}
	seen := map[string]bool{stable: true}
	for children, tag := range map[string]string{
		other + "<bind{bind2}><tag>Hive</tag></bind>": "Hive/", "{agent}<bind{bind2}><tag>Two</tag></bind>": "Two/",
		"<bind{bind2}><tag>Hive</tag></bind>": "Hive/", "<bind{bind2}/>": "", "{agent}<bind{bind2}/>": "",
		"<bind{bind2}><tag>" + strings.Repeat("x", 64) + "</tag></bind>":                                           strings.Repeat("x", 64) + "/",
		"<bind{bind2}><tag>" + strings.Repeat("x", 65) + "</tag></bind>":                                           "",
		"<bind{bind2}><tag>a\u00ad\u0640b&#x7f;</tag></bind>":                                                      "",
		"<user-agent id='D4565FA7-4D72-1749-B3D3-740EDBF87770'/><bind{bind2}><tag>a &lt;b&gt; ü</tag></bind>":      "a &lt;b&gt; ü/",
		"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf8777x'/><bind{bind2}><tag>not an id</tag><tag/></bind>":    "",
		"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770x'/><bind{bind2}><tag>not an id either</tag></bind>":  "not an id either/",
		"<user-agent id='d4565fa7-4d72-4749-73d3-740edbf87770'/><bind{bind2}><tag>of another variant</tag></bind>": "of another variant/",
		"<user-agent id='d4565fa7_4d72-4749-b3d3-740edbf87770'/><bind{bind2}><tag>without its hyphen</tag></bind>": "without its hyphen/",
		"<user-agent/><bind{bind2}><tag>without any id</tag></bind>":                                               "without any id/",
	} {
		got := full(t, children)
		rest, ok := strings.CutPrefix(got, tag)
		if !ok || strings.Contains(rest, "/") || len(rest) < 12 || seen[got] {
			t.Errorf("%s: resource %s, want %s and something", children, got, tag)
		}
		seen[got] = true
	}
}

// TestReplace: a session of the same installation ends, another does not
// (auth-register B2-5, IN-11), a sleeping one included, also after a restart.
func TestReplace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup{mux: mux.Options{Sessions: new(mux.MemorySessions)}}
		withMembers(&s)
		site := newSite(t, s)
		const other = "<user-agent id='00000000-0000-4000-8000-000000000000'/>"
		bind := func(agent, tag string) *peer {
			t.Helper()
			p := site.connect()
			p.run("C: {open}\nC: {plain}" + agent + "<bind{bind2}><tag>" + tag + "</tag></bind>{end}\n" + bare)
			return p
		}
		sessions := func() (names []string) {
			synctest.Wait()
			for _, s := range site.host.Mux().Sessions(mux.MustParseAddress("romeo@example.net")) {
				names = append(names, strings.SplitN(s.JID().Resource(), "/", 2)[0])
			}
			slices.Sort(names)
			return names
		}
		first, second, none := bind("{agent}", "A"), bind(other, "B"), bind("", "C")
		defer second.stop()
		third := bind("{agent}", "D")
		first.expect("{error conflict}")
		first.stop()
		if got := sessions(); !slices.Equal(got, []string{"B", "C", "D"}) {
			t.Fatalf("sessions %q", got)
		}
		third.stop() // without a proper end: it sleeps
		none.stop()
		if got := sessions(); !slices.Equal(got, []string{"B", "C", "D"}) {
			t.Fatalf("sessions %q", got)
		}
		fourth := bind("{agent}", "E")
		defer fourth.stop()
		if got := sessions(); !slices.Equal(got, []string{"B", "C", "E"}) {
			t.Errorf("sessions %q", got)
		}
		site.restart()
		if got := sessions(); !slices.Equal(got, []string{"B", "C", "E"}) {
			t.Fatalf("after a restart: sessions %q", got)
		}
		fifth := bind(other, "F")
		defer fifth.stop()
		if got := sessions(); !slices.Equal(got, []string{"C", "E", "F"}) {
			t.Errorf("after a restart: sessions %q", got)
		}
	})
}

// TestResumes: auth-register S2-6, IN-3, IN-5, IN-14.
func TestResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s setup
		m := withMembers(&s)
		site := newSite(t, s)
		p := site.connect()
		p.run("C: {open}\nC: {plain}{agent}<bind{bind2}><tag>Hive</tag></bind>{end}\n" + bare)
		synctest.Wait()
		id, full := p.st.Session().ID().String(), p.full
		p.stop()
		time.Sleep(time.Second)

		// Not by another account, although authentication succeeds.
		mallory := site.connect()
		defer mallory.stop()
		mallory.run("C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>{64 \x00mallory\x00evil}</initial-response><resume{sm} previd='" + id + "'/>{end}\n" +
			"S: {ok}<authorization-identifier>mallory@example.net</authorization-identifier><failed{sm}/></success>{ready}")

		*m.seen = nil
		q := site.connect()
		defer q.stop()
		q.run("C: {romeo}\nC: {plain}{agent}<bind{bind2}><enable{sm}/></bind><resume{sm} previd='" + id + "'/><request-token{fast} mechanism='HT-SHA-256-NONE'/>{end}\n" +
			"S: {ok}{full}<resumed{sm}/>{token}</success>\n" +
			"C: <iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>\n" +
			"S: <iq from='romeo@example.net' to='" + full + "' type='result' id='2'/>\n")
		if q.full != full || !slices.Equal(*m.seen, []string{"resume"}) {
			t.Errorf("resumed %s, was %s; stepped %q", q.full, full, *m.seen)
		}
	})
}
