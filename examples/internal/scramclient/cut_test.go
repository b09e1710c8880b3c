package scramclient

import (
	"encoding/json"
	"flag"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// tale is a login whose connection breaks, and what is before it.
type tale struct {
	name string
	each bool // octet, always: one of each kind
	with config
	// begins leads to the login, and comes back when the connection is broken and
	// there is no other yet.
	begins func(x *telling)
	// password says that it is by password, goesOn that the program has a session all
	// the time, resumed that it is the same.
	password, goesOn, resumed bool
	// begun is how many sessions it has in all.
	begun int
	// restarts has another process of the program go on when the connection is broken.
	restarts bool
}

// telling is one run of a tale.
type telling struct {
	*site
	tale
	cuts     []cut
	romeo    *muxtest.Client
	toJuliet []string // what was written, by ids
	toRomeo  []string
	id       mux.SessionID // of the session, if there is one before
	number   int           // of the connection that breaks first
	pulled   bool          // one that works was given up for another process
}

var tales = []tale{
	{name: "password", each: true, begins: (*telling).first, password: true, begun: 1},
	{name: "password and upgrade", with: config{upgrades: true}, begins: (*telling).first, password: true, begun: 1},
	{name: "password in one flight", with: config{pipelines: true}, begins: (*telling).forgotten, password: true, begun: 2},
	{name: "token", each: true, begins: (*telling).again, begun: 2},
	{name: "token in one flight", with: config{pipelines: true}, begins: (*telling).again, begun: 2},
	{name: "token in another process", begins: (*telling).again, begun: 2, restarts: true},
	{name: "resumed", each: true, begins: (*telling).back, goesOn: true, resumed: true, begun: 1},
	{name: "resumed in one flight", with: config{pipelines: true}, begins: (*telling).back, goesOn: true, resumed: true, begun: 1},
	{name: "resumed in another process", begins: (*telling).back, goesOn: true, resumed: true, begun: 2, restarts: true},
	{name: "resumed by password", with: config{noTokens: true}, begins: (*telling).back, password: true, goesOn: true, resumed: true, begun: 1},
	{name: "not resumed", begins: (*telling).late, goesOn: true, begun: 2},
	{name: "not resumed in one flight", with: config{pipelines: true}, begins: (*telling).late, goesOn: true, begun: 2},
}

// first: the program has never been there.
func (x *telling) first() {
	x.connects()
	x.runs(nil)
	pass(500 * time.Millisecond)
}

// again: it comes with a token that is to be replaced, and has no session.
func (x *telling) again() {
	x.runs(nil)
	pass(time.Minute)
	x.ends()
	x.writesToJuliet("away")
	pass(time.Minute)
	x.first()
}

// forgotten: it has lost its token.
func (x *telling) forgotten() {
	x.runs(nil)
	pass(time.Minute)
	x.ends()
	x.login.options.State.Tokens = nil
	x.first()
}

// back: its connection was lost, and the network with it for a while. Some stanzas
// were handled and not acknowledged, others were not delivered. Its token is to be
// replaced.
func (x *telling) back() {
	x.runs(nil)
	pass(2 * time.Minute)
	x.id = x.bound()[0].ID()
	x.writesToJuliet("before")
	x.writes("before")
	x.breaks(true)
	x.writesToJuliet("down")
	x.writes("down")
	pass(2500 * time.Millisecond)
	x.connects()
	pass(time.Second)
}

// late: it was away for too long.
func (x *telling) late() {
	x.runs(nil)
	pass(2 * time.Minute)
	x.id = x.bound()[0].ID()
	x.writesToJuliet("before")
	pass(time.Minute) // until it is acknowledged: else it would come again
	x.writes("before")
	x.breaks(true)
	x.writesToJuliet("down")
	x.writes("down")
	pass(90*time.Second + 500*time.Millisecond)
	x.connects()
	pass(time.Second)
}

// connects has the network be there, with connections that break.
func (x *telling) connects() {
	x.number = len(x.now().wires) + 1
	x.comesBack(x.cuts)
}

// pass lets time pass, and all that is due in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (x *telling) writesToJuliet(id string) {
	x.toJuliet = append(x.toJuliet, x.site.toJuliet(x.romeo, id)...)
}

