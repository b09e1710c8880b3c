package scram

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// DefaultDecoyLife is the default of [Options.DecoyLife].
const DefaultDecoyLife = 365 * 24 * time.Hour

// EarlierSecret is a secret that decoys were made from before another one.
type EarlierSecret struct {
	Secret [32]byte
	Until  time.Time // when the next one took its place
}

// After has d take the place of earlier decoys from a moment on, but for each account
// at a moment of its own, so that what is shown for those that do not exist does not
// change at once while all others stay. As far as anybody can see who does not know the
// secrets, those moments are like those at which people change their passwords: each
// account has the same chance to do so today, and life is how long it takes on average.
//
// So the earlier secret must be kept for a few times life: for those that would still
// show it, which are 1 in 150 after five times, everything changes when it is dropped.
// A secret that others may know protects nothing: drop it at once.
func (d *Decoys) After(earlier *Decoys, at time.Time, life time.Duration) *Decoys {
	return &Decoys{macs: d.macs, classes: d.classes, keys: d.keys, earlier: earlier, at: at, life: life}
}

// of are the decoys that show an account at a time: the newest that it has come to. It
// takes as long for each account.
func (d *Decoys) of(account string, now time.Time) *Decoys {
	var shows *Decoys
	for e := d; ; e = e.earlier {
		come := e.earlier == nil
		if !come {
			drawn := e.stream("moment", 0, account, 8)
			come = now.Sub(e.at) >= e.delay(binary.BigEndian.Uint64(drawn))
		}
		if come && shows == nil {
			shows = e
		}
		if e.earlier == nil {
			return shows
		}
	}
}

// delay is how long an account shows what it did before, from a number that all are
// equally likely to draw.
func (d *Decoys) delay(drawn uint64) time.Duration {
	u := (float64(drawn>>11) + 1) / (1 << 53) // above 0, at most 1
	const never = float64(math.MaxInt64 / 2)
	return time.Duration(min(-math.Log(u)*float64(d.life), never))
}

// rotated are the decoys of a secret with those that were there before.
func rotated(secret [32]byte, classes []Class, earlier []EarlierSecret, life time.Duration) *Decoys {
	if life <= 0 {
		life = DefaultDecoyLife
	}
	earlier = slices.SortedStableFunc(slices.Values(earlier), func(a, b EarlierSecret) int { return a.Until.Compare(b.Until) })
	var last *Decoys
	var since time.Time
	add := func(secret [32]byte) {
		d := NewDecoys(secret, classes)
		if last != nil {
			d = d.After(last, since, life)
		}
		last = d
	}
	for _, e := range earlier {
		if e.Secret != [32]byte{} { // anybody knows that one
			add(e.Secret)
			since = e.Until
		}
	}
	add(secret)
	return last
}
