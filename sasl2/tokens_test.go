package sasl2_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

const (
	expr, none = "HT-SHA-256-EXPR", "HT-SHA-256-NONE"
	wants      = "{agent}<request-token{fast} mechanism='HT-SHA-256-EXPR'/>"
	gets       = "S: {ok}{is}{token}</success>{ready}\n"
	agentB     = "<user-agent id='00000000-0000-4000-8000-000000000000'/>"
)

// fasts is a site with the binding tls-exporter.
func fasts(t *testing.T, with ...func(*setup)) *site {
	s := setup{auth: newAuth()}
	s.auth.bindings = map[string]string{"tls-exporter": "data"}
	for _, f := range with {
		f(&s)
	}
	return newSite(t, s)
}

// issue logs in with the password and asks for a token.
func (s *site) issue() (token, expiry string) {
	s.t.Helper()
	p := s.connect()
	defer p.stop()
	p.run("C: {romeo}\nC: {plain}" + wants + "{end}\n" + gets)
	return p.token, p.expiry
}

// attempt is a login with a token.
type attempt struct {
	header    string // {romeo}
	user      string // romeo
	mechanism string // HT-SHA-256-EXPR
	data      string // of the channel binding: data with EXPR
	agent     string // {agent}
	attrs     string // of fast
	children  string
	token     string
}

func (a attempt) text() string {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&a.user, "romeo")
	def(&a.mechanism, expr)
	def(&a.agent, "{agent}")
	m, ok := sasl2.ParseHT(a.mechanism)
	if !ok {
		panic(a.mechanism)
	}
	if a.data == "" && m.Binding() != "" {
		a.data = "data"
	}
	initial := base64.StdEncoding.EncodeToString(m.Initial(a.user, a.token, []byte(a.data)))
	return "<authenticate{2} mechanism='" + a.mechanism + "'><initial-response>" + initial + "</initial-response>" +
		a.agent + "<fast{fast}" + a.attrs + "/>" + a.children + "{end}"
}

// use makes an attempt on a stream of its own and returns what comes of it:
// a condition, or "" for success.
func (s *site) use(a attempt) (condition string, p *peer) {
	s.t.Helper()
	if a.header == "" {
		a.header = "{romeo}"
	}
	p = s.connect()
	defer p.stop()
	p.run("C: " + a.header + "\n")
	p.send(a.text())
	got := p.take()
	m := sasl2HT(a)
	if rest, ok := strings.CutPrefix(got, expand("{ok}<additional-data>"+m+"</additional-data>")); ok {
		if !strings.Contains(rest, expand("</success>")) {
			s.t.Errorf("got %s", got)
		}
		return "", p
	}
	condition, ok := strings.CutPrefix(got, expand("<failure{2}><"))
	if !ok {
		s.t.Fatalf("got %s", got)
	}
	condition, _, _ = strings.Cut(condition, " ")
	return condition, p
}

// sasl2HT is what the server has to say to prove that it has the token.
func sasl2HT(a attempt) string {
	name, data := a.mechanism, a.data
	if name == "" {
		name = expr
	}
	m, _ := sasl2.ParseHT(name)
	if data == "" && m.Binding() != "" {
		data = "data"
	}
	return base64.StdEncoding.EncodeToString(m.Response(a.token, []byte(data)))
}

func (s *site) expectUse(a attempt, want string) *peer {
	s.t.Helper()
	got, p := s.use(a)
	if got != want {
		s.t.Errorf("%+v: got %q, want %q", a, got, want)
	}
	return p
}

