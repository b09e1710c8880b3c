package sasl2_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
