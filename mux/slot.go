package mux

// Key gives access to state of type T that an extension keeps for each session.
type Key[T any] struct{ i int }

// Of is the session's value, zero at first. It is touched under the session's
// lock ([Session.Sync], sinks) or in its account's turn only, as the extension
// decides, unless T allows more.
func (k Key[T]) Of(s *Session) *T { return s.slots[k.i].(*T) }

// Codec turns slot values into bytes and back, for sessions that survive a
// restart.
type Codec[T any] struct {
	Encode func(dst []byte, v *T) []byte
	// Decode must accept what any earlier version encoded; an error drops the
	// session.
	Decode func(src []byte, v *T) error
}

// slot is one registered slot, for its type.
type slot struct {
	ext, name string
	make      func() any
	encode    func(dst []byte, v any) []byte
	decode    func(src []byte, v any) error
}

// Slot registers a value of type T for each session.
func Slot[T any](r *Registry) Key[T] {
	r.m.slots = append(r.m.slots, slot{ext: r.ext, make: func() any { return new(T) }})
	return Key[T]{len(r.m.slots) - 1}
}

// PersistentSlot registers a value that is saved with resumable sessions and
// restored with them. The name identifies it in the store and must not change.
func PersistentSlot[T any](r *Registry, name string, c Codec[T]) Key[T] {
	if c.Encode == nil || c.Decode == nil || name == "" {
		r.fail("persistent slot %q needs a name and a codec", name)
		return Slot[T](r)
	}
	for _, s := range r.m.slots {
		if s.name == name {
			r.fail("persistent slot %q is registered already", name)
		}
	}
	r.m.slots = append(r.m.slots, slot{
		ext: r.ext, name: name,
		make:   func() any { return new(T) },
		encode: func(dst []byte, v any) []byte { return c.Encode(dst, v.(*T)) },
		decode: func(src []byte, v any) error { return c.Decode(src, v.(*T)) },
	})
	return Key[T]{len(r.m.slots) - 1}
}

// AccountKey gives access to state of type T that an extension keeps for each
// account while the account is in use: as long as it has sessions or turns.
type AccountKey[T any] struct{ i int }

// Of is the value of the account whose turn e is, zero at first and again after
// the account was out of use or its state was lost ([StateLost]).
func (k AccountKey[T]) Of(e *Event) *T {
	a := e.acct
	if a.slots == nil {
		a.slots = make([]any, len(e.m.accountSlots))
	}
	if a.slots[k.i] == nil {
		a.slots[k.i] = e.m.accountSlots[k.i]()
	}
	return a.slots[k.i].(*T)
}

// Peek is the value if there is one, without making it; for [BlocksIf].
func (k AccountKey[T]) Peek(e *Event) *T {
	if a := e.acct; a != nil && a.slots != nil && a.slots[k.i] != nil {
		return a.slots[k.i].(*T)
	}
	return nil
}

// AccountSlot registers a value of type T for each account in use. Values are
// touched in the account's turns only.
func AccountSlot[T any](r *Registry) AccountKey[T] {
	r.m.accountSlots = append(r.m.accountSlots, func() any { return new(T) })
	return AccountKey[T]{len(r.m.accountSlots) - 1}
}

// StreamKey gives access to state of type T that an extension keeps for each
// stream while that is negotiated.
type StreamKey[T any] struct{ i int }

// StreamSlot registers a value of type T for each stream. Values are touched by
// the goroutine that negotiates the stream only, and are forgotten when that is
// done.
func StreamSlot[T any](r *Registry) StreamKey[T] {
	r.m.streamSlots = append(r.m.streamSlots, func() any { return new(T) })
	return StreamKey[T]{len(r.m.streamSlots) - 1}
}

// Of is the stream's value, zero at first.
func (k StreamKey[T]) Of(st *Stream) *T {
	if st.values == nil {
		st.values = make([]any, len(st.m.streamSlots))
	}
	if st.values[k.i] == nil {
		st.values[k.i] = st.m.streamSlots[k.i]()
	}
	return st.values[k.i].(*T)
}

// Peek is the value if there is one, without making it. It may be asked for by what
// runs while the goroutine that negotiates waits for it too, as in the turn of
// [Stream.Bind].
func (k StreamKey[T]) Peek(st *Stream) *T {
	if st.values == nil || st.values[k.i] == nil {
		return nil
	}
	return st.values[k.i].(*T)
}

// Negotiated tells that the negotiation of the stream is over, for the goroutine
// that did it: values of a [StreamSlot] are forgotten.
func (st *Stream) Negotiated() { st.values = nil }
