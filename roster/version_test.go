package roster_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

const julietFull = "juliet@example.net/balcony"

func getRoster(ver string) string {
	return "<iq type='get' id='g'><query xmlns='jabber:iq:roster'" + ver + "/></iq>"
}

func setItem(item string) string {
	return "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>" + item + "</query></iq>"
}

// result is a roster result with that in its query tag and that inside.
func result(attr, items string) string {
	return "<iq type='result' from='juliet@example.net' to='{*}' id='g'><query xmlns='jabber:iq:roster'" + attr + ">" + items + "</query></iq>"
}

const unchanged = "<iq type='result' from='juliet@example.net' to='{*}' id='g'/>"

func pushed(ver, item string) string {
	return "<iq type='set' to='{*}' id='{*}'><query xmlns='jabber:iq:roster' ver='" + ver + "'>" + item + "</query></iq>"
}

// versions is a host with juliet's roster, filled by a number of sets.
func versions(t *testing.T, store roster.Store, items ...string) (h *muxtest.Host, epoch string) {
	h = muxtest.New(t, &mux.Options{NoRecover: true}, extensions(store, nil)...)
	c := h.Connect(t, "juliet@example.net/first")
	for _, i := range items {
		c.Send(setItem(i))
	}
	c.Close()
	return h, kept(t, store, juliet).Epoch
}

// TestVersions: RV-1 to RV-4.
func TestVersions(t *testing.T) {
	t.Parallel()
	const a, b, c = "<item jid='a@example.org'/>", "<item jid='b@example.org'/>", "<item jid='c@example.org'/>"
	const gone = " subscription='remove'/>"
	script := []string{a, b, c, "<item jid='a@example.org' name='A'/>", "<item jid='b@example.org'" + gone, "<item jid='a@example.org' name='AA'/>"}
	const wantA, wantC = "<item jid='a@example.org' name='AA' subscription='none'/>", "<item jid='c@example.org' subscription='none'/>"
	for _, tt := range []struct {
		name, ver string
		want      func(v func(int) string) []string
	}{
		{"none", "", func(func(int) string) []string { return []string{result("", wantA+wantC)} }},
		{"empty", " ver=''", func(v func(int) string) []string { return []string{result(" ver='"+v(6)+"'", wantA+wantC)} }},
		{"current", " ver='EPOCH:6'", func(func(int) string) []string { return []string{unchanged} }},
		{"last", " ver='EPOCH:5'", func(v func(int) string) []string { return []string{unchanged, pushed(v(6), wantA)} }},
		{"removed since", " ver='EPOCH:4'", func(v func(int) string) []string {
			return []string{unchanged, pushed(v(5), "<item jid='b@example.org'"+gone), pushed(v(6), wantA)}
		}},
		{"all since", " ver='EPOCH:0'", func(v func(int) string) []string {
			return []string{unchanged, pushed(v(3), wantC), pushed(v(5), "<item jid='b@example.org'"+gone), pushed(v(6), wantA)}
		}},
		{"future", " ver='EPOCH:7'", func(v func(int) string) []string { return []string{result(" ver='"+v(6)+"'", wantA+wantC)} }},
		{"other epoch", " ver='xEPOCH:6'", func(v func(int) string) []string { return []string{result(" ver='"+v(6)+"'", wantA+wantC)} }},
		{"no number", " ver='EPOCH:06'", func(v func(int) string) []string { return []string{result(" ver='"+v(6)+"'", wantA+wantC)} }},
		{"garbage", " ver='&lt;'", func(v func(int) string) []string { return []string{result(" ver='"+v(6)+"'", wantA+wantC)} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, epoch := versions(t, new(roster.Memory), script...)
				again := h.Connect(t, "juliet@example.net/again")
				again.Send(getRoster(strings.ReplaceAll(tt.ver, "EPOCH", epoch)))
				again.Expect(tt.want(func(n int) string { return fmt.Sprint(epoch, ":", n) })...)
				again.ExpectNone()
			})
		})
	}
}