// TestToken: XEP-0484 §3.3 to §3.5, auth-register FT-1 to FT-7.
func TestToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		token, expiry := site.issue()
		if want := time.Now().Add(21 * 24 * time.Hour).UTC().Format(time.RFC3339); expiry != want || len(token) != 43 {
			t.Errorf("token %s until %s, want %s", token, expiry, want)
		}
		p := site.expectUse(attempt{token: token}, "")
		if p.token != "" {
			t.Error("a new token is rotated")
		}
		site.expectUse(attempt{token: token, header: strings.Replace(expand("{romeo}"), "romeo", "ROMEO", 1), user: "Romeo"}, "")

		// Rotation: what was in use stays so until the new one is used.
		time.Sleep(24*time.Hour + time.Second)
		second := site.expectUse(attempt{token: token}, "").token
		if second == "" || second == token {
			t.Fatalf("second token %q", second)
		}
		third := site.expectUse(attempt{token: token}, "").token
		site.expectUse(attempt{token: second}, "not-authorized") // was not used
		site.expectUse(attempt{token: token}, "")
		fourth := site.expectUse(attempt{token: token}, "").token
		site.expectUse(attempt{token: third}, "not-authorized")
		site.expectUse(attempt{token: fourth}, "")
		site.expectUse(attempt{token: token}, "not-authorized")
		site.expectUse(attempt{token: fourth}, "")

		// The end of its life.
		time.Sleep(21 * 24 * time.Hour)
		site.expectUse(attempt{token: fourth}, "credentials-expired")
	})
}

// TestTokenScope: a token is good for its account, client, mechanism and channel
// (auth-register FT-3, FT-11, scenario 23).
func TestTokenScope(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		token, _ := site.issue()
		for _, a := range []attempt{
			{agent: agentB},
			{agent: "<user-agent/>"},
			{mechanism: none},
			{data: "of another connection"},
			{header: "{open}"},
			{header: strings.Replace(expand("{romeo}"), "romeo", "mallory", 1), user: "mallory"},
			{header: strings.Replace(expand("{romeo}"), "romeo", "mallory", 1)},
			{header: strings.Replace(expand("{romeo}"), "romeo", "nobody", 1), user: "nobody"},
			{user: "mallory"}, {user: "a@b"}, {user: "romeo@example.net"}, {user: "@"},
			{token: token + "x"},
			{token: "x"},
		} {
			if a.token == "" {
				a.token = token
			}
			site.expectUse(a, "not-authorized")
		}
		site.expectUse(attempt{token: token, mechanism: "HT-SHA-256-ENDP"}, "invalid-mechanism") // has no data here
		site.expectUse(attempt{token: token, mechanism: "HT-SHA-512-NONE"}, "invalid-mechanism")
		site.expectUse(attempt{token: token}, "") // all that has done no harm
		// An empty slot is no token.
		site.expectUse(attempt{token: "", agent: agentB}, "not-authorized")
	})
}

// TestTokenMessages that are none.
func TestTokenMessages(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"<initial-response/>", "", "<initial-response>{64 romeo}</initial-response>", "<initial-response>{64 romeo\x00short}</initial-response>"} {
		synctest.Test(t, func(t *testing.T) {
			p := fasts(t).connect()
			defer p.stop()
			p.run("C: {romeo}\nC: <authenticate{2} mechanism='" + expr + "'>" + in + "{agent}<fast{fast}/>{end}\nS: {fail malformed-request}")
		})
	}
	for _, attrs := range []string{" count='-1'", " count='x'", " count='2147483648'", " count='1.0'", " invalidate='yes'"} {
		synctest.Test(t, func(t *testing.T) {
			site := fasts(t)
			token, _ := site.issue()
			site.expectUse(attempt{token: token, attrs: attrs}, "malformed-request")
		})
	}
}

