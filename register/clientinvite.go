package register

import (
	"context"
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
)

const nsCommands = "http://jabber.org/protocol/commands"

// Link is an invitation that the own server has made.
type Link struct {
	URI     string
	Landing string    // a page for it; empty for none
	Expires time.Time // zero for never
}

type commandXML struct {
	Session string `xml:"sessionid,attr"`
	Status  string `xml:"status,attr"`
	Form    struct {
		Fields []dataXML `xml:"jabber:x:data field"`
	} `xml:"jabber:x:data x"`
}

// AskInvite asks the own server for an invitation to become a contact of the account of
// the session (XEP-0401 §5.1), on which Serve must be running. Errors are those of the
// server, a stanza.Error, and of the session.
func AskInvite(ctx context.Context, s *xmpp.Session) (Link, error) {
	c, err := command(ctx, s, NodeInvite, "", nil)
	if err != nil {
		return Link{}, err
	}
	return c.link()
}

// AskAccount is AskInvite for an account (XEP-0401 §5.4): with that username, or a free
// choice if it is empty; befriend makes the two contacts.
func AskAccount(ctx context.Context, s *xmpp.Session, username string, befriend bool) (Link, error) {
	c, err := command(ctx, s, NodeCreateAccount, "", nil)
	if err != nil {
		return Link{}, err
	}
	if c.Status == "executing" {
		wanted := map[bool]string{true: "1", false: "0"}
		form := submission(fieldTokens("username", []string{username}), fieldTokens("roster-subscription", []string{wanted[befriend]}))
		if c, err = command(ctx, s, NodeCreateAccount, c.Session, form); err != nil {
			return Link{}, err
		}
	}
	return c.link()
}

// command runs one (XEP-0050 §3).
func command(ctx context.Context, s *xmpp.Session, node, session string, form xml.TokenReader) (c commandXML, err error) {
	start := xml.StartElement{Name: xml.Name{Space: nsCommands, Local: "command"}, Attr: []xml.Attr{{Name: xml.Name{Local: "node"}, Value: node}}}
	action := "execute"
	if session != "" {
		action = "complete"
		start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: "sessionid"}, Value: session})
	}
	start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: "action"}, Value: action})
	ctx, done := asking.Context(ctx)
	defer done()
	err = s.UnmarshalIQElement(ctx, xmlstream.Wrap(form, start), stanza.IQ{Type: stanza.SetIQ, To: s.LocalAddr().Domain()}, &c)
	return c, err
}

// link reads the result. The name of the last field is expire in the text of XEP-0401
// and expiry in its registry.
func (c *commandXML) link() (l Link, err error) {
	for _, f := range c.Form.Fields {
		if len(f.Values) == 0 {
			continue
		}
		switch v := f.Values[0]; f.Var {
		case "uri":
			l.URI = v
		case "landing-url":
			l.Landing = v
		case "expire", "expiry":
			if l.Expires, err = time.Parse(time.RFC3339, v); err != nil {
				return Link{}, errServer
			}
		}
	}
	if c.Status != "completed" || l.URI == "" {
		return Link{}, errServer
	}
	return l, nil
}

// Accept accepts an invitation to become a contact, with the account of the session
// (XEP-0379 §3.4): the contact is approved beforehand and asked. It is not asked again
// if it does not answer.
func Accept(ctx context.Context, s *xmpp.Session, i Invitation) error {
	if i.Contact.Equal(jid.JID{}) {
		return ErrNotOffered
	}
	if s.State()&xmpp.Secure == 0 {
		return ErrInsecure
	}
	ctx, done := asking.Context(ctx)
	defer done()
	approval := stanza.Presence{Type: stanza.SubscribedPresence, To: i.Contact}
	if err := s.Send(ctx, approval.Wrap(nil)); err != nil {
		return err
	}
	var preauth xml.TokenReader
	if i.Token != "" {
		preauth = xmlstream.Wrap(nil, xml.StartElement{Name: preauthName, Attr: []xml.Attr{{Name: xml.Name{Local: "token"}, Value: i.Token}}})
	}
	return s.Send(ctx, stanza.Presence{Type: stanza.SubscribePresence, To: i.Contact}.Wrap(preauth))
}
