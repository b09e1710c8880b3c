package netio

import (
	"errors"
	"time"
)

// Defaults of [Options].
const (
	// DefaultMaxPending is the default of Options.MaxPending, in bytes.
	DefaultMaxPending = 4 << 20
	// DefaultWriteTimeout is the default of Options.WriteTimeout.
	DefaultWriteTimeout = 30 * time.Second
)

var (
	// ErrFull is returned by [Conn.Write] when keeping the bytes would exceed
	// Options.MaxPending or the Budget. Write returns 0 with it and the Conn
	// stays usable, unless the kernel had already taken a part: then Write
	// returns the length of that part and every later Write fails.
	ErrFull = errors.New("netio: too many bytes pending")
	// ErrWriteStalled is the error of a connection whose peer took nothing of
	// the pending bytes for Options.WriteTimeout.
	ErrWriteStalled = errors.New("netio: peer does not take pending bytes")
	// ErrBuffered is returned by [Conn.SetTLS] when bytes that arrived in
	// clear have not been read.
	ErrBuffered = errors.New("netio: unread bytes from before TLS")
)

// Options tunes a [Conn]. The zero value is useful.
type Options struct {
	// OnDrained, if not nil, is called when pending bytes went out: each time
	// their number falls from above LowWater to it or below, and each time it
	// returns to 0. It runs on the goroutine that writes pending bytes, with
	// no lock held, and may call every method of the Conn; while it runs, that
	// goroutine writes nothing.
	OnDrained func()
	// LowWater is the number of pending bytes at which OnDrained is called
	// early, so that writing can go on before the socket runs dry. Default 0:
	// only when nothing is pending.
	LowWater int
	// MaxPending bounds the pending bytes of the connection: a Write that
	// would exceed it fails with ErrFull, whatever the kernel would have
	// taken. 0 means DefaultMaxPending; negative means no bound.
	MaxPending int
	// WriteTimeout bounds how long bytes are pending without any progress.
	// After it the connection is closed with ErrWriteStalled; on the portable
	// path, which does not see when progress was, after at most twice the
	// time. 0 means
	// DefaultWriteTimeout; negative means no bound.
	WriteTimeout time.Duration
	// OnError, if not nil, is called once, with no lock held, when a write
	// failed after Write had accepted the bytes: ErrWriteStalled or the
	// socket's error. The Conn has been closed by then. Errors that a method
	// returns are not reported here, nor is what Close discards.
	OnError func(error)
	// Budget, if not nil, bounds the pending bytes of all connections that
	// share it.
	Budget *Budget
	// Portable makes the Conn use only Read and Write of the wrapped
	// connection. It is needed for a wrapper that offers SyscallConn although
	// it changes what Read or Write do: the fast path would go past it.
	Portable bool
}

// withDefaults returns a copy of o with the defaults filled in.
func (o *Options) withDefaults() Options {
	var full Options
	if o != nil {
		full = *o
	}
	if full.MaxPending == 0 {
		full.MaxPending = DefaultMaxPending
	}
	if full.WriteTimeout == 0 {
		full.WriteTimeout = DefaultWriteTimeout // LC-24
	}
	full.LowWater = max(full.LowWater, 0)
	return full
}
