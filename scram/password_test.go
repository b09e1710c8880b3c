package scram_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
	"github.com/xdg-go/stringprep"
)

func TestPreparePassword(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, want string // an empty want is ErrPasswordForbidden
	}{
		{"ASCII", "r0m30myr0m30 ", "r0m30myr0m30 "},
		{"soft hyphen", "I\u00adX", "IX"},
		{"feminine ordinal", "\u00aa", "a"},
		{"Roman numeral", "\u2168", "IX"},
		{"full width", "\uff50\uff41\uff53\uff53", "pass"},
		{"no-break space", "p\u00a0w", "p w"},
		{"zero width space", "p\u200bw", "p w"},
		{"combining acute", "e\u0301", "\u00e9"},
		{"case stays", "USER", "USER"},
		{"bidi error, then OpaqueString", "\u06271", "\u06271"},
		{"right to left", "\u0627 1\u0628", "\u0627 1\u0628"},
		{"right to left with Latin, then OpaqueString", "\u0627a\u0628", "\u0627a\u0628"},
		{"younger than Unicode 3.2, then OpaqueString", "\U0001f511p\u00a0w", "\U0001f511p w"},
		{"control character", "\u0007", ""},
		{"delete", "\u007f", ""},
		{"empty", "", ""},
		{"nothing left", "\u00ad\u2060", ""},
		{"not UTF-8", "p\xffw", ""},
		{"replacement character, then OpaqueString", "\ufffd", "\ufffd"},
		{"private use", "\ue000", ""},
		{"tag", "\U000e0041", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := scram.PreparePassword(c.in)
			if c.want == "" {
				if !errors.Is(err, scram.ErrPasswordForbidden) {
					t.Fatalf("got %+q, %v", got, err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %+q, %v, want %+q", got, err, c.want)
			}
			if again, err := scram.PreparePassword(got); err != nil || again != got {
				t.Errorf("not stable: then %+q, %v", again, err)
			}
		})
	}
	if _, err := scram.PreparePassword(strings.Repeat("x", 1025)); !errors.Is(err, scram.ErrPasswordLong) {
		t.Errorf("1025 octets: got %v", err)
	}
}

// TestSASLprepForbids: what OpaqueString would let through unchanged.
func TestSASLprepForbids(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"right to left, digit at the end": "\u06271",
		"right to left, digit first":      "1\u0627",
		"both directions":                 "\u0627a\u0628",
		"unassigned in Unicode 3.2":       "\u0221",
		"emoji":                           "\U0001f511",
		"control character":               "a\u0080",
		"replacement character":           "\ufffd",
		"line separator":                  "\u2028",
		"ideographic description":         "\u2ff0",
		"not UTF-8":                       "\xff",
	} {
		if got, err := scram.SASLprep(in); err == nil {
			t.Errorf("%s: got %+q", name, got)
		}
	}
}

