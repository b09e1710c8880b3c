package smacks_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/smacks"
)

func TestFI20BadAcknowledgements(t *testing.T) {
	for _, c := range []struct{ h, condition string }{
		{" h='3'", "undefined-condition"}, // more than was sent
		{" h='0'", "undefined-condition"}, // back
		{" h='4294967295'", "undefined-condition"},
		{" h='4294967296'", "bad-format"},
		{" h='-1'", "bad-format"},
		{" h=''", "bad-format"},
		{" h='1e3'", "bad-format"},
		{" h=' 2'", "bad-format"},
		{" h='+2'", "bad-format"},
		{"", "bad-format"},
	} {
		t.Run(c.h, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{})
				romeo := s.Connect(t, romeoFull)
				juliet, token := enabled(t, s.Host)
				romeo.Send(chats(1, 2)...)
				juliet.Expect(got("1"), ask, got("2"))
				juliet.Send(ack("1"), "<a xmlns='urn:xmpp:sm:3'"+c.h+"/>")
				juliet.ExpectClosed(c.condition)
				romeo.Expect(lost("2")) // what was acknowledged before stays so
				back := resume(t, s.Host, token, "1")
				back.Expect(known("0"))
			})
		})
	}
}

func TestFI21BadResumptionsOfAWaitingSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 3)...)
		juliet.Send(ack("2"))
		juliet.Drop()
		for h, want := range map[string]string{
			"1": known("0"), "4": known("0"), "4294967295": known("0"),
			"4294967296": badRequest, "-1": badRequest, "": badRequest, "x": badRequest, " 2": badRequest,
		} {
			c := resume(t, s.Host, token, h)
			c.Expect(want)
		}
		c := s.Dial(t, "juliet@example.net")
		c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "'/>")
		c.Expect(badRequest)
		time.Sleep(9 * time.Minute) // the window goes on, no matter what
		c = resume(t, s.Host, token, "2")
		c.Expect(resumedWith(token, "0"), late("3"), ask)
		romeo.ExpectNone()
	})
}

func TestFI24QueueLimit(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{MaxQueue: 5})
			romeo := s.Connect(t, romeoFull)
			juliet, token := enabled(t, s.Host)
			romeo.Send(chats(1, 11)...)
			if all := strings.Join(juliet.Arrived(), ""); !strings.Contains(all, "policy-violation") {
				t.Errorf("got %s", all)
			}
			juliet.Clear()
			if n := s.x.Stats().Overflowed; n != 1 {
				t.Errorf("%d sessions had too much", n)
			}
			errs := romeo.Arrived()
			if len(errs) != 11 { // each is accounted for, once
				t.Errorf("%d errors: %q", len(errs), errs)
			}
			romeo.Clear()
			c := resume(t, s.Host, token, "0")
			c.Expect(known("0"))
		})
	})
	t.Run("waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{MaxBytes: 2000})
			romeo := s.Connect(t, romeoFull)
			juliet, token := enabled(t, s.Host)
			juliet.Drop()
			romeo.Send(chat("1"))
			romeo.ExpectNone()
			romeo.Send(strings.Replace(chat("2"), "<body>", "<body>"+strings.Repeat("x", 3000), 1))
			all := strings.Join(romeo.Arrived(), "")
			if strings.Count(all, "type='error'") != 2 {
				t.Errorf("got %s", all)
			}
			romeo.Clear()
			c := resume(t, s.Host, token, "0")
			c.Expect(known("0"))
		})
	})
	for _, waiting := range []bool{false, true} {
		t.Run(fmt.Sprint("presence, waiting ", waiting), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{MaxQueue: 20})
				romeo := s.Connect(t, romeoFull)
				juliet, token := enabled(t, s.Host)
				romeo.Send(chat("1"))
				if waiting {
					juliet.Drop()
				}
				for i := range 50 {
					romeo.Send(fmt.Sprintf("<presence to='%s'><status>%d</status></presence>", julietFull, i))
				}
				s.Settle()
				juliet.Clear()
				romeo.Expect(lost("1")) // of presence nobody is told
				romeo.ExpectNone()
				resume(t, s.Host, token, "0").Expect(known("0"))
			})
		})
		t.Run(fmt.Sprint("large, waiting ", waiting), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{}) // 4 MiB
				romeo := s.Connect(t, romeoFull)
				juliet, token := enabled(t, s.Host)
				if waiting {
					juliet.Drop()
				}
				const n = 50
				for i := range n {
					romeo.Send(strings.Replace(poison(fmt.Sprint(i)), "'chat'", "'normal'", 1))
				}
				s.Settle()
				juliet.Clear()
				var errs []string
				for _, el := range romeo.Arrived() {
					errs = append(errs, el[:min(len(el), 200)])
				}
				romeo.Clear()
				if len(errs) != n || slices.ContainsFunc(errs, func(e string) bool { return !strings.Contains(e, "type='error'") }) {
					t.Errorf("%d errors for %d messages: %q", len(errs), n, errs)
				}
				resume(t, s.Host, token, "0").Expect(known("0"))
			})
		})
	}
}

func TestFI25ClosedProperly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chat("1"))
		juliet.Clear()
		juliet.Send("<message to='"+romeoFull+"' id='a'/>", "<message to='"+romeoFull+"' id='b'/>")
		juliet.Close()
		romeo.Expect("<message from='"+julietFull+"' to='"+romeoFull+"' id='a'/>", "<message from='"+julietFull+"' to='"+romeoFull+"' id='b'/>", lost("1"))
		c := resume(t, s.Host, token, "0")
		c.Expect(known("2"))
	})
}

func TestFI37RequestToWaitingSession(t *testing.T) {
	get := "<iq type='get' to='" + julietFull + "' id='q'><q xmlns='urn:x'/></iq>"
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		juliet.Drop()
		romeo.Send(get)
		romeo.ExpectNone()
		time.Sleep(time.Minute)
		c := resume(t, s.Host, token, "0")
		c.Expect(resumedWith(token, "0"), "<iq type='get' from='"+romeoFull+"' to='"+julietFull+"' id='q'><q xmlns='urn:x'/></iq>", ask)
		c.Send("<iq type='result' to='" + romeoFull + "' id='q'/>")
		romeo.Expect("<iq type='result' from='" + julietFull + "' to='" + romeoFull + "' id='q'/>")
		c.Drop()
		romeo.Send(strings.ReplaceAll(get, "'q'", "'p'"))
		time.Sleep(time.Hour)
		s.Settle()
		// The first was answered, but not acknowledged.
		all := romeo.Arrived()
		if len(all) == 0 || !strings.Contains(all[len(all)-1], "service-unavailable") || strings.Count(strings.Join(all, ""), "id='p'") != 1 {
			t.Errorf("got %q", all)
		}
		romeo.Clear()
	})
}

func TestFI45WriteFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		p.c.FailWrites(errors.New("reset by peer"))
		romeo.Send(chats(1, 3)...)
		s.Settle()
		p.c.Clear()
		p.back(s)
		p.read()
		p.want(ids(1, 3)...)
	})
}
