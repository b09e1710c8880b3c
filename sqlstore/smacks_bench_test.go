package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

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

// commits counts them.
type commits struct {
	*DB
	n atomic.Int64
}

// Notify implements mux.Committer.
func (c *commits) Notify(f func(uint64, error)) {
	c.DB.Notify(func(batch uint64, err error) {
		c.n.Add(1)
		f(batch, err)
	})
}

// resumable is a host with so many sessions that can be resumed, on a database.
func resumable(tb testing.TB, d *DB, c mux.Committer, n int) (*muxtest.Host, []*mux.Stream) {
	h := muxtest.NewHost(tb)
	m, err := mux.New(h, &mux.Options{Sessions: d.Sessions(), Committer: c}, smacks.New(d.StreamManagement(), nil))
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
	_, streams := resumable(b, d, d, n)
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
	counts := &commits{DB: d}
	_, streams := resumable(b, d, counts, 2)
	wrote := streams[1].Conn().(quietConn).wrote
	before := counts.n.Load()
	n := 0
	for b.Loop() {
		say(b, streams[0], "<message to='user1@example.net/x' type='chat'><body>Wherefore art thou, Romeo?</body></message>")
		<-wrote
		if n++; n%10 == 0 {
			say(b, streams[1], fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n))
		}
	}
	b.ReportMetric(float64(counts.n.Load()-before)/float64(n), "commits/msg")
}
