package register_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/register"
)

// labels are the values of challenge, sid and the label of the work in a form.
func challengeOf(t *testing.T, raw string) (id, sid, label string) {
	t.Helper()
	cut := func(after, before string) string {
		_, s, ok := strings.Cut(raw, after)
		s, _, ok2 := strings.Cut(s, before)
		if !ok || !ok2 {
			t.Fatalf("no %s in %s", after, raw)
		}
		return s
	}
	return cut("var='challenge'><value>", "<"), cut("var='sid'><value>", "<"), cut("var='SHA-256' label='", "'")
}

// TestChallenge: scenario 35, AB-5, AB-6.
func TestChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{},
			Challenger: &register.ProofOfWork{Bits: 8, Questions: []register.Question{{Text: "Who makes honey?", Answers: []string{"bees"}}}}})
		answer := func(a *stranger, name string, pairs ...string) string {
			pairs = append([]string{"username", name, "password", password}, pairs...)
			return a.ask("<iq type='set' id='2'>" + set(form(register.NS, pairs...)) + "</iq>")
		}
		const gone, wrong = "cancel service-unavailable 503", "cancel not-acceptable 406"
		a := s.stranger(t, 1)
		if got := a.create("bill", password); got != gone {
			t.Errorf("not asked: %q", got)
		}
		id, sid, label := challengeOf(t, a.ask(get))
		if sid != "1" {
			t.Errorf("sid %q", sid)
		}
		work, err := register.SolveHashcash(t.Context(), domain, label, 8)
		if err != nil {
			t.Fatal(err)
		}
		// Another stream, another sid: and then it is used up.
		b := s.stranger(t, 2)
		if got := answer(b, "ben", "challenge", id, "sid", sid, "SHA-256", work); got != gone {
			t.Errorf("on another stream: %q", got)
		}
		if got := answer(a, "bill", "challenge", id, "sid", "x", "SHA-256", work); got != gone {
			t.Errorf("another sid: %q", got)
		}
		if got := answer(a, "bill", "challenge", id, "sid", sid, "SHA-256", work); got != gone {
			t.Errorf("used up: %q", got)
		}
		id, sid, _ = challengeOf(t, a.ask(get))
		if got := answer(a, "bill", "challenge", id, "sid", sid, "SHA-256", "x"+work); got != wrong {
			t.Errorf("work for somebody else: %q", got)
		}
		id, sid, _ = challengeOf(t, a.ask(get))
		if got := answer(a, "bill", "challenge", id, "sid", sid, "qa", " Bees "); got != "" {
			t.Errorf("by a human: %q", got)
		}
		// Too late.
		c := s.stranger(t, 3)
		id, sid, _ = challengeOf(t, c.ask(get))
		time.Sleep(register.ChallengeLifetime + time.Second)
		if got := answer(c, "late", "challenge", id, "sid", sid, "qa", "bees"); got != gone {
			t.Errorf("too late: %q", got)
		}
		id, sid, _ = challengeOf(t, c.ask(get))
		if got := answer(c, "late", "challenge", id, "sid", sid, "qa", "wasps"); got != wrong {
			t.Errorf("wrong: %q", got)
		}
		c.ask(get)
		if got := c.ask(get); got != "stream policy-violation" {
			t.Errorf("a fourth: %q", got)
		}
		// IV-7: no challenge for those who are invited.
		d := s.stranger(t, 4)
		if got := d.preauth(s.invite(t, register.Invite{})); got != "" {
			t.Fatal(got)
		}
		if got := d.ask(get); strings.Contains(got, "SHA-256") {
			t.Errorf("form %s", got)
		}
		if got := d.create("guest", password); got != "" {
			t.Errorf("invited: %q", got)
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestChallengePage: a form with a challenge has no fields beside it, since these would be
// filled in for nothing, but tells where else to go (XEP-0158 §5).
func TestChallengePage(t *testing.T) {
	t.Parallel()
	const page = "https://example.org/a?b&c"
	for _, tt := range []struct{ page, hint, address string }{
		{"", "your app must be able to solve", ""},
		{page, "create your account at https://example.org/a?b&amp;c", "<x xmlns='jabber:x:oob'><url>https://example.org/a?b&amp;c</url></x></query>"},
	} {
		s := newSite(t, register.Options{Policy: register.Open, Challenger: new(register.ProofOfWork), ChallengePage: tt.page})
		a := s.stranger(t, 1)
		got := a.ask(get)
		if strings.Count(got, tt.hint) != 2 || !strings.Contains(got, register.DefaultInstructions) || !strings.Contains(got, tt.address) ||
			strings.Contains(got, "oob") != (tt.page != "") || strings.Contains(got, "<password") {
			t.Errorf("%q: %s", tt.page, got)
		}
		if got := a.create("bill", password); got != "cancel service-unavailable 503" {
			t.Errorf("%q: without an answer: %s", tt.page, got)
		}
		// Those who are invited need neither.
		if got := a.preauth(s.invite(t, register.Invite{})); got != "" {
			t.Fatal(got)
		}
		if got := a.ask(get); !strings.Contains(got, "<username></username><password/>") || strings.Contains(got, "oob") {
			t.Errorf("%q: invited: %s", tt.page, got)
		}
	}
}

// brokenChallenger has none.
type brokenChallenger struct{}

func (brokenChallenger) Challenge(context.Context, string) (register.Challenge, error) {
	return nil, errors.New("down")
}

// TestChallengeBroken: without a challenge nobody registers.
func TestChallengeBroken(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Challenger: brokenChallenger{}})
	a := s.stranger(t, 1)
	if got := a.ask(get); got != internal {
		t.Errorf("get: %q", got)
	}
	if got := a.create("bill", password); got != closed {
		t.Errorf("set: %q", got)
	}
	_, err := s.people.SignUp(t.Context(), register.Request{Path: register.Web, Source: a.addr(), Domain: domain, Name: "bill", Password: password})
	if !errors.Is(err, register.ErrChallenge) {
		t.Errorf("another way: %v", err)
	}
}

// TestSolveHashcash: the example of XEP-0158 §6.2 is of that form; and there are bounds.
func TestSolveHashcash(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"", "0", "xyz", "fffffffff", "93C7A"} {
		if _, err := register.SolveHashcash(t.Context(), domain, label, 10); !errors.Is(err, register.ErrTooHard) {
			t.Errorf("%q: %v", label, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := register.SolveHashcash(ctx, domain, "7fffffff", 31); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
