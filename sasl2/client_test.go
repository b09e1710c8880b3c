package sasl2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/sasl2"
)

const (
	askTest  = "S: {hello}{list}\nC: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent></authenticate>\n"
	whoTest  = "S: <challenge{2}>{64 who?}</challenge>\nC: <response{2}>{64 secret}</response>\n"
	bindTest = "S: {after}\n"
)

// bindsOld answers the older binding. Its id is random.
func bindsOld(f *fakeServer) {
	f.t.Helper()
	got := f.take()
	id, ok := strings.CutPrefix(got[strings.Index(got, "id=")+3:], `"`)
	if !ok || !strings.Contains(got, "<resource>") {
		f.t.Fatalf("client sent %s", got)
	}
	id, _, _ = strings.Cut(id, `"`)
	f.send("<iq type='result' id='" + id + "'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@example.net/old</jid></bind></iq>")
}

// TestClientLogin: header, features, login, and what comes behind it.
func TestClientLogin(t *testing.T) {
	t.Parallel()
	playClient(t, []clientScript{
		{name: "Bind 2", with: func(o *sasl2.ClientOptions) {
			o.Tag, o.Device = "tag<", "Phone & co"
			o.Enable = []string{"<enable xmlns='urn:xmpp:carbons:2'/>", "<inactive xmlns='urn:xmpp:csi:0'/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"}
		}, text: `
			S: {hello}{all}
			C: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent><device>Phone &amp; co</device></user-agent><bind{bind2}><tag>tag&lt;</tag><enable xmlns='urn:xmpp:carbons:2'/><enable{sm} resume='true'/></bind></authenticate>
			S: <challenge{2}>{64 who?}</challenge>
			C: <response{2}>{64 secret}</response>
			S: {ok}{proof}<authorization-identifier>romeo@example.net/tag/1</authorization-identifier><bound{bind2}><enabled{sm} id='r1' resume='true'/></bound></success><stream:features><sm{sm}/></stream:features>
		`, check: func(t *testing.T, f *fakeServer) {
			l := f.login
			if l.JID.String() != "romeo@example.net/tag/1" || !f.s.LocalAddr().Equal(l.JID) || l.Mechanism != "SCRAM-TEST" || l.Run == nil || l.SASL1 || l.Token {
				t.Errorf("login: %+v", l)
			}
			if l.Bound.Child("urn:xmpp:sm:3", "enabled").Attr("id") != "r1" || len(l.Features) != 1 {
				t.Errorf("bound: %+v", l)
			}
			if s := f.last(); !s.SASL2 || s.Agent == "" || s.Offer != nil {
				t.Errorf("state: %+v", s)
			}
		}},
		{name: "resumed", with: func(o *sasl2.ClientOptions) { o.Resume = "<resume xmlns='urn:xmpp:sm:3' previd='r1' h='12'/>" }, text: `
			S: {hello}{all}
			C: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><resume{sm} previd='r1' h='12'/><bind{bind2}></bind></authenticate>
			S: <challenge{2}>{64 who?}</challenge>
			C: <response{2}>{64 secret}</response>
			S: {ok}{proof}{is}<resumed{sm} h='4' previd='r1'/></success>
		`, check: func(t *testing.T, f *fakeServer) {
			// No features are waited for, and the address is that of before.
			if f.login.Resumed.Attr("h") != "4" || f.s.LocalAddr().String() != "romeo@example.net/garden" {
				t.Errorf("login: %+v as %s", f.login, f.s.LocalAddr())
			}
		}},
		{name: "not resumed", with: func(o *sasl2.ClientOptions) { o.Resume = "<resume xmlns='urn:xmpp:sm:3' previd='r1' h='12'/>" }, text: `
			S: {hello}{all}
			C: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><resume{sm} previd='r1' h='12'/><bind{bind2}></bind></authenticate>
			S: <challenge{2}>{64 who?}</challenge>
			C: <response{2}>{64 secret}</response>
			S: {ok}{proof}<authorization-identifier>romeo@example.net/2</authorization-identifier><failed{sm}/><bound{bind2}/></success><stream:features/>
		`, check: func(t *testing.T, f *fakeServer) {
			if f.login.Refused == nil || f.login.Resumed != nil || f.login.Bound == nil || f.login.JID.Resourcepart() != "2" {
				t.Errorf("login: %+v", f.login)
			}
		}},
		{name: "without state", with: func(o *sasl2.ClientOptions) { o.Save = nil }, text: `
			S: {hello}{all}
			C: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<bind{bind2}></bind></authenticate>
			S: <challenge{2}> {64 who?} </challenge>
			C: <response{2}>{64 secret}</response>
			S: {ok}{proof}<authorization-identifier>romeo@example.net/2</authorization-identifier><bound{bind2}/></success><stream:features/>
		`},
		{name: "another mechanism", text: askTest + `
			S: {fail not-authorized}
			C: <authenticate{2} mechanism='OTHER-TEST'>{first}<user-agent></user-agent></authenticate>
			S: {fail not-authorized}
		`, want: sasl2.ErrNotAuthorized, check: func(t *testing.T, f *fakeServer) {
			if r, ok := errors.AsType[*sasl2.RefusedError](f.err); !ok || r.Mechanism != "SCRAM-TEST" {
				t.Errorf("error %v", f.err)
			}
		}},
		{name: "nothing left", text: `
			S: {hello}{all}
			C: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind></authenticate>
			S: <failure{2}><not-authorized{1}/><text>no</text></failure>
		`, want: sasl2.ErrNotAuthorized, check: func(t *testing.T, f *fakeServer) {
			if !errors.Is(f.err, errNothingLeft) {
				t.Errorf("error %v", f.err)
			}
		}},
		{name: "hung up on", text: askTest + "S: {fail not-authorized}\nC: <authenticate{2} mechanism='OTHER-TEST'>{first}<user-agent></user-agent></authenticate>\n" +
			"S: <stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>", want: sasl2.ErrNotAuthorized},
		{name: "disabled", text: askTest + "S: {fail account-disabled}", want: sasl2.ErrDisabled},
		{name: "expired", text: askTest + "S: {fail credentials-expired}", want: sasl2.ErrExpired},
		{name: "temporary", text: askTest + "S: {fail temporary-auth-failure}", want: sasl2.ErrTemporary},
		{name: "no mechanism", text: "S: {hello}<stream:features><authentication xmlns='urn:xmpp:sasl:2'/></stream:features>", want: errNothingLeft},
		{name: "nothing offered", text: "S: {hello}<stream:features/>", want: sasl2.ErrNoLogin},
		{name: "for information only", text: "S: {hello}<stream:features><config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='v1'/></stream:features>", want: sasl2.ErrNoLogin},
		{name: "no Mechanism", with: func(o *sasl2.ClientOptions) { o.Mechanism = nil }, want: sasl2.ErrNoLogin},
		{name: "bad element", with: func(o *sasl2.ClientOptions) { o.Enable = []string{"<a xmlns='b'>"} }, want: errAny},
		{name: "two elements", with: func(o *sasl2.ClientOptions) { o.Resume = "<a xmlns='b'/><a xmlns='b'/>" }, want: sasl2.ErrServerMessage},
	})
}

