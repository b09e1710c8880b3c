package netio

import (
	"testing"
	"time"
)

// TestSlowReader: a peer that reads little by little takes longer than the
// timeout and is not cut off, and the timeout does not outlive what was
// pending.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const timeout, rounds = 200 * time.Millisecond, 12
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{
			WriteTimeout: timeout,
			OnError:      func(err error) { t.Errorf("OnError(%v)", err) },
		})
		pass := func(d time.Duration) { // nothing comes from the peer
			must(t, c.SetReadDeadline(time.Now().Add(d)))
			if err := c.WaitReadable(); !isTimeout(err) {
				t.Fatalf("WaitReadable: %v, want a timeout", err)
			}
		}
		const size = 3 << 20
		_, err := c.Write(make([]byte, size))
		must(t, err)
		for range rounds {
			pass(timeout / 8)
			readExactly(t, peer, size/rounds)
		}
		pass(timeout * 5 / 4)
		if n := c.Pending(); n != 0 {
			t.Fatalf("%d bytes pending", n)
		}
		_, err = c.Write([]byte("next"))
		must(t, err)
		readExactly(t, peer, 4)
	})
}
