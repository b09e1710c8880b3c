package presence

import "github.com/propolis-im/propolis/mux"

// Occupant is the address under which a session has joined a chat room (XEP-0045
// §7.2), as far as its client has asked for; zero if it has not. Of several it is the
// one it has asked for last. It may be called anywhere.
func (x *Extension) Occupant(s *mux.Session, room mux.Address) (occupant mux.Address) {
	st := x.state.Of(s)
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, d := range st.directed {
		if d.room && d.to.Bare() == room.Bare() {
			occupant = d.to
		}
	}
	return occupant
}