// TestVersionsAfterRestart: versions survive a restart; another store, such as one
// restored from a backup, shares none (RV-4).
func TestVersionsAfterRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(roster.Memory)
		h, epoch := versions(t, store, "<item jid='a@example.org'/>")
		h.Restart(extensions(store, nil)...)
		h.Connect(t, "juliet@example.net/other").Send(setItem("<item jid='b@example.org'/>"))
		c := h.Connect(t, julietFull)
		c.Send(getRoster(" ver='" + epoch + ":1'"))
		c.Expect(unchanged, pushed(epoch+":2", "<item jid='b@example.org' subscription='none'/>"))

		other := new(roster.Memory)
		apply(t, other.Put(juliet, roster.Item{JID: romeo, Listed: true, Ver: 2}))
		h.Restart(extensions(other, nil)...)
		c = h.Connect(t, julietFull)
		c.Send(getRoster(" ver='" + epoch + ":2'"))
		c.Expect(result(" ver='"+kept(t, other, juliet).Epoch+":2'", "<item jid='romeo@example.org' subscription='none'/>"))
	})
}

// TestVersionTooOld: beyond 500 changes tombstones may be missing, so the whole
// roster is sent (RV-3, RV-4).
func TestVersionTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(roster.Memory)
		var writes []mux.Write
		for i := range uint64(505) {
			writes = append(writes, store.Delete(juliet, mux.MustParseAddress(fmt.Sprintf("c%d@example.org", i)), i+1))
		}
		writes = append(writes, store.Put(juliet, roster.Item{JID: romeo, Listed: true, Ver: 506}))
		apply(t, writes...)
		h, epoch := versions(t, store)
		for known, full := range map[int]bool{5: true, 6: false} {
			c := h.Connect(t, julietFull)
			c.Send(getRoster(fmt.Sprintf(" ver='%s:%d'", epoch, known)))
			got := c.Arrived()
			if full != (len(got) == 1 && strings.Contains(got[0], "romeo@example.org")) || !full && len(got) != 501 {
				t.Errorf("known %d: %d elements", known, len(got))
			}
		}
	})
}

// TestRemovedThenAsks: a contact that is removed and then asks for a subscription
// is not part of the roster, but whoever has an old one still learns of the
// removal.
func TestRemovedThenAsks(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "unsubscribe"} {
		synctest.Test(t, func(t *testing.T) {
			store := new(roster.Memory)
			h, epoch := versions(t, store, "<item jid='romeo@example.org'/>", "<item jid='romeo@example.org' subscription='remove'/>", "<item jid='a@example.org'/>")
			org := h.DialDomain(t, mux.Server, "example.org")
			org.Send("<presence type='subscribe' from='romeo@example.org' to='juliet@example.net'/>")
			if end != "" {
				org.Send("<presence type='" + end + "' from='romeo@example.org' to='juliet@example.net'/>")
			}
			for range 2 {
				c := h.Connect(t, julietFull)
				c.Send(getRoster(" ver='" + epoch + ":1'"))
				c.Expect(unchanged, pushed(epoch+":2", "<item jid='romeo@example.org' subscription='remove'/>"),
					pushed(epoch+":3", "<item jid='a@example.org' subscription='none'/>"))
				c.ExpectNone()
				h.Restart(extensions(store, nil)...)
			}
		})
	}
}

// TestCatchUpOrder: pushes that catch up come before a later change (RV-1).
func TestCatchUpOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, epoch := versions(t, new(roster.Memory), "<item jid='a@example.org'/>")
		other, c := h.Connect(t, "juliet@example.net/other"), h.Connect(t, julietFull)
		other.Send(getRoster(""))
		other.Clear()
		c.Send(getRoster(" ver='"+epoch+":0'"), setItem("<item jid='a@example.org' name='A'/>"))
		c.Expect(unchanged, pushed(epoch+":1", "<item jid='a@example.org' subscription='none'/>"),
			pushed(epoch+":2", "<item jid='a@example.org' name='A' subscription='none'/>"), "<iq type='result' from='juliet@example.net' to='{*}' id='s'/>")
		other.Expect(pushed(epoch+":2", "<item jid='a@example.org' name='A' subscription='none'/>"))
		other.ExpectNone()
	})
}
