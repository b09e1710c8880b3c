package srvdial

import (
	"cmp"
	"slices"
)

// Order returns targets in the order in which they are to be tried: lower priorities
// first, and among those of one the first is drawn with a chance in proportion to its
// weight, then the next of the others (RFC 2782). random returns a number from 0 to below
// n. Targets that come twice are tried once.
func Order(targets []Target, random func(n int) int) []Target {
	left := slices.Clone(targets)
	// Those without weight first, which gives them their small chance; the rest is for
	// the order not to depend on that of the answer.
	slices.SortFunc(left, func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), compareBool(a.Direct, b.Direct))
	})
	left = slices.Compact(left)
	ordered := make([]Target, 0, len(left))
	for len(left) > 0 {
		n, sum := 0, 0
		for n < len(left) && left[n].Priority == left[0].Priority {
			sum += int(left[n].Weight)
			n++
		}
		i, running, drawn := 0, int(left[0].Weight), random(sum+1)
		for running < drawn {
			i++
			running += int(left[i].Weight)
		}
		ordered = append(ordered, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return ordered
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
