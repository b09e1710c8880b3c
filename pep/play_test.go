package pep_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// stage is an assembly with juliet and others on it.
type stage struct {
	*assembly
	t  testing.TB
	h  *muxtest.Host
	c  *muxtest.Committer
	on map[string]*muxtest.Client
	n  int
	// kept is what arrived while an answer was waited for.
	kept map[string][]string
	// sessions are those of clients.
	sessions map[*pep.Client]*xmpp.Session
}

// play runs a test on a stage.
func play(t *testing.T, opt func(a *assembly), f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newStage(t, opt)) })
}

func newStage(t testing.TB, opt func(a *assembly)) *stage {
	t.Helper()
	a := newAssembly(t)
	if opt != nil {
		opt(a)
	}
	c := new(muxtest.Committer)
	h := muxtest.New(t, &mux.Options{Committer: c, NoRecover: true}, a.extensions()...)
	h.AddAccount("juliet@example.net", "romeo@example.net", "nurse@example.net", "paris@example.net", "tybalt@example.net")
	return &stage{a, t, h, c, make(map[string]*muxtest.Client), 0, make(map[string][]string), nil}
}

// who is a client by a short name such as juliet or juliet/2; it connects when it is
// first needed. Those at example.org are one stream, of that server.
func (s *stage) who(name string) *muxtest.Client {
	s.t.Helper()
	if c := s.on[name]; c != nil {
		return c
	}
	local, resource, ok := strings.Cut(name, "/")
	if !ok {
		resource = "1"
	}
	s.on[name] = s.h.Connect(s.t, local+"@example.net/"+resource)
	return s.on[name]
}

// there makes a client available, with nodes it wants.
func (s *stage) there(name string, nodes ...string) *muxtest.Client {
	s.t.Helper()
	c := s.who(name)
	c.Send("<presence><c xmlns='x:caps'>" + strings.Join(nodes, " ") + "</c></presence>")
	return c
}

// farAway is the stream of example.org.
func (s *stage) farAway() *muxtest.Client {
	s.t.Helper()
	if s.on["example.org"] == nil {
		s.on["example.org"] = s.h.DialDomain(s.t, mux.Server, "example.org")
	}
	return s.on["example.org"]
}

// turn is one of juliet's account, for server code.
type turn struct {
	s   *stage
	ctx context.Context
	e   *mux.Event
}

// server runs server code.
func (s *stage) server(f func(e *turn)) {
	s.t.Helper()
	if err := s.h.Mux().Do(s.t.Context(), addr("juliet@example.net"), func(ctx context.Context, e *mux.Event) { f(&turn{s, ctx, e}) }); err != nil {
		s.t.Error(err)
	}
	s.h.Settle()
}

func (e *turn) publish(node, id string) {
	e.s.t.Helper()
	if _, err := e.s.made.Publish(e.ctx, e.e, pep.Publication{Node: node, ID: id, Payload: "<x xmlns='urn:x'/>"}); err != nil {
		e.s.t.Error(err)
	}
}

// ask sends a request to juliet and returns what came back in short: "" for a result,
// else type/condition[/condition of pubsub].
func (s *stage) ask(name, typ, payload string) string {
	s.t.Helper()
	short, _ := s.full(name, typ, payload)
	return short
}

// full is ask with the whole answer.
func (s *stage) full(name, typ, payload string) (short, whole string) {
	return s.of(name, "juliet@example.net", typ, payload)
}

func (s *stage) of(name, to, typ, payload string) (short, whole string) {
	s.t.Helper()
	s.n++
	id := fmt.Sprint("q", s.n)
	iq := "<iq type='" + typ + "' to='" + to + "' id='" + id + "'>" + payload + "</iq>"
	var got []string
	var keep func([]string)
	if local, far := strings.CutSuffix(name, "@example.org"); far {
		s.farAway().Send(strings.Replace(iq, " to=", " from='"+local+"@example.org/1' to=", 1))
		got = s.h.Routed("example.org")
		keep = func(l []string) { s.kept["far"] = append(s.kept["far"], l...) }
	} else {
		c := s.who(name)
		before := c.Arrived()
		c.Clear()
		c.Send(iq)
		got = c.Arrived()
		c.Clear()
		keep = func(l []string) { s.kept[name] = append(s.kept[name], append(before, l...)...) }
	}
	var rest []string
	for _, el := range got {
		st, err := mux.Parse([]byte(el))
		if err != nil || st.ID() != id {
			rest = append(rest, el)
			continue
		}
		whole = el
		if st.Type() == "error" {
			short = shortError(st)
		}
	}
	if whole == "" {
		s.t.Errorf("%s got no answer to %s", name, iq)
	}
	keep(rest)
	return short, whole
}

// sleep lets time pass in the bubble.
func (s *stage) sleep(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
}