// errAny stands for any error.
var errAny = anyError{}

type anyError struct{}

func (anyError) Error() string { return "any" }

// TestClientOldBinding: a server without Bind 2, and one whose answer lacks it.
func TestClientOldBinding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.connect(t.Context(), "romeo@example.net/garden", xmpp.Secure, f.clientOptions())
		f.play(askTest + whoTest + "S: {ok}{proof}{is}</success>{after}")
		bindsOld(f)
		f.end()
		if f.err != nil || f.login.JID.String() != "romeo@example.net/old" || f.login.Bound != nil {
			t.Errorf("login: %+v, %v", f.login, f.err)
		}
	})
}

// TestClientSASL1: where the server lists the older profile only the caller's
// feature is used; if it had this one before, that is suspicious (scenario 7), and
// the token stays where it is.
func TestClientSASL1(t *testing.T) {
	t.Parallel()
	state := sasl2.ClientState{Agent: testAgent, SASL2: true, Tokens: []sasl2.ClientToken{{Mechanism: "HT-SHA-256-NONE", Secret: "token"}}}
	for _, tt := range []struct {
		name   string
		change func(*sasl2.ClientOptions)
		want   error
		warns  bool
	}{
		{name: "always"},
		{name: "stripped", change: func(o *sasl2.ClientOptions) { o.State = state }, warns: true},
		{name: "stripped and required", change: func(o *sasl2.ClientOptions) { o.State, o.RequireSASL2 = state, true }, want: sasl2.ErrLostSASL2, warns: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				o := f.clientOptions()
				o.Binding = noBinding
				if tt.change != nil {
					tt.change(o)
				}
				f.connect(t.Context(), "romeo@example.net/garden", xmpp.Secure, o, oldProfile())
				f.play("S: {hello}{old}")
				if tt.want == nil {
					f.play("C: {from}<auth/>\nS: <success{1}/>\nC: {from}\nS: {hello}{after}")
					bindsOld(f)
				}
				f.end()
				if !errors.Is(f.err, tt.want) || (f.warned.Len() > 0) != tt.warns || f.err == nil && !f.login.SASL1 {
					t.Errorf("login: %+v, %v, warned %q", f.login, f.err, f.warned)
				}
				if len(f.states) > 0 {
					t.Errorf("states %v", f.states)
				}
			})
		})
	}
}