// TestTokenRefused: no token without an installation, without from, for a
// mechanism that is not on offer, after EXTERNAL, or for an account that has
// changed meanwhile (auth-register FT-1, FT-16).
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, header, children string }{
		{"no installation", "{romeo}", "<request-token{fast} mechanism='" + expr + "'/>"},
		{"no UUID", "{romeo}", "<user-agent id='phone'/><request-token{fast} mechanism='" + expr + "'/>"},
		{"no from", "{open}", wants},
		{"mechanism without data", "{romeo}", "{agent}<request-token{fast} mechanism='HT-SHA-256-ENDP'/>"},
		{"unknown mechanism", "{romeo}", "{agent}<request-token{fast} mechanism='PLAIN'/>"},
		{"no mechanism", "{romeo}", "{agent}<request-token{fast}/>"},
		{"fast without a token mechanism", "{romeo}", "{agent}<fast{fast}/>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := fasts(t).connect()
				defer p.stop()
				p.run("C: " + tt.header + "\nC: {plain}" + tt.children + "{end}\n" + success)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := fasts(t).connect()
		defer p.stop()
		p.run("C: {romeo}\nC: <authenticate{2} mechanism='EXTERNAL'><initial-response>{64 romeo@example.net}</initial-response>" + wants + "{end}\n" + success)
	})
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		site.auth.changed = func() { site.auth.set("romeo@example.net", func(x *account) { x.generation++ }) }
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}" + wants + "{end}\n" + success)
	})
}

// TestTokenAfterTasks: none before the last task is done (auth-register FT-1).
func TestTokenAfterTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}" + wants + "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>{end}\nS: <continue{2}><tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>\n")
		if list, _ := site.store.Clients(t.Context(), romeo); len(list) != 0 {
			t.Errorf("kept already: %+v", list)
		}
		p.run("C: <next{2} task='UPGR-SCRAM-SHA-256'/>\nS: <task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>{64 salt of 16 octet}</salt></task-data>\n" +
			"C: <task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hash}</hash></task-data>\n" + gets)
		// And none of that with a token: it is no password (UG-3, scenario 25).
		q := site.connect()
		defer q.stop()
		q.run("C: {romeo}\n")
		q.send(attempt{token: p.token, children: "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>"}.text())
		if got := q.take(); !strings.HasPrefix(got, "<success") {
			t.Errorf("got %s", got)
		}
	})
}

var romeo = mux.MustParseAddress("romeo@example.net")

// TestTokenCount: auth-register FT-8, scenario 23.
func TestTokenCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		token, _ := site.issue()
		count := func(n int) attempt { return attempt{token: token, attrs: fmt.Sprintf(" count='%d'", n)} }
		site.expectUse(count(3), "")
		site.expectUse(count(3), "not-authorized")
		site.expectUse(count(2), "not-authorized")
		wrong := count(9)
		wrong.token = "x"
		site.expectUse(wrong, "not-authorized") // does not use the number up
		stale := count(9)
		stale.children = "<config-version xmlns='urn:xmpp:iap:0' value='x'/>"
		site.expectUse(stale, "aborted") // neither (scenario 37)
		site.expectUse(count(9), "")
		time.Sleep(25 * time.Hour)
		token = site.expectUse(count(10), "").token
		site.expectUse(count(1), "") // of a new token
	})
}

// TestTokenParallel: of two uses with the same count exactly one is accepted
// (scenario 23).
func TestTokenParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(together)
		site := fasts(t, func(s *setup) { s.store = store })
		token, _ := site.issue()
		store.ready = make(chan struct{})
		var peers []*peer
		for range 3 {
			p := site.connect()
			p.run("C: {romeo}\n")
			peers = append(peers, p)
		}
		for _, p := range peers {
			p.send(attempt{token: token, attrs: " count='1'"}.text())
		}
		synctest.Wait()
		close(store.ready)
		won := 0
		for _, p := range peers {
			switch got := p.take(); {
			case strings.HasPrefix(got, "<success"):
				won++
			case got != expand("{fail not-authorized}"):
				t.Errorf("got %s", got)
			}
			p.stop()
		}
		if won != 1 {
			t.Errorf("%d accepted, want 1", won)
		}
	})
}

// together is a store whose writes wait until ready is closed, so that everybody has
// read before anybody writes.
type together struct {
	sasl2.Memory
	ready chan struct{} // nil: nobody waits
}

func (s *together) Put(ctx context.Context, a mux.Address, c sasl2.Client, k sasl2.Keep) error {
	if s.ready != nil {
		<-s.ready
	}
	return s.Memory.Put(ctx, a, c, k)
}

