package register

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Challenger makes what those have to solve who want an account and have no
// invitation (XEP-0158 §4). An error lets nobody register.
type Challenger interface {
	// Challenge makes one for somebody who talks to that domain.
	Challenge(ctx context.Context, domain string) (Challenge, error)
}

// Challenge is one of them. It is asked once whether it is solved.
type Challenge interface {
	// Fields are shown in the form of registration. Their names must not be those
	// of other fields there: username, password, reason, challenge, sid, answers.
	Fields() []ChallengeField
	// Solved looks at the answers; answer returns an empty text for a field that
	// was not filled in.
	Solved(answer func(name string) string) bool
}

// ChallengeField is a field of a challenge (XEP-0158 §6).
type ChallengeField struct {
	Name     string // such as SHA-256, qa or ocr
	Label    string
	Required bool
	// Media are pictures or sounds (XEP-0221): type and URI, cid: or https:.
	Media [][2]string
}

// Limits of challenges.
const (
	MaxChallenges     = 3 // on one stream
	ChallengeLifetime = 10 * time.Minute
)

// DefaultBits is the default of [ProofOfWork]: about a million hashes.
const DefaultBits = 20

// ProofOfWork is a [Challenger] without a third party: SHA-256 hashcash (XEP-0158
// §6.2), and if there are questions one of these beside it, for people with clients
// that do not reckon. Either is enough.
type ProofOfWork struct {
	// Bits is how many bits have to be found, 8 to 31; 0 means [DefaultBits].
	Bits int
	// Questions are asked in no order.
	Questions []Question
}

// Question is a text with answers, of which one must be given; case does not matter.
type Question struct {
	Text    string
	Answers []string
}

// Challenge implements [Challenger].
func (p *ProofOfWork) Challenge(_ context.Context, domain string) (Challenge, error) {
	n := p.Bits
	if n == 0 {
		n = DefaultBits
	}
	n = min(max(n, 8), 31)
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	w := &work{domain: domain, bits: n, want: binary.BigEndian.Uint32(random[:])&(1<<n-1) | 1<<(n-1)}
	if len(p.Questions) > 0 {
		w.question = &p.Questions[int(binary.BigEndian.Uint32(random[4:]))%len(p.Questions)]
	}
	return w, nil
}

// work is a challenge of ProofOfWork.
type work struct {
	domain   string
	bits     int
	want     uint32 // its highest bit is set, so that it tells how many there are
	question *Question
}

const fieldHashcash, fieldQuestion = "SHA-256", "qa"

// Fields implements [Challenge].
func (w *work) Fields() []ChallengeField {
	f := []ChallengeField{{Name: fieldHashcash, Label: strconv.FormatUint(uint64(w.want), 16)}}
	if w.question != nil {
		f = append(f, ChallengeField{Name: fieldQuestion, Label: w.question.Text})
	}
	return f
}

// maxAnswer bounds answers, in octets.
const maxAnswer = 1024

// Solved implements [Challenge].
func (w *work) Solved(answer func(name string) string) bool {
	if a := answer(fieldHashcash); a != "" {
		return len(a) <= maxAnswer && strings.HasPrefix(a, w.domain) && lowBits(a, w.bits) == w.want
	}
	a := strings.TrimSpace(answer(fieldQuestion))
	if w.question == nil || a == "" || len(a) > maxAnswer {
		return false
	}
	for _, right := range w.question.Answers {
		if strings.EqualFold(a, right) {
			return true
		}
	}
	return false
}

// lowBits are the least significant bits of the hash of s.
func lowBits(s string, n int) uint32 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint32(sum[len(sum)-4:]) & (1<<n - 1)
}

// ErrTooHard is returned by [SolveHashcash] for a label of which nothing can be made,
// or with too many bits.
var ErrTooHard = errors.New("register: the server asks for too much work")

// SolveHashcash finds the answer to a field SHA-256 (XEP-0158 §6.2), for clients: to
// is the address that the request went to, label that of the field. It takes about
// 2^n steps for n bits, and gives up for more than maxBits or when ctx ends.
func SolveHashcash(ctx context.Context, to, label string, maxBits int) (string, error) {
	want, err := strconv.ParseUint(strings.TrimSpace(label), 16, 32)
	n := bits.Len64(want)
	if err != nil || n == 0 || n > min(maxBits, 31) {
		return "", ErrTooHard
	}
	b := append([]byte(to), rand.Text()...)
	base := len(b)
	for i := uint64(0); ; i++ {
		if i%4096 == 0 && ctx.Err() != nil {
			return "", ctx.Err()
		}
		b = strconv.AppendUint(b[:base], i, 16)
		sum := sha256.Sum256(b)
		if binary.BigEndian.Uint32(sum[len(sum)-4:])&(1<<n-1) == uint32(want) {
			return string(b), nil
		}
	}
}
