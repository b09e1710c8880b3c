package sasl2

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"log/slog"
	"slices"
	"strconv"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// tasksFor are the upgrades that are of use for the account that a stream is going
// to be for (XEP-0480 §2.1); none if it does not say.
func (x *Extension) tasksFor(ctx context.Context, account mux.Address) []string {
	u, ok := x.auth.(Upgrader)
	if !ok || account.IsZero() {
		return nil
	}
	tasks, err := u.Upgrades(ctx, account.String())
	if err != nil {
		x.log.LogAttrs(ctx, slog.LevelError, "upgrades cannot be told", slog.String("account", account.String()), slog.Any("err", err))
		return nil
	}
	return tasks
}

// wanted are the tasks that the peer asks for and that are of use. After a login
// that has not proved the password there are none: who has no password would get
// one (auth-register UG-3).
func (l *login) wanted(ctx context.Context) (tasks []string) {
	if len(l.req.upgrades) == 0 || l.generation == 0 || !password(l.req.mechanism) {
		return nil
	}
	useful := l.x.tasksFor(ctx, l.account)
	for _, t := range l.req.upgrades {
		if slices.Contains(useful, t) && !slices.Contains(tasks, t) {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// toContinue asks for the first of the tasks, which is the only one in the element
// (XEP-0480 §2.2).
func (l *login) toContinue() xmlstream.Marshaler {
	b := l.appendData([]byte("<continue xmlns='" + NS + "'>"))
	b = append(xmlwrite.AppendText(append(b, "<tasks><task>"...), l.tasks[0]), "</task></tasks></continue>"...)
	return mux.Raw(b)
}

// chosen takes the peer's next.
func (l *login) chosen(ctx context.Context, _ *mux.Stream, el *mux.Stanza) (outcome, error) {
	switch el.Name() {
	case xml.Name{Space: NS, Local: "next"}:
	case abortName:
		return l.fail(condAborted, nil)
	default:
		return outcome{}, stream.PolicyViolation
	}
	if el.Attr("task") != l.tasks[0] {
		return l.fail(condMalformed, nil) // auth-register S2-9
	}
	salt, iterations, finish, err := l.x.auth.(Upgrader).BeginUpgrade(ctx, l.account.String(), l.generation, l.tasks[0])
	if err != nil {
		return l.fail(l.condition(ctx, err), err)
	}
	l.finish = finish
	b := []byte("<task-data xmlns='" + NS + "'><salt xmlns='" + NSScramTask + "' iterations='")
	b = append(strconv.AppendInt(b, int64(iterations), 10), "'>"...)
	b = base64.StdEncoding.AppendEncode(b, salt)
	return outcome{Reply: mux.Raw(append(b, "</salt></task-data>"...)), Next: l.salted}, nil
}

// salted takes the SaltedPassword (XEP-0480 §3).
func (l *login) salted(ctx context.Context, _ *mux.Stream, el *mux.Stanza) (outcome, error) {
	switch el.Name() {
	case xml.Name{Space: NS, Local: "task-data"}:
	case abortName:
		return l.fail(condAborted, nil)
	default:
		return outcome{}, stream.PolicyViolation
	}
	children := el.Children()
	if len(children) != 1 || children[0].Name != (xml.Name{Space: NSScramTask, Local: "hash"}) {
		return l.fail(condMalformed, nil)
	}
	hash, wrong := data(children[0])
	if wrong != "" {
		return l.fail(wrong, nil)
	}
	defer clear(hash) // RFC 5802 §9: it stands in for the password
	if err := l.finish(ctx, hash); err != nil {
		return l.fail(l.condition(ctx, err), err)
	}
	l.tasks = l.tasks[1:]
	return l.next(ctx)
}
