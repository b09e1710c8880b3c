package negotiate

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// WriteHeader implements [Transport]. It begins with an XML declaration (core-im
// XS-6).
func (t *ConnTransport) WriteHeader(h Header) error {
	b := appendHeader([]byte("<?xml version='1.0'?>"), h)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opened = true
	return t.add(b)
}

// appendHeader writes a stream header; values that XML cannot express are left
// out.
func appendHeader(b []byte, h Header) []byte {
	content := mux.NSClient
	if h.Content == nsComponent {
		content = nsComponent
	}
	b = append(b, "<stream:stream xmlns='"+content+"' xmlns:stream='"+nsStreams+"'"...)
	for _, a := range [...]struct{ name, value string }{
		{"from", h.From}, {"to", h.To}, {"id", h.ID}, {"version", h.Version}, {"xml:lang", h.Lang},
	} {
		if a.value == "" || !xmlwrite.ValidText(a.value) {
			continue
		}
		b = append(append(append(b, ' '), a.name...), "='"...)
		b = append(xmlwrite.AppendAttrValue(b, a.value), '\'')
	}
	return append(b, '>')
}

// WriteElement implements [Transport].
func (t *ConnTransport) WriteElement(p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.add(p)
}

// Flush implements [Transport]: it waits until all is written.
func (t *ConnTransport) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start()
	for t.writing {
		t.calm.Wait()
	}
	return t.err
}

// Write implements [mux.Conn].
func (t *ConnTransport) Write(p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.add(p); err != nil {
		return err
	}
	t.start()
	return nil
}

// Pending implements [mux.Conn].
func (t *ConnTransport) Pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.out)
}

// add queues bytes; the lock is held.
func (t *ConnTransport) add(p []byte) error {
	switch {
	case t.err != nil:
		return t.err
	case t.closed:
		return net.ErrClosed
	case len(t.out)+len(p) > t.opt.MaxPending:
		return mux.ErrOverflow
	}
	t.out = append(t.out, p...)
	return nil
}

// start has a goroutine write what is queued; the lock is held. It ends when
// there is no more, at the latest [ConnOptions.WriteTimeout] after a peer took
// the last bytes; Finish waits for it.
func (t *ConnTransport) start() {
	if t.writing || t.err != nil || len(t.out) == 0 {
		return
	}
	t.writing = true
	go t.drain(t.conn())
}

// lowWater is how little has to wait for whoever has more to be told.
const lowWater = 16 << 10

// onLow has f told whenever little is left to write, and once at the beginning, since
// it may have been before.
func (t *ConnTransport) onLow(f func()) {
	t.mu.Lock()
	t.low = f
	t.mu.Unlock()
	f()
}

// keepBuffer bounds the buffer that is kept for the next write.
const keepBuffer = 16 << 10

func (t *ConnTransport) drain(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.err == nil && len(t.out) > 0 {
		p := t.out
		t.out, t.spare = t.spare[:0], nil
		t.mu.Unlock()
		err := c.SetWriteDeadline(time.Now().Add(t.opt.WriteTimeout))
		if err == nil {
			_, err = c.Write(p)
		}
		t.mu.Lock()
		if cap(p) <= keepBuffer {
			t.spare = p
		}
		t.err = err
		if low := t.low; low != nil && err == nil && len(t.out) < lowWater {
			t.mu.Unlock()
			low()
			t.mu.Lock()
		}
	}
	if t.err != nil {
		_ = t.raw.Close() // makes the reader end
	}
	t.writing = false
	t.calm.Broadcast()
}

// Close implements [mux.Conn] (RFC 6120 §4.4, §4.9). The reader goes on until the
// peer has closed its side too, at most for [ConnOptions.Closing]; then Finish
// drops the connection.
func (t *ConnTransport) Close(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	var se stream.Error
	told := errors.As(err, &se)
	if !t.opened || err != nil && !told {
		_ = t.raw.Close() // there is nothing to say
		return
	}
	if told {
		t.out = AppendStreamError(t.out, se)
	}
	t.out = append(t.out, "</stream:stream>"...)
	t.until = time.Now().Add(t.opt.Closing)
	_ = t.raw.SetReadDeadline(t.until) // fails on a connection that is gone
	t.start()
}

// Receive reads the stream after its negotiation and gives st what comes, until
// it ends; then st and its session were told, and the peer. The error says why:
// it is io.EOF if the peer has closed its stream properly.
func (t *ConnTransport) Receive(ctx context.Context, st *mux.Stream) error {
	t.onLow(st.Drained)
	err := t.receive(ctx, st)
	se, told := StreamError(err)
	switch {
	case errors.Is(err, io.EOF):
		st.Gone(true) // what the session is owed goes out before our close tag
		t.Close(nil)
		return err
	case told:
		st.Close(se)
	default:
		st.Close(err)
	}
	st.Gone(false)
	return err
}

func (t *ConnTransport) receive(ctx context.Context, st *mux.Stream) error {
	for {
		// Before it waits, what the peer has caused goes out.
		s, err := t.element(ctx, st.Flush)
		if err != nil {
			return err
		}
		if err := st.Receive(ctx, s); err != nil {
			return err
		}
	}
}

// Finish ends the connection, when its reader has nothing more to do: what was
// written gets [ConnOptions.Closing] to go out, and the peer as long to close its
// side. It closes the stream properly if nobody has closed it yet.
func (t *ConnTransport) Finish() {
	t.Close(nil)
	late := time.AfterFunc(t.opt.Closing, func() { _ = t.raw.Close() }) // ends all that waits below
	defer late.Stop()
	t.mu.Lock()
	for t.writing {
		t.calm.Wait()
	}
	broken := t.err != nil || t.until.IsZero()
	t.mu.Unlock()
	if !broken {
		t.awaitClose()
	}
	_ = t.conn().Close() // at last
}

// awaitClose reads until the peer has closed its stream, or, if it can be
// understood no more, the connection. [ConnTransport.Close] has set a deadline.
func (t *ConnTransport) awaitClose() {
	for !t.peerClosed {
		if _, _, err := t.next(context.Background(), nil); err != nil {
			break
		}
	}
	if t.peerClosed {
		return
	}
	for p := make([]byte, readSize); ; {
		if _, err := t.conn().Read(p); err != nil {
			return
		}
	}
}
