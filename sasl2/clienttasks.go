package sasl2

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// Bounds of what an upgrade may ask for (auth-register UG-4, SC-13).
const (
	minUpgradeIterations = 10_000
	maxUpgradeIterations = 5_000_000
	minUpgradeSalt       = 16 // octets
	maxUpgradeSalt       = 1024
)

// proceed begins a task of those that were asked for, once the server is verified
// (auth-register S2-10, XEP-0388 §2.6).
func (e *clientExchange) proceed(ctx context.Context, t *clientTry, el *Element) (done bool, err error) {
	if err := e.verify(t, el); err != nil {
		return false, err
	}
	listed := texts(el.Child(NS, "tasks"), NS, "task")
	i := slices.IndexFunc(t.upgrades, func(task string) bool {
		return slices.Contains(listed, task) && !slices.Contains(t.upgraded, task)
	})
	if i < 0 {
		return false, broken("no task that was asked for")
	}
	t.upgraded = append(t.upgraded, t.upgrades[i])
	b := xmlwrite.AppendAttrValue([]byte("<next xmlns='"+NS+"' task='"), t.upgrades[i])
	if err := e.send(append(b, "'/>"...)); err != nil {
		return false, err
	}
	data, err := nextElement(e.r)
	if err != nil {
		return true, err
	}
	switch data.Name {
	case xml.Name{Space: NS, Local: "failure"}:
		return true, e.failure(t, &data)
	case xml.Name{Space: NS, Local: "task-data"}:
		return false, e.upgrade(ctx, t.upgrades[i], &data)
	}
	return false, broken("no task data")
}

// upgrade computes what the server lacks.
func (e *clientExchange) upgrade(ctx context.Context, task string, data *Element) error {
	salt, iterations, err := parseSalt(data.Child(NSScramTask, "salt"))
	if err != nil {
		return err
	}
	salted, err := e.o.Upgrade(ctx, task, salt, iterations)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUpgrade, err)
	}
	defer clear(salted)
	b := []byte("<task-data xmlns='" + NS + "'><hash xmlns='" + NSScramTask + "'>")
	b = base64.StdEncoding.AppendEncode(b, salted)
	return e.send(append(b, "</hash></task-data>"...))
}

// parseSalt reads the parameters of an upgrade (XEP-0480 §3), and refuses those
// that would make the password easy to guess, or the work too much.
func parseSalt(el *Element) (salt []byte, iterations int, err error) {
	if el == nil {
		return nil, 0, broken("no salt")
	}
	if salt, err = elementData(el); err != nil {
		return nil, 0, err
	}
	n, err := strconv.ParseUint(el.Attr("iterations"), 10, 31)
	if err != nil {
		return nil, 0, broken("no number of iterations")
	}
	if n < minUpgradeIterations || n > maxUpgradeIterations || len(salt) < minUpgradeSalt || len(salt) > maxUpgradeSalt {
		return nil, 0, fmt.Errorf("%w: %d iterations, %d octets of salt", ErrUpgrade, n, len(salt))
	}
	return salt, int(n), nil
}

// aborted waits for the answer to an abort, after which another attempt can begin.
func (e *clientExchange) aborted(reason error) error {
	el, err := nextElement(e.r)
	if err != nil {
		return err
	}
	if el.Name.Space != NS || el.Name.Local != "failure" {
		return broken("no answer to an abort")
	}
	return reason
}
