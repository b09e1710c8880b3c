package netio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// checkCount fails unless all bytes accepted are sent or pending.
func checkCount(t testing.TB, c *Conn, accepted int) {
	t.Helper()
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if int(c.sent)+c.out.bytes != accepted {
		t.Errorf("%d sent and %d pending, want %d together", c.sent, c.out.bytes, accepted)
	}
}

// TestWriteWithoutReader: Write takes everything at once although the peer
// reads only later, and in small pieces.
func TestWriteWithoutReader(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		drained := make(chan struct{}, 1)
		c, peer := l.open(t, Options{OnDrained: func() { drained <- struct{}{} }})
		data := pattern(3 << 20)
		for rest := data; len(rest) > 0; {
			n, err := c.Write(rest[:min(len(rest), 300_001)])
			must(t, err)
			rest = rest[n:]
		}
		if c.Pending() == 0 {
			t.Fatal("nothing pending: the kernel took everything")
		}
		checkCount(t, c, len(data))
		var got []byte
		for buf := make([]byte, 9973); len(got) < len(data); {
			n, err := peer.Read(buf)
			must(t, err)
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, data) {
			t.Error("data differ")
		}
		await(t, drained, "OnDrained")
		if n := c.Pending(); n != 0 {
			t.Errorf("%d bytes pending", n)
		}
		checkCount(t, c, len(data))
		if c.Sent() != uint64(len(data)) {
			t.Errorf("Sent = %d, want %d", c.Sent(), len(data))
		}

		// Everything begins anew.
		_, err := c.Write([]byte("next"))
		must(t, err)
		if p := readExactly(t, peer, 4); string(p) != "next" {
			t.Errorf("read %q", p)
		}
	})
}

// TestFeed writes from OnDrained what would be too much at once.
func TestFeed(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		const size, piece = 2 << 20, 50_000
		data := pattern(size)
		var c *Conn
		var mu sync.Mutex // OnDrained of two drains may overlap
		rest, most := data, 0
		feed := func() {
			mu.Lock()
			defer mu.Unlock()
			for len(rest) > 0 && c.Pending() <= 64<<10 {
				n, err := c.Write(rest[:min(len(rest), piece)])
				if err != nil {
					t.Errorf("Write: %v", err)
					return
				}
				rest = rest[n:]
				most = max(most, c.Pending())
			}
		}
		ready := make(chan struct{})
		c, peer := l.open(t, Options{LowWater: 64 << 10, MaxPending: 128 << 10, OnDrained: func() { <-ready; feed() }})
		close(ready)
		feed()
		if got := readExactly(t, peer, size); !bytes.Equal(got, data) {
			t.Error("data differ")
		}
		mu.Lock()
		defer mu.Unlock()
		if most == 0 || most > 128<<10 {
			t.Errorf("at most %d bytes pending", most)
		}
	})
}

// TestOnDrainedLowWater uses a pipe, where the peer alone moves things.
func TestOnDrainedLowWater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls []int
		var c *Conn
		server, peer := net.Pipe()
		c = New(server, &Options{LowWater: 20_000, OnDrained: func() { calls = append(calls, c.Pending()) }})
		const first = largeChunk - chunkHeader
		for _, n := range []int{2 * first, 10_000} {
			_, err := c.Write(make([]byte, n))
			must(t, err)
		}
		readExactly(t, peer, first-1)
		synctest.Wait()
		if len(calls) != 0 {
			t.Errorf("OnDrained called too early: %v", calls)
		}
		readExactly(t, peer, first+1+10_000)
		synctest.Wait()
		if len(calls) != 2 || calls[0] == 0 || calls[0] > 20_000 || calls[1] != 0 {
			t.Errorf("OnDrained called at %v pending, want once from 1 to 20000, once at 0", calls)
		}
		must(t, c.Close())
		_ = peer.Close()
	})
}

