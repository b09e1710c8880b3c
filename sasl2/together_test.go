package sasl2_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/smacks"
)

var enabledAt = regexp.MustCompile(`<enabled xmlns='urn:xmpp:sm:3'[^>]* id='([^']*)'`)

// TestTogether: with the real members, a client that comes back with a token gets
// in one round trip either its session with what it has missed, or a new one
// (auth-register B2-2, B2-6, IN-3 to IN-8, IN-15).
func TestTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t, func(s *setup) {
			s.mux.Sessions = new(mux.MemorySessions)
			s.exts = append(s.exts, carbons.New(nil), smacks.New(nil, nil))
		})
		const binds = "<bind{bind2}><tag>Hive</tag><enable xmlns='urn:xmpp:carbons:2'/><enable{sm} resume='true'/></bind>"
		first := site.connect()
		first.send("{romeo}{plain}" + wants + binds + "{end}<presence/>")
		got := first.take()
		id := enabledAt.FindStringSubmatch(got)
		if id == nil || !strings.Contains(got, "</bound>"+expand("{token}</success>{bound}")) {
			t.Fatalf("got %s", got)
		}
		juliet := site.host.Connect(t, "juliet@example.net/balcony")
		say := func(body string) {
			juliet.Send("<message to='romeo@example.net' type='chat'><body>" + body + "</body></message>")
		}
		say("one")
		say("two")
		if got := first.take(); strings.Count(got, "<body>") != 2 {
			t.Errorf("got %s", got)
		}
		first.stop()
		site.host.Settle()
		say("three")

		// Back with h=1: two is sent again, three is new.
		resume := attempt{token: first.token, attrs: " count='1'", children: binds + "<resume{sm} previd='" + id[1] + "' h='1'/>"}
		second := site.connect()
		second.run("C: {romeo}\n")
		second.send(resume.text())
		got = second.take()
		data := expand("<additional-data>" + sasl2HT(resume) + "</additional-data>")
		if !strings.HasPrefix(got, expand("{ok}"+data+"{full}<resumed{sm}")) || second.full != first.full ||
			strings.Contains(got, "features") || strings.Contains(got, "bound") || strings.Contains(got, ">one<") ||
			!(strings.Index(got, ">two<") > 0 && strings.Index(got, ">two<") < strings.Index(got, ">three<")) {
			t.Errorf("got %s", got)
		}
		second.send("<a{sm} h='3'/><r{sm}/>")
		if got := second.take(); !strings.Contains(got, expand("<a{sm} h='1'/>")) { // the presence
			t.Errorf("got %s", got)
		}
		second.stop()
		time.Sleep(time.Hour) // the window is over

		resume.attrs = " count='2'"
		third := site.connect()
		defer third.stop()
		third.run("C: {romeo}\n")
		third.send(resume.text())
		got = third.take()
		if !strings.HasPrefix(got, expand("{ok}"+data+"{full}<failed{sm}")) || !strings.HasSuffix(got, "</bound>"+expand("</success>{bound}")) || enabledAt.FindString(got) == "" {
			t.Errorf("got %s", got)
		}
	})
}

// TestArchive: who binds with Bind 2 is told where his archive ends, and gets
// nothing of what it has from the offline store; what comes later comes live
// (auth-register B2-3, B2-7, IN-10).
func TestArchive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		archives := archive.New(new(archive.Memory), nil)
		site := fasts(t, func(s *setup) {
			s.exts = append(s.exts, offline.New(new(offline.Memory), &offline.Options{ReadsArchive: archives.Reads, Archived: archives.Messages}), archives)
		})
		juliet := site.host.Connect(t, "juliet@example.net/balcony")
		say := func(body string) {
			juliet.Send("<message to='romeo@example.net' type='chat' id='" + body + "'><body>" + body + "</body></message>")
		}
		say("one")
		say("two")
		p := site.connect()
		defer p.stop()
		p.send("{romeo}{plain}<bind{bind2}/>{end}")
		if got := p.take(); !regexp.MustCompile(`<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'><start id='[^']+' [^>]*/><end id='[^']+' [^>]*/></metadata></bound>`).MatchString(got) {
			t.Errorf("got %s", got)
		}
		p.send("<presence/>")
		if got := p.take(); strings.Contains(got, "<body>") {
			t.Errorf("got %s", got)
		}
		say("three")
		if got := p.take(); strings.Count(got, "<body>") != 1 || !strings.Contains(got, "three") {
			t.Errorf("got %s", got)
		}
	})
}
