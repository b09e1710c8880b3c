package negotiate_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/negotiate"
)

// The tests of this file are named by the numbers of the attack scenarios in the
// conformance ledger. Others are lines of the transcripts in sasl_test.go.

const (
	first     = "n,,n=romeo,r=rOprNGfwEbeRWgbNEkqO"
	tooBig    = "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><stanza-too-big xmlns='urn:xmpp:errors'/></stream:error></stream:stream>"
	startSASL = "C: <auth{sasl} mechanism='SCRAM-SHA-256'>"
)

// offered begins a stream on which SCRAM without channel binding is offered.
func offered(t *testing.T) (*peer, *counted) {
	t.Helper()
	s := trusted()
	var store *counted
	s.opt.SASL, store = withBinding(t)
	p := newSite(t, s).connect()
	p.run("C: {open}\nS: {head}<stream:features><mechanisms{sasl}><mechanism>SCRAM-SHA-256</mechanism></mechanisms>{limits}</stream:features>")
	return p, store
}

// TestAttack14StreamFrom: the features do not depend on who one claims to be.
func TestAttack14StreamFrom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup{conn: negotiate.ConnOptions{TLS: certificate(t)}}
		sasl, store := withBinding(t)
		s.opt.SASL = sasl
		site := newSite(t, s)
		var want string
		for _, from := range []string{"romeo", "nobody", "ROMEO", "juliet"} {
			p := site.connect()
			p.run(strings.TrimSuffix(intoTLS, "C: {open}\nS: {head}"))
			p.send(strings.Replace(asJuliet[3:], "juliet", from, 1))
			_, features, _ := strings.Cut(p.take(), "<stream:features>")
			if want == "" {
				want = features
			}
			if features != want || features == "" {
				t.Errorf("%s is offered %s, want %s", from, features, want)
			}
			p.stop()
		}
		if store.lookups != 0 {
			t.Errorf("the store was asked %d times", store.lookups)
		}
	})
}

// TestAttack15Oversized: what is too long is refused before it costs much.
func TestAttack15Oversized(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"1 MiB of base64":         {strings.Repeat("QUFB", 1<<18), tooBig},
		"name of 100 KiB":         {b64("n,,n=" + strings.Repeat("u", 100<<10) + ",r=12345678"), tooBig},
		"name of 7 KiB":           {b64("n,,n=" + strings.Repeat("u", 7<<10) + ",r=12345678"), "<failure{sasl}><not-authorized/></failure>"},
		"nonce of 10 KiB":         {b64("n,,n=romeo,r=" + strings.Repeat("x", 10<<10)), "<failure{sasl}><malformed-request/></failure>"},
		"nonce of 5 KiB":          {b64("n,,n=romeo,r=" + strings.Repeat("x", 5<<10)), "<failure{sasl}><malformed-request/></failure>"},
		"10,000 attributes":       {b64(first + strings.Repeat(",x=1", 10_000)), tooBig},
		"2,500 attributes":        {b64(first + strings.Repeat(",x=1", 2500)), "<failure{sasl}><malformed-request/></failure>"},
		"100,000 nested elements": {strings.Repeat("<a>", 100_000), "{error policy-violation}"},
		"padding that is short":   {"YQ=", "<failure{sasl}><incorrect-encoding/></failure>"},
		"bits that are left over": {"YR==", "<failure{sasl}><incorrect-encoding/></failure>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, store := offered(t)
				defer p.stop()
				go func() { _, _ = p.c.Write([]byte(expand("<auth{sasl} mechanism='SCRAM-SHA-256'>") + tt.in + "</auth>")) }() // until it is refused
				p.expect(expand(tt.want))
				if store.lookups != 0 {
					t.Errorf("the store was asked %d times", store.lookups)
				}
			})
		})
	}
}

// TestAttack18Abort: who asks for challenges and gives up gets no more than eleven.
func TestAttack18Abort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, store := offered(t)
		defer p.stop()
		go func() {
			for range 1000 {
				if _, err := p.c.Write([]byte(expand(startSASL[3:] + b64(first) + "</auth><abort{sasl}/>"))); err != nil {
					return
				}
			}
		}()
		got := p.take()
		if n := strings.Count(got, "<challenge "); n != 11 || store.lookups != 11 || !strings.HasSuffix(got, expand("{error policy-violation}")) {
			t.Errorf("%d challenges, %d look-ups, then %s", n, store.lookups, got[max(0, len(got)-200):])
		}
	})
}

// TestAttack19Guessing: three wrong passwords end the stream; the right one as the
// third is in time.
func TestAttack19Guessing(t *testing.T) {
	t.Parallel()
	for _, right := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := offered(t)
			defer p.stop()
			refused := expand("<failure{sasl}><not-authorized/></failure>")
			for range 2 {
				if got := login(t, p, "SCRAM-SHA-256", conversation(t, "wrong")); got != refused {
					t.Fatalf("got %s", got)
				}
			}
			if !right {
				if got := login(t, p, "SCRAM-SHA-256", conversation(t, "wrong")); got != refused+expand("{error policy-violation}") {
					t.Errorf("third: got %s", got)
				}
				return
			}
			if got := login(t, p, "SCRAM-SHA-256", conversation(t, "secret")); !strings.HasPrefix(got, expand("<success{sasl}>dj")) {
				t.Errorf("third, right: got %s", got)
			}
		})
	}
}
