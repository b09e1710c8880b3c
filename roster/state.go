package roster

import "time"

// state is what stands between an account and one contact (RFC 6121 App. A.1):
// the bits of a [Subscription], and whether a request waits for its answer. Nine
// of the combinations occur: nobody asks for what they have.
type state uint8

const (
	asked   state = 1 << 2 // pending out: our request is not answered
	asking  state = 1 << 3 // pending in: the contact's is not
	stateN  state = 0
	stateT        = state(To)
	stateF        = state(From)
	stateB        = state(Both)
	nStates       = 1 << 4
)

func (s state) from() bool { return s&stateF != 0 }
func (s state) to() bool   { return s&stateT != 0 }

// move is a presence stanza that may change a state.
type move uint8

const (
	subscribe move = iota
	unsubscribe
	subscribed
	unsubscribed
	nMoves
)

var moveNames = [nMoves]string{"subscribe", "unsubscribe", "subscribed", "unsubscribed"}

// moveOf is the move that a presence stanza of that type is.
func moveOf(typ string) (m move, ok bool) {
	for i, n := range moveNames {
		if typ == n {
			return move(i), true
		}
	}
	return 0, false
}

// effect is what else a move leads to. Beside these the item is pushed if what
// clients see of it has changed, and the contact gets our presence, or the end
// of it, if it may see it now, or no longer.
type effect uint8

const (
	route      effect = 1 << iota // out: the stanza goes on to the contact
	deliver                       // in: the stanza goes to our sessions
	reply                         // in: the server answers with subscribed, and our presence
	approve                       // out: remember the approval until it is asked for
	disapprove                    // out: forget it
)

// cell is what a move does in a state.
type cell struct {
	next state
	do   effect
}

// drop is the cell of what is ignored in s.
func drop(s state) cell { return cell{s, 0} }

// out is RFC 6121 App. A.2 (core-im SUB-1 to SUB-9), in the order of moves:
// subscribe, unsubscribe, subscribed, unsubscribed.
var out = [nStates][nMoves]cell{
	stateN:                  {{stateN | asked, route}, {stateN, route}, {stateN, approve}, {stateN, disapprove}},
	stateN | asked:          {{stateN | asked, route}, {stateN, route}, {stateN | asked, approve}, {stateN | asked, disapprove}},
	stateN | asking:         {{stateN | asked | asking, route}, {stateN | asking, route}, {stateF, route}, {stateN, route}},
	stateN | asked | asking: {{stateN | asked | asking, route}, {stateN | asking, route}, {stateF | asked, route}, {stateN | asked, route}},
	stateT:                  {{stateT, route}, {stateN, route}, {stateT, approve}, {stateT, disapprove}},
	stateT | asking:         {{stateT | asking, route}, {stateN | asking, route}, {stateB, route}, {stateT, route}},
	stateF:                  {{stateF | asked, route}, {stateF, route}, drop(stateF), {stateN, route}},
	stateF | asked:          {{stateF | asked, route}, {stateF, route}, drop(stateF | asked), {stateN | asked, route}},
	stateB:                  {{stateB, route}, {stateF, route}, drop(stateB), {stateT, route}},
}

// in is RFC 6121 App. A.3 (core-im SUB-11 to SUB-19).
var in = [nStates][nMoves]cell{
	stateN:                  {{stateN | asking, deliver}, drop(stateN), drop(stateN), drop(stateN)},
	stateN | asked:          {{stateN | asked | asking, deliver}, drop(stateN | asked), {stateT, deliver}, {stateN, deliver}},
	stateN | asking:         {drop(stateN | asking), {stateN, deliver}, drop(stateN | asking), drop(stateN | asking)},
	stateN | asked | asking: {drop(stateN | asked | asking), {stateN | asked, deliver}, {stateT | asking, deliver}, {stateN | asking, deliver}},
	stateT:                  {{stateT | asking, deliver}, drop(stateT), drop(stateT), {stateN, deliver}},
	stateT | asking:         {drop(stateT | asking), {stateT, deliver}, drop(stateT | asking), {stateN | asking, deliver}},
	stateF:                  {{stateF, reply}, {stateN, deliver}, drop(stateF), drop(stateF)},
	stateF | asked:          {{stateF | asked, reply}, {stateN | asked, deliver}, {stateB, deliver}, {stateF, deliver}},
	stateB:                  {{stateB, reply}, {stateT, deliver}, drop(stateB), {stateF, deliver}},
}

// inward is what a contact's stanza does. A request that was approved in advance
// is granted at once, and the approval is used up (RFC 6121 §3.4.2).
func inward(s state, approved bool, m move) cell {
	c := in[s][m]
	if m == subscribe && approved && c.do&deliver != 0 {
		return cell{s | stateF, reply | disapprove}
	}
	return c
}

// state is the state that an item is in. What cannot be is read as the nearest
// that can: stores may have been filled by other software.
func (i *Item) state() state {
	s := state(i.Subscription & Both)
	if i.Ask && !s.to() {
		s |= asked
	}
	if i.In != "" && !s.from() {
		s |= asking
	}
	return s
}

// become is the item after a move; request is the contact's stanza, for a move
// in.
func (i Item) become(m move, c cell, request string) Item {
	i.Subscription = Subscription(c.next & stateB)
	if i.Ask = c.next&asked != 0; !i.Ask {
		i.Asked = time.Time{}
	}
	switch {
	case c.next&asking == 0:
		i.In = ""
	case m == subscribe && request != "":
		i.In = request // also in place of an older one (core-im SUB-13)
	}
	switch {
	case c.do&approve != 0:
		i.Approved = true
	case c.do&disapprove != 0:
		i.Approved = false
	}
	i.Listed = i.Listed || i.Subscription != None || i.Ask || i.Approved
	return i
}
