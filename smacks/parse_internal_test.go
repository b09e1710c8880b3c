package smacks

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
)

func TestAcknowledged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		h, acked, out, n uint32
		ok               bool
	}{
		{1, 1<<32 - 2, 3, 3, true}, // the vectors of smacks SM-26
		{5, 5, 8, 0, true},
		{4, 5, 8, 0, false},
		{9, 5, 8, 0, false},
		{8, 5, 8, 3, true},
		{0, 0, 0, 0, true},
		{1, 0, 0, 0, false},
		{1<<32 - 1, 0, 0, 0, false},
		{0, 1<<32 - 1, 0, 1, true},
		{1<<32 - 1, 1<<32 - 3, 1<<32 - 1, 2, true},
		{0, 1<<32 - 3, 1<<32 - 1, 0, false},
		{1 << 31, 0, 1 << 31, 1 << 31, true},
	} {
		n, ok := acknowledged(c.h, c.acked, c.out)
		if ok != c.ok || ok && n != c.n {
			t.Errorf("acknowledged(%d, %d, %d) = %d, %v", c.h, c.acked, c.out, n, ok)
		}
	}
}

func TestParseH(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"0": 0, "7": 7, "007": 7, "4294967295": 1<<32 - 1,
		"": -1, "4294967296": -1, "99999999999": -1, "-1": -1, "+1": -1, " 1": -1, "1 ": -1, "1e3": -1, "0x1": -1, "１": -1,
	} {
		h, ok := parseH(s)
		if ok != (want >= 0) || ok && int64(h) != want {
			t.Errorf("parseH(%q) = %d, %v", s, h, ok)
		}
	}
}

// What a client asks for, and what it gets (smacks SM-8, SM-13).
func TestParseWishes(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"true": true, "1": true, "false": false, "0": false, "": false, "TRUE": false, "yes": false} {
		if got := parseBool(s); got != want {
			t.Errorf("parseBool(%q) = %v", s, got)
		}
	}
	x := New(nil, nil)
	for s, want := range map[string]time.Duration{
		"": 600, "0": 600, "300": 300, "600": 600, "601": 600, "86400": 600, "-5": 600, "x": 600, "4294967295": 600, "99999999999999999999": 600,
	} {
		if got := x.window(parseMax(s)); got != want*time.Second {
			t.Errorf("max=%q is %v", s, got)
		}
	}
}

func TestHAcrossEnabling(t *testing.T) {
	t.Parallel()
	st := &state{beginning: beginning{base: 1<<32 - 2}}
	for _, c := range []struct{ handled, want uint32 }{
		{1<<32 - 4, 0}, {1<<32 - 3, 0}, // what came before is in progress
		{1<<32 - 2, 0}, {1<<32 - 1, 1}, {0, 2}, {1 << 31, 1<<31 + 2}, {1<<32 - 3, 1<<32 - 1}, {1<<32 - 2, 0},
	} {
		if got := st.h(c.handled); got != c.want {
			t.Errorf("h of %d is %d, want %d", c.handled, got, c.want)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	var id mux.SessionID
	copy(id[:], "0123456789abcdef")
	token, secret := newToken(id)
	gotID, gotSecret, ok := parseToken(token)
	if !ok || gotID != id || !sameSecret(secret, gotSecret) {
		t.Errorf("token %s is not its own", token)
	}
	if other, _ := newToken(id); other == token {
		t.Error("two tokens are the same")
	}
	for _, bad := range []string{"", "x", token[1:], token + "A", strings.Repeat("=", len(token)), token[:len(token)-1] + "!"} {
		if _, _, ok := parseToken(bad); ok {
			t.Errorf("%q is a token", bad)
		}
	}
}

func FuzzToken(f *testing.F) {
	token, _ := newToken(mux.SessionID{1, 2, 3})
	f.Add(token)
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, _, ok := parseToken(s)
		if ok && !strings.HasPrefix(s, id.String()[:21]) {
			t.Errorf("%q is a token of %s", s, id)
		}
	})
}

