package mux

import (
	"context"
	"errors"
	"log/slog"

	"mellium.im/xmpp/stream"
)

// perform does what a turn is for.
func (m *Mux) perform(r *runner, e *Event, t *task) {
	ctx := m.ctx
	switch t.kind {
	case callTask:
		t.fn(ctx, e)
		return
	}
	e.Item = &t.item
	e.Stanza = t.item.Stanza
	defer e.doneWith(ctx) // whatever way it went
	switch t.kind {
	case peerTask:
		e.Session = t.sess
		if t.item.Origin.role == Upstream {
			m.fromServer(ctx, e)
			return
		}
		m.fromPeer(ctx, e)
	case arriveTask:
		m.arrive(ctx, e)
	case hostTask:
		e.from = e.Stanza.from
		e.owe()
		m.answerIQ(ctx, e, AtHost)
	case entityTask:
		m.atEntity(ctx, e)
	}
}

// owe notes that the stanza is a request, which gets exactly one answer.
func (e *Event) owe() {
	e.reply = replyNone
	if s := e.Stanza; s.kind == IQ && (s.typ == "get" || s.typ == "set") {
		e.reply = replyOwed
	}
}

// mustWait asks whether a turn needs a goroutine that may wait.
func (m *Mux) mustWait(r *runner, a *account, t *task) bool {
	switch t.kind {
	case callTask:
		return t.waits
	case arriveTask:
		if len(a.list()) == 0 {
			if _, known := m.host.Account(a.addr); !known {
				return true
			}
		}
	}
	if !m.blocks {
		return false
	}
	wait := true // also if somebody panics who is asked
	m.protect(func() { wait = m.blocksOn(r, a, t) })
	return wait
}

// blocksOn asks those whose handlers may wait.
func (m *Mux) blocksOn(r *runner, a *account, t *task) bool {
	e := &r.ev
	*e = Event{Account: a.addr, Session: t.sess, Stanza: t.item.Stanza, Item: &t.item, m: m, r: r, acct: a}
	defer func() { *e = Event{} }()
	i := kindIndex(t.item.Stanza.kind)
	switch t.kind {
	case peerTask:
		if t.item.Origin.role == Upstream {
			return anyBlocks(e, m.blocking[FromPeer][i]) || m.iqBlocks(e, AtSelf) || m.iqBlocks(e, AtHost)
		}
		to := t.item.Stanza.to
		self := to.IsZero() && t.item.Stanza.kind == Message || !to.IsZero() && to.Bare() == a.addr // arrives in the same turn
		return anyBlocks(e, m.blocking[FromPeer][i]) || !to.IsZero() && anyBlocks(e, m.blocking[FromAccount][i]) ||
			self && anyBlocks(e, m.blocking[ToAccount][i]) || m.localIQBlocks(e)
	case arriveTask:
		return anyBlocks(e, m.blocking[ToAccount][i]) || m.iqBlocks(e, AtAccount)
	case hostTask:
		return m.iqBlocks(e, AtHost)
	case entityTask:
		x := m.entities[a.addr.Domain()]
		return x != nil && x.blocks != nil && x.blocks(e)
	}
	return false
}

func anyBlocks(e *Event, fs []func(*Event) bool) bool {
	for _, f := range fs {
		if f(e) {
			return true
		}
	}
	return false
}

func (m *Mux) localIQBlocks(e *Event) bool {
	if e.Stanza.kind != IQ {
		return false
	}
	switch to := e.Stanza.to; {
	case to.IsZero() || to == e.Account:
		return m.iqBlocks(e, AtSelf)
	case m.atHost(to):
		return m.iqBlocks(e, AtHost)
	}
	return false
}

func (m *Mux) iqBlocks(e *Event, s Scope) bool {
	x := m.findIQ(s, e.Stanza)
	return x != nil && x.blocks != nil && x.blocks(e)
}

