// Package asking has the context that requests on sessions of mellium are made with.
package asking

import "context"

// Context returns a context that ends with ctx until done is called, and never
// afterwards. Functions that send on a session of mellium use it in place of their
// caller's, and call done when they return.
//
// xmpp.Session takes the end of a context for a reason to break off what is being
// written, for an instant after its own write, too: a caller who cancels his context
// when he has his answer, as everybody does, could cut off what another goroutine
// writes just then, in the middle of a stanza.
func Context(ctx context.Context) (lasting context.Context, done func()) {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	return lasting, func() { stop() }
}