func FuzzCounters(f *testing.F) {
	f.Add("5", uint32(5), uint32(8))
	f.Add("4294967295", uint32(1<<32-2), uint32(3))
	f.Fuzz(func(t *testing.T, s string, acked, out uint32) {
		h, ok := parseH(s)
		if !ok {
			return
		}
		n, ok := acknowledged(h, acked, out)
		if ok && (acked+n != h || n > out-acked) {
			t.Errorf("h=%d acked=%d out=%d: %d", h, acked, out, n)
		}
		if d := New(nil, nil).window(parseMax(s)); d <= 0 || d > 600*time.Second {
			t.Errorf("max=%s is %v", s, d)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeState(nil, new(state)))
	f.Add(encodeState(nil, &state{phase: on, resume: true, window: time.Minute, beginning: beginning{base: 7, begun: true}, live: true}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var st state
		if decodeState(data, &st) != nil {
			return
		}
		var again state
		if err := decodeState(encodeState(nil, &st), &again); err != nil {
			t.Fatal(err)
		}
		if again.phase != st.phase || again.resume != st.resume || again.secret != st.secret || again.window != st.window ||
			again.base != st.base || again.floating != st.floating || again.begun != st.begun {
			t.Errorf("got %v, want %v", &again, &st)
		}
	})
}

func FuzzClientState(f *testing.F) {
	f.Add([]byte(`{"v":1,"jid":"juliet@example.net/balcony","token":"t","in":1,"acked":2,"unacked":[{"ID":"1","Raw":"PGEvPg=="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s ClientState
		if s.UnmarshalBinary(data) != nil {
			return
		}
		first, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again ClientState
		if err := again.UnmarshalBinary(first); err != nil {
			t.Fatal(err)
		}
		if second, err := again.MarshalBinary(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("got %s, %v; want %s", second, err, first)
		}
	})
}

// The window of unacknowledged stanzas, whatever is pushed and dropped.
func TestWindow(t *testing.T) {
	t.Parallel()
	s, err := mux.Parse([]byte("<message><body>x</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	w := window{acked: 1<<32 - 10}
	rows := uint64(0)
	for i := range 1000 {
		rows++
		w.push(&mux.Item{Stanza: s, Row: rows})
		if i%3 == 2 {
			w.drop(2)
		}
		if got := w.out(); got != uint32(1<<32-10+i+1) {
			t.Fatalf("out is %d after %d", got, i+1)
		}
		row := w.through
		for n, e := range w.all() {
			if row++; e.row != row || n != int(row-w.through-1) {
				t.Fatalf("row %d in place %d behind %d", e.row, n, w.through)
			}
		}
		if row != rows {
			t.Fatalf("the last row is %d, want %d", row, rows)
		}
	}
	w.drop(w.len())
	if w.bytes != 0 || w.len() != 0 || w.through != rows || w.first != nil || w.last != nil {
		t.Errorf("left: %d bytes, %d entries, through %d", w.bytes, w.len(), w.through)
	}
}

// What is known of sessions that have ended is bounded, for each account.
func TestPast(t *testing.T) {
	t.Parallel()
	var p past
	now := time.Unix(1_700_000_000, 0)
	account := func(i int) mux.Address {
		a, err := mux.ParseAddress(string(rune('a'+i%26)) + "@example.net")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for i := range 5000 {
		var id mux.SessionID
		id[0], id[1] = byte(i), byte(i>>8)
		now = now.Add(time.Second)
		p.add(id, Last{Account: account(i), H: uint32(i), Until: now.Add(remembered)})
	}
	if len(p.last) != 26*rememberedEach || len(p.order) > 2*len(p.last)+64 {
		t.Errorf("%d are remembered, %d in order", len(p.last), len(p.order))
	}
	now = now.Add(remembered + time.Second)
	p.add(mux.SessionID{15: 1}, Last{Account: account(0), Until: now.Add(remembered)})
	if len(p.last) != 1 || len(p.of) != 1 || len(p.order) != 1 {
		t.Errorf("after their time: %d, %d, %d", len(p.last), len(p.of), len(p.order))
	}
	if dropped := p.add(mux.SessionID{15: 1}, Last{Account: account(0), Until: now.Add(remembered)}); len(dropped) != 0 || len(p.order) != 1 {
		t.Errorf("the same once more: %d dropped, %d in order", len(dropped), len(p.order))
	}
	p.handled(mux.SessionID{15: 1}, 9)
	if h := p.find(&claim{id: mux.SessionID{15: 1}, account: account(0)}, now); h == nil || *h != 9 {
		t.Errorf("h is %v", h)
	}
	if h := p.find(&claim{id: mux.SessionID{15: 1}, account: account(1)}, now); h != nil {
		t.Error("told to another account")
	}
}

// What is forgotten for a session that ends is told, so that the store forgets it as
// well: the oldest of the account, the oldest of all, and what is past its time.
func TestPastTellsWhatItForgets(t *testing.T) {
	t.Parallel()
	var p past
	now := time.Unix(1_700_000_000, 0)
	add := func(i int, account string) []mux.SessionID {
		var id mux.SessionID
		id[0], id[1], id[2] = byte(i), byte(i>>8), byte(i>>16)
		return p.add(id, Last{Account: mux.MustParseAddress(account), H: uint32(i), Until: now.Add(remembered)})
	}
	want := func(got []mux.SessionID, i ...int) {
		t.Helper()
		var list []int
		for _, id := range got {
			list = append(list, int(id[0])+int(id[1])<<8+int(id[2])<<16)
		}
		if !slices.Equal(list, i) {
			t.Errorf("forgotten: %v, want %v", list, i)
		}
	}
	for i := range rememberedEach {
		want(add(i, "juliet@example.net"))
	}
	want(add(100, "juliet@example.net"), 0)
	want(p.forgetAccount(mux.MustParseAddress("juliet@example.net")), 1, 2, 3, 4, 5, 6, 7, 8, 9, 100)
	want(p.forgetAccount(mux.MustParseAddress("juliet@example.net")))
	accounts := make([]string, rememberedTotal/rememberedEach+1)
	for i := range accounts {
		accounts[i] = fmt.Sprintf("a%d@example.net", i)
	}
	for i := range rememberedTotal {
		want(add(1000+i, accounts[i/rememberedEach]))
	}
	last := accounts[len(accounts)-1]
	want(add(500, last), 1000)
	want(add(501, last), 1001)
	if len(p.last) != rememberedTotal {
		t.Errorf("%d are remembered", len(p.last))
	}
	now = now.Add(remembered)
	if got := add(502, last); len(got) != rememberedTotal || len(p.last) != 1 || len(p.order) != 1 {
		t.Errorf("past their time: %d are forgotten, %d left", len(got), len(p.last))
	}
}

// What the store was told it is not told again.
func TestArrivalsAreTakenOnce(t *testing.T) {
	t.Parallel()
	a := arrivals{tags: []string{"x"}}
	if tags := a.take(); len(tags) != 1 || len(a.take()) != 0 {
		t.Errorf("took %q, and then more", tags)
	}
}

// Only a session that its client can resume is saved as one, and nothing but what was
// saved is read (smacks SM-96).
func TestSavedState(t *testing.T) {
	t.Parallel()
	for _, st := range []*state{{}, {phase: enabling, resume: true}, {phase: on}, {phase: enabling}} {
		var back state
		if err := decodeState(encodeState(nil, st), &back); err != nil || back.phase != off || back.resume {
			t.Errorf("%v, %v: saved as %v, %v; %v", st.phase, st.resume, back.phase, back.resume, err)
		}
	}
	st := &state{phase: on, resume: true, window: time.Minute, secret: [32]byte{1, 31: 2}, beginning: beginning{base: 7, begun: true}}
	b := encodeState(nil, st)
	var back state
	if err := decodeState(b, &back); err != nil || back.phase != on || !back.resume || back.window != st.window || back.secret != st.secret || back.beginning != st.beginning || back.floating {
		t.Errorf("read back: %v", err)
	}
	for _, live := range []*state{{phase: on, resume: true, live: true}, {phase: on, resume: true, floating: true}} {
		var back state
		if err := decodeState(encodeState(nil, live), &back); err != nil || !back.floating || back.begun {
			t.Errorf("live %v: floating %v, %v", live.live, back.floating, err)
		}
	}
	for _, bad := range [][]byte{nil, {stateVersion}, {stateVersion + 1, 0}, b[:len(b)-1], b[:20], append(b[:len(b):len(b)], 0)} {
		if err := decodeState(bad, new(state)); err == nil {
			t.Errorf("read: %x", bad)
		}
	}
}

// A token is known by all of its secret (smacks SM-17).
func TestSameSecret(t *testing.T) {
	t.Parallel()
	a := [32]byte{1, 2, 3}
	if !sameSecret(a, a) {
		t.Error("is not its own")
	}
	for i := range a {
		b := a
		b[i] ^= 1
		if sameSecret(a, b) {
			t.Errorf("octet %d makes no difference", i)
		}
	}
}
