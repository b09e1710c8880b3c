package vcard

import (
	"sync/atomic"

	"github.com/propolis-im/propolis/mux"
)

// desk is what is remembered of an account in use: that it has no card, or one
// that may not be in the store yet. It is touched in the account's turns only.
type desk struct {
	absent bool
	fresh  *atomic.Pointer[mux.Raw] // holds nil once the store has the card
}

// card is the card if it is known without the store.
func (d *desk) card() (card mux.Raw, ok bool) {
	if d.absent {
		return "", true
	}
	if d.fresh != nil {
		if raw := d.fresh.Load(); raw != nil {
			return *raw, true
		}
	}
	return "", false
}

func (d *desk) put(e *mux.Event, card mux.Raw) {
	*d = desk{absent: card == ""}
	if d.absent {
		return
	}
	fresh := new(atomic.Pointer[mux.Raw])
	fresh.Store(&card)
	d.fresh = fresh
	e.Work.After(func(err error) {
		if err == nil { // else the kernel forgets the whole desk
			fresh.Store(nil)
		}
	})
}
