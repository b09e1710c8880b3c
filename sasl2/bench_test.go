package sasl2_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/sasl2"
)

// stepped is what logging in with a token takes on a stream: everything from the
// element to the answer, without a network and a database.
func stepped(tb testing.TB) func() {
	a := newAuth()
	a.bindings = map[string]string{"tls-exporter": "data"}
	h := muxtest.New(tb, &mux.Options{NoRecover: true}, sasl2.New(a, new(sasl2.Memory), nil))
	f := h.Mux().Features()[0]
	st := h.Mux().NewStream(nopConn{}, mux.Client)
	st.SetState(mux.Secure)
	st.SetDomain("example.net")
	st.SetFrom(romeo)
	if f.List(context.Background(), st) == nil {
		tb.Fatal("nothing on offer")
	}
	step := func(text string) string {
		el, err := mux.Parse([]byte(expand(text)))
		if err != nil {
			tb.Fatal(err)
		}
		out, err := f.Step(context.Background(), st, el)
		if err != nil || out.Failed != "" {
			tb.Fatal(out.Failed, err)
		}
		return string(out.Reply.(mux.Raw))
	}
	m := tokenAt.FindStringSubmatch(step("{plain}" + wants + "{end}"))
	if m == nil {
		tb.Fatal("no token")
	}
	el, err := mux.Parse([]byte(expand(attempt{token: m[2]}.text())))
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		out, err := f.Step(context.Background(), st, el)
		if err != nil || out.Failed != "" {
			tb.Fatal(out.Failed, err)
		}
	}
}

// BenchmarkToken is one login with a token.
func BenchmarkToken(b *testing.B) {
	run := stepped(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

// BenchmarkEnumeration is a wrong token for accounts of all kinds: with tokens, without,
// disabled and unknown. They must take the same time (auth-register scenario 13). Each
// round has one attempt for every kind, and there are a thousand rounds at least; the
// metrics are the largest difference between the medians of two kinds, which should be
// below 5 % or 1 ms.
func BenchmarkEnumeration(b *testing.B) {
	a := newAuth()
	a.bindings = map[string]string{"tls-exporter": "data"}
	a.accounts["lonely@example.net"] = &account{password: "x", generation: 9, lacks: tasks}
	a.accounts["banned@example.net"] = &account{password: "x", generation: 9, lacks: tasks, disabled: true}
	h := muxtest.New(b, &mux.Options{NoRecover: true}, sasl2.New(a, new(sasl2.Memory), nil))
	f := h.Mux().Features()[0]
	var kinds []func()
	for _, user := range []string{"romeo", "lonely", "banned", "nobody"} {
		st := h.Mux().NewStream(nopConn{}, mux.Client)
		st.SetState(mux.Secure)
		st.SetDomain("example.net")
		st.SetFrom(mux.MustParseAddress(user + "@example.net"))
		if f.List(b.Context(), st) == nil {
			b.Fatal("nothing on offer")
		}
		step := func(text, want string) {
			el, err := mux.Parse([]byte(expand(text)))
			if err != nil {
				b.Fatal(err)
			}
			if out, err := f.Step(context.Background(), st, el); err != nil || out.Failed != want {
				b.Fatal(user, out.Failed, err)
			}
		}
		if user == "romeo" {
			step("{plain}"+wants+"{end}", "")
		}
		wrong := attempt{user: user, token: "guessed"}.text()
		kinds = append(kinds, func() { step(wrong, "not-authorized") })
	}
	times := make([][]time.Duration, len(kinds))
	round := func(n int) {
		for i := range kinds {
			kind := (n + i) % len(kinds) // nobody is always the first
			begun := time.Now()
			kinds[kind]()
			times[kind] = append(times[kind], time.Since(begun))
		}
	}
	for range 10 {
		round(0) // warms up
	}
	clear(times)
	n := 0
	for ; b.Loop(); n++ {
		round(n)
	}
	for ; n < 1000; n++ {
		round(n)
	}
	var medians []time.Duration
	for _, t := range times {
		slices.Sort(t)
		medians = append(medians, t[len(t)/2])
	}
	least, spread := slices.Min(medians), slices.Max(medians)-slices.Min(medians)
	b.ReportMetric(float64(n), "rounds")
	b.ReportMetric(float64(spread)/1e3, "spread-µs")
	b.ReportMetric(100*float64(spread)/float64(least), "spread-%")
}

// TestAllocToken: a login with a token allocates little, whatever it does beside:
// most of it is for four HMACs and the element's children.
func TestAllocToken(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	run := stepped(t)
	const most = 120
	if n := testing.AllocsPerRun(100, run); n > most {
		t.Errorf("%.0f allocations, want at most %d", n, most)
	}
}

type nopConn struct{}

func (nopConn) Write([]byte) error { return nil }
func (nopConn) Pending() int       { return 0 }
func (nopConn) Close(error)        {}