// events are what has arrived of events for a client since it was asked last, in short:
// node:item, node-item for a retraction, purge:node, delete:node, config:node,
// none:node, with ~ for a last item and > for one that names the publisher.
func (s *stage) events(name string) string {
	s.t.Helper()
	var got []string
	if strings.HasSuffix(name, "@example.org") {
		all := s.h.Routed("example.org")
		s.kept["far"] = append(s.kept["far"], all...)
		var rest []string
		for _, el := range s.kept["far"] {
			if st, err := mux.Parse([]byte(el)); err == nil && st.To().Bare().String() == name {
				got = append(got, el)
			} else {
				rest = append(rest, el)
			}
		}
		s.kept["far"] = rest
	} else {
		c := s.who(name)
		s.kept[name] = append(s.kept[name], c.Arrived()...)
		c.Clear()
		got, s.kept[name] = s.kept[name], nil
	}
	var l []string
	for _, el := range got {
		if st, err := mux.Parse([]byte(el)); err == nil && st.Kind() == mux.Message {
			l = append(l, shortEvent(st))
		}
	}
	return strings.Join(l, " ")
}

func shortEvent(st *mux.Stanza) string {
	mark := ""
	var out []string
	for _, k := range st.Children() {
		switch k.Name.Local {
		case "delay":
			mark += "~"
		case "addresses":
			mark += ">"
		case "event":
			ev, _ := k.Element()
			for _, c := range ev.Children() {
				out = append(out, shortAction(c))
			}
		default:
			out = append(out, "<"+k.Name.Local+">")
		}
	}
	return mark + strings.Join(out, ",")
}

func shortAction(c mux.Child) string {
	node := c.Attr("node")
	switch c.Name.Local {
	case "items":
		el, _ := c.Element()
		var l []string
		for _, i := range el.Children() {
			sep := ":"
			if i.Name.Local == "retract" {
				sep = "-"
			}
			l = append(l, node+sep+i.Attr("id"))
		}
		return strings.Join(l, ",")
	case "subscription":
		return c.Attr("subscription") + ":" + node
	}
	return c.Name.Local + ":" + node
}

func shortError(st *mux.Stanza) string {
	for _, k := range st.Children() {
		if k.Name.Local != "error" {
			continue
		}
		parts := []string{k.Attr("type")}
		el, err := k.Element()
		if err != nil {
			return err.Error()
		}
		app := ""
		for _, c := range el.Children() {
			switch {
			case c.Name.Local == "text":
			case strings.HasSuffix(c.Name.Space, "pubsub#errors"):
				app = "/" + c.Name.Local
				if f := c.Attr("feature"); f != "" {
					app += " " + f
				}
			default:
				parts = append(parts, c.Name.Local)
			}
		}
		return strings.Join(parts, "/") + app
	}
	return "?"
}

// Payloads of requests.

func pubsub(s string) string {
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub'>" + s + "</pubsub>"
}

func owner(s string) string {
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>" + s + "</pubsub>"
}

func form(typ string, fields ...string) string {
	b := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#" + typ + "</value></field>"
	for _, f := range fields {
		name, values, _ := strings.Cut(f, "=")
		b += "<field var='pubsub#" + name + "'>"
		for _, v := range strings.Split(values, ",") {
			b += "<value>" + v + "</value>"
		}
		b += "</field>"
	}
	return b + "</x>"
}

func publication(node, id string, options ...string) string {
	o := ""
	if len(options) > 0 {
		o = "<publish-options>" + form("publish-options", options...) + "</publish-options>"
	}
	return pubsub("<publish node='" + node + "'><item id='" + id + "'><x xmlns='urn:x'>" + id + "</x></item></publish>" + o)
}

func configure(node string, fields ...string) string {
	return owner("<configure node='" + node + "'>" + form("node_config", fields...) + "</configure>")
}

func (s *stage) publish(node, id string, options ...string) {
	s.t.Helper()
	if got := s.ask("juliet", "set", publication(node, id, options...)); got != "" {
		s.t.Errorf("publishing %s to %s: %s", id, node, got)
	}
}

// items are the ids of what somebody gets of a node, in order, or the error.
func (s *stage) items(name, node, attrs, more string) string {
	s.t.Helper()
	short, whole := s.full(name, "get", pubsub("<items node='"+node+"' "+attrs+"/>"+more))
	if short != "" {
		return short
	}
	st, err := mux.Parse([]byte(whole))
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	ps, _ := st.Children()[0].Element()
	var l []string
	for _, k := range ps.Children() {
		el, _ := k.Element()
		for _, c := range el.Children() {
			switch c.Name.Local {
			case "item":
				l = append(l, c.Attr("id"))
			case "first":
				l = append(l, "first="+c.Text()+"@"+c.Attr("index"))
			default:
				l = append(l, c.Name.Local+"="+c.Text())
			}
		}
	}
	return strings.Join(l, " ")
}
