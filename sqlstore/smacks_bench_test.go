package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
	"modernc.org/sqlite"
)

// countCommits counts the transactions that the database commits from now on.
func countCommits(tb testing.TB, d *DB) *atomic.Int64 {
	n := new(atomic.Int64)
	err := d.do(tb.Context(), func(_ context.Context, tx *Tx) error {
		return tx.conn.Raw(func(c any) error {
			c.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
				n.Add(1)
				return 0
			})
			return nil
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	n.Store(0)
	return n
}

// quietConn is a connection that tells when something is written to it.
type quietConn struct{ wrote chan struct{} }

func (c quietConn) Write([]byte) error {
	select {
	case c.wrote <- struct{}{}:
	default:
	}
	return nil
}

func (c quietConn) Pending() int { return 0 }
func (c quietConn) Close(error)  {}

// resumable is a host with so many sessions that can be resumed, on a database.
func resumable(tb testing.TB, d *DB, n int) (*muxtest.Host, []*mux.Stream) {
	h := muxtest.NewHost(tb)
	m, err := mux.New(h, &mux.Options{Sessions: d.Sessions(), Committer: d}, smacks.New(d.StreamManagement(), nil))
	if err != nil {
		tb.Fatal(err)
	}
	if err := m.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	streams := make([]*mux.Stream, n)
	for i := range streams {
		c := quietConn{make(chan struct{}, 1)}
		a := mux.MustParseAddress(fmt.Sprintf("user%d@example.net", i))
		h.AddAccount(a.String())
		st := m.NewStream(c, mux.Client)
		st.SetAccount(a)
		if _, err := st.Bind(tb.Context(), &mux.BindOptions{Resource: "x"}); err != nil {
			tb.Fatal(err)
		}
		say(tb, st, "<presence/>")
		say(tb, st, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		streams[i] = st
	}
	for _, st := range streams {
		<-st.Conn().(quietConn).wrote // enabled
	}
	return h, streams
}

func say(tb testing.TB, st *mux.Stream, text string) {
	s, err := mux.Parse([]byte(text))
	if err == nil {
		err = st.Receive(context.Background(), s)
	}
	st.Flush()
	if err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkRestoreSessions is the start of a mux with 10,000 sessions that can be
// resumed, each with a message that was not acknowledged.
func BenchmarkRestoreSessions(b *testing.B) {
	const n = 10_000
	path := filepath.Join(b.TempDir(), "db")
	d, err := Open(b.Context(), path, nil)
	if err != nil {
		b.Fatal(err)
	}
	_, streams := resumable(b, d, n)
	m := streams[0].Mux()
	for i, st := range streams {
		say(b, st, fmt.Sprintf("<message to='user%d@example.net/x' type='chat'><body>Wherefore art thou, Romeo?</body></message>", (i+1)%n))
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := m.Shutdown(ctx); err != nil {
		b.Fatal(err)
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	h := muxtest.NewHost(b)
	for i := range n {
		h.AddAccount(fmt.Sprintf("user%d@example.net", i))
	}
	for b.Loop() {
		d, err := Open(b.Context(), path, nil)
		if err != nil {
			b.Fatal(err)
		}
		x := smacks.New(d.StreamManagement(), nil)
		m, err := mux.New(h, &mux.Options{Sessions: d.Sessions(), Committer: d}, x)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if got := x.Stats(); got.Restored != n || got.Queued != n {
			b.Fatalf("got %+v", got)
		}
		if err := d.Close(); err != nil { // as if it was killed
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkDurableMessage is a chat message to a session that can be resumed, sent
// one after another, each when the one before is durable and on the wire; and what
// that costs in commits.
func BenchmarkDurableMessage(b *testing.B) {
	d := temp(b, &Options{Linger: 0})
	_, streams := resumable(b, d, 2)
	commits := countCommits(b, d)
	wrote := streams[1].Conn().(quietConn).wrote
	n := 0
	for b.Loop() {
		say(b, streams[0], "<message to='user1@example.net/x' type='chat'><body>Wherefore art thou, Romeo?</body></message>")
		<-wrote
		if n++; n%10 == 0 {
			say(b, streams[1], fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n))
		}
	}
	b.ReportMetric(float64(commits.Load())/float64(n), "commits/msg")
}

// takingConn is a connection whose client acknowledges what it gets, now and then.
type takingConn struct {
	n    atomic.Int64
	all  *sync.WaitGroup // of messages
	owes chan int64
}

func (c *takingConn) Write(p []byte) error {
	got := int64(bytes.Count(p, []byte("<message")))
	if n := c.n.Add(got); n/10 != (n-got)/10 {
		select {
		case c.owes <- n / 10 * 10:
		default: // the next will do
		}
	}
	c.all.Add(-int(got))
	return nil
}

func (c *takingConn) Pending() int { return 0 }
func (c *takingConn) Close(error)  {}

// BenchmarkDurableFull is the same with so many senders, who send as fast as they may:
// a stanza counts as in progress until it is durable, and of those a client may have 64.
// Each commit costs a disk one fsync (of the log, in WAL mode with synchronous=FULL),
// and one more now and then for what goes from the log to the file.
func BenchmarkDurableFull(b *testing.B) {
	for _, senders := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) { durableFull(b, senders) })
	}
}

func durableFull(b *testing.B, senders int) {
	d := temp(b, nil)
	_, streams := resumable(b, d, senders)
	h, all := streams[0].Mux(), new(sync.WaitGroup)
	var readers sync.WaitGroup
	takers := make([]*takingConn, senders)
	for i := range takers {
		c := &takingConn{all: all, owes: make(chan int64, 1)}
		st := h.NewStream(c, mux.Client)
		st.SetAccount(mux.MustParseAddress(fmt.Sprintf("user%d@example.net", i)))
		if _, err := st.Bind(b.Context(), &mux.BindOptions{Resource: "y"}); err != nil {
			b.Fatal(err)
		}
		say(b, st, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		takers[i] = c
		readers.Go(func() {
			for n := range c.owes {
				say(b, st, fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n))
			}
		})
	}
	commits := countCommits(b, d)
	each := max(b.N/senders, 1)
	all.Add(each * senders)
	b.ReportAllocs()
	b.ResetTimer()
	var sending sync.WaitGroup
	for i, st := range streams {
		text := fmt.Sprintf("<message to='user%d@example.net/y' type='chat'><body>Wherefore art thou, Romeo?</body></message>", i)
		sending.Go(func() {
			for range each {
				say(b, st, text)
			}
		})
	}
	sending.Wait()
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(commits.Load())/float64(each*senders), "commits/msg")
	for _, c := range takers {
		close(c.owes)
	}
	readers.Wait()
}

// However many messages wait for it, a group of them costs one commit: what each of
// them writes about its sender and its recipient is in that.
func TestGroupCommits(t *testing.T) {
	d := temp(t, nil)
	_, streams := resumable(t, d, 40)
	settled(t, d)
	commits := countCommits(t, d)
	release := block(t, d)
	for i, st := range streams {
		for range 5 {
			say(t, st, fmt.Sprintf("<message to='user%d@example.net/x' type='chat'><body>Wherefore art thou, Romeo?</body></message>", (i+1)%len(streams)))
		}
	}
	if n := commits.Load(); n != 0 {
		t.Fatalf("%d commits although the writer is held up", n)
	}
	release()
	settled(t, d)
	// That of the one that was in the way, that of all, and that of settled.
	if n := commits.Load(); n > 3 {
		t.Errorf("%d commits for %d messages that waited together", n, 5*len(streams))
	}
	saved, err := d.StreamManagement().Load(t.Context(), time.Now())
	must(t, err)
	entries := 0
	for _, s := range saved {
		entries += len(s.Entries)
		if s.Counters.Handled == 0 {
			t.Error("that a session's stanzas are handled is not noted")
		}
	}
	if entries != 5*len(streams) {
		t.Errorf("%d entries are kept", entries)
	}
}

// settled waits until all is written that was submitted.
func settled(t *testing.T, d *DB) {
	t.Helper()
	must(t, d.do(t.Context(), nil))
}
