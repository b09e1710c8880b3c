package mux_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// Columns of the delivery table (core-im §7): states of the account.
const (
	stN  = iota // does not exist
	stZ         // no available resource; one is bound without presence
	stG         // priorities below zero only
	stP1        // one of priority 0 or more, and one below
	stP2        // several
	stH         // P2, but hibernating
	states
)

var stateNames = [states]string{"N", "Z", "G", "P1", "P2", "H"}

// sessions are the resources of juliet in each state, with their priorities.
var stateSessions = [states]map[string]string{
	stN:  {},
	stZ:  {"silent": ""},
	stG:  {"neg": "-1", "silent": ""},
	stP1: {"one": "0", "neg": "-1", "silent": ""},
	stP2: {"top": "5", "too": "5", "low": "1", "neg": "-1", "silent": ""},
	stH:  {"top": "5", "too": "5", "low": "1", "neg": "-1", "silent": ""},
}

// delivery is a row: what is sent, and for each state who gets it (resources with
// commas), or SU, IGN, OFF (the Undelivered handlers are asked), OK (a result).
type delivery struct {
	id, stanza, to string
	want           [states]string
}

func row(s ...string) (w [states]string) { copy(w[:], s); return w }

const (
	bareTo  = "juliet@example.net"
	missing = "juliet@example.net/missing"
)

const all, all0, top = "low,neg,too,top", "low,too,top", "too,top"

