package roster

import (
	"context"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// outgoing is what an account says to a contact about subscriptions (RFC 6121 §3,
// App. A.2). What the server itself says on behalf of the account
// ([mux.Service]) changes nothing and passes.
func (x *Extension) outgoing(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	m, ok := moveOf(e.Stanza.Type())
	if !ok || e.Item.Flags&mux.Service != 0 {
		return mux.Pass, nil
	}
	contact := e.Item.Recipient().Bare()
	if contact == e.Account {
		return mux.Done, nil // core-im SUB-26
	}
	c, err := x.load(ctx, e)
	if err != nil {
		return mux.Done, err
	}
	was, _ := c.find(contact)
	from := was.state()
	cl := out[from][m]
	now := was.become(m, cl, "")
	if m == subscribe && now.Ask {
		now.Asked = time.Now()
	}
	if x.full(c, &now) {
		return mux.Done, errNotAcceptable
	}
	changed := x.save(e, c, &now)
	if from.from() && !cl.next.from() {
		// Our presence ends for the contact before it learns why (core-im SUB-24).
		x.changed(ctx, e, contact, from, cl.next)
	}
	if changed {
		x.push(e, &now, c.epoch)
	}
	if cl.do&route == 0 {
		return mux.Done, nil
	}
	// RFC 6121 §3.1.2: bare addresses.
	e.Stanza = e.Stanza.WithFrom(e.Account).WithTo(contact)
	if !e.Item.To.IsZero() {
		e.Item.To = contact
	}
	switch {
	case cl.next.from() && !from.from():
		// Our presence follows the approval (core-im SUB-23).
		e.Do(e.Account, func(ctx context.Context, e *mux.Event) { x.granted(ctx, e, contact, from, cl.next) })
	case cl.next.from() == from.from():
		x.changed(ctx, e, contact, from, cl.next)
	}
	return mux.Pass, nil
}

// granted is the turn after the one in which a contact was let see our presence.
func (x *Extension) granted(ctx context.Context, e *mux.Event, contact mux.Address, was, now state) {
	if x.Cached(e) { // else it was lost, and with it the approval
		if i, _ := x.contacts.Of(e).find(contact); i.state().from() {
			x.changed(ctx, e, contact, was, now)
		}
	}
}

// incoming is what a contact says to an account (RFC 6121 §3, App. A.3). It ends
// here: state first, then the stanza, then the push (core-im SUB-22).
func (x *Extension) incoming(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	m, ok := moveOf(e.Stanza.Type())
	if !ok {
		return mux.Pass, nil
	}
	contact := e.Stanza.From().Bare()
	if contact.IsZero() || contact == e.Account {
		return mux.Done, nil
	}
	c, err := x.load(ctx, e)
	if err != nil {
		return mux.Done, err
	}
	s := e.Stanza.WithTo(e.Account).WithFrom(contact)
	was, _ := c.find(contact)
	from := was.state()
	cl := inward(from, was.Approved, m)
	request := ""
	if m == subscribe && cl.next&asking != 0 {
		request = string(s.Append(nil, mux.NSClient))
	}
	now := was.become(m, cl, request)
	if x.crowded(c, &now) {
		x.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "too many subscription requests", slog.String("account", e.Account.String()))
		return mux.Done, nil
	}
	changed := x.save(e, c, &now)
	if cl.do&deliver != 0 {
		it := *e.Item
		it.Stanza, it.To = s, e.Account
		e.Deliver(it, x.audience(e, m)...)
	}
	if changed {
		x.push(e, &now, c.epoch)
	}
	if cl.do&reply != 0 {
		x.send(ctx, e, contact, subscribed)
		// One who asks for what it has lost track of it: it is told as if anew.
		from &^= stateF
	}
	x.changed(ctx, e, contact, from, cl.next)
	return mux.Done, nil
}

// audience are the sessions that a contact's stanza is for (RFC 6121 §3.1.3,
// §3.1.6).
func (x *Extension) audience(e *mux.Event, m move) (list []*mux.Session) {
	if m != subscribe {
		return x.interestedSessions(e)
	}
	for _, s := range e.Sessions() {
		if s.Available() {
			list = append(list, s)
		}
	}
	return list
}

// send says something to a contact on behalf of the account.
func (x *Extension) send(ctx context.Context, e *mux.Event, contact mux.Address, m move) {
	s := mux.Make(mux.Head{Kind: mux.Presence, Type: moveNames[m], From: e.Account, To: contact})
	e.SendItem(ctx, mux.Item{Stanza: s, Flags: mux.Service})
}

// changed tells whoever wants to know, if there is something to tell.
func (x *Extension) changed(ctx context.Context, e *mux.Event, contact mux.Address, was, now state) {
	if was.from() == now.from() && was.to() == now.to() {
		return
	}
	err := mux.Emit(ctx, e, mux.SubscriptionChanged{Contact: contact, FromWas: was.from(), From: now.from(), ToWas: was.to(), To: now.to()})
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "after a change of subscription", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
}

// accountClosing takes leave of all contacts (core-im, auth-register PC-7), while
// the sessions are still there. The rows go with accountRemoved.
func (x *Extension) accountClosing(ctx context.Context, e *mux.Event, _ mux.AccountClosing) error {
	c, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	items := c.items
	*c = contacts{loaded: true, ver: c.ver, epoch: c.epoch}
	for i := range items {
		x.leave(ctx, e, &items[i])
	}
	return nil
}

// accountRemoved removes what is kept of an account.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	e.Work.Write(x.store.RemoveAccount(e.Account))
	*x.contacts.Of(e) = contacts{}
	return nil
}

// blockChanged forgets the requests of a contact, or of a whole domain, that was
// blocked (core-im SUB-29). Clients are not told: nobody was answered. The event comes
// in a turn that may wait; so they go together with what blocks.
func (x *Extension) blockChanged(ctx context.Context, e *mux.Event, b mux.BlockChanged) error {
	if !b.Blocked {
		return nil
	}
	return x.forgetRequests(ctx, e, b.Contact)
}

func (x *Extension) forgetRequests(ctx context.Context, e *mux.Event, of mux.Address) error {
	c, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	var gone []Item
	for _, i := range c.items {
		if i.In != "" && (i.JID == of || of.Domain() == of.String() && i.JID.Domain() == of.Domain()) {
			i.In = ""
			gone = append(gone, i)
		}
	}
	for i := range gone {
		x.save(e, c, &gone[i])
	}
	return nil
}