// fromPeer is the first turn of a client's own stanza.
func (m *Mux) fromPeer(ctx context.Context, e *Event) {
	if !e.Session.open() {
		return // it was ended while this waited; nobody acts for it any more (core-im LC-14)
	}
	e.from = e.Session.jid
	e.owe()
	if !m.pass(ctx, e, FromPeer) {
		return
	}
	s := e.Stanza
	if s.kind == Presence && s.to.IsZero() {
		e.Session.notePresence(s, e.Item.At)
		if e.Session.saved.Load() {
			e.Work.Save(e.Session)
		}
	}
	if !s.to.IsZero() && !m.pass(ctx, e, FromAccount) {
		return
	}
	m.observe(ctx, e, FromPeer)
	if !s.to.IsZero() {
		m.observe(ctx, e, FromAccount)
	}
	m.dispatch(ctx, e)
}

// dispatch sends a client's stanza on its way (RFC 6120 §10.3, §10.5).
func (m *Mux) dispatch(ctx context.Context, e *Event) {
	s := e.Stanza
	to := s.to
	self := to.IsZero() || to == e.Account
	switch s.kind {
	case IQ:
		request := s.typ == "get" || s.typ == "set"
		switch {
		case request && self:
			m.answerIQ(ctx, e, AtSelf)
			return
		case request && m.atHost(to):
			m.answerIQ(ctx, e, AtHost)
			return
		case !request && self:
			m.matchReply(ctx, e) // or nobody asked
			return
		case !request && m.atHost(to):
			m.matchFor(ctx, e, s)
			return
		}
	case Presence:
		if to.IsZero() {
			return
		}
	case Message:
		if to.IsZero() {
			to = e.Account // RFC 6120 §10.3.1: as to the own bare JID
		}
	}
	it := e.Item
	it.Stanza = s
	if s.to.IsZero() {
		it.To = to
	}
	if to.Bare() == e.Account {
		// Within the same turn, so that copies keep their order (core-im CORE-12).
		inner := Event{Account: e.Account, Stanza: s, Item: it, Work: e.Work, m: m, r: e.r, acct: e.acct}
		e.r.inner = &inner
		m.arrive(ctx, &inner)
		inner.doneWith(ctx)
		e.r.inner = nil
		return
	}
	m.route(ctx, e, it)
}

// pass runs guards and modifiers of a point and reports whether the stanza goes
// on.
func (m *Mux) pass(ctx context.Context, e *Event, p Point) bool {
	i := kindIndex(e.Stanza.kind)
	guards, modifiers := m.guards[p][i], m.modifiers[p][i]
	if len(guards)+len(modifiers) == 0 {
		return true
	}
	e.Point = p
	for _, list := range [2][]entry{guards, modifiers} {
		for j := range list {
			x := &list[j]
			if e.Unknown && !x.unknown {
				continue
			}
			v, err := x.h(ctx, e)
			if err != nil {
				m.refuse(ctx, e, x.ext, err)
				return false
			}
			if v == Done {
				if e.reply == replyOwed {
					m.refuse(ctx, e, x.ext, errUnavailable)
				}
				e.doneWith(ctx)
				return false
			}
		}
	}
	return true
}

func (m *Mux) observe(ctx context.Context, e *Event, p Point) {
	list := m.observers[p][kindIndex(e.Stanza.kind)]
	if len(list) == 0 {
		return
	}
	e.Point = p
	for j := range list {
		list[j].o(ctx, e)
	}
}

// refuse does what a handler's error asks for; see [Handler].
func (m *Mux) refuse(ctx context.Context, e *Event, ext string, err error) {
	var se stream.Error
	if e.later != nil {
		e.later.Reply(nil, err)
		return
	}
	switch {
	case wireError(err):
	case errors.As(err, &se) && e.Origin() != nil:
		e.r.endStream(e.Origin(), se)
		return
	default:
		m.log.LogAttrs(ctx, slog.LevelError, "handler failed", slog.String("extension", ext),
			slog.String("account", e.Account.String()), slog.Any("err", err))
		if e.reply != replyOwed && e.Stanza.kind != Message {
			return
		}
		err = errInternal // a message must not be lost without a word
	}
	if e.Stanza.kind == IQ {
		if e.reply == replyOwed {
			e.reply = replyGiven
			m.answer(ctx, e, e.Stanza, e.from, nil, err)
		}
		return
	}
	m.bounce(ctx, e, e.Item, err)
}

