package config

import (
	"fmt"
	"io"
	"strings"
)

// helpWidth is what a terminal has for the column of explanations.
const helpWidth = 56

// WriteHelp describes every setting.
func WriteHelp(w io.Writer) error {
	var b strings.Builder
	for _, s := range settings {
		lines := strings.Split(s.help, "\n")
		if s.value != "" {
			value := "(default " + s.value + ")"
			if last := &lines[len(lines)-1]; len(*last)+1+len(value) <= helpWidth {
				*last += " " + value
			} else {
				lines = append(lines, value)
			}
		}
		head := "-" + s.name + " " + s.argument
		for _, line := range lines {
			fmt.Fprintf(&b, "  %-20s  %s\n", head, line)
			head = ""
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