// writes has juliet write to romeo. A session that is over, as she knows, takes nothing.
func (x *telling) writes(id string) {
	x.t.Helper()
	_, err := x.now().session.Conn().Write([]byte("<message to='" + romeoFull + "' type='chat' id='" + id + "'><body>x</body></message>"))
	synctest.Wait()
	switch {
	case err == nil:
		x.toRomeo = append(x.toRomeo, id)
	case x.resumed:
		x.t.Error(err)
	}
}

// tell tells a tale in which connections break. It returns what the first of them has
// carried by then.
func tell(t *testing.T, k *keys, what tale, cuts ...cut) (in string, out int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &telling{site: newSite(t, k, what.with), tale: what, cuts: cuts}
		x.romeo = x.host.Connect(t, romeoFull)
		defer x.report()
		x.begins(x)
		in, out = x.now().wires[x.number-1].carried()
		x.meanwhile()
		x.isThere()
		x.later()
	})
	return in, out
}

// report says where it was cut, if something is wrong.
func (x *telling) report() {
	if !x.t.Failed() {
		return
	}
	x.t.Logf("cuts (writing, after): %v", x.cuts)
	for i, w := range x.now().wires {
		in, _ := w.carried()
		x.t.Logf("connection %d: %s", i+1, in)
	}
}

// meanwhile: the connection is broken, and what the server made of the login nobody
// knows.
func (x *telling) meanwhile() {
	x.t.Helper()
	before := x.now()
	in, _ := before.wires[x.number-1].carried()
	knows := strings.Contains(in, "</success>")
	x.writesToJuliet("meanwhile")
	if x.goesOn {
		x.writes("meanwhile")
	}
	if x.restarts {
		x.restart()
	}
	pass(time.Minute)
	if !x.with.noTokens && x.now().asked != before.asked && (knows || !x.password) {
		x.t.Errorf("the password was needed in place of the token")
	}
}

// restart has another process go on with what this one has kept.
func (x *telling) restart() {
	x.t.Helper()
	before := x.now()
	x.pulled = len(x.cuts) == 0 || len(before.wires) > x.number
	session := x.client.Detach()
	<-x.ended
	kept, err := json.Marshal(x.login.options.State)
	if err != nil {
		x.t.Fatal(err)
	}
	x.installs()
	x.begun = before.started + 1
	if err := json.Unmarshal(kept, &x.login.options.State); err != nil {
		x.t.Fatal(err)
	}
	x.runs(session)
}

// isThere: by the next login that is not cut the program is there, with what both have
// written, and nothing is left of the others (INV-1 to INV-4).
func (x *telling) isThere() {
	x.t.Helper()
	if all := x.bound(); len(all) != 1 || x.resumed && all[0].ID() != x.id {
		x.t.Errorf("there are %d sessions", len(all))
	}
	now := x.now()
	logins := len(x.cuts)
	if x.pulled {
		logins++
	}
	if n := len(now.wires) - x.number; n != logins {
		x.t.Errorf("it has taken %d logins more, want %d", n, logins)
	}
	if now.started != x.begun {
		x.t.Fatalf("%d sessions have begun", now.started)
	}
	x.writesToJuliet("last")
	x.writes("last")
	pass(time.Minute) // until all is acknowledged
	x.expect("romeo has seen", got(x.t, x.romeo), x.toRomeo)
	seen := x.now().seen
	if !x.resumed { // what was stored comes behind what was for the new session itself
		slices.Sort(seen)
		slices.Sort(x.toJuliet)
	}
	x.expect("juliet has seen", seen, x.toJuliet)
	if n := x.client.Pending(); len(n) != 0 {
		x.t.Errorf("not acknowledged to the client: %v", n)
	}
	if n := x.sm.Stats(); n.Queued != 0 || n.Waiting != 0 {
		x.t.Errorf("the server has %+v", n)
	}
}