// deliveryTable is core-im §7. A row to a full JID has in each column the
// resource that is missing; DL-2x found follow below.
var deliveryTable = []delivery{
	{"DL-1", "<message/>", bareTo, row("SU", "OFF", "OFF", "one", top, top)},
	{"DL-1 normal", "<message type='normal'/>", bareTo, row("SU", "OFF", "OFF", "one", top, top)},
	{"DL-1 unknown type", "<message type='odd'/>", bareTo, row("SU", "OFF", "OFF", "one", top, top)},
	{"DL-2", "<message type='chat'/>", bareTo, row("SU", "OFF", "OFF", "one", top, top)},
	{"DL-3", "<message type='groupchat'/>", bareTo, row("SU", "SU", "SU", "SU", "SU", "SU")},
	{"DL-4", "<message type='headline'/>", bareTo, row("IGN", "IGN", "IGN", "one", all0, all0)},
	{"DL-5", "<message type='error'><error/></message>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-6", "<presence/>", bareTo, row("IGN", "IGN", "neg", "neg,one", all, all)},
	{"DL-6 unavailable", "<presence type='unavailable'/>", bareTo, row("IGN", "IGN", "neg", "neg,one", all, all)},
	{"DL-7", "<presence type='subscribe'/>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-7 subscribed", "<presence type='subscribed'/>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-7 unsubscribe", "<presence type='unsubscribe'/>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-7 unsubscribed", "<presence type='unsubscribed'/>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-8", "<presence type='probe'/>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-9", "<presence type='error'><error/></presence>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-10", "<iq type='get'><x xmlns='urn:x'/></iq>", bareTo, row("SU", "SU", "SU", "SU", "SU", "SU")},
	{"DL-10 known", "<iq type='get'><known xmlns='" + nsToy + "'/></iq>", bareTo, row("OK", "OK", "OK", "OK", "OK", "OK")},
	{"DL-11", "<iq type='result'/>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-11 error", "<iq type='error'><error/></iq>", bareTo, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-20", "<message/>", missing, row("SU", "SU", "SU", "SU", "SU", "SU")},
	{"DL-21", "<message type='chat'/>", missing, row("SU", "OFF", "OFF", "one", top, top)},
	{"DL-22", "<message type='groupchat'/>", missing, row("SU", "SU", "SU", "SU", "SU", "SU")},
	{"DL-23", "<message type='headline'/>", missing, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-24", "<message type='error'><error/></message>", missing, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-25", "<presence/>", missing, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-25 unavailable", "<presence type='unavailable'/>", missing, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-26", "<presence type='subscribe'/>", missing, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-27", "<presence type='probe'/>", missing, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
	{"DL-28", "<iq type='set'><x xmlns='urn:x'/></iq>", missing, row("SU", "SU", "SU", "SU", "SU", "SU")},
	{"DL-29", "<iq type='result'/>", missing, row("IGN", "IGN", "IGN", "IGN", "IGN", "IGN")},
}

// found are the rows whose resource is there: whichever it is, only that one
// gets it. Presence of types that subscriptions are about is for others.
var found = []string{"<message/>", "<message type='chat'/>", "<message type='groupchat'/>", "<message type='headline'/>",
	"<message type='error'><error/></message>", "<presence/>", "<presence type='unavailable'/>",
	"<iq type='get'><x xmlns='urn:x'/></iq>", "<iq type='result'/>", "<iq type='error'><error/></iq>"}

// theatre is one account in one state, with a local and a remote sender.
type theatre struct {
	t       *testing.T
	h       *muxtest.Host
	sm      *smacks
	romeo   *muxtest.Client
	nurse   *muxtest.Client // a server
	clients map[string]*muxtest.Client
	kept    []string
}

// inState sets up one state and hands it to f.
func inState(t *testing.T, state int, f func(t *testing.T, th *theatre)) {
	synctest.Test(t, func(t *testing.T) {
		th := &theatre{t: t, sm: &smacks{keep: time.Hour}, clients: make(map[string]*muxtest.Client)}
		th.h = muxtest.New(t, nil, th.sm, with(func(r *mux.Registry) {
			answers(r, "known", empty)
			r.Undelivered(mux.AnyStanza, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				th.kept = append(th.kept, e.Stanza.ID())
				return mux.Done, nil
			})
		}))
		th.romeo = th.h.Connect(t, romeoFull)
		th.nurse = th.h.DialDomain(t, mux.Server, "example.org")
		if state != stN {
			th.h.AddAccount(bareTo)
		}
		for resource, priority := range stateSessions[state] {
			c := th.h.Connect(t, bareTo+"/"+resource)
			th.clients[resource] = c
			c.Send("<enable xmlns='" + nsSM + "'/>")
			if priority != "" {
				c.Send("<presence><priority>" + priority + "</priority></presence>")
			}
			if state == stH {
				c.Drop()
			}
			c.Clear()
		}
		f(t, th)
	})
}

// outcome sends a stanza of romeo's, or the nurse's, and says what became of it.
func (th *theatre) outcome(t *testing.T, remote bool, stanza, to string) string {
	th.kept = nil
	insert := " id='1' to='" + to + "'"
	if remote {
		insert += " from='nurse@example.org/x'"
	}
	at := strings.IndexAny(stanza, " />")
	stanza = stanza[:at] + insert + stanza[at:]
	var back []string
	if remote {
		th.nurse.Send(stanza)
		back = th.h.Routed("example.org")
	} else {
		th.romeo.Send(stanza)
		back = th.romeo.Arrived()
		th.romeo.Clear()
	}
	var got []string
	for resource, c := range th.clients {
		n := len(c.Arrived())
		if c.Session.State() == mux.Hibernating {
			n = th.queued(c)
		}
		if n > 1 {
			t.Errorf("%s got it %d times", resource, n)
		}
		if n > 0 {
			got = append(got, resource)
		}
		c.Clear()
	}
	slices.Sort(got)
	switch {
	case len(back)+min(len(got), 1)+len(th.kept) > 1:
		t.Errorf("back %q, got by %q, kept %q", back, got, th.kept)
	case len(got) > 0:
		return strings.Join(got, ",")
	case len(th.kept) > 0:
		return "OFF"
	case len(back) == 0:
		return "IGN"
	case strings.Contains(back[0], "<service-unavailable"):
		return "SU"
	case strings.Contains(back[0], "type='result'"):
		return "OK"
	}
	return back[0]
}

// queued counts what a hibernating session keeps, and acknowledges it.
func (th *theatre) queued(c *muxtest.Client) (n int) {
	c.Session.Sync(func() {
		q := th.sm.key.Of(c.Session)
		n = len(q.queue)
		q.ackTo(q.sent)
	})
	return n
}

func TestDeliveryTable(t *testing.T) {
	t.Parallel()
	for state := range states {
		t.Run(stateNames[state], func(t *testing.T) {
			t.Parallel()
			for _, row := range deliveryTable {
				for _, remote := range []bool{false, true} {
					inState(t, state, func(t *testing.T, th *theatre) {
						if got := th.outcome(t, remote, row.stanza, row.to); got != row.want[state] {
							t.Errorf("%s %s, remote %t: got %s, want %s", row.id, row.stanza, remote, got, row.want[state])
						}
					})
				}
			}
		})
	}
}

func TestDeliveryToResource(t *testing.T) {
	t.Parallel()
	for state := stZ; state < states; state++ {
		t.Run(stateNames[state], func(t *testing.T) {
			t.Parallel()
			inState(t, state, func(t *testing.T, th *theatre) {
				for resource := range stateSessions[state] {
					for _, stanza := range found {
						if got := th.outcome(t, false, stanza, bareTo+"/"+resource); got != resource {
							t.Errorf("%s to %s: got %s", stanza, resource, got)
						}
					}
				}
			})
		})
	}
}
