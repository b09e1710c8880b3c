package mux

import "sync"

// endings are the accounts whose logins were ended last, for streams that do not say
// until later whose they are.
type endings struct {
	mu   sync.Mutex
	n    uint64   // of all
	last []ending // the nth at n modulo keptEndings
}

type ending struct {
	account Address
	why     error
}

// keptEndings bounds how much a login may miss: with more it fails, whoever it is
// for. A password that is changed costs more than such a login takes.
const keptEndings = 1024

func (l *endings) add(a Address, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := ending{a.clone(), why}
	if len(l.last) < keptEndings {
		l.last = append(l.last, e)
	} else {
		l.last[l.n%keptEndings] = e
	}
	l.n++
}

func (l *endings) now() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// since is why the logins of an account were ended since then, nil if they were not.
func (l *endings) since(then uint64, a Address) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n-then > keptEndings {
		return errServer
	}
	for ; then < l.n; then++ {
		if e := &l.last[then%keptEndings]; e.account == a {
			return e.why
		}
	}
	return nil
}

// BeginLogin is called by who negotiates whenever an attempt to log in may begin:
// before anything is looked up. What the peer proves from then on holds until
// [Event.EndSessions], [Event.RemoveAccount] or [Event.EndLogins] of the account,
// also if the proof was checked before that and [Stream.SetAccount] is called
// after it.
func (st *Stream) BeginLogin() {
	now := st.m.endings.now()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.login = now
}

// EndLogins ends the streams that have authenticated as the account of the turn and
// have no session yet, with a stream error, and those that are doing so just now:
// what they have proved may be worth nothing any more. [Event.EndSessions] and
// [Event.RemoveAccount] do it, too.
func (e *Event) EndLogins(why error) {
	// First for those who are not known yet: SetAccount looks in the other order.
	e.m.endings.add(e.Account, why)
	for _, st := range e.m.streams.all() {
		if st.role == Client && st.State()&Bound == 0 && st.Account() == e.Account {
			st.Close(why) // a bind that waits for its turn will see it
		}
	}
}