// later: what the program has kept of the logins is enough for another one, and
// nothing is left of any.
func (x *telling) later() {
	x.t.Helper()
	x.ends()
	pass(2 * time.Minute)
	if n := len(x.bound()); n != 0 {
		x.t.Errorf("%d sessions are left", n)
	}
	asked := x.now().asked
	x.runs(nil)
	pass(time.Minute)
	now := x.now()
	if !x.with.noTokens && now.asked != asked {
		x.t.Error("later the password was needed")
	}
	if len(x.bound()) != 1 || now.started != x.begun+1 {
		x.t.Error("later it does not get in")
	}
	x.ends()
	if n := x.sm.Stats(); len(x.bound()) != 0 || n.Queued != 0 || n.Waiting != 0 {
		x.t.Errorf("in the end the server has %+v", n)
	}
}

// whole tells a tale in which nothing breaks. It returns what the client has read and
// written in the login, and where the success is in it.
func whole(t *testing.T, k *keys, what tale) (read string, begin, end, written int) {
	t.Helper()
	read, written = tell(t, k, what)
	begin, end = strings.Index(read, "<success"), strings.Index(read, "</success>")+len("</success>")
	if begin < 0 || end < begin {
		t.Fatalf("no success in %s", read)
	}
	success := read[begin:end]
	for part, want := range map[string]bool{
		"<token ": !what.with.noTokens, "<resumed ": what.resumed, "<failed ": what.goesOn && !what.resumed, "<bound ": !what.resumed,
	} {
		if strings.Contains(success, part) != want {
			t.Fatalf("%s: %t, in %s", part, !want, success)
		}
	}
	return read, begin, end, written
}

var every = flag.Int("every", 0, "after every how many octets connections are cut, 0 for what takes seconds")

// sweep breaks the connection of a tale after octets of a range, step by step.
func sweep(t *testing.T, k *keys, what tale, writing bool, from, to, step int) {
	t.Helper()
	if *every > 0 {
		step = *every
	}
	for after := from; after < to; after += step {
		tell(t, k, what, cut{writing, after})
	}
}

// TestFI52ClientCutInsideSuccess breaks the connection of each kind of login after
// octets of the success that the client reads, those of three after every one. The
// program gets in by the next login, with the session it had where there is one, and with
// whatever token it has; nothing is lost, and nothing comes twice.
func TestFI52ClientCutInsideSuccess(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	for _, what := range tales {
		t.Run(what.name, func(t *testing.T) {
			t.Parallel()
			read, begin, end, _ := whole(t, k, what)
			step := 1
			if raceEnabled || testing.Short() || !what.each {
				step = 29
			}
			sweep(t, k, what, false, begin, end, step)
			sweep(t, k, what, false, end, len(read), 3*step) // features, or what comes again
		})
	}
}

// TestFI52ClientCutInsideLogin does so with what is before it, in both directions.
func TestFI52ClientCutInsideLogin(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	for _, what := range tales {
		t.Run(what.name, func(t *testing.T) {
			t.Parallel()
			_, begin, _, written := whole(t, k, what)
			step := 97
			if raceEnabled || testing.Short() {
				step = 211
			}
			sweep(t, k, what, false, 0, begin, step)
			sweep(t, k, what, true, 0, written, step)
		})
	}
}

// TestFI52ClientCutAgainAndAgain breaks four connections in a row inside the success, so
// that the server issues token after token that nobody gets.
func TestFI52ClientCutAgainAndAgain(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	for _, what := range tales {
		if what.with.upgrades {
			continue // it has nothing more to upgrade, and so says less the next time
		}
		t.Run(what.name, func(t *testing.T) {
			t.Parallel()
			_, begin, end, _ := whole(t, k, what)
			at := func(n int) cut { return cut{after: begin + n*(end-begin)/4} }
			tell(t, k, what, at(1), at(2), at(3), at(3))
			tell(t, k, what, at(3), at(1), at(4), at(2))
			tell(t, k, what, at(4), at(4), at(4), at(4))
		})
	}
}
