// Command confusables writes the table of look-alikes of package register from the
// data of UTS 39 that a Go module carries.
//
//	go run ./confusables >../register/confusables.txt
//
// Only what can stand in a localpart (RFC 8265 §3.3) is kept, and a character that
// is more than one by canonical decomposition is left out: its parts are there.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"unicode"

	"github.com/mtibben/confusables"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

const head = `# Look-alikes among what a localpart can hold: a character and what stands for it in
# a skeleton (UTS 39 §4), as code points. Made by tools/confusables; do not edit.
#
# The data are those of confusables.txt, Unicode Security Mechanisms for UTS #39,
# version 13.0.0, reduced. © 2020 Unicode®, Inc. Unicode and the Unicode Logo are
# registered trademarks of Unicode, Inc. in the U.S. and other countries. Their licence
# is in LICENSE.unicode in this directory; it is not that of the rest of this module.
`

func main() {
	w := bufio.NewWriter(os.Stdout)
	fmt.Fprint(w, head)
	n := 0
	for r := rune(0x21); r <= unicode.MaxRune; r++ {
		s := string(r)
		// Nothing that ends by itself is refused where another letter is needed
		// beside it, so such contexts are of no interest here.
		if p, err := precis.UsernameCaseMapped.String("a" + s + "a"); err != nil || p != "a"+s+"a" || norm.NFD.String(s) != s {
			continue
		}
		skeleton := confusables.Skeleton(s)
		if skeleton == s {
			continue
		}
		fmt.Fprintf(w, "%04x", r)
		for _, r := range skeleton {
			fmt.Fprintf(w, " %04x", r)
		}
		fmt.Fprintln(w)
		n++
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
	log.Print(n, " characters")
}
