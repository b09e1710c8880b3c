package adhoc

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/dataform"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// refuse is an error with a condition of XEP-0050 §4.
func refuse(t stanza.ErrorType, c stanza.Condition, app string) *mux.Error {
	e := &mux.Error{Stanza: stanza.Error{Type: t, Condition: c}}
	if app != "" {
		e.App = mux.Raw("<" + app + " xmlns='" + NS + "'/>")
	}
	return e
}

var (
	errForbidden = refuse(stanza.Cancel, stanza.Forbidden, "")
	errNoCommand = refuse(stanza.Cancel, stanza.ItemNotFound, "")
	errMalformed = refuse(stanza.Modify, stanza.BadRequest, "malformed-action")
	errAction    = refuse(stanza.Modify, stanza.BadRequest, "bad-action")
	errPayload   = refuse(stanza.Modify, stanza.BadRequest, "bad-payload")
	errExpired   = refuse(stanza.Cancel, stanza.NotAllowed, "session-expired")
)

// run answers a command.
func (x *Extension) run(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if e.Session == nil {
		return nil, errForbidden
	}
	c := e.Stanza.Children()[0]
	node, id, action := c.Attr("node"), c.Attr("sessionid"), c.Attr("action")
	command := x.find(e, node)
	switch {
	case command == nil && slices.ContainsFunc(x.commands, func(c Command) bool { return c.Node == node }):
		return nil, errForbidden
	case command == nil:
		return nil, errNoCommand
	case !slices.Contains([]string{"", "execute", "complete", "cancel", "next", "prev"}, action):
		return nil, errMalformed
	case action == "next", action == "prev", id == "" && (action == "complete" || action == "cancel"):
		return nil, errAction
	case id == "":
		return x.call(ctx, e, command)
	}
	if !x.end(e.Session, id, node) {
		return nil, errExpired
	}
	if action == "cancel" {
		return reply(node, id, "canceled", ""), nil
	}
	answer, err := submitted(c)
	if err != nil {
		x.begin(e.Session, id, node) // it may be filled in again
		return nil, errPayload
	}
	form, completed, err := command.Run(ctx, e, answer)
	if err != nil {
		x.begin(e.Session, id, node)
		return nil, err
	}
	return x.answer(e.Session, node, id, form, completed), nil
}

// call runs a command for the first time.
func (x *Extension) call(ctx context.Context, e *mux.Event, c *Command) (xmlstream.Marshaler, error) {
	form, completed, err := c.Run(ctx, e, nil)
	if err != nil {
		return nil, err
	}
	return x.answer(e.Session, c.Node, strings.ToLower(rand.Text()), form, completed), nil
}

func (x *Extension) answer(s *mux.Session, node, id string, form mux.Raw, completed bool) mux.Raw {
	if completed {
		return reply(node, id, "completed", form)
	}
	x.begin(s, id, node)
	return reply(node, id, "executing", "<actions execute='complete'><complete/></actions>"+form)
}

// submitted reads the form of a command.
func submitted(c mux.Child) (map[string][]string, error) {
	el, err := c.Element()
	if err != nil {
		return nil, err
	}
	for _, kid := range el.Children() {
		if kid.Name.Space == dataform.NS && kid.Name.Local == "x" {
			s, err := dataform.Read(kid)
			if err != nil {
				return nil, err
			}
			return s.Values, nil
		}
	}
	return nil, dataform.ErrMalformed
}

// begin notes a command that waits for its form; the oldest of too many goes.
func (x *Extension) begin(s *mux.Session, id, node string) {
	open := x.open.Of(s)
	if len(*open) >= maxOpen {
		*open = slices.Delete(*open, 0, len(*open)-maxOpen+1)
	}
	*open = append(*open, begun{id, node, time.Now().Add(lifetime)})
}

// end takes it, and reports whether there was one.
func (x *Extension) end(s *mux.Session, id, node string) bool {
	open := x.open.Of(s)
	now := time.Now()
	*open = slices.DeleteFunc(*open, func(b begun) bool { return !now.Before(b.until) })
	i := slices.IndexFunc(*open, func(b begun) bool { return b.id == id && b.node == node })
	if i < 0 {
		return false
	}
	*open = slices.Delete(*open, i, i+1)
	return true
}

func reply(node, id, status string, content mux.Raw) mux.Raw {
	b := xmlwrite.AppendAttrValue([]byte("<command xmlns='"+NS+"' node='"), node)
	b = append(b, "' sessionid='"...)
	b = xmlwrite.AppendAttrValue(b, id)
	b = append(b, "' status='"+status+"'"...)
	if content == "" {
		return mux.Raw(append(b, "/>"...))
	}
	b = append(append(append(b, '>'), content...), "</command>"...)
	return mux.Raw(b)
}
