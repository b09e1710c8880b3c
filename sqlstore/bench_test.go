package sqlstore

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
)

// BenchmarkCommit has submitters that wait for the end of each submission, a
// session saved, before the next, as streams do that wait for credit.
func BenchmarkCommit(b *testing.B) {
	for _, linger := range []time.Duration{0, time.Millisecond} {
		for _, submitters := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("linger=%v/submitters=%d", linger, submitters), func(b *testing.B) {
				d := temp(b, &Options{Linger: linger})
				waiting := make(map[uint64]chan<- error)
				var mu sync.Mutex // guards waiting; held over Submit, so that none ends unknown
				d.Notify(each(func(n uint64, err error) {
					mu.Lock()
					ch := waiting[n]
					delete(waiting, n)
					mu.Unlock()
					ch <- err
				}))
				data := make([]byte, 200)
				jid := mux.MustParseAddress("juliet@example.net/balcony")
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range submitters {
					n := b.N / submitters
					if i < b.N%submitters {
						n++
					}
					wg.Go(func() {
						ended := make(chan error, 1)
						saved := mux.SavedSession{ID: fmt.Sprintf("%032d", i), JID: jid, Data: data}
						writes := make([]mux.Write, 1)
						for range n {
							writes[0] = d.Sessions().Save(saved)
							mu.Lock()
							waiting[d.Submit(writes)] = ended
							mu.Unlock()
							if err := <-ended; err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
			})
		}
	}
}

// BenchmarkSubmit is the price the one who submits pays.
func BenchmarkSubmit(b *testing.B) {
	d := temp(b, nil)
	writes := []mux.Write{func(context.Context, mux.Tx) error { return nil }}
	b.ReportAllocs()
	for i := range b.N {
		d.Submit(writes)
		if i%1000 == 999 { // as credit bounds it
			b.StopTimer()
			must(b, d.settle(b.Context()))
			b.StartTimer()
		}
	}
}

func BenchmarkRosterLoad(b *testing.B) {
	for _, contacts := range []int{50, 1000} {
		b.Run(fmt.Sprint(contacts), func(b *testing.B) {
			d := temp(b, nil)
			juliet := mux.MustParseAddress("juliet@example.net")
			var writes []mux.Write
			for i := range contacts {
				writes = append(writes, d.Rosters().Put(juliet, roster.Item{
					JID: mux.MustParseAddress(fmt.Sprintf("contact%04d@example.org", i)), Name: fmt.Sprintf("Contact %d", i),
					Groups: []string{"Friends"}, Subscription: roster.Both, Listed: true, Ver: uint64(i) + 1,
				}))
			}
			d.Submit(writes)
			must(b, d.settle(b.Context()))
			b.ReportAllocs()
			for b.Loop() {
				r, err := d.Rosters().Load(b.Context(), juliet)
				if err != nil || len(r.Items) != contacts {
					b.Fatalf("%d items, error %v", len(r.Items), err)
				}
			}
		})
	}
}

func BenchmarkCredentials(b *testing.B) {
	a := temp(b, nil).Accounts()
	_, err := a.Create(b.Context(), "juliet@example.net", credentials(16, 4096))
	must(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Credentials(b.Context(), "juliet@example.net"); err != nil {
			b.Fatal(err)
		}
	}
}
