package caps

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"unsafe"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func stanzaOf(t testing.TB, text string) *mux.Stanza {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	old115 = "<presence from='friend@example.org/1' to='juliet@example.net'><show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://conversations.im' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>"
	new390 = "<presence from='friend@example.org/1' to='juliet@example.net'><c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8=</hash></c></presence>"
)

// costRig is an extension that knows both hashes, and a turn's event with one of them.
func costRig(t testing.TB, text string) (x *Extension, e *mux.Event, s *mux.Stanza) {
	t.Helper()
	x = New(nil, &Options{Subscription: func(context.Context, *mux.Event, mux.Address) (bool, bool) { return true, true }})
	muxtest.New(t, nil, x)
	s = stanzaOf(t, text)
	for _, h := range Announced(s) {
		x.cache.add(newCapabilities(h.clone().key(), []string{"urn:a+notify", "urn:b"}))
	}
	return x, &mux.Event{Account: mux.MustParseAddress("juliet@example.net"), Stanza: s, Item: &mux.Item{Stanza: s}}, s
}

// TestKnownCost: presence with a known hash costs no allocation, of a resource that comes
// neither.
func TestKnownCost(t *testing.T) {
	for _, text := range []string{old115, new390} {
		x, e, s := costRig(t, text)
		r := new(resource)
		who := subject{e.Account, s.From()}
		x.look(t.Context(), e, who, r, s, contactLimit)
		if r.state != known || len(r.notify) != 1 {
			t.Fatalf("%+v", r)
		}
		if n := testing.AllocsPerRun(100, func() { x.look(t.Context(), e, who, r, s, contactLimit) }); n != 0 {
			t.Errorf("unchanged: %v allocations", n)
		}
		if n := testing.AllocsPerRun(100, func() {
			x.lose(t.Context(), e, who, r)
			x.look(t.Context(), e, who, r, s, contactLimit)
		}); n != 0 {
			t.Errorf("comes: %v allocations", n)
		}
	}
	if size := unsafe.Sizeof(resource{}); size > 128 {
		t.Errorf("%d octets for each resource", size)
	}
}

// BenchmarkPresence is what presence costs whose hash is known: the same as before, of a
// resource that comes, and without a hash.
func BenchmarkPresence(b *testing.B) {
	for _, c := range []struct{ name, text string }{{"115", old115}, {"390", new390}} {
		b.Run("unchanged/"+c.name, func(b *testing.B) {
			x, e, s := costRig(b, c.text)
			r := new(resource)
			who := subject{e.Account, s.From()}
			x.look(b.Context(), e, who, r, s, contactLimit)
			b.ReportAllocs()
			for b.Loop() {
				x.look(b.Context(), e, who, r, s, contactLimit)
			}
		})
		b.Run("comes/"+c.name, func(b *testing.B) {
			x, e, s := costRig(b, c.text)
			who := subject{e.Account, s.From()}
			b.ReportAllocs()
			for b.Loop() {
				r := new(resource)
				x.look(b.Context(), e, who, r, s, contactLimit)
				x.lose(b.Context(), e, who, r)
			}
		})
	}
	b.Run("none", func(b *testing.B) {
		x, e, _ := costRig(b, old115)
		s := stanzaOf(b, "<presence from='friend@example.org/1'><show>away</show></presence>")
		r := new(resource)
		who := subject{e.Account, s.From()}
		b.ReportAllocs()
		for b.Loop() {
			x.look(b.Context(), e, who, r, s, contactLimit)
		}
	})
}

