package offline

import (
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

func now() time.Time { return time.Now() }

// usages remembers what is stored for accounts, also for those that are not in use,
// since it is those that messages are stored for.
type usages struct {
	mu sync.Mutex
	m  map[mux.Address]Usage
}

// maxKnown bounds it, in accounts.
const maxKnown = 1 << 14

func (u *usages) get(account mux.Address) (Usage, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	v, ok := u.m[account]
	return v, ok
}

func (u *usages) set(account mux.Address, v Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.m == nil {
		u.m = make(map[mux.Address]Usage)
	}
	for other := range u.m {
		if len(u.m) < maxKnown {
			break
		}
		delete(u.m, other)
	}
	u.m[account] = v
}

func (u *usages) forget(account mux.Address) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.m, account)
}
