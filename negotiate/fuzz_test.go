package negotiate_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// FuzzNegotiate: whatever a peer sends, the server does not panic, lets go in
// time, and what it has sent is the beginning of well-formed streams.
func FuzzNegotiate(f *testing.F) {
	for _, table := range [][]transcript{headers, early, exchanges, bindings, stepped} {
		for _, tt := range table {
			var in strings.Builder
			for line := range strings.Lines(tt.text) {
				if text, ok := strings.CutPrefix(strings.TrimSpace(line), "C: "); ok {
					in.WriteString(expand(text))
				}
			}
			if in.Len() < 2000 {
				f.Add(in.String())
			}
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		var sent string
		synctest.Test(t, func(t *testing.T) {
			s := trusted()
			having(nonza(always(mux.Outcome{Reply: mux.Raw("<gone xmlns='urn:x'/>")}, nil)), query(always(mux.Outcome{}, nil)))(&s)
			p := newSite(t, s).connect()
			go func() {
				_, _ = io.WriteString(p.c, in) // the server may have gone
			}()
			synctest.Wait()
			time.Sleep(2 * time.Minute)
			bound := p.st.Session() != nil
			if !bound && !p.closed() {
				t.Error("the server waits for ever")
			}
			p.stop()
			sent = p.output()
		})
		for one := range strings.SplitSeq(sent, "<?xml version='1.0'?>") {
			prefix(t, one)
		}
	})
}

// prefix checks that s is the beginning of a well-formed document.
func prefix(t *testing.T, s string) {
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		_, err := d.Token()
		var syntax *xml.SyntaxError
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
			return
		case err != nil:
			t.Fatalf("%v in %s", err, s)
		}
	}
}
