package mux

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// itemVersion begins what AppendSaved writes.
const itemVersion = 1

// AppendSaved appends the item in a form that [Mux.RestoreItem] reads, for
// extensions whose sessions survive a restart. Origin and Work are not kept; copies
// of one message have the same Record again after it.
func (it *Item) AppendSaved(dst []byte) []byte {
	dst = slices.Grow(dst, it.Stanza.size+len(it.Extra)+len(it.Stanza.from.s)+len(it.To.s)+savedMore)
	dst = append(dst, itemVersion)
	dst = appendStanza(dst, it.Stanza)
	dst = appendField(dst, it.To.String())
	dst = appendField(dst, it.ID)
	dst = appendField(dst, it.Extra)
	dst = binary.AppendUvarint(dst, uint64(it.Flags))
	at := int64(0)
	if !it.At.IsZero() {
		at = it.At.UnixMicro()
	}
	dst = binary.AppendVarint(dst, at)
	if it.Inner == nil {
		dst = appendField(dst, "")
	} else {
		dst = appendStanza(dst, it.Inner)
	}
	if it.Record == nil {
		return appendField(dst, "")
	}
	return it.Record.appendSaved(dst)
}

// savedMore is about what an item takes beside its stanza: the namespace, lengths,
// the name of the record and one archive.
const savedMore = 128

// appendStanza appends a stanza in place: its length, which is not known before, takes
// as many octets as it may need.
func appendStanza(dst []byte, s *Stanza) []byte {
	const room = 5 // octets of a length up to 2^35
	at := len(dst)
	dst = s.Append(append(dst, make([]byte, room)...), NSClient)
	n := len(dst) - at - room
	for i := range room {
		dst[at+i] = byte(n>>(7*i))&0x7f | 0x80
	}
	dst[at+room-1] &^= 0x80
	return dst
}

func appendField[T string | []byte](dst []byte, v T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

// appendSaved names the record, and lists where the message is archived.
func (r *Record) appendSaved(dst []byte) []byte {
	m := r.extra()
	m.mu.Lock()
	defer m.mu.Unlock()
	dst = appendField(dst, m.name())
	dst = binary.AppendUvarint(dst, uint64(len(m.ids)))
	for _, a := range m.ids {
		dst = appendField(appendField(dst, a.account.String()), a.id)
	}
	return dst
}

var errSavedItem = errors.New("mux: saved item cannot be read")

// RestoreItem reads what [Item.AppendSaved] wrote. While the mux starts, items
// that had one Record share one again; each holds it.
func (m *Mux) RestoreItem(src []byte) (Item, error) {
	f := fields{src: src}
	if f.byte() != itemVersion {
		return Item{}, errSavedItem
	}
	var it Item
	it.Stanza = f.stanza()
	it.To = f.address()
	it.ID = f.text()
	it.Extra = append([]byte(nil), f.text()...)
	it.Flags = Flags(f.uvarint())
	if at := f.varint(); at != 0 {
		it.At = time.UnixMicro(at)
	}
	it.Inner = f.stanza()
	if tag := f.text(); tag != "" && !f.bad {
		it.Record = m.restoredRecord(tag)
		for n := f.uvarint(); n > 0 && !f.bad; n-- {
			account, id := f.address(), f.text()
			it.Record.SetArchived(account, id)
		}
	}
	if f.bad || len(f.src) > 0 || it.Stanza == nil {
		return Item{}, errSavedItem
	}
	it.Record.Hold()
	for _, f := range m.restored {
		m.protect(func() { f(&it) })
	}
	return it, nil
}

// fields reads what appendField wrote. After the first error everything is zero.
type fields struct {
	src []byte
	bad bool
}

func (f *fields) byte() byte {
	if f.bad || len(f.src) == 0 {
		f.bad = true
		return 0
	}
	b := f.src[0]
	f.src = f.src[1:]
	return b
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.src)
	return took(f, v, n)
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.src)
	return took(f, v, n)
}

func took[T int64 | uint64](f *fields, v T, n int) T {
	if f.bad || n <= 0 {
		f.bad = true
		return 0
	}
	f.src = f.src[n:]
	return v
}

func (f *fields) text() string {
	n := f.uvarint()
	if f.bad || n > uint64(len(f.src)) {
		f.bad = true
		return ""
	}
	s := string(f.src[:n])
	f.src = f.src[n:]
	return s
}

func (f *fields) address() Address {
	s := f.text()
	if s == "" {
		return Address{}
	}
	a, err := ParseAddress(s)
	f.bad = f.bad || err != nil
	return a
}

func (f *fields) stanza() *Stanza {
	s := f.text()
	if s == "" {
		return nil
	}
	st, err := Parse([]byte(s))
	f.bad = f.bad || err != nil
	return st
}

// records are those of restored items, by the name they were saved under.
type records map[string]*Record

// restoredRecord is the record of that name, of its own once the mux has started.
func (m *Mux) restoredRecord(tag string) *Record {
	m.restoring.Lock()
	defer m.restoring.Unlock()
	if r := m.records[tag]; r != nil {
		return r
	}
	r := new(Record)
	r.extra().tag = tag
	if m.records != nil {
		m.records[tag] = r
	}
	return r
}

// restoresRecords begins and ends the time in which restored items find their
// records.
func (m *Mux) restoresRecords(on bool) {
	m.restoring.Lock()
	defer m.restoring.Unlock()
	m.records = nil
	if on {
		m.records = make(records)
	}
}
