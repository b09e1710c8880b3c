package server

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// live is a connection's life, on the goroutine that accepted it.
func (c *conn) live() {
	defer c.srv.readers.Done()
	var err error
	c.srv.stacks.run(func() { err = c.negotiate(c.srv.ctx) })
	if err != nil {
		c.end(err)
		return
	}
	c.serve()
}

// negotiate is the first half.
func (c *conn) negotiate(ctx context.Context) error {
	if c.kind == component {
		return c.negotiateComponent(ctx)
	}
	if c.direct {
		if err := c.secure(time.Now().Add(min(tlsHandshake, c.srv.lim.Negotiation))); err != nil {
			return err
		}
	}
	if err := c.srv.neg.Serve(ctx, c.st, c); err != nil {
		return err
	}
	if err := c.setDeadline(time.Time{}); err != nil {
		return err
	}
	c.srv.counters.Session(1)
	return nil
}

// tlsHandshake bounds a TLS handshake (core-im LC-21).
const tlsHandshake = 30 * time.Second

// serve is the second half: stanzas.
func (c *conn) serve() {
	err := c.receive()
	if c.kind != component {
		c.srv.counters.Session(-1)
	}
	c.end(err)
}

// receive reads stanzas until the stream ends.
func (c *conn) receive() error {
	ctx := c.srv.ctx
	c.admitSize()
	for {
		if c.in.empty() {
			if err := c.await(); err != nil {
				return err
			}
		}
		k, n, err := c.scanner().Next(c.in.bytes())
		if err != nil {
			return err
		}
		stanzas := 0
		switch k {
		case xmlscan.None:
			if err := c.await(); err != nil {
				return err
			}
			continue
		case xmlscan.Close:
			c.in.consume(n)
			return io.EOF
		case xmlscan.Element:
			s := mux.FromScanner(c.sc, c.in.bytes()[:n])
			c.in.consume(n)
			if err := c.tooBig(s); err != nil {
				return err
			}
			c.srv.counters.Stanza(s.Kind())
			if err := c.st.Receive(ctx, s); err != nil {
				return err
			}
			stanzas = 1
		default: // white space
			c.in.consume(n)
		}
		if d := c.pause(stanzas, n); d > 0 {
			if err := c.sleep(d); err != nil {
				return err
			}
		}
	}
}

// await waits for input, once what was caused so far has gone out. Input that TLS
// has decrypted or the kernel has handed over already is taken first; see quiet
// for what happens if that is not a whole record.
func (c *conn) await() error {
	if c.nc.Buffered() == 0 {
		c.st.Flush()
		c.rest()
	}
	return c.read()
}

// sleep pauses the reading (core-im LIM-8: never drop, never answer, just read
// later).
func (c *conn) sleep(d time.Duration) error {
	c.st.Flush()
	c.slow.Store(true)
	defer c.slow.Store(false)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		c.touch() // the silence was ours (core-im LC-30)
		return nil
	case <-c.srv.ctx.Done():
		return c.srv.ctx.Err()
	}
}

// end is the end of the connection: whatever was wrong is said, and the session
// told.
func (c *conn) end(err error) {
	c.err = err
	clean := errors.Is(err, io.EOF)
	se, known := negotiate.StreamError(err)
	switch {
	case clean:
		// The peer has closed its stream: what it is owed goes out, then ours is
		// closed too (RFC 6120 §4.4).
		c.collect()
		c.st.Gone(true)
		c.st.Close(nil)
		c.Close(nil)
	case known:
		c.st.Close(se)
		c.Close(se)
		c.st.Gone(false)
	default:
		c.Close(err)
		c.st.Gone(false)
	}
	if c.kind == component {
		c.srv.opt.Components.Detach(c.st)
		c.srv.log.Info("component stream ended", "component", c.st.Domain(), "addr", c.nc.RemoteAddr().String(), "err", err)
	}
	c.in.release()
	if c.sc != nil {
		scanners.Put(c.sc)
		c.sc = nil
	}
	if c.kind != component && !clean && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, mux.ErrClosed) {
		c.srv.log.Info("stream ended", "addr", c.nc.RemoteAddr().String(), "account", c.st.Account().String(), "err", err)
	}
	<-c.nc.Done() // at most Limits.Closing
	c.srv.forget(c)
}
