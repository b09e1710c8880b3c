package sasl2_test

import (
	"context"
	"testing"

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