func TestMaxPending(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		const limit = 100_000
		c, peer := l.open(t, Options{MaxPending: limit})
		n, err := c.Write(make([]byte, limit+1))
		if n != 0 || err != ErrFull {
			t.Fatalf("Write above the limit = %d, %v", n, err)
		}
		accepted := 0
		for accepted < 100*limit {
			n, err := c.Write(make([]byte, 10_000))
			if err != nil {
				if n != 0 || err != ErrFull {
					t.Fatalf("Write = %d, %v; want 0, ErrFull", n, err)
				}
				break
			}
			accepted += n
		}
		if p := c.Pending(); p > limit || p <= limit-10_000 {
			t.Errorf("%d bytes pending at the limit of %d", p, limit)
		}
		checkCount(t, c, accepted)

		// It is not the end: there is room again when the peer reads.
		readExactly(t, peer, accepted)
		_, err = c.Write([]byte("next"))
		must(t, err)
		if p := readExactly(t, peer, 4); string(p) != "next" {
			t.Errorf("read %q", p)
		}
	})
}

func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		data := pattern(1 << 20)
		_, err := c.Write(data)
		must(t, err)
		must(t, c.SetWriteDeadline(time.Now()))
		n, err := c.Write([]byte("late"))
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Write after the deadline = %d, %v", n, err)
		}
		if got := readExactly(t, peer, len(data)); !bytes.Equal(got, data) {
			t.Error("the deadline changed what was accepted before")
		}
		must(t, c.SetWriteDeadline(time.Time{}))
		_, err = c.Write([]byte("next"))
		must(t, err)
		readExactly(t, peer, 4)
	})
}

// TestNeverReader: LC-24, and the reader learns of it too.
func TestNeverReader(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		failed := make(chan error, 1)
		budget := NewBudget(4<<20, 0)
		c, _ := l.open(t, Options{WriteTimeout: 100 * time.Millisecond, OnError: func(err error) { failed <- err }, Budget: budget})
		reader := inBackground(c.WaitReadable)
		_, err := c.Write(make([]byte, 1<<20))
		must(t, err)
		if budget.Total() < int64(c.Pending()) {
			t.Errorf("%d bytes pending, %d accounted", c.Pending(), budget.Total())
		}
		wantErr(t, "OnError", await(t, failed, "OnError"), ErrWriteStalled)
		wantErr(t, "WaitReadable", await(t, reader, "the reader"), net.ErrClosed)
		await(t, c.Done(), "the end")
		for range 2 {
			_, err = c.Write([]byte{1})
			wantErr(t, "Write", err, ErrWriteStalled)
		}
		if c.Pending() != 0 || budget.Total() != 0 {
			t.Errorf("%d bytes pending, %d accounted after the end", c.Pending(), budget.Total())
		}
	})
}

// TestStallTime: what counts is the time since the last progress. (A pipe does
// not tell when within a write that was, so it may count twice.)
func TestStallTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, peer := net.Pipe()
		var failed error
		c := New(server, &Options{OnError: func(err error) { failed = err }})
		_, err := c.Write(make([]byte, 1<<20))
		must(t, err)
		for range 10 {
			time.Sleep(DefaultWriteTimeout - time.Second)
			readExactly(t, peer, 100)
			synctest.Wait()
		}
		if failed != nil {
			t.Fatalf("failed in spite of progress: %v", failed)
		}
		start := time.Now()
		<-c.Done()
		wantErr(t, "OnError", failed, ErrWriteStalled)
		if d := time.Since(start); d > 2*DefaultWriteTimeout {
			t.Errorf("failed after %v", d)
		}
	})
}

func TestNoWriteTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, peer := net.Pipe()
		c := New(server, &Options{WriteTimeout: -1, MaxPending: -1})
		_, err := c.Write(make([]byte, DefaultMaxPending+1))
		must(t, err)
		time.Sleep(1000 * time.Hour)
		readExactly(t, peer, DefaultMaxPending+1)
		must(t, c.Close())
		_ = peer.Close()
	})
}

