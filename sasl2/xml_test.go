package sasl2_test

import (
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// TestOutputIsXML: an independent parser takes what is sent.
func TestOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	for _, tt := range []struct{ name, text string }{
		{"bound", "{romeo}{plain}<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>&lt;&amp;&apos;]]&gt;</software><device>ü</device></user-agent>" +
			"<bind{bind2}><tag>&lt;&amp;&apos;&quot;&gt;]]&gt;</tag><enable{sm}/></bind><resume{sm} previd='x'/><request-token{fast} mechanism='HT-SHA-256-NONE'/>{end}" + askList + nobody},
		{"failures", "{open}{wrong}{plain}<config-version xmlns='urn:xmpp:iap:0' value='&apos;&lt;'/>{end}{scram}{end}<abort{2}/>{scram}{end}<presence/>"},
		{"tasks", "{romeo}{plain}<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>{end}<next{2} task='UPGR-SCRAM-SHA-256'/>" +
			"<task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hash}</hash></task-data>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var sent string
			synctest.Test(t, func(t *testing.T) {
				p := fasts(t, func(s *setup) { withMembers(s) }).connect()
				p.send(tt.text)
				synctest.Wait()
				p.send("</stream:stream>")
				time.Sleep(time.Minute)
				p.stop()
				sent = p.output()
			})
			cmd := exec.Command(path, "--nonet", "--noout", "-")
			cmd.Stdin = strings.NewReader(sent)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			// Namespace faults leave the status at 0 and show on standard error alone.
			if err := cmd.Run(); err != nil || stderr.Len() > 0 {
				t.Errorf("%v\n%s\n%s", err, stderr.String(), sent)
			}
		})
	}
}

// TestAgentNotShown: the id of an installation is in nothing that is sent or kept
// (XEP-0388 §2.3, auth-register S2-12).
func TestAgentNotShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup{mux: mux.Options{Sessions: new(mux.MemorySessions)}}
		site := newSite(t, s)
		p := site.connect()
		defer p.stop()
		p.send("{romeo}{plain}" + wants + "<bind{bind2}/>{end}" + askList)
		synctest.Wait()
		list, err := site.store.Clients(t.Context(), romeo)
		if err != nil || len(list) != 1 || len(list[0].ID) != 24 {
			t.Errorf("kept %+v, %v", list, err)
		}
		if all := p.output(); strings.Contains(strings.ToLower(all), "d4565fa7") {
			t.Errorf("sent %s", all)
		}
	})
}
