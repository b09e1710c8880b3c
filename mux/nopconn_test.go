package mux_test

import "sync/atomic"

// nopConn is a connection that counts and forgets.
type nopConn struct {
	octets, writes atomic.Int64
	closed         atomic.Bool
}

func (c *nopConn) Write(p []byte) error {
	c.octets.Add(int64(len(p)))
	c.writes.Add(1)
	return nil
}

func (c *nopConn) Pending() int { return 0 }
func (c *nopConn) Close(error)  { c.closed.Store(true) }