// TestPeerGone: an error met while writing pending bytes is reported.
func TestPeerGone(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		failed := make(chan error, 1)
		c, peer := l.open(t, Options{OnError: func(err error) { failed <- err }})
		_, err := c.Write(make([]byte, 1<<20))
		must(t, err)
		must(t, peer.Close())
		err = await(t, failed, "OnError")
		if errors.Is(err, ErrWriteStalled) || errors.Is(err, net.ErrClosed) {
			t.Errorf("OnError(%v)", err)
		}
		_, again := c.Write([]byte{1})
		wantErr(t, "Write", again, err)
	})
}

// TestWriteErrorStays: the same for an error met in Write.
func TestWriteErrorStays(t *testing.T) {
	t.Parallel()
	c, peer := links[0].open(t, Options{OnError: func(err error) { t.Errorf("OnError(%v)", err) }})
	must(t, peer.(*net.TCPConn).SetLinger(0)) // reset
	must(t, peer.Close())
	err := c.WaitReadable()
	if err == nil || err == io.EOF {
		t.Fatalf("WaitReadable: %v, want the reset", err)
	}
	var first error
	for range 3 {
		n, err := c.Write([]byte{1})
		if n != 0 || err == nil || first != nil && err != first {
			t.Fatalf("Write = %d, %v; before %v", n, err, first)
		}
		first = err
	}
}

// TestBudgetManyNeverReaders: 50 peers that never read take no more than the
// limit, and others can still be written to.
func TestBudgetManyNeverReaders(t *testing.T) {
	t.Parallel()
	for _, l := range links[:1] {
		const limit = 4 << 20
		b := NewBudget(limit, 64<<10)
		o := Options{Budget: b}
		for i := range 50 {
			c, _ := l.open(t, o)
			var err error
			for n := 0; err == nil; n++ {
				_, err = c.Write(make([]byte, 16406))
				if total := b.Total(); total > limit {
					t.Fatalf("peer %d: %d bytes of %d", i, total, limit)
				}
				if n > 10_000 {
					t.Fatal("no limit in sight")
				}
			}
			wantErr(t, "Write", err, ErrFull)
		}
		if total := b.Total(); total < limit/2 {
			t.Errorf("only %d bytes used of %d", total, limit)
		}
		c, peer := l.open(t, o)
		for range 100 {
			_, err := c.Write(make([]byte, 5000))
			must(t, err)
			readExactly(t, peer, 5000)
		}
	}
}

// TestBudgetEmpty: if there is no room for what the kernel does not take, the
// connection has lost bytes and says so for good.
func TestBudgetEmpty(t *testing.T) {
	t.Parallel()
	c, _ := links[0].open(t, Options{Budget: NewBudget(0, 0)})
	n, err := c.Write(make([]byte, DefaultMaxPending))
	if err != ErrFull || n == 0 || n >= DefaultMaxPending {
		t.Fatalf("Write = %d, %v; want a part and ErrFull", n, err)
	}
	checkCount(t, c, n)
	_, err = c.Write([]byte{1})
	wantErr(t, "Write", err, ErrFull)
}

// TestWriteRaces closes connections that several goroutines write to.
func TestWriteRaces(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		b := NewBudget(8<<20, 0)
		var accepted atomic.Int64
		var conns []*Conn
		for range 8 {
			c, peer := l.open(t, Options{Budget: b, LowWater: 1000, OnDrained: func() {}})
			conns = append(conns, c)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					for range 100 {
						n, err := c.Write(make([]byte, 1+i*997))
						accepted.Add(int64(n))
						if err != nil && err != ErrFull {
							return
						}
						_, _ = c.Pending(), c.Sent()
					}
				})
			}
			wg.Go(func() { _, _ = io.CopyN(io.Discard, peer, 50_000) })
			wg.Go(func() { _ = c.WaitReadable() })
			wg.Go(func() {
				for c.Sent() < 40_000 {
					_, _ = c.Write([]byte{1})
				}
				_ = c.Close()
			})
			wg.Wait()
		}
		for _, c := range conns {
			await(t, c.Done(), "the end")
		}
		if n := b.Total(); n != 0 {
			t.Errorf("%d bytes accounted after the end", n)
		}
		if accepted.Load() == 0 {
			t.Error("nothing written")
		}
	})
}
