package archive

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// query answers a query: its results and then the end, as the client reads them. What
// it finds is what is archived at this point of the account's turns (core-im MAM-17).
func (x *Extension) query(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if e.Session == nil {
		return nil, errUnavailable // results go to sessions
	}
	c, _ := e.Stanza.Child(queryName)
	r, err := x.parseQuery(c)
	if err != nil {
		return nil, err
	}
	x.reads(e)
	a := &answer{x: x, request: r, account: e.Account, to: e.Session.JID(), iq: e.Stanza}
	x.mark(e, &a.UpTo)
	e.Later().Feed(e.Session, a.next)
	return nil, nil
}

// mark sets upTo when all that was archived before is written.
func (x *Extension) mark(e *mux.Event, upTo *int64) {
	e.Work.Write(x.store.Mark(e.Account, func(last int64) {
		if *upTo = last; last == 0 {
			*upTo = -1 // nothing, and not all
		}
	}))
}

// answer is a query in progress. It belongs to the feed.
type answer struct {
	request
	x       *Extension
	account mux.Address
	to      mux.Address
	iq      *mux.Stanza
	read    bool
	page    Page
	sent    int
}

// chunk is about how many octets are given to the session at a time.
const chunk = 32 << 10

// next implements [mux.FeedFunc].
func (a *answer) next(ctx context.Context, emit func(mux.Item)) (more bool, err error) {
	if !a.read {
		if a.page, err = a.x.store.Page(ctx, a.account, a.Query); err != nil {
			emit(a.reply(a.failed(ctx, err)))
			return false, nil
		}
		a.read = true
	}
	for size := 0; a.sent < len(a.page.Entries); a.sent++ {
		if size >= chunk {
			return true, nil
		}
		e := &a.page.Entries[a.sent]
		if a.flip { // XEP-0313 §4.3.4
			e = &a.page.Entries[len(a.page.Entries)-1-a.sent]
		}
		it := a.result(e)
		size += it.Stanza.Size()
		emit(it)
	}
	emit(a.reply(a.fin(), nil))
	return false, nil
}

// failed is the error with which a query that found no page is answered.
func (a *answer) failed(ctx context.Context, err error) (*mux.Child, error) {
	if errors.Is(err, ErrNotFound) {
		return nil, errNotFound
	}
	a.x.failed(ctx, a.account, "archive cannot be read", err)
	return nil, errInternal
}

func (x *Extension) failed(ctx context.Context, account mux.Address, what string, err error) {
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, what, slog.String("account", account.String()), slog.Any("err", err))
}

// reply is the answer to the request itself.
func (a *answer) reply(c *mux.Child, err error) mux.Item {
	if err != nil {
		s := mux.ErrorReply(a.iq, err)
		return mux.Item{Stanza: s.WithFrom(a.account), To: a.to, Flags: mux.Service}
	}
	return mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.IQ, Type: "result", ID: a.iq.ID(), From: a.account, To: a.to}, *c), Flags: mux.Service}
}

// result is the message with one entry (XEP-0313 §4.2).
func (a *answer) result(e *Entry) mux.Item {
	b := make([]byte, 0, len(e.Stanza)+256)
	b = append(b, "<result xmlns='"+NS+"'"...)
	if a.queryID != "" {
		b = append(b, " queryid='"...)
		b = append(xmlwrite.AppendAttrValue(b, a.queryID), '\'')
	}
	b = append(b, " id='"...)
	b = xmlwrite.AppendAttrValue(b, e.ID)
	b = append(b, "'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='"...)
	b = appendTime(b, e.At)
	b = append(b, "'/>"...)
	b = append(b, e.Stanza...)
	b = append(b, "</forwarded></result>"...)
	return mux.Item{
		Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: e.ID, From: a.account, To: a.to}, mux.RawChild(resultName, string(b))),
		Flags:  mux.ArchiveResult,
	}
}

var (
	resultName = xml.Name{Space: NS, Local: "result"}
	finName    = xml.Name{Space: NS, Local: "fin"}
)

// fin says what the page was (XEP-0313 §4.3, XEP-0059 §2).
func (a *answer) fin() *mux.Child {
	p := &a.page
	b := []byte("<fin xmlns='" + NS + "'")
	if !p.More {
		b = append(b, " complete='true'"...)
	}
	b = append(b, "><set xmlns='"+nsRSM+"'>"...)
	if n := len(p.Entries); n > 0 {
		b = append(b, "<first"...)
		if p.Index >= 0 && !a.Backward { // slixmpp takes the index of a last page for the end
			b = append(b, " index='"...)
			b = append(strconv.AppendInt(b, int64(p.Index), 10), '\'')
		}
		b = append(b, '>')
		b = xmlwrite.AppendText(b, p.Entries[0].ID)
		b = append(b, "</first><last>"...)
		b = xmlwrite.AppendText(b, p.Entries[n-1].ID)
		b = append(b, "</last>"...)
	}
	if p.Count >= 0 {
		b = append(b, "<count>"...)
		b = strconv.AppendInt(b, int64(p.Count), 10)
		b = append(b, "</count>"...)
	}
	c := mux.RawChild(finName, string(append(b, "</set></fin>"...)))
	return &c
}

// appendTime writes a time as XEP-0082 §3.2 says.
func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}

// form tells the conditions that queries may have (XEP-0313 §4.1.5).
func (*Extension) form(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
	return mux.Raw("<query xmlns='" + NS + "'><x xmlns='" + nsForm + "' type='form'>" +
		"<field type='hidden' var='FORM_TYPE'><value>" + NS + "</value></field>" +
		"<field type='jid-single' var='with'/>" +
		"<field type='text-single' var='start'/>" +
		"<field type='text-single' var='end'/>" +
		"<field type='text-single' var='before-id'/>" +
		"<field type='text-single' var='after-id'/>" +
		"<field type='list-multi' var='ids'><validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'><open/></validate></field>" +
		"<field type='boolean' var='include-groupchat'/>" +
		"</x></query>"), nil
}

// forbidden answers who asks another's archive.
func forbidden(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
	return nil, errForbidden
}