// TestTokenInvalidate: auth-register FT-10.
func TestTokenInvalidate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		for _, value := range []string{"true", "1"} {
			token, _ := site.issue()
			time.Sleep(25 * time.Hour)
			if p := site.expectUse(attempt{token: token, attrs: " invalidate='" + value + "'"}, ""); p.token != "" {
				t.Error("a token for who gave his back")
			}
			site.expectUse(attempt{token: token}, "not-authorized")
		}
		token, _ := site.issue()
		p := site.expectUse(attempt{token: token, attrs: " invalidate='1'", children: "<request-token{fast} mechanism='" + expr + "'/>"}, "")
		site.expectUse(attempt{token: token}, "not-authorized")
		site.expectUse(attempt{token: p.token, attrs: " invalidate='false'"}, "")
		site.expectUse(attempt{token: p.token}, "")
	})
}

// TestTokenCredentials: tokens end with the password, and say nothing of an account
// to who has none (auth-register FT-11, FT-16, SA-11, scenario 24).
func TestTokenCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		token, _ := site.issue()
		name := romeo.String()
		site.auth.set(name, func(x *account) { x.disabled = true })
		site.expectUse(attempt{token: "x"}, "not-authorized")
		site.expectUse(attempt{token: token}, "account-disabled")
		site.auth.set(name, func(x *account) { x.disabled = false; x.generation++ })
		site.expectUse(attempt{token: token}, "credentials-expired")

		token, _ = site.issue()
		if err := site.host.Mux().Do(t.Context(), romeo, func(ctx context.Context, e *mux.Event) {
			if err := mux.Emit(ctx, e, mux.CredentialsChanged{}); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		site.expectUse(attempt{token: token}, "not-authorized")

		token, _ = site.issue()
		site.auth.mu.Lock()
		delete(site.auth.accounts, name)
		site.auth.mu.Unlock()
		site.expectUse(attempt{token: token}, "not-authorized")
		if err := site.host.Mux().RemoveAccount(t.Context(), romeo); err != nil {
			t.Fatal(err)
		}
		if list, err := site.store.Clients(t.Context(), romeo); err != nil || len(list) != 0 {
			t.Errorf("left %+v, %v", list, err)
		}
	})
}

// TestTokenSurvives: tokens are good after a restart with the same secret, and not
// with another.
func TestTokenSurvives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		token, _ := site.issue()
		site.restart()
		site.expectUse(attempt{token: token}, "")
		site.setup.opt.Secret[0]++
		site.restart()
		site.expectUse(attempt{token: token}, "not-authorized")
	})
}

// TestTokenReplay: what was captured of HT-*-NONE can be used again as long as the
// token lives and there is no count (scenario 23; XEP-0484 §6 says so), with a
// channel binding it cannot.
func TestTokenReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}" + strings.Replace(wants, expr, none, 1) + "{end}\n" + gets)
		captured := attempt{token: p.token, mechanism: none}
		site.expectUse(captured, "")
		site.expectUse(captured, "")
		captured.attrs = " count='1'"
		site.expectUse(captured, "")
		site.expectUse(captured, "not-authorized")
		bound, _ := site.issue()
		captured = attempt{token: bound}
		site.expectUse(captured, "")
		site.auth.bindings["tls-exporter"] = "of another connection"
		site.expectUse(captured, "not-authorized")
	})
}

// TestTokenBinds: the whole in one round trip.
func TestTokenBinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t, func(s *setup) { withMembers(s) })
		token, _ := site.issue()
		p := site.connect()
		defer p.stop()
		p.send("{romeo}" + attempt{token: token, attrs: " count='1'", children: "<bind{bind2}><tag>Hive</tag><enable{sm}/></bind>"}.text() + "<presence/>")
		p.expect("{ok}<additional-data>" + sasl2HT(attempt{token: token}) + "</additional-data>{full}<bound{bind2}><enabled{sm}/></bound></success>{bound}")
		if s := p.st.Session(); s == nil || !s.Available() {
			t.Error("what was sent behind is lost")
		}
	})
}

