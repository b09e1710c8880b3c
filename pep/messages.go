package pep

import (
	"context"
	"encoding/xml"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// maxBounces is how many events of a subscription may come back for a reason that may
// pass (XEP-0060 §12.4).
const maxBounces = 5

const formAuthorize = "subscribe_authorization"

// message takes what is for the service among the messages to an account.
func (x *Extension) message(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	switch {
	case bounced(e):
		x.cameBack(ctx, e)
		return mux.Done, nil
	case authorizes(e):
		return x.authorized(ctx, e)
	}
	return mux.Pass, nil
}

// bounced reports whether a message is the error that answers an event: it is for
// nobody else (XEP-0163 §4.3.1).
func bounced(e *mux.Event) bool {
	return e.Stanza.Type() == "error" && e.Item.Recipient().IsBare() && strings.HasPrefix(e.Stanza.ID(), eventID)
}

// cameBack notes that an event did not arrive (pep R19, PSUB-8).
func (x *Extension) cameBack(ctx context.Context, e *mux.Event) {
	c, _ := e.Stanza.Child(xml.Name{Space: mux.NSClient, Local: "error"})
	final := c.Attr("type") == "cancel"
	from := e.Stanza.From()
	if final {
		x.index.setRemote(e.Account, from, nil, 0)
	}
	a, err := x.load(ctx, e)
	if err != nil {
		return
	}
	for _, n := range a.nodes {
		p, ok := n.peers[from]
		if !ok || p.Subscription == NotSubscribed {
			continue
		}
		if p.Bounces++; final || p.Bounces >= maxBounces {
			p = Peer{JID: p.JID, Affiliation: p.Affiliation}
		}
		x.setPeer(e, a, n, p)
	}
}

// authorizes reports whether a message may be the owner's answer to that: it comes from
// a session of the account itself, to the account.
func authorizes(e *mux.Event) bool {
	from := e.Stanza.From()
	return from.Bare() == e.Account && !from.IsBare() && e.Item.Recipient().IsBare() && e.Stanza.Type() != "error" &&
		e.Stanza.Has(xml.Name{Space: nsForm, Local: "x"})
}

// authorized is the owner's answer about a subscriber. Where nothing is pending, it says
// nothing.
func (x *Extension) authorized(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	c, _ := e.Stanza.Child(xml.Name{Space: nsForm, Local: "x"})
	form := new(formData)
	if c.Decode(form) != nil {
		return mux.Pass, nil
	}
	said := make(map[string]string)
	for _, f := range form.Fields {
		if len(f.Values) == 1 {
			name, _ := cutField(f.Var)
			said[name] = f.Values[0]
			if f.Var == "FORM_TYPE" {
				said[f.Var] = f.Values[0]
			}
		}
	}
	if said["FORM_TYPE"] != nsPrefix+formAuthorize {
		return mux.Pass, nil
	}
	allow, ok := parseBool(said["allow"])
	who, err := mux.ParseAddress(said["subscriber_jid"])
	if form.Type != "submit" || !ok || err != nil {
		return mux.Done, nil // cancel leaves it pending
	}
	a, err := x.load(ctx, e)
	if err != nil {
		return mux.Done, err
	}
	if n := a.nodes[said["node"]]; n != nil && n.peers[who].Subscription == Pending {
		is := NotSubscribed
		if allow {
			is = Subscribed
		}
		x.setSubscription(ctx, e, a, n, who, is)
	}
	return mux.Done, nil
}