// TestClientBothProfiles: with both listed it is always this one, though mellium
// picks any (auth-register ML-5).
func TestClientBothProfiles(t *testing.T) {
	t.Parallel()
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(t)
			f.connect(t.Context(), "romeo@example.net", xmpp.Secure, f.clientOptions(), oldProfile())
			both := strings.Replace(shortServer.Replace("{list}"), "<stream:features>", "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>", 1)
			f.play("S: {hello}" + both + "\nC: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent></authenticate>\nS: {fail account-disabled}")
			f.end()
			if !errors.Is(f.err, sasl2.ErrDisabled) {
				t.Error(f.err)
			}
		})
	}
}

// TestClientInClear: nobody is named outside of TLS, what is listed there is not
// believed, TLS is begun whether it is listed or not, and the certificate must be
// that of the account's domain (auth-register ST-6, ST-9, ST-11, ST-12).
func TestClientInClear(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, features, domain, want string }{
		{"listed", "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>", "example.net", ""},
		{"not listed", "{all}", "example.net", ""},
		{"another domain", "<stream:features/>", "example.org", "example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				config := certificate(t)
				leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
				if err != nil {
					t.Fatal(err)
				}
				roots := x509.NewCertPool()
				roots.AddCert(leaf)
				f.connect(t.Context(), "romeo@"+tt.domain+"/garden", 0, f.clientOptions(), startTLSFor(roots))
				f.send(strings.Replace(shortServer.Replace("{hello}"), "example.net", tt.domain, 1) + tt.features)
				if got := f.take(); got != "{anonymous}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" {
					t.Fatalf("client sent %s", got)
				}
				f.interrupt()
				f.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
				c := tls.Server(f.c, config)
				if err := c.Handshake(); (err != nil) != (tt.want != "") {
					t.Fatal(err)
				}
				f.c, f.eof = c, false
				go f.read()
				if tt.want == "" {
					f.play(askTest + "S: {fail account-disabled}")
				}
				f.end()
				if tt.want != "" {
					if host, ok := errors.AsType[x509.HostnameError](f.err); !ok || host.Host != tt.want {
						t.Errorf("error %v", f.err)
					}
				} else if !errors.Is(f.err, sasl2.ErrDisabled) {
					t.Errorf("error %v", f.err)
				}
			})
		})
	}
}

// TestClientNoTLS: a server that has none gets nothing (auth-register ST-9).
func TestClientNoTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.connect(t.Context(), "romeo@example.net", 0, f.clientOptions(), oldProfile())
		f.play("S: {hello}{all}\nC: {anonymous}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\nS: <failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")
		f.end()
		if f.err == nil {
			t.Error("logged in without TLS")
		}
	})
}

