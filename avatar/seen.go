package avatar

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
)

// Update is what presence says of an avatar (XEP-0153 §3.1), for encoding/xml.
type Update struct {
	XMLName xml.Name `xml:"vcard-temp:x:update x"`
	// Photo is the hash, empty for no avatar, nil from clients that are not ready to say.
	Photo *string `xml:"vcard-temp:x:update photo"`
}

// isHash reports whether s is a SHA-1 in lower-case hexadecimal digits.
func isHash(s string) bool { return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == "" }

// Seen is what presence from somebody means: the hash of an avatar in lower case, empty
// for none. ok is false for what means nothing: from a client that is not ready, for a
// text that is no hash, and for a session of the own account that shows none where the
// server knows better.
func (c *Client) Seen(from jid.JID, u Update) (hash string, ok bool) {
	if u.Photo == nil {
		return "", false
	}
	hash = strings.ToLower(strings.TrimSpace(*u.Photo))
	if hash == "" {
		return "", !(from.Bare().Equal(c.opt.Account.Bare()) && c.opt.Converts())
	}
	return hash, isHash(hash)
}

// Saying is what the own presence is to say of an avatar, given by its hash, empty for
// none: nothing, which is nil, where the server says it (XEP-0398 §4).
func (c *Client) Saying(hash string) xmlstream.Marshaler {
	if c.opt.Converts() || hash != "" && !isHash(hash) {
		return nil
	}
	return photo{true, hash}.child()
}

// FetchHash finds the avatar whose hash presence from somebody has told: in the cache, or
// in the card, for which an address and hash are asked once, whoever calls how often; that
// it was in vain is remembered. of is the bare address of an account, or the full one
// of the occupant of a chat room. The error is ErrNone without an avatar, and ErrMismatch
// if it is another.
func (c *Client) FetchHash(ctx context.Context, of jid.JID, hash string) (Image, error) {
	hash = strings.ToLower(hash)
	if !isHash(hash) || c.opt.Card == nil {
		return Image{}, ErrNone
	}
	if im, ok := c.cached(hash); ok {
		return im, nil
	}
	for {
		w, mine := c.asked.begin(question{of.String(), hash})
		if mine {
			return c.ask(ctx, of, w)
		}
		select {
		case <-w.done:
			if !errors.Is(w.err, context.Canceled) && !errors.Is(w.err, context.DeadlineExceeded) {
				return w.image, w.err
			} // somebody else has given up
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return Image{}, err
		}
	}
}

// ask asks for the card, and tells those who wait for the answer.
func (c *Client) ask(ctx context.Context, of jid.JID, w *answer) (im Image, err error) {
	defer func() {
		final := errors.Is(err, ErrNone) || errors.Is(err, ErrMismatch) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrType)
		c.asked.end(w, im, err, final)
	}()
	if im, err = c.fromCard(ctx, of); err == nil && Hash(im.Data) != w.q.hash {
		return Image{}, ErrMismatch
	}
	return im, err
}

// asked are the questions that run, and those that were in vain.
type asked struct {
	most int

	mu    sync.Mutex // guards what follows
	by    map[question]*answer
	order []question // those in vain, the oldest first
}

type question struct{ of, hash string }

type answer struct {
	q     question
	done  chan struct{}
	image Image // once done
	err   error
}

// begin returns what is known or under way, or has the caller find it.
func (a *asked) begin(q question) (w *answer, mine bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.by[q]; w != nil {
		return w, false
	}
	if a.by == nil {
		a.by = make(map[question]*answer)
	}
	w = &answer{q: q, done: make(chan struct{})}
	a.by[q] = w
	return w, true
}

// end tells those who wait. What was in vain for good is kept.
func (a *asked) end(w *answer, im Image, err error, keep bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.image, w.err = im, err
	close(w.done)
	if !keep {
		delete(a.by, w.q)
		return
	}
	a.order = append(a.order, w.q)
	if len(a.order) > a.most {
		delete(a.by, a.order[0])
		a.order = append(a.order[:0], a.order[1:]...)
	}
}