// failing is a store of which one method fails.
type failing struct {
	sasl2.Memory
	reads, writes bool
	conflicts     int
}

func (f *failing) Clients(ctx context.Context, a mux.Address) ([]sasl2.Client, error) {
	if f.reads {
		return nil, errors.New("down")
	}
	return f.Memory.Clients(ctx, a)
}

func (f *failing) Put(ctx context.Context, a mux.Address, c sasl2.Client, k sasl2.Keep) error {
	if f.conflicts > 0 {
		f.conflicts--
		return sasl2.ErrConflict
	}
	if f.writes {
		return errors.New("down")
	}
	return f.Memory.Put(ctx, a, c, k)
}

// TestStoreFails: nobody is let in without what is to be written, known and unknown
// accounts are answered alike, and no token is told that is not kept (scenario 38).
func TestStoreFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(failing)
		site := fasts(t, func(s *setup) { s.store = store })
		token, _ := site.issue()
		counted := attempt{token: token, attrs: " count='1'"}
		unknown := attempt{token: token, header: strings.Replace(expand("{romeo}"), "romeo", "nobody", 1), user: "nobody"}
		password := func(want string) {
			t.Helper()
			p := site.connect()
			defer p.stop()
			p.run("C: {romeo}\nC: {plain}" + wants + "<bind{bind2}/>{end}\nS: " + want)
		}
		store.reads = true
		site.expectUse(counted, "temporary-auth-failure")
		site.expectUse(unknown, "temporary-auth-failure")
		password("{fail temporary-auth-failure}")
		store.reads, store.writes = false, true
		site.expectUse(counted, "temporary-auth-failure")
		password("{fail temporary-auth-failure}")
		store.writes, store.conflicts = false, 5
		site.expectUse(counted, "temporary-auth-failure")
		store.conflicts = 5
		password("{fail temporary-auth-failure}")
		site.auth.down = errors.New("down")
		site.expectUse(counted, "temporary-auth-failure")
		site.expectUse(unknown, "temporary-auth-failure")
		site.auth.down = nil
		store.conflicts = 4
		site.expectUse(counted, "")
		store.conflicts = 4
		password("{ok}{full}<bound{bind2}></bound>{token}</success>{bound}")
		site.host.Settle()
		if n := len(site.host.Mux().Sessions(romeo)); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// TestSeen: a login that changes nothing is not written each time.
func TestSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		token, _ := site.issue()
		version := func() int64 {
			list, err := site.store.Clients(t.Context(), romeo)
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			return list[0].Version
		}
		site.expectUse(attempt{token: token}, "") // is promoted
		was := version()
		site.expectUse(attempt{token: token}, "")
		if version() != was {
			t.Error("written again")
		}
		time.Sleep(time.Hour)
		site.expectUse(attempt{token: token}, "")
		if version() == was {
			t.Error("the time is not written")
		}
		withPassword := func() {
			p := site.connect()
			defer p.stop()
			p.run("C: {romeo}\nC: {plain}{agent}{end}\nS: {ok}{is}</success>{ready}\n")
		}
		was = version()
		withPassword()
		if version() != was {
			t.Error("written again with the password")
		}
		time.Sleep(time.Hour)
		withPassword()
		if version() == was {
			t.Error("the time is not written with the password")
		}
	})
}

// TestClientsBound: auth-register FT-7.
func TestClientsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t, func(s *setup) { s.opt.MaxClients = 3 })
		token, _ := site.issue()
		for i := range 3 {
			time.Sleep(time.Minute)
			p := site.connect()
			p.run(fmt.Sprintf("C: {romeo}\nC: {plain}<user-agent id='00000000-0000-4000-8000-00000000000%d'/>{end}\n", i) + success)
			p.stop()
		}
		site.expectUse(attempt{token: token}, "not-authorized")
		if list, _ := site.store.Clients(t.Context(), romeo); len(list) != 3 {
			t.Errorf("%d clients", len(list))
		}
	})
}
