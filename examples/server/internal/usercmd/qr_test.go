package usercmd

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// TestQRText: every module is where it belongs, with a margin, on lines of one width.
func TestQRText(t *testing.T) {
	t.Parallel()
	const link = "https://example.org/invite/#abcdefghijklmnopqrstuvwxyz"
	c, err := qr.Encode(link, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(qrText(link), "\n"), "\n")
	if len(lines) != (c.Size+2*quiet+1)/2 {
		t.Fatalf("%d lines for a code of %d", len(lines), c.Size)
	}
	for n, line := range lines {
		text, ok := strings.CutPrefix(line, "\x1b[30;107m")
		text, end := strings.CutSuffix(text, "\x1b[0m")
		cells := []rune(text)
		if !ok || !end || len(cells) != c.Size+2*quiet {
			t.Fatalf("line %d: %q", n, line)
		}
		for x, r := range cells {
			up, down := r == '█' || r == '▀', r == '█' || r == '▄'
			y := 2*n - quiet
			if up != c.Black(x-quiet, y) || down != c.Black(x-quiet, y+1) {
				t.Fatalf("line %d, column %d: %q", n, x, r)
			}
		}
	}
	if qrText(strings.Repeat("a", 4000)) != "" {
		t.Error("a code for too much")
	}
}