// BenchmarkLearn is what one answer costs.
func BenchmarkLearn(b *testing.B) {
	i := &Info{Identities: []Identity{{Category: "client", Type: "phone", Name: "Conversations"}}}
	for k := range 50 {
		i.Features = append(i.Features, fmt.Sprintf("urn:xmpp:feature:%d+notify", k))
	}
	for _, h := range []Hash{{Proto: XEP0115, Algo: "sha-1"}, {Proto: XEP0390, Algo: "sha-256"}} {
		b.Run(h.Algo, func(b *testing.B) {
			h.Value, _ = Hash115(i, "sha-1")
			if h.Proto == XEP0390 {
				h.Value, _ = Hash390(i, "sha-256")
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := learnt(i, h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestCacheAccount: octets are counted once, whatever the order of holding, releasing and
// giving up.
func TestCacheAccount(t *testing.T) {
	t.Parallel()
	c := cache{maxCount: 2, maxBytes: 1 << 20}
	fs := failures{cache: &c}
	entry := func(value string) *Capabilities {
		return newCapabilities(key{XEP0115, "sha-1", value}, []string{"urn:" + value})
	}
	a, b := c.add(entry("a")), c.add(entry("b"))
	c.hold(a)
	c.hold(b)
	if c.add(entry("c")) != nil {
		t.Error("what is held was given up")
	}
	own := entry("o")
	if !c.adopt("", own) {
		t.Fatal("no room")
	}
	full := mux.MustParseAddress("friend@example.org/1")
	fs.add(full, own.k, own, 1)
	c.hold(own)
	c.release(a)
	if c.add(entry("c")) == nil {
		t.Error("no room")
	}
	if got := c.takeEvicted(); len(got) != 1 || got[0] != a.k {
		t.Errorf("given up: %v", got)
	}
	fs.drop(failureKey{full, own.k})
	c.release(own)
	c.release(b)
	if want := b.size + c.get(key{XEP0115, "sha-1", "c"}).size; c.bytes != want || len(c.m) != 2 || c.first != b || c.last.k.value != "c" {
		t.Errorf("%d octets, want %d", c.bytes, want)
	}
	if c.add(entry("b")) != b {
		t.Error("not the same")
	}
}

// TestFailuresBound: failures are bounded, and those that are over go first.
func TestFailuresBound(t *testing.T) {
	t.Parallel()
	c := cache{maxCount: 10, maxBytes: 1 << 30}
	fs := failures{cache: &c}
	full := mux.MustParseAddress("friend@example.org/1")
	for k := range maxFailures + 10 {
		own := newCapabilities(key{XEP0115, "sha-1", fmt.Sprint(k)}, nil)
		c.adopt("", own)
		fs.add(full, own.k, own, 1<<62)
	}
	if len(fs.m) != maxFailures || c.bytes != maxFailures*overhead {
		t.Errorf("%d failures, %d octets", len(fs.m), c.bytes)
	}
}

// TestLimits: the number of those that are counted is bounded too.
func TestLimits(t *testing.T) {
	t.Parallel()
	var l limits
	for k := range maxLimited {
		if !l.allow(subject{full: mux.MustParseAddress(fmt.Sprintf("a@d%d.example/1", k))}, strangerLimit, 1) {
			t.Fatal("refused")
		}
	}
	if l.allow(subject{full: mux.MustParseAddress("a@more.example/1")}, strangerLimit, 300) {
		t.Error("counted")
	}
	if !l.allow(subject{full: mux.MustParseAddress("a@more.example/1")}, strangerLimit, -1) {
		t.Error("refused without a bound")
	}
}

// TestSaved: what is saved with a session is read again, and nothing else.
func TestSaved(t *testing.T) {
	t.Parallel()
	x := New(nil, nil)
	for _, h := range []Hash{{}, {XEP0115, "sha-1", "v=", "http://n"}, {XEP0390, "sha-256", "w=", ""}} {
		var r resource
		text := x.encode(nil, &resource{hash: h})
		if err := decode(text, &r); err != nil || r.hash != h {
			t.Errorf("%+v became %+v, error %v", h, r.hash, err)
		}
		for n := 1; n < len(text); n++ {
			if err := decode(text[:n], new(resource)); !errors.Is(err, errSaved) {
				t.Errorf("cut at %d: error %v", n, err)
			}
		}
		if len(text) > 0 {
			if err := decode(append(text, 0), new(resource)); !errors.Is(err, errSaved) {
				t.Errorf("too long: error %v", err)
			}
		}
	}
}

// FuzzSaved: what is read again is what could be written.
func FuzzSaved(f *testing.F) {
	x := New(nil, nil)
	f.Add(x.encode(nil, &resource{hash: Hash{XEP0115, "sha-1", "v=", "http://n"}}))
	f.Fuzz(func(t *testing.T, src []byte) {
		var r, again resource
		if err := decode(src, &r); err != nil || r.hash == (Hash{}) {
			return
		}
		if err := decode(x.encode(nil, &r), &again); err != nil || again.hash != r.hash {
			t.Errorf("%+v became %+v, error %v", r.hash, again.hash, err)
		}
	})
}

// TestMarks: what announcements say is remembered for so many kinds only.
func TestMarks(t *testing.T) {
	t.Parallel()
	x, _, s := costRig(t, old115)
	list := Announced(s)
	for k := range uint64(maxMarks + 2) {
		if h := x.choose(list, k); h != list[0] || len(x.marks) > maxMarks {
			t.Fatalf("chose %+v, %d marks", h, len(x.marks))
		}
	}
	if h := x.choose([]Hash{{XEP0390, "sha-256", "unknown=", ""}, list[0]}, 1<<40); h.Value != "unknown=" {
		t.Errorf("chose %+v", h)
	}
	if _, ok := x.marks[1<<40]; ok {
		t.Error("what is not known was noted")
	}
}
