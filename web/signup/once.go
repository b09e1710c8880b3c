package signup

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"net/url"
	"sync"

	"github.com/propolis-im/propolis/register"
)

// maxSent bounds the forms that are remembered.
const maxSent = 1000

// sent are the forms that were sent last. Many people press a button twice, and browsers
// load a page again: the same form from the same browser gets the same answer, and not
// that the invitation is used up or the name taken, which would be by themselves.
type sent struct {
	mu   sync.Mutex // guards what follows
	all  map[[sha256.Size]byte]*attempt
	done [][sha256.Size]byte // those that have succeeded, oldest first
}

// attempt is a form that was taken.
type attempt struct {
	ended chan struct{} // closed when the following is there
	ok    bool          // else it can be tried again
	ask   register.Request
	res   register.Result
}

// mark is what a form is known by: nothing that tells the password.
func (k *formKey) mark(cookie string, form url.Values) (m [sha256.Size]byte) {
	h := hmac.New(sha256.New, k[:])
	_, _ = h.Write([]byte("sent\x00" + cookie + "\x00" + form.Encode())) // never fails
	copy(m[:], h.Sum(nil))
	return m
}

// begin returns the attempt that a form is, and whether it is the first: then end must be
// called. If it is not, it has succeeded.
func (s *sent) begin(ctx context.Context, m [sha256.Size]byte) (a *attempt, first bool, err error) {
	for {
		s.mu.Lock()
		a = s.all[m]
		if a == nil {
			a = &attempt{ended: make(chan struct{})}
			if s.all == nil {
				s.all = make(map[[sha256.Size]byte]*attempt)
			}
			s.all[m] = a
			s.mu.Unlock()
			return a, true, nil
		}
		s.mu.Unlock()
		select {
		case <-a.ended:
			if a.ok {
				return a, false, nil
			}
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// succeeded notes what has become of the first attempt.
func (a *attempt) succeeded(ask register.Request, res register.Result) {
	ask.Password = ""
	a.ok, a.ask, a.res = true, ask, res
}

// end is the end of the first attempt.
func (s *sent) end(m [sha256.Size]byte, a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(a.ended)
	if !a.ok {
		delete(s.all, m)
		return
	}
	if len(s.done) >= maxSent {
		delete(s.all, s.done[0])
		s.done = s.done[1:]
	}
	s.done = append(s.done, m)
}
