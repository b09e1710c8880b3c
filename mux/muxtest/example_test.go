package muxtest_test

import (
	"context"
	"encoding/xml"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// greeter answers a request and marks messages.
type greeter struct{}

func (greeter) Name() string { return "greeter" }

func (greeter) Register(r *mux.Registry) error {
	r.IQ(mux.AtSelf, stanza.GetIQ, xml.Name{Space: "urn:example:hello", Local: "hello"},
		func(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
			return mux.Raw("<hello xmlns='urn:example:hello'>world</hello>"), nil
		})
	r.Modify(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if e.Stanza.Type() == "error" {
			return mux.Pass, nil
		}
		name := xml.Name{Space: "urn:example:hello", Local: "seen"}
		e.Stanza = e.Stanza.With(mux.RawChild(name, "<seen xmlns='urn:example:hello'/>"))
		return mux.Pass, nil
	})
	return nil
}

// console stands for the *testing.T that a test has.
type console struct{ cleanup []func() }

func (c *console) Helper()                        {}
func (c *console) Errorf(format string, a ...any) { fmt.Printf(format+"\n", a...) }
func (c *console) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }
func (c *console) Cleanup(f func())               { c.cleanup = append(c.cleanup, f) }

func Example() {
	t := &console{}
	h := muxtest.New(t, nil, greeter{})
	romeo := h.Connect(t, "romeo@example.net/orchard")
	juliet := h.Connect(t, "juliet@example.net/balcony")

	romeo.Send("<iq type='get' id='1'><hello xmlns='urn:example:hello'/></iq>")
	fmt.Println(romeo.Next())

	romeo.Send("<message to='juliet@example.net/balcony'><body>Art thou not Romeo?</body></message>")
	juliet.Expect(`<message from='romeo@example.net/orchard' to='juliet@example.net/balcony'>
		<body>*</body>
		<seen xmlns='urn:example:hello'/>
	</message>`)
	juliet.ExpectNone()

	romeo.Close()
	for _, f := range t.cleanup {
		f()
	}
	// Output:
	// <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='1'><hello xmlns='urn:example:hello'>world</hello></iq>
}

func ExamplePlay() {
	t := &console{}
	muxtest.Play(t, muxtest.Config{Extensions: func() []mux.Extension { return []mux.Extension{greeter{}} }}, "greeter.xmpp", `
# What is asked is answered; what is not there is refused.
romeo connects as romeo@example.net/orchard
romeo> <iq type='get' id='1'><hello xmlns='urn:example:hello'/></iq>
romeo> <message to='nobody@example.net' id='2'><body>Hi</body></message>
romeo< <iq type='result' id='1' from='romeo@example.net' to='${me}'>{*}</iq>
romeo< <message type='error' id='2' from='nobody@example.net' to='${me}'>{*}</message>
`)
	fmt.Println("played")
	// Output:
	// played
}
