package caps

import (
	"crypto/sha1" // XEP-0115 §5.1 demands it; what its weakness allows is dealt with where results are kept
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Proto says by which protocol a hash was made.
type Proto uint8

// The protocols.
const (
	XEP0115 Proto = 1 + iota
	XEP0390
)

// Hash is a hash of capabilities, as entities announce it.
type Hash struct {
	Proto Proto
	Algo  string // as in XEP-0300 and in the registry of hash function text names
	Value string // base64
	// Node names the software, XEP-0115 only (§4). It is part of what is asked for, not
	// of what the hash stands for (§5.4).
	Node string
}

// nodePrefix begins the node of a hash of XEP-0390 (§4.3).
const nodePrefix = NS + "#"

// QueryNode is the node to ask for (XEP-0115 §6.2, XEP-0390 §4.3).
func (h Hash) QueryNode() string {
	if h.Proto == XEP0390 {
		return nodePrefix + h.Algo + "." + h.Value
	}
	return h.Node + "#" + h.Value
}

// ParseNode takes the node of a hash of XEP-0390 apart (§4.3), at the last dot, since names
// of hash functions may have some; ok is false if it is something else.
func ParseNode(node string) (h Hash, ok bool) {
	rest, ok := strings.CutPrefix(node, nodePrefix)
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot <= 0 || dot == len(rest)-1 {
		return Hash{}, false
	}
	return Hash{Proto: XEP0390, Algo: rest[:dot], Value: rest[dot+1:]}, true
}

// Errors of hashes.
var (
	// ErrAlgo: the hash function is not known here.
	ErrAlgo = errors.New("caps: unknown hash function")
	// ErrMismatch: the hash is of something else.
	ErrMismatch = errors.New("caps: hash does not match")
)

// functions are the hash functions by name. For XEP-0390 those count that XEP-0300 §4
// demands, as far as the standard library has them; sha-1 and md5 must not be used there.
var functions = map[string]func() hash.Hash{
	"sha-1":    sha1.New,
	"sha-224":  sha256.New224,
	"sha-256":  sha256.New,
	"sha-384":  sha512.New384,
	"sha-512":  sha512.New,
	"sha3-256": func() hash.Hash { return sha3.New256() },
	"sha3-512": func() hash.Hash { return sha3.New512() },
}

// supported reports whether a hash can be checked.
func (h Hash) supported() bool {
	switch h.Algo {
	case "sha-1":
		return h.Proto == XEP0115
	case "sha-224", "sha-256", "sha-384", "sha-512":
		return h.Proto == XEP0115 || h.Proto == XEP0390
	case "sha3-256", "sha3-512":
		return h.Proto == XEP0390
	}
	return false
}

func sum(p Proto, algo string, input []byte) (string, error) {
	if h := (Hash{Proto: p, Algo: algo}); !h.supported() {
		return "", fmt.Errorf("%w: %q", ErrAlgo, algo)
	}
	f := functions[algo]()
	_, _ = f.Write(input) // never fails
	return base64.StdEncoding.EncodeToString(f.Sum(nil)), nil
}

// Hash115 is the verification string of XEP-0115 §5.1 for a hash function, sha-1 being
// the one that everybody knows. An info that its own rules (§5.4) call ill-formed has
// none: the error wraps [ErrMalformed], or [ErrAlgo].
func Hash115(i *Info, algo string) (ver string, err error) {
	s, err := i.string115()
	if err != nil {
		return "", err
	}
	return sum(XEP0115, algo, []byte(s))
}

// Hash390 is the hash of XEP-0390 §4 for a hash function such as sha-256. The error wraps
// [ErrMalformed] if the info contains what must not be in it (§4.1), or [ErrAlgo].
func Hash390(i *Info, algo string) (string, error) {
	in, err := i.input390(i.Lang)
	if err != nil {
		return "", err
	}
	return sum(XEP0390, algo, in)
}

// Verify reports whether an info is what a hash stands for: nil, or an error that wraps
// [ErrMismatch], [ErrMalformed] or [ErrAlgo].
//
// An info whose languages are inherited matches a hash of XEP-0390 with and without
// them, since clients do not know what their servers' streams say.
func Verify(i *Info, h Hash) error {
	var got string
	var err error
	switch h.Proto {
	case XEP0115:
		got, err = Hash115(i, h.Algo)
	case XEP0390:
		got, err = Hash390(i, h.Algo)
		if err == nil && got != h.Value && i.Lang != "" {
			plain := *i
			plain.Lang = ""
			got, err = Hash390(&plain, h.Algo)
		}
	default:
		return ErrAlgo
	}
	switch {
	case err != nil:
		return err
	case got != h.Value:
		return fmt.Errorf("%w: %q is claimed, %q is right", ErrMismatch, h.Value, got)
	}
	return nil
}
