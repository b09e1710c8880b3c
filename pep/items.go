package pep

import (
	"context"
	"slices"
	"strconv"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// Bounds of one answer (pep ITM-7).
const (
	pageItems      = 500
	ownerPageItems = 1000
	pageBytes      = 512 << 10
	ownerPageBytes = 2 << 20
)

// items answers with items (XEP-0060 §6.5): which ones is decided in the turn, what
// they say is read afterwards.
func items(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.find(errNotFound)
	if err != nil {
		return nil, err
	}
	if err := q.x.access(ctx, q.e, n, q.from); err != nil {
		return nil, err
	}
	if !n.Config.keeps() {
		return nil, errNotPersistent
	}
	if k := q.x.kept(n.Name); k != nil {
		return q.itemsOf(ctx, n, k)
	}
	if _, err := q.x.items(ctx, q.e, n); err != nil {
		return nil, err
	}
	page, err := q.page(n)
	if err != nil {
		return nil, err
	}
	if len(page.entries) == 0 {
		return page.answer(n.Name, &n.Config, nil), nil
	}
	// Prepared for another goroutine: what the turn may change is copied.
	ids := make([]string, len(page.entries))
	for i, e := range page.entries {
		ids[i] = e.ID
	}
	x, account, name, config := q.x, q.e.Account, n.Name, n.Config
	q.e.Work.Write(func(context.Context, mux.Tx) error { return nil }) // all before is written first
	q.e.Later().Run(func(ctx context.Context) (xmlstream.Marshaler, error) {
		got, err := x.store.Items(ctx, account, name, ids)
		if err != nil {
			x.opt.Logger.ErrorContext(ctx, "items cannot be read", "account", account.String(), "err", err)
			return nil, errInternal
		}
		byID := make(map[string]*Item, len(got))
		for i := range got {
			byID[got[i].ID] = &got[i]
		}
		return page.answer(name, &config, byID), nil
	})
	return nil, nil
}

// page is what of a node is answered with.
type page struct {
	entries []Entry
	set     bool // tell where it is
	first   int  // index of the first
	count   int
}

// page finds the items that are asked for (pep ITM-2 to ITM-8).
func (q *query) page(n *node) (*page, error) {
	if ids, err := q.ids(); err != nil {
		return nil, err
	} else if len(ids) > 0 {
		return q.byID(n, ids), nil
	}
	all := n.visible(now())
	p := &page{count: len(all)}
	from, to, last, err := q.window(all)
	if err != nil {
		return nil, err
	}
	p.set = q.rsm != nil
	from, to, cut := q.cut(all, from, to, last)
	p.set = p.set || cut
	p.first = from
	for _, e := range all[from:to] {
		p.entries = append(p.entries, *e)
	}
	return p, nil
}

// byID are single items, in the order asked.
func (q *query) byID(n *node, ids []string) *page {
	p := new(page)
	t := now()
	for _, id := range ids {
		if e := n.items.byID[id]; e != nil && !n.Config.expired(e.At, t) {
			p.entries = append(p.entries, *e)
		}
	}
	return p
}

// window is the part of all items that is asked for; last says that its end counts if
// not all of it fits.
func (q *query) window(all []*Entry) (from, to int, last bool, err error) {
	to = len(all)
	if q.rsm == nil {
		s := q.el.Attr("max_items")
		if s == "" {
			return 0, to, true, nil
		}
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return 0, 0, false, errBadRequest
		}
		return max(0, to-int(n)), to, true, nil
	}
	limit := len(all)
	for _, k := range q.rsm.Children() {
		if k.Name.Space != nsRSM {
			continue
		}
		switch k.Name.Local {
		case "max":
			n, err := strconv.ParseUint(k.Text(), 10, 31)
			if err != nil {
				return 0, 0, false, errBadRequest
			}
			limit = int(n)
		case "after":
			seq, err := strconv.ParseUint(k.Text(), 10, 64)
			if err != nil {
				return 0, 0, false, errNotFound
			}
			from, _ = slices.BinarySearchFunc(all, seq+1, bySeq)
		case "before":
			last = true
			if k.Text() == "" {
				continue
			}
			seq, err := strconv.ParseUint(k.Text(), 10, 64)
			if err != nil {
				return 0, 0, false, errNotFound
			}
			to, _ = slices.BinarySearchFunc(all, seq, bySeq)
		case "index":
			return 0, 0, false, errNotImplemented
		}
	}
	from = min(from, to)
	if to-from > limit {
		if last {
			from = to - limit
		} else {
			to = from + limit
		}
	}
	return from, to, last, nil
}

// cut is the part of a window that fits into an answer.
func (q *query) cut(all []*Entry, from, to int, last bool) (f, t int, cut bool) {
	most, room := pageItems, pageBytes
	if q.owner {
		most, room = ownerPageItems, ownerPageBytes
	}
	n := 0
	for ; n < to-from && n < most; n++ {
		e := all[from+n]
		if last {
			e = all[to-1-n]
		}
		if room -= e.Size + len(e.ID) + 64; room < 0 && n > 0 {
			break
		}
	}
	switch {
	case n == to-from:
		return from, to, false
	case last:
		return to - n, to, true
	}
	return from, from + n, true
}

// answer writes the result.
func (p *page) answer(name string, c *Config, items map[string]*Item) xmlstream.Marshaler {
	b := appendAttr([]byte("<pubsub xmlns='"+NS+"'><items"), "node", name)
	b = append(b, '>')
	for i := range p.entries {
		if it := items[p.entries[i].ID]; it != nil {
			b = appendItem(b, it, c, true)
		}
	}
	b = append(b, "</items>"...)
	if p.set {
		b = append(b, "<set xmlns='"+nsRSM+"'>"...)
		if n := len(p.entries); n > 0 {
			b = append(b, "<first index='"+strconv.Itoa(p.first)+"'>"+strconv.FormatUint(p.entries[0].Seq, 10)+"</first>"...)
			b = append(b, "<last>"+strconv.FormatUint(p.entries[n-1].Seq, 10)+"</last>"...)
		}
		b = append(b, "<count>"+strconv.Itoa(p.count)+"</count></set>"...)
	}
	return mux.Raw(append(b, "</pubsub>"...))
}
