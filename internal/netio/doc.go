// Package netio is the byte side of a server's connections, made for many
// thousands of TLS sessions of which most are idle.
//
// A [Conn] wraps a TCP connection and is given to tls.Server in its place, or
// used directly in clear. It differs from the connection it wraps in that
//
//   - waiting costs no memory: [Conn.WaitReadable] parks without a buffer, and
//     the read that ends the wait goes into a pooled one, from which the
//     following tls.Conn.Read is served;
//   - TLS gets one record at a time, so that the tls.Conn reads nothing ahead
//     and its own buffer grows no further than its longest record;
//   - [Conn.Write] never blocks: what the kernel does not take is kept, within
//     limits, and a goroutine that lives only as long as something is kept
//     passes it on;
//   - [Conn.CloseAfterDrain] ends a connection so that its last bytes arrive.
//
// # Use
//
//	c := netio.New(tcp, &netio.Options{Budget: budget, OnError: drop})
//	_ = c.SetTLS(true)
//	t := tls.Server(c, config)
//	for {
//		if err := c.WaitReadable(); err != nil {
//			return err
//		}
//		buf := buffers.Get()      // 16 KiB; nothing was held while waiting
//		for more := true; more; more = c.Buffered() > 0 {
//			n, err := t.Read(buf) // from memory when the record is complete
//			...
//		}
//		buffers.Put(buf)
//	}
//
// The plaintext buffer should have 16 KiB, the most a record holds (RFC 8446
// §5.1): then every tls.Conn.Read uses up a record, and WaitReadable, which
// does not know what the tls.Conn has decrypted and not handed out, may be
// called as soon as [Conn.Buffered] is 0. With a smaller buffer it may be
// called only after a Read that did not fill it, and a record that is an exact
// multiple of the buffer makes the caller wait in tls.Conn.Read, with all its
// buffers. A tls.Conn.Read after WaitReadable can still wait, for the rest of a
// record that arrived in part or after a record without application data.
//
// An idle tls.Conn keeps the buffer of its longest record (about 2 KiB after
// the handshake, 18 KiB after a record of full size) and, on the server's side,
// that of the client's first handshake message.
//
// # Platforms
//
// On Unix systems the socket is read and written through its syscall.RawConn, on
// Linux by calls that the scheduler need not know of, since they never block.
// Elsewhere, and for a net.Conn without one (net.Pipe), only Read and Write of
// the wrapped connection are used: WaitReadable then waits with a read of one
// byte, which costs a system call more; a Read that waits in the middle of a
// record holds its buffer meanwhile; and all writes pass through the queue and
// its goroutine. Behaviour is the same otherwise.
//
// # Security notes
//
// What a peer that does not read can make us keep is bounded for each
// connection by Options.MaxPending, in time by Options.WriteTimeout, and for
// all together by a [Budget]. SetTLS refuses to start TLS over bytes that
// arrived in clear (RFC 6120 §5.4.3.3; the injection of CVE-2011-0411). The
// package neither checks records nor holds keys: that is crypto/tls's part.
// Peers that send slowly are bounded by read deadlines, which callers set.
package netio
