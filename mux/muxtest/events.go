package muxtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// domain reports whether a peer's name is that of another server.
func (p *player) domain(name string) bool {
	c := p.peers[name]
	return c != nil && c.Stream.Role() != mux.Client || c == nil && strings.Contains(name, ".")
}

// peer is the peer of a name; another server connects when it is first heard of.
func (p *player) peer(name string) *Client {
	c := p.peers[name]
	if c == nil && strings.Contains(name, ".") {
		c = p.h.DialDomain(p.where, mux.Server, name)
		p.add(name, c)
	}
	if c == nil {
		p.where.Fatalf("%s has not connected", name)
	}
	return c
}

func (p *player) add(name string, c *Client) {
	if p.peers[name] == nil {
		p.names = append(p.names, name)
	}
	p.peers[name] = c
	c.name = name
}

// event does what a line without an element says.
func (p *player) event(l line) {
	text := p.captures.Expand(l.text)
	if after, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(after)
		if err != nil {
			p.where.Fatalf("%v", err)
		}
		p.pass(d)
		return
	}
	text, inline, _ := strings.Cut(text, " with ")
	words := strings.Fields(text)
	name, verb, object := words[0], "", ""
	if len(words) > 1 {
		verb, object = words[1], words[len(words)-1]
	}
	switch {
	case text == "restart":
		p.h.Restart(p.extensions()...)
	case name == "account":
		p.h.AddAccount(object)
	case name == "commits":
		p.commits(verb)
	case verb == "connects" && strings.Contains(name, "."):
		role := mux.Server
		if object == "component" {
			role = mux.Component
		}
		p.add(name, p.h.DialDomain(p.where, role, name))
	case verb == "connects" && len(words) == 4:
		p.connect(name, object, inline)
	case verb == "authenticates" && len(words) == 4:
		p.add(name, p.h.Dial(p.where, object))
	case verb == "resumes":
		c := p.h.Dial(p.where, p.peer(name).Stream.Account().String())
		p.add(name, c)
		c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + escape(p.previous[name]) + "' h='" + object + "'/>")
	case verb == "drops":
		p.peer(name).Drop()
	case verb == "closes":
		p.peer(name).Close()
	default:
		p.where.Fatalf("unknown step: %s", l.text)
	}
	p.h.Settle()
}

func (p *player) connect(name, full, inline string) {
	a, err := mux.ParseAddress(full)
	if err != nil || a.IsBare() {
		p.where.Fatalf("%s is no full JID", full)
	}
	c := p.h.Dial(p.where, a.Bare().String())
	p.add(name, c)
	o := &mux.BindOptions{Resource: a.Resource()}
	if inline != "" {
		x, err := mux.Parse([]byte("<bind xmlns='urn:xmpp:bind:0'>" + inline + "</bind>"))
		if err != nil {
			p.where.Fatalf("%s: %v", inline, err)
		}
		o.Inline = x.Children()
		o.Kept = func(_ context.Context, e *mux.Event) { e.Session.Put(mux.Item{Stanza: c.bound(o)}) }
	}
	c.Bind(o)
	c.name = name
}

// bound is Bind 2's answer.
func (c *Client) bound(o *mux.BindOptions) *mux.Stanza {
	text := "<bound xmlns='urn:xmpp:bind:0'>"
	for _, r := range o.InlineReply {
		child, err := mux.NewChild(r)
		if err != nil {
			c.t.Errorf("%s: bad answer of an inline member: %v", c.name, err)
			continue
		}
		text += child.Raw()
	}
	s, err := mux.Parse([]byte(text + "</bound>"))
	if err != nil {
		c.t.Errorf("%s: bad answers of inline members: %v", c.name, err)
		s = mux.Make(mux.Head{Kind: mux.Message})
	}
	return s
}

var errCommit = errors.New("muxtest: the commit fails, as it was told to")

func (p *player) commits(what string) {
	c, ok := p.config.Options.Committer.(*Committer)
	if !ok {
		p.where.Fatalf("the options have no muxtest.Committer")
	}
	switch what {
	case "hold":
		c.Hold()
	case "release":
		c.Release()
	case "fail":
		c.Fail(errCommit)
	default:
		p.where.Fatalf("unknown: commits %s", what)
	}
}
