package archive

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
	"github.com/propolis-im/propolis/mux"
)

// Errors of clients.
var (
	// ErrBadAnswer: what the archive said is no answer to the query.
	ErrBadAnswer = errors.New("archive: bad answer to a query")
	errBusy      = errors.New("archive: too many queries")
)

// Message is one message of an archive, as a client gets it.
type Message struct {
	// ID names the message in the archive: it is where to go on from, and what the
	// stanza-id of the message says when it is delivered.
	ID string
	// At is when the archive's server took the message.
	At time.Time
	// Stanza is the message.
	Stanza *mux.Stanza
}

// Request asks for messages of an archive; all conditions that are not zero hold.
type Request struct {
	// Archive is whose archive it is; the zero value is the own one. It may be a chat
	// room's.
	Archive jid.JID
	// With is who the messages are exchanged with, bare for any resource.
	With jid.JID
	// Start and End bound the time, both inclusively.
	Start, End time.Time
	// AfterID, BeforeID and IDs bound the messages by their IDs; servers with the
	// feature [NSExtended] know that.
	AfterID, BeforeID string
	IDs               []string
	// Backward goes from the newest to the oldest.
	Backward bool
	// From is the ID of the message behind which to begin, in the direction that is
	// gone, empty for all.
	From string
	// Page is how many messages to ask for at a time; 0 or less for 50.
	Page int
}

var _ mux.Extension = (*Client)(nil)

// Client reads archives. It must see the messages of the session that it asks on: as
// an extension of a [mux.ClientSession], or in mellium's mux:
//
//	xmppmux.New(stanza.NSClient, xmppmux.Message(stanza.NormalMessage, xml.Name{Space: archive.NS, Local: "result"}, client))
//
// The zero value is ready to use, for one session, by several goroutines.
type Client struct {
	mu      sync.Mutex // guards what follows
	waiting map[string]*pageOf
}

// pageOf is a page that is on its way.
type pageOf struct {
	from     mux.Address // whose results it takes
	most     int
	messages []Message
	more     chan struct{} // told when there is one more
}

const (
	// maxWaiting bounds the queries that may be under way.
	maxWaiting = 100
	// patience is how long results that were sent may be on their way through the
	// client itself.
	patience = 10 * time.Second
)

// Messages goes through an archive, page by page: nothing is asked for that is not
// wanted yet. An error ends it; it is [ErrBadAnswer], a [stanza.Error] of the archive,
// such as item-not-found for an ID that is not there any more, or one of the session,
// on which Serve must be running. Each message comes once; if some are archived
// meanwhile they come when going forward.
func (c *Client) Messages(ctx context.Context, s *xmpp.Session, r Request) iter.Seq2[Message, error] {
	if r.Page <= 0 {
		r.Page = 50
	}
	return func(yield func(Message, error) bool) {
		for {
			list, complete, err := c.page(ctx, s, &r)
			if err != nil {
				yield(Message{}, err)
				return
			}
			if r.Backward {
				slices.Reverse(list)
			}
			for _, m := range list {
				if !yield(m, nil) {
					return
				}
			}
			if complete || len(list) == 0 {
				return
			}
			next := list[len(list)-1].ID
			if next == r.From {
				yield(Message{}, ErrBadAnswer)
				return
			}
			r.From = next
		}
	}
}

// finXML is the end of a page.
type finXML struct {
	XMLName  xml.Name `xml:"urn:xmpp:mam:2 fin"`
	Complete bool     `xml:"complete,attr"`
	Set      rsmXML   `xml:"http://jabber.org/protocol/rsm set"`
}

