package sasl2_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
)

// TestClientsDefault: 32 clients of an account are known if nothing else is said
// (auth-register FT-7, §5).
func TestClientsDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		token, _ := site.issue()
		for i := range 32 {
			time.Sleep(time.Minute)
			if i == 31 {
				site.expectUse(attempt{token: token}, "") // with 31 others
				time.Sleep(time.Minute)
			}
			p := site.connect()
			p.run(fmt.Sprintf("C: {romeo}\nC: {plain}<user-agent id='00000000-0000-4000-8000-0000000000%02d'/>{end}\n", i) + success)
			p.stop()
		}
		if list, _ := site.store.Clients(t.Context(), romeo); len(list) != 32 {
			t.Errorf("%d clients", len(list))
		}
	})
}

// TestLabels: what an installation calls itself is cut after 256 characters
// (auth-register S2-12).
func TestLabels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}<user-agent id='00000000-0000-4000-8000-000000000000'><software>" + strings.Repeat("ä", 256) +
			"</software><device>" + strings.Repeat("ä", 257) + "</device></user-agent>{end}\n" + success)
		list, err := site.store.Clients(t.Context(), romeo)
		if want := strings.Repeat("ä", 256); err != nil || len(list) != 1 || list[0].Software != want || list[0].Device != want {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// onlySASL is a SASL and nothing else: it tells neither how accounts are nor of bindings.
type onlySASL struct{ sasl2.SASL }

// TestBareSASL: with it nobody gets a token, and clients are known all the same.
func TestBareSASL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(sasl2.Memory)
		x := sasl2.New(onlySASL{newAuth()}, store, nil)
		s := &site{t: t, x: x, store: store, conn: negotiate.ConnOptions{Trusted: true}}
		s.host = muxtest.New(t, &mux.Options{NoRecover: true}, negotiate.Extension(), x)
		s.host.AddAccount("romeo@example.net")
		s.n = negotiate.New(s.host.Mux(), nil)
		if got := offers(t, s, "{romeo}"); strings.Contains(got, "<fast") || strings.Contains(got, "<upgrade") {
			t.Errorf("offered %s", got)
		}
		p := s.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}" + wants + "<bind{bind2}/>{end}\nS: {ok}{full}<bound{bind2}></bound></success>{bound}")
		if list, err := x.Devices(t.Context(), s.host.Mux(), romeo); err != nil || len(list) != 1 || !list[0].Connected || list[0].Token {
			t.Errorf("%+v, %v", list, err)
		}
		s.expectUse(attempt{token: "x"}, "invalid-mechanism")
	})
}

// TestAgentIDs: what is no UUID of version 4 is no id (auth-register S2-12).
func TestAgentIDs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]int{
		"": 0, "x": 0, "00000000-0000-1000-8000-000000000000": 0, "00000000-0000-4000-7000-000000000000": 0,
		"g0000000-0000-4000-8000-000000000000": 0, "0000000000-00-4000-8000-000000000000": 0, "00000000-0000-4000-8000-00000000000": 0,
		"00000000-0000-4000-8000-0000000000000": 0, "ABCDEF00-0000-4000-B000-000000000000": 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			site := fasts(t)
			p := site.connect()
			defer p.stop()
			p.run("C: {romeo}\nC: {plain}<user-agent id='" + id + "'/>{end}\n" + success)
			if list, err := site.store.Clients(t.Context(), romeo); err != nil || len(list) != want {
				t.Errorf("%s: %d clients, %v", id, len(list), err)
			}
		})
	}
}
