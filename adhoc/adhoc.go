// Package adhoc runs commands of the server for its own users, XEP-0050: Ad-Hoc
// Commands, version 1.3.0, on the server's side, as far as commands with one form need
// it: execute, complete and cancel; the actions next and prev, and commands of other
// addresses than the served domains, are not part of it.
//
// What the commands are the assembler says, with functions of other extensions:
//
//	adhoc.New(adhoc.Command{Node: register.NodeInvite, Name: "Invite somebody",
//		Allowed: people.MayInvite, Run: people.RunInvite}, …)
//
// A client uses mellium.im/xmpp/commands.
//
// # Security
//
// Only sessions of the served domains see and run commands, and each only those that
// [Command.Allowed] says. What a user has begun and not finished is bounded and ends
// after a time.
package adhoc

import (
	"context"
	"encoding/xml"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of commands, the feature, and the node where they are listed.
const NS = "http://jabber.org/protocol/commands"

// Limits of what a session may have begun.
const (
	maxOpen  = 8
	lifetime = 10 * time.Minute
)

// Command is something that users can have done.
type Command struct {
	Node string
	Name string
	// Allowed reports whether the session of e may run the command. It must not wait.
	Allowed func(e *mux.Event) bool
	// Run runs the command in the turn of the account that asks, which may wait. answer
	// is nil when the command is called, and what was filled in when it goes on. It
	// returns a data form (XEP-0004) and whether that is the result; otherwise the form
	// is to be filled in. An error is that of the request.
	Run func(ctx context.Context, e *mux.Event, answer map[string][]string) (form mux.Raw, completed bool, err error)
}

var _ mux.Extension = (*Extension)(nil)

// Extension runs commands. It is safe for concurrent use.
type Extension struct {
	commands []Command
	open     mux.Key[[]begun]
}

// begun is a command that waits for its form.
type begun struct {
	id, node string
	until    time.Time
}

// New returns the extension. Two commands of one node are an error of mux.New.
func New(commands ...Command) *Extension { return &Extension{commands: commands} }

// Name implements [mux.Extension].
func (*Extension) Name() string { return "adhoc" }

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	seen := make(map[string]bool)
	for _, c := range x.commands {
		if seen[c.Node] || c.Node == "" || c.Allowed == nil || c.Run == nil {
			return &nodeError{c.Node}
		}
		seen[c.Node] = true
	}
	x.open = mux.Slot[[]begun](r)
	r.IQ(mux.AtHost, stanza.SetIQ, commandName, x.run, mux.Blocks())
	r.Disco(mux.AtHost, x.disco)
	return nil
}

type nodeError struct{ node string }

func (e *nodeError) Error() string {
	return "adhoc: command " + e.node + " is there twice, or incomplete"
}

var commandName = xml.Name{Space: NS, Local: "command"}

// find is the command of a node that the session of e may see.
func (x *Extension) find(e *mux.Event, node string) *Command {
	if e == nil || e.Session == nil {
		return nil
	}
	for i := range x.commands {
		if c := &x.commands[i]; c.Node == node && c.Allowed(e) {
			return c
		}
	}
	return nil
}

// disco lists the commands (XEP-0050 §2). Clients that may run none see none.
func (x *Extension) disco(_ context.Context, q *mux.DiscoQuery) error {
	switch c := x.find(q.Event, q.Node); {
	case q.Node == "":
		q.Feature(NS)
	case q.Node == NS && q.Items:
		q.Found = true
		for _, c := range x.commands {
			if x.find(q.Event, c.Node) != nil {
				q.Children = append(q.Children, mux.DiscoItem{JID: q.Address, Node: c.Node, Name: c.Name})
			}
		}
	case q.Node == NS:
		q.Found = true
		q.Identities = append(q.Identities, mux.DiscoIdentity{Category: "automation", Type: "command-list"})
	case c != nil:
		q.Found = true
		if !q.Items {
			q.Identities = append(q.Identities, mux.DiscoIdentity{Category: "automation", Type: "command-node", Name: c.Name})
			q.Features = append(q.Features, NS, "jabber:x:data")
		}
	}
	return nil
}
