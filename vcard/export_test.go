package vcard

import "github.com/propolis-im/propolis/mux"

// For the tests.
const MaxRequesters = maxRequesters

type Limiter struct{ l *limiter }

func NewLimiter(rate, burst int) Limiter { return Limiter{newLimiter(rate, burst)} }

func (l Limiter) Take(from mux.Address, ours bool) bool { return l.l.take(from, ours) }

func (l Limiter) Len() int { return len(l.l.buckets) }
