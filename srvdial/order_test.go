package srvdial_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/srvdial"
)

func names(targets []srvdial.Target) string {
	var list []string
	for _, t := range targets {
		list = append(list, t.Host)
	}
	return strings.Join(list, " ")
}

// TestOrder: RFC 2782, with draws that are given.
func TestOrder(t *testing.T) {
	t.Parallel()
	at := func(host string, priority, weight uint16) srvdial.Target {
		return srvdial.Target{Host: host, Port: 5222, Priority: priority, Weight: weight}
	}
	direct := at("a", 1, 0)
	direct.Direct = true
	for _, tt := range []struct {
		name    string
		targets []srvdial.Target
		draws   []int // of each step, and the bounds that are wanted
		bounds  []int
		want    string
	}{
		{"none", nil, nil, nil, ""},
		{"one", []srvdial.Target{at("a", 1, 7)}, []int{7}, []int{8}, "a"},
		{"priorities", []srvdial.Target{at("c", 30, 9), at("a", 1, 0), at("b", 20, 5)}, []int{0, 0, 0}, []int{1, 6, 10}, "a b c"},
		{"the heavy one", []srvdial.Target{at("a", 1, 10), at("b", 1, 90)}, []int{11, 0}, []int{101, 11}, "b a"},
		{"the light one", []srvdial.Target{at("b", 1, 90), at("a", 1, 10)}, []int{10, 90}, []int{101, 91}, "a b"},
		{"no weight, drawn", []srvdial.Target{at("a", 1, 10), at("b", 1, 0)}, []int{0, 0}, []int{11, 11}, "b a"},
		{"no weight, not drawn", []srvdial.Target{at("b", 1, 0), at("a", 1, 10)}, []int{1, 0}, []int{11, 1}, "a b"},
		{"both kinds mixed", []srvdial.Target{at("b", 2, 0), direct, at("c", 1, 1)}, []int{1, 0, 0}, []int{2, 1, 1}, "c a b"},
		{"twice", []srvdial.Target{at("a", 1, 1), at("a", 1, 1)}, []int{0}, []int{2}, "a"},
	} {
		var bounds []int
		draws := tt.draws
		before := slices.Clone(tt.targets)
		got := srvdial.Order(tt.targets, func(n int) int {
			bounds = append(bounds, n)
			d := draws[0]
			draws = draws[1:]
			return d
		})
		if names(got) != tt.want || !slices.Equal(bounds, tt.bounds) {
			t.Errorf("%s: got %s with %v, want %s with %v", tt.name, names(got), bounds, tt.want, tt.bounds)
		}
		if !slices.Equal(before, tt.targets) {
			t.Errorf("%s: what was given has changed", tt.name)
		}
	}
}

// TestOrderShares: who comes first comes so in proportion to the weights.
func TestOrderShares(t *testing.T) {
	t.Parallel()
	draw := rand.New(rand.NewPCG(1, 2)).IntN
	first := map[string]int{}
	for range 10_000 {
		first[srvdial.Order([]srvdial.Target{{Host: "a", Weight: 10}, {Host: "b", Weight: 30}, {Host: "c", Weight: 60}}, draw)[0].Host]++
	}
	for host, want := range map[string]int{"a": 1000, "b": 3000, "c": 6000} {
		if got := first[host]; got < want-250 || got > want+250 {
			t.Errorf("%s was first %d times of 10000, want about %d", host, got, want)
		}
	}
}

// FuzzOrder: whatever the records say, each target is there once and priorities ascend.
func FuzzOrder(f *testing.F) {
	f.Add([]byte{0, 0, 1, 5, 255, 255}, uint64(1))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		var targets []srvdial.Target
		for i := 0; i+2 < len(text) && len(targets) < 64; i += 3 {
			targets = append(targets, srvdial.Target{Port: uint16(text[i]), Priority: uint16(text[i+1]), Weight: uint16(text[i+2]) << 8, Direct: text[i]&1 != 0})
		}
		got := srvdial.Order(targets, rand.New(rand.NewPCG(seed, 0)).IntN)
		for i, o := range got {
			if !slices.Contains(targets, o) || slices.Contains(got[:i], o) || i > 0 && got[i-1].Priority > o.Priority {
				t.Fatalf("%v of %v", got, targets)
			}
		}
		for _, o := range targets {
			if !slices.Contains(got, o) {
				t.Fatalf("%v is not in %v", o, got)
			}
		}
	})
}
