package mux

// missed are the accounts whose logins were ended while a stream that had not said
// yet whose it is was logging in, and why.
type missed map[Address]error

// maxMissed bounds them. With more a login fails whoever it is for.
const maxMissed = 64

func (m missed) of(a Address) error {
	if why := m[a]; why != nil {
		return why
	}
	return m[Address{}]
}

// add notes one more.
func (m *missed) add(a Address, why error) {
	if *m == nil {
		*m = make(missed)
	}
	if _, has := (*m)[a]; !has && len(*m) >= maxMissed {
		a = Address{}
	}
	(*m)[a] = why
}

// BeginLogin is called by who negotiates whenever an attempt to log in may begin:
// before anything is looked up. What the peer proves from then on holds until
// [Event.EndSessions], [Event.RemoveAccount] or [Event.EndLogins] of the account,
// also if the proof was checked before that and [Stream.SetAccount] is called
// after it.
func (st *Stream) BeginLogin() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.missed = nil
}

// EndLogins ends the streams that have authenticated as the account of the turn and
// have no session yet, with a stream error, and those that are doing so just now:
// what they have proved may be worth nothing any more. [Event.EndSessions] and
// [Event.RemoveAccount] do it, too.
func (e *Event) EndLogins(why error) {
	e.m.streams.Range(func(k, _ any) bool {
		k.(*Stream).endLogin(e.Account, why)
		return true
	})
}

func (st *Stream) endLogin(a Address, why error) {
	st.mu.Lock()
	if st.role != Client || st.state&Bound != 0 || st.closed {
		st.mu.Unlock()
		return
	}
	mine := st.account == a
	if st.state&Authenticated == 0 {
		st.missed.add(a, why)
	}
	st.mu.Unlock()
	if mine {
		st.Close(why) // a bind that waits for its turn will see it
	}
}
