package mux

import (
	"context"
	"sync"
)

// Remote is what an extension keeps for one stream of another server, which has no
// session.
type Remote interface {
	// Nonza takes an element of the extension's namespace, on the stream's reader and
	// outside of any turn; it must not wait. A [stream.Error] ends the stream, and so
	// does any other error, which is logged.
	Nonza(ctx context.Context, el *Stanza) error
	// Parting: the stream is about to end with an end tag, whoever ends it; what the
	// peer is still to be told is said now. It must not wait. If it is the peer that
	// ends the stream, all that it sent is finished, unless that took too long.
	Parting()
}

// Remote registers for the elements of a namespace, other than the content's, on
// streams of other servers ([Stream] of role Server). bind is called once for a
// stream, on its reader, when the first of them comes.
func (r *Registry) Remote(space string, bind func(st *Stream) Remote) {
	if _, dup := r.m.remotes[space]; dup || bind == nil || space == "" || space == NSClient {
		r.fail("Remote %q: registered already, or nothing to register", space)
		return
	}
	r.m.remotes[space] = remoteBinder{r.ext, bind}
}

type remoteBinder struct {
	ext  string
	bind func(st *Stream) Remote
}

// far is what a server's stream has in place of a session.
type far struct {
	st    *Stream
	count counters

	mu     sync.Mutex
	said   []byte // to be written
	held   int    // runners that will do so
	bound  []boundRemote
	parted bool
}

type boundRemote struct {
	space string
	Remote
}

// fromRemote takes an element of another server that is no stanza.
func (st *Stream) fromRemote(ctx context.Context, el *Stanza) error {
	f, b := st.far, st.m.remotes[el.name.Space]
	if f == nil || b.bind == nil {
		return st.fail(errUnsupported)
	}
	if st.isClosed() {
		return ErrClosed
	}
	st.runner().touchRemote(f)
	err := st.protected(func() error { return f.of(b, el.name.Space).Nonza(ctx, el) })
	return st.outcome(ctx, b.ext, err)
}

// of is what an extension keeps for the stream; only the reader makes it.
func (f *far) of(b remoteBinder, space string) Remote {
	for _, x := range f.bound { // which nobody else changes
		if x.space == space {
			return x
		}
	}
	x := boundRemote{space, b.bind(f.st)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bound = append(f.bound, x)
	return x
}

// Say writes an element to another server, behind what was said before. It is for
// streams of role Server; nobody else may write to their Conn at the same time, and its
// Write may not call the Stream. Any goroutine may call it. What is said while the reader
// takes its input, or in functions given to [Stream.OnHandled], is written when that is
// done, or when it is much.
func (st *Stream) Say(el *Stanza) error {
	f := st.far
	if f == nil {
		return ErrNoSession // it has one, which everything has to go through
	}
	f.mu.Lock()
	f.said = el.Append(f.said, st.ns)
	err := error(nil)
	if f.held == 0 || len(f.said) > saidBound {
		err = f.write()
	}
	f.mu.Unlock()
	if err != nil {
		st.broken(err)
	}
	return err
}

// saidBound is how many octets may be held back: input that does not end is not flushed.
const saidBound = 16 << 10

// write hands over what was said; the lock is held.
func (f *far) write() error {
	p := f.said
	if len(p) == 0 {
		return nil
	}
	if f.said = p[:0]; cap(p) > 4<<10 {
		f.said = nil
	}
	if n := f.st.conn.Pending(); n > 0 && n+len(p) > f.st.m.opt.MaxQueue {
		return ErrOverflow // the peer asks and does not read
	}
	return f.st.conn.Write(p)
}

// touchRemote has the runner write what is said until it flushes.
func (r *runner) touchRemote(f *far) {
	for _, o := range r.remotes {
		if o == f {
			return
		}
	}
	f.mu.Lock()
	f.held++
	f.mu.Unlock()
	r.remotes = append(r.remotes, f)
}

// release is the end of that.
func (f *far) release() {
	f.mu.Lock()
	f.held--
	err := f.write()
	f.mu.Unlock()
	if err != nil {
		f.st.broken(err)
	}
}

// part has the extensions say their last words, and writes them.
func (f *far) part() {
	f.mu.Lock()
	all := f.bound
	if f.parted {
		all = nil
	}
	f.parted = true
	f.held++
	f.mu.Unlock()
	for _, x := range all {
		f.st.m.protect(x.Parting)
	}
	f.release()
}

// handledUpTo notes that stanza n is finished.
func (f *far) handledUpTo(r *runner, n uint32) {
	due := f.count.finished(n)
	if len(due) == 0 {
		return
	}
	r.touchRemote(f)
	for _, w := range due {
		f.st.m.protect(w.f)
	}
}

// Received is how many stanzas another server has sent on its stream, modulo 2^32;
// 0 for streams of other roles, where sessions count.
func (st *Stream) Received() uint32 {
	if st.far == nil {
		return 0
	}
	return st.far.count.seen()
}

// Handled is how many of them, from the first on, are finished: decided, durable and
// on their way.
func (st *Stream) Handled() uint32 {
	if st.far == nil {
		return 0
	}
	return st.far.count.done()
}

// OnHandled runs f when the first n of them are finished, at once if they are. f must
// not wait.
func (st *Stream) OnHandled(n uint32, f func()) {
	if st.far != nil {
		st.far.count.when(n, f)
	}
}
