package scram_test

import (
	"encoding/base64"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// The keys of the password pencil in the published exchanges.
const (
	keySHA1   = "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE="
	keySHA256 = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	keySHA512 = "SCRAM-SHA-512$4096:W22ZaJ0SNY7soEsUEjb6gQ==$6AAub3065EYRmyFpM2RNwqK+eGnrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==:jZHbYjC1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24mvD5nmE6rA=="
)

const (
	clientNonce = "rOprNGfwEbeRWgbNEkqO"
	serverNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	fullNonce   = clientNonce + serverNonce
)

// vector is a whole exchange.
type vector struct {
	name                    string
	key                     string
	serverNonce             string
	username                string
	first, challenge, final string
	success                 string
}

var vectors = []vector{
	{
		"RFC 5802 section 5", keySHA1, "3rfcNHYJY1ZVvWVs7j", "user",
		"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
		"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
		"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
	},
	{
		"RFC 7677 section 3", keySHA256, serverNonce, "user",
		"n,,n=user,r=" + clientNonce,
		"r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"c=biws,r=" + fullNonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	},
	{
		"SHA-512, computed", keySHA512, serverNonce, "user",
		"n,,n=user,r=" + clientNonce,
		"r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"c=biws,r=" + fullNonce + ",p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
		"v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
	},
	{
		"escapes in the name, computed", keySHA256, serverNonce, "a,b=c",
		"n,,n=a=2Cb=3Dc,r=" + clientNonce,
		"r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"c=biws,r=" + fullNonce + ",p=SZPNPeS9o66WjPx3GO+3ry3VEj0oTmhDA8jaGvHNN0g=",
		"v=qQFrXBHbHp99TSlxiDo0Wi+5Uc2kduey2yh8Wv7jYyw=",
	},
}

func mustKey(t testing.TB, text string) scram.Key {
	t.Helper()
	k, err := scram.ParseKey(text)
	if err != nil {
		t.Fatalf("ParseKey(%q): %v", text, err)
	}
	return k
}

func fixedNonce(n string) func() string { return func() string { return n } }

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := mustKey(t, v.key)
			s := scram.NewServer(k.Hash, scram.ServerConfig{Nonce: fixedNonce(v.serverNonce)})
			m, err := s.First([]byte(v.first))
			if err != nil || m.Username != v.username {
				t.Fatalf("First: got name %q, error %v, want %q", m.Username, err, v.username)
			}
			if got, err := s.Challenge(k); err != nil || string(got) != v.challenge {
				t.Fatalf("Challenge: got %q, %v, want %q", got, err, v.challenge)
			}
			if got, err := s.Final([]byte(v.final)); err != nil || string(got) != v.success {
				t.Fatalf("Final: got %q, %v, want %q", got, err, v.success)
			}
		})
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	for _, text := range []string{keySHA1, keySHA256, keySHA512} {
		want := mustKey(t, text)
		got, err := scram.NewKey(want.Hash, "pencil", want.Salt, want.Iterations)
		if err != nil || !got.Equal(want) {
			t.Errorf("NewKey for %v: got another key, error %v", want.Hash, err)
		}
		for password, match := range map[string]bool{"pencil": true, "pencil ": false, "": false} {
			if got, err := want.Matches(password); err != nil || got != match {
				t.Errorf("%v matches %q: got %v, %v, want %v", want.Hash, password, got, err, match)
			}
		}
	}
}

// TestPreparedPassword: a client that applies SASLprep to I<U+00AD>X and a
// server that does agree; the proof is computed with IX.
func TestPreparedPassword(t *testing.T) {
	t.Parallel()
	prepared, err := scram.PreparePassword("I\u00adX")
	if err != nil {
		t.Fatal(err)
	}
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	k, err := scram.NewKey(scram.SHA256, prepared, salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	s := scram.NewServer(scram.SHA256, scram.ServerConfig{Nonce: fixedNonce(serverNonce)})
	if _, err := s.First([]byte("n,,n=user,r=" + clientNonce)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Challenge(k); err != nil {
		t.Fatal(err)
	}
	got, err := s.Final([]byte("c=biws,r=" + fullNonce + ",p=Ccfz+MPysZ5YsRatnfoQRtOYQ0RquqCRk+EhNl23pFE="))
	if want := "v=oSLkEWhkxIA3AphzDz+SheC1WRVNS+NlSwxyipFvUvI="; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
