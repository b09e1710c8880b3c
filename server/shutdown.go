package server

import (
	"context"
	"errors"
	"time"
)

// Shutdown ends the server in order (core-im GS-1): it accepts nothing more,
// finishes what it has accepted, saves what can be resumed, tells the others and
// closes. When ctx ends it is cut short; nothing that was acknowledged is lost
// either way. The store may be closed afterwards. A second call waits for the first,
// as long as its own ctx lasts, and returns ErrClosed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		select {
		case <-s.stopped:
			return ErrClosed
		case <-ctx.Done():
			return errors.Join(ErrClosed, ctx.Err())
		}
	}
	defer close(s.stopped)
	defer s.stacks.close()
	s.stopping = true
	for l := range s.listeners {
		_ = l.Close() // Serve returns
	}
	s.mu.Unlock()
	err := s.mux.Shutdown(ctx)
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.readers.Wait()
		close(done)
	}()
	// What is still negotiating, or does not read, gets no more time than this.
	t := time.AfterFunc(s.lim.Closing+time.Second, s.closeAll)
	defer t.Stop()
	s.endNegotiations()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		s.closeAll()
		return errors.Join(err, ctx.Err())
	}
}

// endNegotiations ends the streams that have no session yet.
func (s *Server) endNegotiations() {
	for _, c := range s.all() {
		c.st.Close(errShutdown)
	}
}

func (s *Server) closeAll() {
	for _, c := range s.all() {
		_ = c.nc.Close() // its reader ends and cleans up
	}
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		l = append(l, c)
	}
	return l
}
