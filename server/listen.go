package server

import (
	"errors"
	"net"
	"time"
)

// Serve accepts clients that begin in clear and go on with STARTTLS. It returns
// ErrClosed after Shutdown.
func (s *Server) Serve(l net.Listener) error { return s.accept(l, startTLS) }

// ServeTLS accepts clients that begin with TLS (XEP-0368).
func (s *Server) ServeTLS(l net.Listener) error { return s.accept(l, directTLS) }

// origin is the kind of listener that a connection came in at.
type origin uint8

const (
	startTLS origin = iota
	directTLS
	component
)

func (s *Server) accept(l net.Listener, kind origin) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, l)
	}()
	for pause := 5 * time.Millisecond; ; {
		tcp, err := l.Accept()
		if err != nil {
			if s.isStopping() {
				return ErrClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors or the like: it will pass.
			s.log.Error("accept failed", "err", err)
			if !s.wait(pause) {
				return ErrClosed
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		s.begin(tcp, kind)
	}
}

func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// begin lets a connection in, or closes it before any XML (core-im LIM-10).
func (s *Server) begin(tcp net.Conn, kind origin) {
	p := prefixOf(tcp.RemoteAddr())
	if why := s.admit.enter(p, time.Now()); why != "" {
		s.counters.Refused(why)
		s.log.Warn("connection refused", "addr", tcp.RemoteAddr().String(), "reason", why)
		_ = tcp.Close() // nothing was sent
		return
	}
	if t, ok := tcp.(*net.TCPConn); ok {
		_ = t.SetKeepAlive(true) // best effort (core-im LC-30)
	}
	c := s.newConn(tcp, p, kind)
	s.mu.Lock()
	stopping := s.stopping
	if !stopping {
		s.conns[c] = struct{}{}
		s.readers.Add(1)
	}
	s.mu.Unlock()
	if stopping {
		_ = c.nc.Close()
		c.st.Gone(false)
		s.admit.leave(p, time.Now())
		return
	}
	s.counters.Connection(1)
	go c.live()
}

// forget is the end of a connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	_, had := s.conns[c]
	delete(s.conns, c)
	s.mu.Unlock()
	if had {
		s.counters.Connection(-1)
		s.admit.leave(c.prefix, time.Now())
	}
}
