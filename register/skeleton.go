package register

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

// SkeletonData names the data that skeletons are made with: those made with others
// must be made anew.
const SkeletonData = "UTS 39 13.0.0, " + norm.Version

//go:embed confusables.txt
var confusables string

// lookalikes is the table of confusables.txt. What cannot be read is left out; a test
// sees to it that nothing is.
var lookalikes = sync.OnceValue(func() map[rune]string {
	table := make(map[rune]string)
	for line := range strings.Lines(confusables) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		var b strings.Builder
		for point := range strings.FieldsSeq(to) {
			b.WriteRune(point16(point))
		}
		table[point16(from)] = b.String()
	}
	return table
})

func point16(s string) rune {
	n, err := strconv.ParseUint(s, 16, 21)
	if err != nil {
		return -1
	}
	return rune(n)
}

// Skeleton is what all names look like that a reader may take for one another
// (UTS 39 §4). local is a prepared localpart. A skeleton is for comparing only.
func Skeleton(local string) string {
	table := lookalikes()
	var b strings.Builder
	for _, r := range norm.NFD.String(local) {
		if to, ok := table[r]; ok {
			b.WriteString(to)
		} else {
			b.WriteRune(r)
		}
	}
	return norm.NFD.String(b.String())
}