// page gets one page, in the archive's order.
func (c *Client) page(ctx context.Context, s *xmpp.Session, r *Request) (list []Message, complete bool, err error) {
	id := rand.Text()
	whose := r.Archive
	if whose.Equal(jid.JID{}) {
		whose = s.LocalAddr().Bare()
	}
	p := &pageOf{from: mux.AddressOf(whose), most: max(r.Page, 250), more: make(chan struct{}, 1)}
	if err := c.expect(id, p); err != nil {
		return nil, false, err
	}
	defer c.forget(id)
	lasting, done := asking.Context(ctx)
	defer done()
	var fin finXML
	if err := s.UnmarshalIQElement(lasting, r.query(id), stanza.IQ{Type: stanza.SetIQ, To: r.Archive}, &fin); err != nil {
		return nil, false, err
	}
	if fin.Set.First == nil || fin.Set.Last == nil {
		return nil, true, nil
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		// They came before the end, and may still be on their way to take.
		if list, ok := c.whole(p, *fin.Set.First, *fin.Set.Last); ok {
			return list, fin.Complete, nil
		}
		select {
		case <-p.more:
		case <-late.C:
			return nil, false, ErrBadAnswer
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

func (c *Client) expect(id string, p *pageOf) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= maxWaiting {
		return errBusy
	}
	if c.waiting == nil {
		c.waiting = make(map[string]*pageOf)
	}
	c.waiting[id] = p
	return nil
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// whole returns what has arrived, if all has: the first and the last.
func (c *Client) whole(p *pageOf, first, last string) ([]Message, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p.messages)
	if n == 0 || p.messages[0].ID != first || p.messages[n-1].ID != last {
		return nil, false
	}
	return p.messages, true
}

// take takes a result: that of a query which is under way, from whom was asked
// (XEP-0313 §8.2). It reports whether the message has one, taken or not.
func (c *Client) take(s *mux.Stanza, own mux.Address) bool {
	result, ok := s.Child(resultName)
	if !ok {
		return false
	}
	from := s.From()
	if from.IsZero() {
		from = own
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.waiting[result.Attr("queryid")]
	if p == nil || from != p.from || len(p.messages) >= p.most {
		return true
	}
	m, err := readResult(result)
	if err != nil {
		return true // it will be missed
	}
	p.messages = append(p.messages, m)
	select {
	case p.more <- struct{}{}:
	default:
	}
	return true
}

// readResult reads a result (XEP-0313 §4.2, XEP-0297 §3).
func readResult(c mux.Child) (m Message, err error) {
	m.ID = c.Attr("id")
	result, err := c.Element()
	if err != nil {
		return m, err
	}
	f, ok := result.Child(xml.Name{Space: "urn:xmpp:forward:0", Local: "forwarded"})
	if !ok || m.ID == "" {
		return m, ErrBadAnswer
	}
	forwarded, err := f.Element()
	if err != nil {
		return m, err
	}
	if d, ok := forwarded.Child(xml.Name{Space: "urn:xmpp:delay", Local: "delay"}); ok {
		if m.At, err = parseTime(d.Attr("stamp")); err != nil {
			return m, ErrBadAnswer
		}
	}
	inner, ok := forwarded.Child(xml.Name{Space: mux.NSClient, Local: "message"})
	if !ok {
		return m, ErrBadAnswer
	}
	m.Stanza, err = inner.Element()
	return m, err
}

// Name implements [mux.Extension].
func (*Client) Name() string { return "archive" }

// Register implements [mux.Extension]: results are kept away from the extensions
// behind it.
func (c *Client) Register(r *mux.Registry) error {
	r.Guard(mux.FromPeer, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if c.take(e.Stanza, e.Account) {
			return mux.Done, nil
		}
		return mux.Pass, nil
	})
	return nil
}

// HandleMessage lets mellium's mux give it results.
func (c *Client) HandleMessage(msg stanza.Message, t xmlstream.TokenReadEncoder) error {
	tok, err := t.Token()
	if err != nil {
		return err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return ErrBadAnswer
	}
	s, err := mux.FromTokens(start, t)
	if err != nil {
		return nil // not what was asked for, so nobody's
	}
	c.take(s, mux.AddressOf(msg.To.Bare()))
	return nil
}

// query is the element that asks for a page.
func (r *Request) query(id string) xml.TokenReader {
	field := func(name, typ string, values ...string) xml.TokenReader {
		var v []xml.TokenReader
		for _, text := range values {
			v = append(v, element("value", text))
		}
		start := xml.StartElement{Name: xml.Name{Local: "field"}, Attr: []xml.Attr{{Name: xml.Name{Local: "var"}, Value: name}}}
		if typ != "" {
			start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: "type"}, Value: typ})
		}
		return xmlstream.Wrap(xmlstream.MultiReader(v...), start)
	}
	fields := []xml.TokenReader{field("FORM_TYPE", "hidden", NS)}
	add := func(name, value string, given bool) {
		if given {
			fields = append(fields, field(name, "", value))
		}
	}
	add("with", r.With.String(), !r.With.Equal(jid.JID{}))
	add("start", string(appendTime(nil, r.Start)), !r.Start.IsZero())
	add("end", string(appendTime(nil, r.End)), !r.End.IsZero())
	add("after-id", r.AfterID, r.AfterID != "")
	add("before-id", r.BeforeID, r.BeforeID != "")
	if len(r.IDs) > 0 {
		fields = append(fields, field("ids", "", r.IDs...))
	}
	var parts []xml.TokenReader
	if len(fields) > 1 {
		parts = append(parts, xmlstream.Wrap(xmlstream.MultiReader(fields...), xml.StartElement{
			Name: xml.Name{Space: nsForm, Local: "x"}, Attr: []xml.Attr{{Name: xml.Name{Local: "type"}, Value: "submit"}}}))
	}
	set := []xml.TokenReader{element("max", fmt.Sprint(r.Page))}
	switch {
	case r.Backward:
		set = append(set, element("before", r.From))
	case r.From != "":
		set = append(set, element("after", r.From))
	}
	parts = append(parts, xmlstream.Wrap(xmlstream.MultiReader(set...), xml.StartElement{Name: xml.Name{Space: nsRSM, Local: "set"}}))
	return xmlstream.Wrap(xmlstream.MultiReader(parts...), xml.StartElement{
		Name: queryName, Attr: []xml.Attr{{Name: xml.Name{Local: "queryid"}, Value: id}}})
}

// element is an element with a text, in the namespace around it.
func element(name, text string) xml.TokenReader {
	var inner xml.TokenReader
	if text != "" {
		inner = xmlstream.Token(xml.CharData(text))
	}
	return xmlstream.Wrap(inner, xml.StartElement{Name: xml.Name{Local: name}})
}
