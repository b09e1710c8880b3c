package scram_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/propolis-im/propolis/scram"
)

// FuzzClientFirst: whatever is accepted has its parts within bounds, and an
// exchange built on it goes on to the challenge.
func FuzzClientFirst(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.first))
	}
	for _, s := range []string{"n,a=a=2C,n=user,r=12345678,x=1", "p=tls-unique,,n=u,r=12345678", "n,,m=1,n=u,r=12345678", "n,,n==,r=12345678,", "y,,n=u,r=,=", "n,,n=\x00,r=12345678"} {
		f.Add([]byte(s))
	}
	k := mustKey(f, keySHA256)
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := scram.ParseClientFirst(in)
		if err != nil {
			wantCondition(t, err, scram.MalformedRequest)
			return
		}
		if m.Username == "" || len(m.Nonce) < 8 || len(m.Nonce) > 512 || strings.ContainsAny(m.Nonce, ", \x00") ||
			!utf8.ValidString(m.Username+m.Authzid) || strings.Contains(m.Username, "\x00") || (m.Flag == 'p') != (m.Binding != "") {
			t.Fatalf("%q: got %+v", in, m)
		}
		escape := strings.NewReplacer(",", "=2C", "=", "=3D")
		if !bytes.Contains(in, []byte(",n="+escape.Replace(m.Username)+",r="+m.Nonce)) {
			t.Fatalf("%q: got name %q, nonce %q", in, m.Username, m.Nonce)
		}
		s := scram.NewServer(scram.SHA256, scram.ServerConfig{})
		if _, err := s.First(in); (err == nil) != (m.Flag != 'p') {
			t.Fatalf("%q: First: %v", in, err)
		} else if err != nil {
			return
		}
		if out, err := s.Challenge(k); err != nil || !bytes.HasPrefix(out, []byte("r="+m.Nonce)) {
			t.Fatalf("%q: got %q, %v", in, out, err)
		}
	})
}

// FuzzClientFinal: without the password, only what the published exchange
// sends is accepted.
func FuzzClientFinal(f *testing.F) {
	v := vectors[1]
	f.Add([]byte(v.final))
	for _, s := range []string{",", "c=", "c=biws,r=x,p=", "c=biws,r=" + fullNonce + ",p=AAAA", v.final + ",", v.final + ",x=1", strings.Replace(v.final, ",p=", ",m=1,p=", 1)} {
		f.Add([]byte(s))
	}
	k := mustKey(f, v.key)
	f.Fuzz(func(t *testing.T, in []byte) {
		s := scram.NewServer(k.Hash, scram.ServerConfig{Nonce: fixedNonce(v.serverNonce)})
		if _, err := s.First([]byte(v.first)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Challenge(k); err != nil {
			t.Fatal(err)
		}
		out, err := s.Final(in)
		switch {
		case string(in) == v.final:
			if err != nil || string(out) != v.success {
				t.Fatalf("got %q, %v", out, err)
			}
		case err == nil:
			t.Fatalf("%q was accepted", in)
		default:
			if c := condition(t, err); c != scram.MalformedRequest && c != scram.NotAuthorized {
				t.Fatalf("%q: got %v", in, err)
			}
		}
	})
}

// FuzzPlus: without the password, a mechanism with channel binding accepts what the
// computed exchange sends and nothing else, whatever comes first.
func FuzzPlus(f *testing.F) {
	v := plusVectors[2]
	f.Add([]byte(v.first), []byte(v.final))
	for _, first := range []string{"n,,n=user,r=12345678", "y,,n=user,r=12345678", "p=tls-unique,,n=u,r=12345678", "p=,,n=u,r=12345678", "p=tls-exporter,a=u@example.net,n=u,r=12345678,h=x"} {
		f.Add([]byte(first), []byte(v.final))
	}
	k := mustKey(f, v.key)
	config := scram.ServerConfig{Plus: true, PlusAdvertised: true, Bindings: []scram.Binding{{Type: scram.TLSExporter, Data: v.data}},
		ListHash: v.h, TLSVersion: v.t, Nonce: fixedNonce(v.serverNonce)}
	f.Fuzz(func(t *testing.T, first, final []byte) {
		s := scram.NewServer(k.Hash, config)
		m, err := s.First(first)
		if err != nil {
			wantCondition(t, err, scram.MalformedRequest)
			return
		}
		if m.Flag != 'p' || m.Binding != scram.TLSExporter {
			t.Fatalf("%q was accepted", first)
		}
		if _, err := s.Challenge(k); err != nil {
			t.Fatal(err)
		}
		_, err = s.Final(final)
		if right := string(first) == v.first && string(final) == v.final; right != (err == nil) {
			t.Fatalf("%q, %q: got %v", first, final, err)
		}
	})
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"\x00user\x00pencil", "a\x00b\x00c", "\x00\x00", "\x00a\x00b\x00", "\x00\xff\x00x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		authzid, name, password, err := scram.ParsePlain(in)
		if err != nil {
			wantCondition(t, err, scram.MalformedRequest)
			return
		}
		if name == "" || password == "" || authzid+"\x00"+name+"\x00"+password != string(in) || !utf8.Valid(in) {
			t.Fatalf("%q: got %q, %q, %q", in, authzid, name, password)
		}
	})
}

// FuzzKeyText: a key has one text form.
func FuzzKeyText(f *testing.F) {
	for _, s := range []string{keySHA1, keySHA256, keySHA512, "SCRAM-SHA-1$4096:$:", "SCRAM-SHA-1$$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := scram.ParseKey(text)
		if err != nil {
			return
		}
		if out, err := k.MarshalText(); err != nil || string(out) != text {
			t.Fatalf("%q: got %q, %v", text, out, err)
		}
		if err := k.Check(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// FuzzPrepare: what is prepared stays as it is when prepared again.
func FuzzPrepare(f *testing.F) {
	for _, s := range []string{"Alice", "\u212aate", "I\u00adX", "\u2168", "\u06271", "e\u0301\u00a0\U0001f511", "\ufb00", "\u0345\u03b1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := scram.SASLprep(s); err == nil {
			if again, err := scram.SASLprep(p); err != nil || again != p {
				t.Errorf("SASLprep %+q: got %+q, then %+q, %v", s, p, again, err)
			}
		}
		p, err := scram.PreparePassword(s)
		if err == nil && (p == "" || !utf8.ValidString(p)) {
			t.Errorf("password %+q: got %+q", s, p)
		}
		if n, err := scram.PrepareName(s, 0); err == nil {
			if again, err := scram.PrepareLocalpart(n); err != nil || again != n || n == "" || len(n) > 64 {
				t.Errorf("name %+q: got %+q, then %+q, %v", s, n, again, err)
			}
		}
	})
}
