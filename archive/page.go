package archive

import (
	"slices"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Reader is what [ReadPage] needs of one archive, which must not change meanwhile.
type Reader interface {
	// Bounds are the positions of the oldest and the newest message; last is less
	// than first if there are none.
	Bounds() (first, last int64, err error)
	// Position is where the message of that ID is, 0 if it is not there.
	Position(id string) (int64, error)
	// From is the position of the first message that is not from before at, one
	// behind the newest if all are.
	From(at time.Time) (int64, error)
	// Read calls yield for the messages of a range, until it returns false.
	Read(r Range, yield func(pos int64, e Entry) bool) error
	// Count is how many messages a range has; it may stop at limit.
	Count(r Range, limit int) (int, error)
}

// Range is a part of an archive.
type Range struct {
	First, Last int64       // inclusive
	With        mux.Address // zero for anybody, bare for any resource
	Backward    bool        // the newest first
}

func (r *Range) empty() bool { return r.First > r.Last }

// start is where to begin and which way to go.
func (r *Range) start() (pos, step int64) {
	if r.Backward {
		return r.Last, -1
	}
	return r.First, 1
}

// matches reports whether an address is meant by with.
func matches(with, address mux.Address) bool {
	if with.IsBare() {
		return address.Bare() == with
	}
	return address == with
}

// ReadPage answers a query from a Reader: stores have the pages of their archives
// made by it, so that all make them alike.
func ReadPage(a Reader, q Query) (Page, error) {
	p := pager{a: a, q: q}
	all, err := p.conditions()
	if err != nil {
		return Page{}, err
	}
	page := all
	page.Backward = q.Backward
	if err := p.after(&page, q.PageAfter); err != nil {
		return Page{}, err
	}
	if err := p.before(&page, q.PageBefore); err != nil {
		return Page{}, err
	}
	if len(q.IDs) > 0 {
		return p.named(all, page)
	}
	return p.ranged(all, page)
}

type pager struct {
	a   Reader
	q   Query
	ids []int64 // of the messages that are wanted by their IDs, in order
}

// conditions is the range that the query is about, with all its conditions but
// IDs; those are looked up as well.
func (p *pager) conditions() (r Range, err error) {
	if r.First, r.Last, err = p.a.Bounds(); err != nil {
		return r, err
	}
	r.With = p.q.With
	if p.q.UpTo != 0 {
		r.Last = min(r.Last, p.q.UpTo)
	}
	if err := p.after(&r, p.q.AfterID); err != nil {
		return r, err
	}
	if err := p.before(&r, p.q.BeforeID); err != nil {
		return r, err
	}
	for _, id := range p.q.IDs {
		pos, err := p.position(id)
		if err != nil {
			return r, err
		}
		p.ids = append(p.ids, pos)
	}
	slices.Sort(p.ids)
	p.ids = slices.Compact(p.ids)
	if !p.q.Start.IsZero() && !r.empty() {
		from, err := p.a.From(p.q.Start)
		if err != nil {
			return r, err
		}
		r.First = max(r.First, from)
	}
	if !p.q.End.IsZero() && !r.empty() {
		behind, err := p.a.From(p.q.End.Truncate(time.Microsecond).Add(time.Microsecond))
		if err != nil {
			return r, err
		}
		r.Last = min(r.Last, behind-1)
	}
	return r, nil
}

func (p *pager) position(id string) (int64, error) {
	pos, err := p.a.Position(id)
	if err == nil && pos == 0 {
		err = ErrNotFound
	}
	return pos, err
}

func (p *pager) after(r *Range, id string) error {
	if id == "" {
		return nil
	}
	pos, err := p.position(id)
	r.First = max(r.First, pos+1)
	return err
}

func (p *pager) before(r *Range, id string) error {
	if id == "" {
		return nil
	}
	pos, err := p.position(id)
	r.Last = min(r.Last, pos-1)
	return err
}

// collector takes the messages of a page.
type collector struct {
	page  Page
	max   int
	left  int // octets
	first int64
}

func (p *pager) collector() *collector {
	c := &collector{page: Page{Count: -1, Index: -1}, max: p.q.Max, left: p.q.Bytes}
	if c.left <= 0 {
		c.left = int(^uint(0) >> 1)
	}
	return c
}

// take reports whether the page goes on.
func (c *collector) take(pos int64, e Entry) bool {
	if len(c.page.Entries) >= c.max || len(c.page.Entries) > 0 && len(e.Stanza) > c.left {
		c.page.More = true
		return false
	}
	c.left -= len(e.Stanza)
	if len(c.page.Entries) == 0 || pos < c.first {
		c.first = pos
	}
	c.page.Entries = append(c.page.Entries, e)
	return true
}

// ranged reads a page of a range. One message more is read to know whether there
// are further ones.
func (p *pager) ranged(all, page Range) (Page, error) {
	c := p.collector()
	if !page.empty() {
		if err := p.a.Read(page, c.take); err != nil {
			return Page{}, err
		}
	}
	if p.q.Backward {
		slices.Reverse(c.page.Entries)
	}
	switch {
	case all.empty():
		c.page.Count = 0
	case all.With.IsZero():
		c.page.Count = int(all.Last - all.First + 1)
		if len(c.page.Entries) > 0 {
			c.page.Index = int(c.first - all.First)
		}
	case p.q.Max == 0:
		// Only where it is what is asked for: it has to look at each.
		n, err := p.a.Count(all, MaxCount+1)
		if err != nil {
			return Page{}, err
		}
		if n <= MaxCount {
			c.page.Count = n
		}
	}
	return c.page, nil
}

// named reads a page of messages that are wanted by their IDs. Only those of the page
// are read.
func (p *pager) named(all, page Range) (Page, error) {
	c := p.collector()
	at, err := p.wanted(all)
	if err != nil {
		return Page{}, err
	}
	c.page.Count = len(at)
	order := at
	if p.q.Backward {
		order = slices.Clone(at)
		slices.Reverse(order)
	}
	for _, pos := range order {
		if pos < page.First || pos > page.Last {
			continue
		}
		more := true
		err := p.a.Read(Range{First: pos, Last: pos}, func(pos int64, e Entry) bool {
			more = c.take(pos, e)
			return more
		})
		if err != nil {
			return Page{}, err
		}
		if !more {
			break
		}
	}
	if p.q.Backward {
		slices.Reverse(c.page.Entries)
	}
	if len(c.page.Entries) > 0 {
		c.page.Index = slices.Index(at, c.first)
	}
	return c.page, nil
}

// wanted are the positions of the messages that are wanted by their IDs and for which
// the other conditions hold, in order.
func (p *pager) wanted(all Range) (at []int64, err error) {
	for _, pos := range p.ids {
		if pos < all.First || pos > all.Last {
			continue
		}
		if !all.With.IsZero() {
			n, err := p.a.Count(Range{First: pos, Last: pos, With: all.With}, 1)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				continue
			}
		}
		at = append(at, pos)
	}
	return at, nil
}