// TestClientCancelled: a context that is done ends the login at any time, with its
// error.
func TestClientCancelled(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"C: {from}", askTest, askTest + whoTest, askTest + whoTest + "S: {ok}{proof}{is}</success>"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			f.connect(ctx, "romeo@example.net", xmpp.Secure, f.clientOptions())
			f.play(script)
			time.Sleep(time.Minute)
			f.end()
			if !errors.Is(f.err, context.DeadlineExceeded) {
				t.Errorf("error %v", f.err)
			}
		})
	}
}

// TestClientInsideTLS: no STARTTLS inside TLS, and no TLS older than 1.2
// (auth-register ST-8, ST-14).
func TestClientInsideTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.connectTLS(f.clientOptions(), 0)
		f.play(strings.Replace(shortServer.Replace(askTest), "<stream:features>", "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>", 1) + "S: {fail account-disabled}")
		f.end()
		if !errors.Is(f.err, sasl2.ErrDisabled) {
			t.Error(f.err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.connectTLS(f.clientOptions(), tls.VersionTLS11)
		f.end()
		if !errors.Is(f.err, sasl2.ErrNoLogin) {
			t.Error(f.err)
		}
	})
}

// TestClientBetweenLayers: nothing vanishes where one layer ends and another begins:
// what comes behind <proceed/> ends the connection, what comes behind a success is
// the session's (auth-register ST-19, ML-9).
func TestClientBetweenLayers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.connect(t.Context(), "romeo@example.net", 0, f.clientOptions())
		f.play("S: {hello}<stream:features/>\nC: {anonymous}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\nS: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:features/>")
		f.end()
		if !errors.Is(f.err, sasl2.ErrServerMessage) {
			t.Error(f.err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.connect(t.Context(), "romeo@example.net/garden", xmpp.Secure, f.clientOptions(), oldProfile())
		f.play("S: {hello}{old}\nC: {from}<auth/>\nS: <success{1}/>{hello}{after}")
		// The header that was sent early is read after its own.
		bindsOld(f)
		f.end()
		if f.err != nil {
			t.Error(f.err)
		}
	})
	const resume = "<resume xmlns='urn:xmpp:sm:3' previd='r1' h='12'/>"
	playClient(t, []clientScript{{name: "resumed", with: func(o *sasl2.ClientOptions) { o.Resume, o.NoBind = resume, true }, text: `
		S: {hello}{all}
		C: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent>` + resume + `</authenticate>
		` + whoTest + `
		S: {ok}{proof}{is}<resumed{sm} h='4' previd='r1'/></success><message id='m1'/><message id='m2'/>
	`, check: func(t *testing.T, f *fakeServer) {
		r := f.s.TokenReader()
		defer r.Close()
		for _, want := range []string{"m1", "m2"} {
			token, err := r.Token()
			if start, ok := token.(xml.StartElement); !ok || start.Attr[0].Value != want {
				t.Errorf("got %v, %v", token, err)
			}
			if err := xmlstream.Skip(r); err != nil {
				t.Error(err)
			}
		}
	}}})
}

// TestClientReadsNothingAhead: what follows on a login is still in the connection,
// for whoever reads that without the session.
func TestClientReadsNothingAhead(t *testing.T) {
	t.Parallel()
	const more = "<message id='m1'/><r xmlns='urn:xmpp:sm:3'/>"
	read := func(t *testing.T, f *fakeServer) {
		b := make([]byte, len(more))
		if _, err := io.ReadFull(f.s.Conn(), b); err != nil || string(b) != more {
			t.Errorf("read %q, %v", b, err)
		}
	}
	ask := strings.Replace(shortServer.Replace(askAll), "<request-token{fast} mechanism='HT-SHA-256-NONE'/>", "", 1)
	playClient(t, []clientScript{
		{name: "bound", text: ask + whoTest + "S: {ok}{proof}" + inAll + "</success><stream:features/>" + more, check: read},
		{name: "bound, with features", text: ask + whoTest + "S: {ok}{proof}" + inAll + "</success>{after}" + more, check: read},
		{name: "resumed", with: func(o *sasl2.ClientOptions) { o.Resume = expand("<resume{sm}/>") },
			text: strings.Replace(ask, "<bind{bind2}>", "<resume{sm}/><bind{bind2}>", 1) + whoTest + "S: {ok}{proof}{is}<resumed{sm}/></success>" + more, check: read},
	})
}
