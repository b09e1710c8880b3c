package sasl2_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/sasl2"
)

// fakeServer is the server's end of a client's connection, played by a test, inside
// a bubble.
type fakeServer struct {
	t *testing.T
	c net.Conn

	mu  sync.Mutex
	got bytes.Buffer
	eof bool

	login  sasl2.Login
	s      *xmpp.Session
	err    error
	ended  chan struct{}
	states []sasl2.ClientState // as saved
	warned *bytes.Buffer
}

// What scripts abbreviate beside what transcripts do.
var shortServer = strings.NewReplacer(
	"{hello}", "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='example.net' version='1.0'>",
	"{list}", "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-TEST</mechanism><mechanism>OTHER-TEST</mechanism></authentication></stream:features>",
	"{all}", "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-TEST</mechanism><inline><sm xmlns='urn:xmpp:sm:3'/>"+
		"<bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/><feature var='urn:xmpp:sm:3'/></inline></bind>"+
		"<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>"+
		"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication>"+
		"<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='v1'/></stream:features>",
	"{old}", "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
	"{first}", "<initial-response>cm9tZW8=</initial-response>",
	"{proof}", "<additional-data>{64 v=right}</additional-data>",
	"{after}", "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
	"{abort}", "<abort xmlns='urn:xmpp:sasl:2'/>",
)

func expandServer(s string) string { return expand(shortServer.Replace(s)) }

// clientOptions are those of scripts.
func (f *fakeServer) clientOptions() *sasl2.ClientOptions {
	f.warned = new(bytes.Buffer)
	return &sasl2.ClientOptions{
		Mechanism: testMechanism,
		Save: func(_ context.Context, s sasl2.ClientState) error {
			f.states = append(f.states, s)
			return nil
		},
		Done:   func(_ context.Context, l sasl2.Login) error { f.login = l; return nil },
		Logger: slog.New(slog.NewTextHandler(f.warned, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func newFakeServer(t *testing.T) *fakeServer { return &fakeServer{t: t, ended: make(chan struct{})} }

// connect begins a login on a connection that is as good as TLS.
func (f *fakeServer) connect(ctx context.Context, account string, state xmpp.SessionState, o *sasl2.ClientOptions, features ...xmpp.StreamFeature) {
	ours, theirs := net.Pipe()
	f.c = ours
	a := jid.MustParse(account)
	go func() {
		defer close(f.ended)
		f.s, f.err = xmpp.NewSession(ctx, a.Domain(), a, theirs, state, sasl2.Negotiator(o, features...))
	}()
	go f.read()
}

func (f *fakeServer) read() {
	b := make([]byte, 4096)
	for {
		n, err := f.c.Read(b)
		f.mu.Lock()
		f.got.Write(b[:n])
		f.eof = f.eof || err != nil
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (f *fakeServer) send(s string) {
	f.t.Helper()
	if _, err := io.WriteString(f.c, expandServer(s)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		f.t.Fatalf("sending %s: %v", s, err)
	}
}

var (
	clientHeader = regexp.MustCompile(`<\?xml [^>]*\?>\s*<stream:stream [^>]*>`)
	agentID      = regexp.MustCompile(`<user-agent id='[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'>`)
)

// take is what the client has sent since.
func (f *fakeServer) take() string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.got.String()
	f.got.Reset()
	s = clientHeader.ReplaceAllStringFunc(s, func(h string) string {
		if strings.Contains(h, " from='romeo@example.net'") {
			return "{from}"
		}
		return "{anonymous}"
	})
	return agentID.ReplaceAllString(s, "<user-agent>")
}

// play plays a script: lines of "C: " are all that the client sends before it
// rests, lines of "S: " are sent to it.
func (f *fakeServer) play(script string) {
	f.t.Helper()
	for line := range strings.Lines(script) {
		switch line = strings.Trim(line, "\n\t"); {
		case line == "":
		case strings.HasPrefix(line, "C: "):
			if got, want := f.take(), expandServer(line[3:]); got != want {
				f.t.Fatalf("client sent\n%s\nwant\n%s", got, want)
			}
		case strings.HasPrefix(line, "S: "):
			f.send(line[3:])
		default:
			f.t.Fatalf("line %q", line)
		}
	}
}

// end waits for the client, which has closed the connection if it failed.
func (f *fakeServer) end() {
	f.t.Helper()
	synctest.Wait()
	select {
	case <-f.ended:
	default:
		_ = f.c.Close()
		<-f.ended
		f.t.Fatalf("the client waits; it sent %s", f.take())
	}
	f.mu.Lock()
	eof := f.eof
	f.mu.Unlock()
	if (f.err != nil) != eof {
		f.t.Errorf("login: %v; connection closed: %v", f.err, eof)
	}
	_ = f.c.Close()
	if f.s != nil {
		_ = f.s.Conn().Close()
	}
}

func (f *fakeServer) last() sasl2.ClientState {
	if len(f.states) == 0 {
		return sasl2.ClientState{}
	}
	return f.states[len(f.states)-1]
}

// clientScript is one scenario of a client.
type clientScript struct {
	name     string
	with     func(*sasl2.ClientOptions)
	features []xmpp.StreamFeature
	text     string
	want     error
	check    func(*testing.T, *fakeServer)
}

func playClient(t *testing.T, list []clientScript) {
	t.Helper()
	for _, tt := range list {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				o := f.clientOptions()
				if tt.with != nil {
					tt.with(o)
				}
				f.connect(t.Context(), "romeo@example.net/garden", xmpp.Secure, o, tt.features...)
				f.play(tt.text)
				f.end()
				switch {
				case tt.want == nil && f.err != nil, f.err == nil && tt.want != nil, tt.want != errAny && !errors.Is(f.err, tt.want):
					t.Errorf("error %v, want %v", f.err, tt.want)
				case tt.check != nil:
					tt.check(t, f)
				}
			})
		})
	}
}

// testRun is a mechanism: it names the user, is asked who it is, and proves it.
type testRun struct{ name string }

func (r *testRun) Mechanism() string { return r.name }

func (r *testRun) First() ([]byte, error) { return []byte("romeo"), nil }

func (r *testRun) Next(_ context.Context, in []byte) ([]byte, error) {
	if string(in) != "who?" {
		return nil, errors.New("wrong challenge")
	}
	return []byte("secret"), nil
}

func (r *testRun) Verify(data []byte) error {
	if string(data) != "v=right" {
		return errors.New("wrong signature")
	}
	return nil
}

// listRun also takes other lists.
type listRun struct {
	testRun
	listed *[]string
}

func (r *listRun) Relist(o sasl2.Offer) { *r.listed = o.Mechanisms }

var errNothingLeft = errors.New("nothing left")

func testMechanism(_ context.Context, a sasl2.Attempt) (sasl2.Run, error) {
	for _, name := range []string{"SCRAM-TEST-PLUS", "SCRAM-TEST", "OTHER-TEST"} {
		if slices.Contains(a.Offer.Mechanisms, name) && !slices.Contains(a.Tried, name) {
			return &testRun{name}, nil
		}
	}
	return nil, errNothingLeft
}
