package signup_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/web/signup"
)

// puzzle is the challenge of the tests.
var puzzle = &register.ProofOfWork{Bits: 10, Questions: []register.Question{{Text: "What do bees make?", Answers: []string{"honey"}}}}

// solve does what the script of the page does.
func solve(t *testing.T, p *page) string {
	t.Helper()
	work := ""
	for _, m := range attribute.FindAllStringSubmatch(p.raw, -1) {
		if m[1] == "data-work" {
			work = m[2]
		}
	}
	answer, err := register.SolveHashcash(t.Context(), domain, work, 20)
	if err != nil {
		t.Fatalf("work %q: %v", work, err)
	}
	return answer
}

// TestChallenge: a challenge is answered once, in its time, on the network that got it,
// for its domain; by work or by a word; and not by those who are invited (auth-register
// AB-5, IV-7).
func TestChallenge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, register.Options{Policy: register.Open, Challenger: puzzle, Limiter: register.Unlimited{}}, signup.Options{})
		b := s.at(t, "192.0.2.1:1")
		filled := func(p *page, name string) url.Values {
			f := p.form()
			f.Set("username", name)
			f.Set("password", password)
			return f
		}
		p := b.get("/register")
		p.want(t, 200, "What do bees make?")
		f := filled(p, "bill")
		b.post("/account", f).want(t, 422, "not answered rightly") // nothing was answered
		f.Set("answer-SHA-256", solve(t, p))
		b.post("/account", f).want(t, 422, "not answered rightly") // it was used up by that
		p = b.post("/account", f)
		f = filled(p, "bill")
		f.Set("answer-SHA-256", solve(t, p))
		b.post("/account", f).want(t, 200, "bill@"+domain)
		f.Set("username", "bob")
		b.post("/account", f).want(t, 422, "not answered rightly")

		f = filled(b.get("/register"), "bob")
		f.Set("answer-qa", " Honey")
		b.post("/account", f).want(t, 200, "bob@"+domain)

		for name, change := range map[string]func(*browser, url.Values){
			"wrong": func(_ *browser, f url.Values) { f.Set("answer-qa", "wax") },
			"other network": func(b *browser, _ url.Values) {
				b.addr = "192.0.2.2:1"
			},
			"other domain": func(_ *browser, f url.Values) { f.Set("domain", "other.example") },
			"other name":   func(_ *browser, f url.Values) { f.Set("challenge", "x") },
			"too late":     func(*browser, url.Values) { time.Sleep(register.ChallengeLifetime) },
		} {
			c := s.at(t, "192.0.2.1:9")
			f := filled(c.get("/register"), "carol")
			f.Set("answer-qa", "honey")
			change(c, f)
			if p := c.post("/account", f); p.StatusCode != 422 {
				t.Errorf("%s: %d %s", name, p.StatusCode, p.text)
			}
		}
		p = b.get("/invite/" + s.invite(t, register.Invite{}))
		p.want(t, 200, "!bees", "!robot")
		b.signUp(p, "carol", password).want(t, 200, "carol@"+domain)
		time.Sleep(2 * time.Minute)
	})
}

// TestWork: where nothing is asked but work, a browser that does none is told so, with a
// form that it can try again.
func TestWork(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Challenger: &register.ProofOfWork{Bits: 10}, Limiter: register.Unlimited{}}, signup.Options{})
	b := s.browser(t)
	p := b.get("/register")
	p.want(t, 200, "your browser has to do some work", "ask somebody for an invitation", "!answer the question")
	p = b.signUp(p, "bill", password)
	p.want(t, 422, "has not done its work", "!question")
	f := p.form()
	f.Set("answer-SHA-256", solve(t, p))
	if f.Get("username") != "bill" || s.has(t, "bill@"+domain, password) {
		t.Errorf("form %v", f)
	}
	f.Set("password", password)
	b.post("/account", f).want(t, 200, "bill@"+domain)
}

// TestChallengeBounds: who opens many pages loses his own challenges, not those of others.
func TestChallengeBounds(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Challenger: puzzle, Limiter: register.Unlimited{}}, signup.Options{})
	other, b := s.at(t, "192.0.2.2:1"), s.at(t, "192.0.2.1:1")
	theirs, first := other.get("/register").form(), b.get("/register").form()
	var last url.Values
	for range 200 {
		last = b.get("/register").form()
	}
	for _, tt := range []struct {
		b    *browser
		f    url.Values
		name string
		want int
	}{{b, first, "first", 422}, {b, last, "last", 200}, {other, theirs, "theirs", 200}} {
		tt.f.Set("username", tt.name)
		tt.f.Set("password", password)
		tt.f.Set("answer-qa", "honey")
		tt.b.post("/account", tt.f).want(t, tt.want)
	}
}

// TestChallengeBroken: without a challenge nobody registers.
func TestChallengeBroken(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Challenger: noChallenge{}}, signup.Options{})
	s.browser(t).get("/register").want(t, 500, "Something went wrong", "!out of riddles")
}

type noChallenge struct{}

func (noChallenge) Challenge(context.Context, string) (register.Challenge, error) {
	return nil, errors.New("out of riddles")
}