// arrive is the turn of a stanza for an account.
func (m *Mux) arrive(ctx context.Context, e *Event) {
	s := e.Stanza
	e.from = s.from
	e.owe()
	exists, err := m.exists(ctx, e)
	if err != nil {
		m.log.LogAttrs(ctx, slog.LevelError, "account lookup failed", slog.String("account", e.Account.String()), slog.Any("err", err))
		m.refuse(ctx, e, "", errInternal)
		return
	}
	e.Unknown = !exists
	if !m.pass(ctx, e, ToAccount) {
		return
	}
	if e.Unknown {
		m.settle(ctx, e, noAccount)
		return
	}
	m.settle(ctx, e, stateOf(e.acct.list()))
}

// exists asks whether the account of the turn exists.
func (m *Mux) exists(ctx context.Context, e *Event) (bool, error) {
	if len(e.acct.list()) > 0 {
		return true, nil
	}
	if ok, known := m.host.Account(e.Account); known {
		return ok, nil
	}
	return m.host.LoadAccount(ctx, e.Account)
}

// settle carries out the delivery decision.
func (m *Mux) settle(ctx context.Context, e *Event, st presenceState) {
	s, to := e.Stanza, e.Item.Recipient()
	sessions := e.acct.list()
	full := !to.IsBare()
	var addressed *Session
	if full {
		if addressed = e.acct.find(to); addressed != nil && !addressed.open() {
			addressed = nil
		}
	}
	if s.kind == IQ && (s.typ == "result" || s.typ == "error") && m.matchReply(ctx, e) {
		return
	}
	act := decide(s.kind, s.typ, full, addressed != nil, st)
	switch act {
	case actAnswer:
		m.answerIQ(ctx, e, AtAccount)
		return
	case actRefuse:
		m.refuse(ctx, e, "", errUnavailable)
		return
	case actIgnore:
		return
	}
	r := e.r
	r.targets = choose(r.targets[:0], act, sessions, addressed)
	got := r.targets[:0]
	for _, t := range r.targets {
		r.item = *e.Item // for each, since sinks may change it
		r.item.Stanza = s
		if t.put(r, &r.item) {
			got = append(got, t)
		}
	}
	r.targets = got
	e.Targets = got
	if s.kind == IQ && len(got) > 0 {
		e.reply = replyGiven // the client will answer
	}
	m.observe(ctx, e, ToAccount)
	e.Targets = nil
	if len(got) == 0 {
		m.nobodyTook(ctx, e, errUnavailable)
	}
}

// nobodyTook asks the Undelivered handlers, and bounces what none of them wants.
func (m *Mux) nobodyTook(ctx context.Context, e *Event, otherwise error) {
	s := e.Stanza
	list := m.undelivered[kindIndex(s.kind)]
	for i := range list {
		v, err := list[i].h(ctx, e)
		if err != nil {
			m.refuse(ctx, e, list[i].ext, err)
			return
		}
		if v == Done {
			if e.reply == replyOwed {
				m.refuse(ctx, e, list[i].ext, errUnavailable)
			}
			return
		}
	}
	switch {
	case s.kind == Presence, s.kind == Message && (s.typ == "headline" || passing(s)):
		return
	}
	m.refuse(ctx, e, "", otherwise)
}

// atEntity is the turn of a stanza for a hosted entity.
func (m *Mux) atEntity(ctx context.Context, e *Event) {
	e.from = e.Stanza.from
	e.owe()
	if k := e.Stanza; k.kind == IQ && (k.typ == "result" || k.typ == "error") && m.matchReply(ctx, e) {
		return
	}
	x := m.entities[e.Account.Domain()]
	v, err := x.h(ctx, e)
	if err != nil {
		m.refuse(ctx, e, x.ext, err)
		return
	}
	if v == Done && e.reply == replyOwed {
		e.reply = replyGiven // it was passed on, and the answer comes from there
	}
	if e.reply == replyOwed {
		m.refuse(ctx, e, x.ext, errUnavailable)
	}
	e.doneWith(ctx)
}
