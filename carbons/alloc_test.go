package carbons_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// nopConn is a connection that counts and forgets.
type nopConn struct{ octets atomic.Int64 }

func (c *nopConn) Write(p []byte) error {
	c.octets.Add(int64(len(p)))
	return nil
}

func (*nopConn) Pending() int { return 0 }
func (*nopConn) Close(error)  {}

// fanout is one sender and a number of other sessions of its account on connections
// that forget.
type fanout struct {
	t      testing.TB
	h      *muxtest.Host
	sender *mux.Stream
	conns  []*nopConn
	msg    *mux.Stanza
}

const text = "<message to='juliet@example.net' type='chat' id='purple3ac3'><body>Wherefore art thou, Romeo? Deny thy father and refuse thy name; " +
	"or if thou wilt not, be but sworn my love and I'll no longer be a Capulet.</body><active xmlns='http://jabber.org/protocol/chatstates'/>" +
	"<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='purple3ac3'/></message>"

func newFanout(t testing.TB, others int, enabled bool) *fanout {
	f := &fanout{t: t, h: muxtest.New(t, &mux.Options{MaxSessions: others + 1}, carbons.New(nil))}
	juliet, _ := f.bind("juliet@example.net/balcony")
	f.receive(juliet, parse(t, "<presence/>"))
	f.sender, _ = f.bind("romeo@example.net/desk")
	for i := range others {
		st, c := f.bind(fmt.Sprint("romeo@example.net/r", i))
		f.conns = append(f.conns, c)
		if enabled {
			f.receive(st, parse(t, enable))
		}
		c.octets.Store(0)
	}
	f.msg = parse(t, text)
	f.send()
	return f
}

func (f *fanout) bind(full string) (*mux.Stream, *nopConn) {
	c := new(nopConn)
	st := f.h.Mux().NewStream(c, mux.Client)
	a := mux.MustParseAddress(full)
	f.h.AddAccount(a.Bare().String())
	st.SetAccount(a.Bare())
	if _, err := st.Bind(context.Background(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		f.t.Fatal(err)
	}
	return st, c
}

func (f *fanout) receive(st *mux.Stream, s *mux.Stanza) {
	if err := st.Receive(context.Background(), s); err != nil {
		f.t.Fatal(err)
	}
	st.Flush()
}

func (f *fanout) send() { f.receive(f.sender, f.msg) }

func (f *fanout) octets() (n int64) {
	for _, c := range f.conns {
		n += c.octets.Load()
	}
	return n
}

// TestAllocFanout: making a copy costs a few allocations, and giving it to one session
// more none: each gets the same octets behind an address of its own. Without a session
// that has enabled carbons a message costs nothing.
func TestAllocFanout(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	allocs := make(map[int]float64)
	for _, n := range []int{1, 7, 50} {
		f := newFanout(t, n, true)
		before := f.octets()
		one := before / int64(n)
		allocs[n] = testing.AllocsPerRun(200, f.send)
		if got := f.octets() - before; got < 201*int64(n)*(one-8) || one < int64(len(text)) {
			t.Errorf("%d sessions got %d octets, %d with the first message", n, got, before)
		}
	}
	const atMost = 5                                                             // octets of the copy, its text, stanza, record; the item
	if allocs[1] > atMost || allocs[7] > allocs[1] || allocs[50] > allocs[1]+1 { // the list of them
		t.Errorf("%v allocations by sessions", allocs)
	}
	if n := testing.AllocsPerRun(200, newFanout(t, 3, false).send); n != 0 {
		t.Errorf("%v allocations without carbons", n)
	}
}

// BenchmarkSend is a message that is sent by one session, and copied to others.
func BenchmarkSend(b *testing.B) {
	for _, n := range []int{0, 1, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFanout(b, n, true)
			b.ReportAllocs()
			for b.Loop() {
				f.send()
			}
		})
	}
}

// sharedCopy is a copy as a session has it.
func sharedCopy(tb testing.TB) mux.Item {
	var item mux.Item
	tr := &tracker{items: func(_ *mux.Session, it *mux.Item) { item = *it }}
	h := muxtest.New(tb, nil, carbons.New(nil), tr)
	desk, phone := h.Connect(tb, "romeo@example.net/desk"), h.Connect(tb, "romeo@example.net/phone")
	phone.Send(enable)
	phone.Next()
	desk.Send(strings.ReplaceAll(text, "juliet@example.net", "juliet@example.org"))
	phone.Next()
	if item.Flags != mux.Copy {
		tb.Fatal("no copy")
	}
	return item
}

// reencode writes a copy as one that wraps tokens for each recipient does.
func reencode(w io.Writer, it *mux.Item, to mux.Address) error {
	e := xml.NewEncoder(w)
	inner := it.Inner.TokenReader()
	for _, name := range []xml.Name{{Space: "urn:xmpp:forward:0", Local: "forwarded"}, {Space: carbons.NS, Local: "sent"}} {
		inner = xmlstream.Wrap(inner, xml.StartElement{Name: name})
	}
	start := xml.StartElement{Name: xml.Name{Space: mux.NSClient, Local: "message"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "from"}, Value: "romeo@example.net"},
		{Name: xml.Name{Local: "to"}, Value: to.String()},
		{Name: xml.Name{Local: "type"}, Value: "chat"},
	}}
	if _, err := xmlstream.Copy(e, xmlstream.Wrap(inner, start)); err != nil {
		return err
	}
	return e.Flush()
}

// BenchmarkCopy is what one copy more costs: the shared one with another address, and
// for comparison one that is encoded again. The first must be ten times cheaper.
func BenchmarkCopy(b *testing.B) {
	it, to := sharedCopy(b), mux.MustParseAddress("romeo@example.net/phone")
	b.Run("shared", func(b *testing.B) {
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			it.To = to
			buf = it.Append(buf[:0], "")
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("encoded again", func(b *testing.B) {
		var buf bytes.Buffer
		b.ReportAllocs()
		for b.Loop() {
			buf.Reset()
			if err := reencode(&buf, &it, to); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(buf.Len()))
	})
}

// TestAllocCopy: one copy more costs no allocation, and is the same as one that is
// encoded again.
func TestAllocCopy(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	it, to := sharedCopy(t), mux.MustParseAddress("romeo@example.net/phone")
	var buf []byte
	if n := testing.AllocsPerRun(100, func() { it.To, buf = to, it.Append(buf[:0], "") }); n != 0 {
		t.Errorf("%v allocations for one copy more", n)
	}
	var again bytes.Buffer
	if err := reencode(&again, &it, to); err != nil {
		t.Fatal(err)
	}
	if err := muxtest.Match(again.String(), string(it.Append(nil, mux.NSClient)), nil); err != nil {
		t.Errorf("not the same: %v", err)
	}
}
