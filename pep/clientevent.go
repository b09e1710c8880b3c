package pep

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// EventKind says what has happened to a node.
type EventKind uint8

// The kinds of events.
const (
	ItemPublished       EventKind = iota // Event.Item is the item
	ItemRetracted                        // the item Event.Item.ID is gone
	NodePurged                           // all items are
	NodeDeleted                          // the node is; Event.Redirect may say where to
	NodeConfigured                       // Event.Config is the new configuration, if it is told
	SubscriptionChanged                  // Event.Subscription
	// Missed is no event of the service: some could not be kept until they were
	// handled, and the node should be read.
	Missed
	// NodeRead follows the items that [Client.Begin] has read: others are not there.
	NodeRead
	// NodeUnread says that Begin could not read the node, or not all of it.
	NodeUnread
)

// String names the kind.
func (k EventKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

var kindNames = [...]string{"published", "retracted", "purged", "deleted", "configured", "subscription", "missed", "read", "unread"}

// Event is what has happened to a node. An item, its owner and node name what it is about;
// the same may be told more than once, and an own publication before its result.
type Event struct {
	// From is whose node it is, a bare address; Own says that it is the own account.
	From jid.JID
	Own  bool
	Node string
	Kind EventKind
	// Item is the item, without a payload if it was retracted or the service leaves it
	// out: see [Client.Fetch].
	Item Published
	// At is when the item was published, if it was sent again for this session to know
	// it (XEP-0060 §6.1.7); zero for one that was published just now.
	At time.Time
	// Fetched says that no event has come: the item was asked for, see Watch.Fetch.
	Fetched bool
	// Known says that what was handled last of the item with this ID had this content, so
	// that there is nothing new to people. Where items of several IDs stand for one value,
	// compare that instead.
	Known bool
	// Redirect, Config and Subscription are told with some kinds.
	Redirect     string
	Config       Fields
	Subscription Subscription
}

// Fetch is the item of an event that has no payload, as the service has it now.
func (c *Client) Fetch(ctx context.Context, e Event) (Published, error) {
	if e.Item.Payload != "" {
		return e.Item, nil
	}
	return c.Item(ctx, e.From, e.Node, e.Item.ID)
}

// Current is the item that a node with one value has after an event of any kind, without a
// payload if there is none: that of the event, or the newest. A value is not gone because
// one of its older items is, as when that has made room for it.
func (c *Client) Current(ctx context.Context, e Event) (Published, error) {
	p, err := Published{}, error(ErrNoItem)
	switch e.Kind {
	case ItemPublished:
		p, err = c.Fetch(ctx, e)
	case NodePurged, NodeDeleted:
		return Published{}, nil
	}
	if errors.Is(err, ErrNoItem) {
		p, err = c.Newest(ctx, e.From, e.Node)
	}
	if errors.Is(err, ErrNoItem) || isRefused(err, stanza.Error{Condition: stanza.ItemNotFound}) {
		return Published{}, nil
	}
	return p, err
}

var (
	delayName = xml.Name{Space: "urn:xmpp:delay", Local: "delay"}

	errEvent = errors.New("pep: malformed event")
)

// isEvent reports whether a message tells of nodes: itself, not in what is inside of it.
func isEvent(s *mux.Stanza) bool {
	return s.Kind() == mux.Message && s.Type() != "error" && s.Has(eventName)
}

// readEvents reads what a message tells, in order: nothing if it is no event. Only an
// event that stands in the message itself counts, whatever is inside of others (pep C-8).
// A payload that is more or less than one element comes with an error of its own.
func readEvents(s *mux.Stanza) ([]Event, []error, error) {
	if !isEvent(s) {
		return nil, nil, nil
	}
	c, _ := s.Child(eventName)
	n := 0
	for _, k := range s.Children() {
		if k.Name == eventName {
			n++
		}
	}
	el, err := c.Element()
	if err != nil || n > 1 { // there is one (XEP-0060 §17.3)
		return nil, nil, errEvent
	}
	var at time.Time
	if d, ok := s.Child(delayName); ok {
		at, _ = time.Parse(time.RFC3339, d.Attr("stamp")) // else it does not say
	}
	var list []Event
	var wrong []error
	for _, k := range el.Children() {
		if k.Name.Space != NSEvent {
			continue
		}
		node := k.Attr("node")
		if node == "" {
			return nil, nil, errEvent // there are no collections here
		}
		events, errs, err := readAction(k, Event{Node: node, At: at})
		if err != nil {
			return nil, nil, err
		}
		list, wrong = append(list, events...), append(wrong, errs...)
	}
	return list, wrong, nil
}

// readAction reads one element of an event. There are as many errors as events.
func readAction(k mux.Child, e Event) ([]Event, []error, error) {
	el, err := k.Element()
	if err != nil {
		return nil, nil, errEvent
	}
	switch k.Name.Local {
	case "items":
		return readItems(el, e)
	case "purge":
		e.Kind = NodePurged
	case "delete":
		e.Kind = NodeDeleted
		if r, ok := el.Child(xml.Name{Space: NSEvent, Local: "redirect"}); ok {
			e.Redirect = r.Attr("uri")
		}
	case "configuration":
		e.Kind, e.Config = NodeConfigured, Fields{}
		if x, ok := el.Child(xml.Name{Space: nsForm, Local: "x"}); ok {
			f := new(formXML)
			if err := x.Decode(f); err != nil {
				return nil, nil, errEvent
			}
			e.Config = f.fields()
		}
	case "subscription":
		e.Kind = SubscriptionChanged
		j, err := jid.Parse(k.Attr("jid"))
		if err != nil {
			return nil, nil, errEvent
		}
		e.Subscription = Subscription{Node: e.Node, JID: j, State: k.Attr("subscription"), SubID: k.Attr("subid")}
	default:
		return nil, nil, nil // of a later time
	}
	return []Event{e}, []error{nil}, nil
}

func readItems(items *mux.Stanza, e Event) (list []Event, wrong []error, err error) {
	for _, k := range items.Children() {
		if k.Name.Space != NSEvent {
			continue
		}
		e.Item = Published{ID: k.Attr("id")}
		switch k.Name.Local {
		case "item":
			e.Kind = ItemPublished
			e.Item.Publisher, _ = jid.Parse(k.Attr("publisher")) // what is no address says nothing
			var err error
			e.Item.Payload, err = eventPayload(k)
			list, wrong = append(list, e), append(wrong, err)
		case "retract":
			e.Kind = ItemRetracted
			list, wrong = append(list, e), append(wrong, nil)
		}
	}
	return list, wrong, nil
}

// eventPayload is the one element of an item, written like those of items that are read, so
// that they can be compared.
func eventPayload(item mux.Child) (mux.Raw, error) {
	el, err := item.Element()
	if err != nil {
		return "", ErrPayload
	}
	switch kids := el.Children(); {
	case len(kids) == 1:
		raw, err := xmlwrite.AppendTokens(nil, kids[0].TokenReader(), nowhere)
		if err != nil {
			return "", ErrPayload
		}
		return mux.Raw(raw), nil
	case len(kids) > 1, strings.TrimSpace(el.Text()) != "":
		return "", ErrPayload
	}
	return "", nil
}
