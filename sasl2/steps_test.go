package sasl2_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/sasl2"
)

// FuzzSteps: whatever elements a peer sends, one a line, each leads to an answer or
// to the end of the stream, and nobody is let in but whom the stream is for.
func FuzzSteps(f *testing.F) {
	for _, s := range []string{
		"{plain}{end}",
		"{scram}{end}\n{secret}",
		"{scram}{end}\n<abort{2}/>\n{wrong}",
		"{plain}<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>{end}\n<next{2} task='UPGR-SCRAM-SHA-256'/>\n<task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hash}</hash></task-data>",
		"{plain}" + wants + "<bind{bind2}><tag>Hive</tag></bind>{end}\n{scram}{end}",
		"<authenticate{2} mechanism='HT-SHA-256-NONE'><initial-response>AA==</initial-response>{agent}<fast{fast} count='1'/>{end}",
	} {
		f.Add(expand(s))
	}
	h := muxtest.New(f, &mux.Options{NoRecover: true}, sasl2.New(newAuth(), new(sasl2.Memory), nil))
	begin := h.Mux().Features()[0].Step
	f.Fuzz(func(t *testing.T, text string) {
		st := h.Mux().NewStream(nopConn{}, mux.Client)
		defer st.Gone(false)
		st.SetState(mux.Secure)
		st.SetDomain("example.net")
		st.SetFrom(romeo)
		step := begin
		for line := range strings.Lines(text) {
			el, err := mux.Parse([]byte(strings.TrimSpace(line)))
			if err != nil {
				continue
			}
			out, err := step(context.Background(), st, el)
			var se stream.Error
			switch {
			case errors.As(err, &se):
				return
			case err != nil:
				t.Fatal(err)
			case out.Sets != 0:
				if out.Account != romeo { // EXTERNAL believes everything here
					t.Errorf("let in as %v", out.Account)
				}
				return
			case out.Reply == nil, out.Failed != "" && out.Next != nil:
				t.Fatalf("outcome %+v", out)
			}
			if step = out.Next; step == nil {
				step = begin
			}
		}
	})
}
