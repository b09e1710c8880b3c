package csi

import (
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// inbound is the sink on a session's way in.
type inbound struct {
	st   *state
	next mux.Sink
}

func (x *Extension) inbound(s *mux.Session, next mux.Sink) mux.Sink {
	st := x.key.Of(s)
	st.in = inbound{st, next}
	return &st.in
}

// Put implements [mux.Sink]; it runs outside of the session's lock.
func (k *inbound) Put(it *mux.Item) error {
	if k.st.is(inactive) && !k.st.answersProbe(it) {
		k.st.s.Put(mux.Item{Stanza: spokeMark, Flags: mux.Service})
	}
	return k.next.Put(it)
}

const nsPing = "urn:xmpp:ping"

// notesProbe reports whether the server asks the client whether it is there, which is
// no reason to send anything else (smacks CSI-22).
func (st *state) notesProbe(it *mux.Item) bool {
	s := it.Stanza
	if s.Kind() != mux.IQ || it.Flags&mux.Service == 0 || s.Type() != string(stanza.GetIQ) {
		return false
	}
	if c := s.Children(); len(c) != 1 || c[0].Name.Space != nsPing || s.From().Local() != "" {
		return false
	}
	st.held.probe = s.ID()
	return true
}

// answersProbe reports whether a stanza of the client answers that, in its result or
// with an error.
func (st *state) answersProbe(it *mux.Item) (answers bool) {
	s := it.Stanza
	if s.Kind() != mux.IQ || s.Type() != string(stanza.ResultIQ) && s.Type() != string(stanza.ErrorIQ) || s.To().Local() != "" {
		return false
	}
	st.s.Sync(func() {
		if h := st.held; h != nil && h.probe != "" && h.probe == s.ID() {
			answers, h.probe = true, ""
		}
	})
	return answers
}