// TestSASLprepAgainstOther compares every code point, alone and beside
// others, with another implementation, which treats strings as queries:
// where both accept, they agree.
func TestSASLprepAgainstOther(t *testing.T) {
	t.Parallel()
	agreed := 0
	for r := rune(0x80); r <= 0x2ffff; r++ {
		// U+200B is in the tables of spaces and of what is deleted, and each
		// has its followers; U+1806 is missing from the other's tables.
		if r >= 0xd800 && r < 0xe000 || r == 0x200b || r == 0x1806 {
			continue
		}
		for _, in := range []string{string(r), "a" + string(r) + "\u0301"} {
			want, err := stringprep.SASLprep.Prepare(in)
			if err != nil {
				continue
			}
			got, err := scram.SASLprep(in)
			if err != nil {
				continue
			}
			agreed++
			if got != want {
				t.Errorf("%+q: got %+q, want %+q", in, got, want)
			}
		}
	}
	if agreed < 100_000 {
		t.Errorf("only %d strings were compared", agreed)
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"8 characters", "tr0ub4do", nil},
		{"7 characters", "tr0ub4d", scram.ErrPasswordShort},
		{"8 characters before preparation only", "tr0u\u00adb4d", scram.ErrPasswordShort},
		{"8 characters of 4 octets", strings.Repeat("\U0001f511", 8), nil},
		{"128 characters", strings.Repeat("ab", 64), nil},
		{"129 characters", strings.Repeat("a", 129), scram.ErrPasswordLong},
		{"2000 octets", strings.Repeat("a", 2000), scram.ErrPasswordLong},
		{"common", "password", scram.ErrPasswordCommon},
		{"common in upper case", "PassWord1", scram.ErrPasswordCommon},
		{"part of the list", "password\nprincess", scram.ErrPasswordForbidden},
		{"control character", "tr0ub4do\x00", scram.ErrPasswordForbidden},
		{"empty", "", scram.ErrPasswordForbidden},
		{"forms differ (PW-4)", "\uff50\uff41\uff53\uff53\uff50\uff41\uff53\uff54", scram.ErrPasswordAmbiguous},
		{"one form only", "correct\u00adhorse", scram.ErrPasswordAmbiguous},
		{"differing in spaces", "correct\u3000horse", nil},
		{"accents", "pe\u0301niche-\u00e9lan", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := scram.CheckPassword(c.in); !errors.Is(err, c.want) || c.want != nil && !errors.Is(err, scram.ErrPassword) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	r := scram.PasswordRules{MinLength: 2, MaxLength: 4, AcceptAmbiguous: true, Common: func(s string) bool { return s == "abc" }}
	for in, want := range map[string]error{
		"a": scram.ErrPasswordShort, "abcde": scram.ErrPasswordLong, "ABC": scram.ErrPasswordCommon, "\uff50\uff41": nil,
	} {
		if _, err := r.Check(in); !errors.Is(err, want) {
			t.Errorf("own rules, %q: got %v, want %v", in, err, want)
		}
	}
}

func TestPrepareName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"ASCII", "alice", "alice"},
		{"upper case", "Alice", "alice"},
		{"full width", "\uff41\uff4c\uff49\uff43\uff45", "alice"},
		{"full width upper case", "\uff21lice", "alice"},
		{"Kelvin sign", "\u212aate", "kate"},
		{"combining", "alice\u0301", "alic\u00e9"},
		{"composed", "alic\u00e9", "alic\u00e9"},
		{"Cyrillic a stays another", "\u0430lice", "\u0430lice"},
		{"punctuation", "a.b-c_d+1", "a.b-c_d+1"},
		{"64 octets", strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{"65 octets", strings.Repeat("a", 65), ""},
		{"empty", "", ""},
		{"long s", "\u017fam", ""},
		{"ligature", "\ufb00", ""},
		{"sharp s", "stra\u00dfe", ""},
		{"final sigma", "\u03c3\u03bf\u03c6\u03cc\u03c2", ""},
		{"space", "a b", ""},
		{"at", "a@b", ""},
		{"slash", "a/b", ""},
		{"colon", "a:b", ""},
		{"quote", `a"b`, ""},
		{"ampersand", "a&b", ""},
		{"apostrophe", "a'b", ""},
		{"less", "a<b", ""},
		{"greater", "a>b", ""},
		{"full width at", "a\uff20b", ""},
		{"full width slash", "a\uff0fb", ""},
		{"NUL", "a\x00b", ""},
		{"line break", "a\nb", ""},
		{"soft hyphen", "a\u00adb", ""},
		{"symbol", "\u2603", ""},
		{"not UTF-8", "a\xff", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := scram.PrepareName(c.in, 0)
			if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, scram.ErrName) {
				t.Errorf("got %+q, %v, want %+q", got, err, c.want)
			}
		})
	}
	long := strings.Repeat("a", 1023)
	if got, err := scram.PrepareName(long, 5000); got != long || err != nil {
		t.Errorf("1023 octets: got %d octets, %v", len(got), err)
	}
	if _, err := scram.PrepareName(long+"a", 5000); !errors.Is(err, scram.ErrName) {
		t.Errorf("1024 octets: got %v", err)
	}
	// An account made elsewhere can log in, if PRECIS allows its name.
	if got, err := scram.PrepareLocalpart("Stra\u00dfe"); err != nil || got != "stra\u00dfe" {
		t.Errorf("PrepareLocalpart: got %+q, %v", got, err)
	}
}

// TestPreparedASCII: the short cut agrees with the profile.
func TestPreparedASCII(t *testing.T) {
	t.Parallel()
	for a := range byte(0x80) {
		for b := range byte(0x80) {
			name := string([]byte{a, b})
			mapped, err := scram.UsernameCaseMapped.String(name)
			want := err == nil && mapped == name && !strings.ContainsAny(name, " \"&'/:<>@")
			if got := scram.IsPreparedASCII(name); got != want {
				t.Errorf("%q: got %v, want %v (%q, %v)", name, got, want, mapped, err)
			}
		}
	}
	if scram.IsPreparedASCII("") {
		t.Error("empty name")
	}
}
