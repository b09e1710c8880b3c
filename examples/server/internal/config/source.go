package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// entry is a value that a source gives for a setting.
type entry struct {
	setting *setting
	value   string
	from    string // the place, for messages
}

// last returns the value of -config in the last source that has it.
func last(sources ...[]entry) string {
	var value string
	for _, source := range sources {
		for _, e := range source {
			if e.setting.name == "config" {
				value = e.value
			}
		}
	}
	return value
}

// parseFlags returns the flags in their order, and all arguments that are no
// flags. What follows the argument -- up to the next space is none.
func parseFlags(args []string) (entries []entry, rest []string, err error) {
	set := flag.NewFlagSet("server", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	for i := range settings {
		s := &settings[i]
		set.Func(s.name, "", func(value string) error {
			entries = append(entries, entry{s, value, "-" + s.name})
			return nil
		})
	}
	for {
		if err := set.Parse(args); err != nil {
			id := args[len(args)-set.NArg()-1] // what it stopped at
			if name, _, _ := strings.Cut(strings.TrimLeft(id, "-"), "="); !namesClient(rest) || errors.Is(err, flag.ErrHelp) || set.Lookup(name) != nil {
				return nil, nil, err
			}
			rest, args = append(rest, id), set.Args()
			continue
		}
		if set.NArg() == 0 {
			return entries, rest, nil
		}
		rest = append(rest, set.Arg(0))
		args = set.Args()[1:]
	}
}

// namesClient reports whether the next argument is the ID of a client, which may begin
// like a flag.
func namesClient(args []string) bool {
	return len(args) == 3 && args[0] == "user" && args[1] == "revoke"
}

// envPrefix begins the name of every setting in the environment.
const envPrefix = "PROPOLIS_"

func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func parseEnviron(environ []string) ([]entry, error) {
	byName := make(map[string]*setting, len(settings))
	for i := range settings {
		byName[envName(settings[i].name)] = &settings[i]
	}
	var entries []entry
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		s, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("%s in the environment is no setting; -help lists them", name)
		}
		entries = append(entries, entry{s, value, name})
	}
	return entries, nil
}

// maxFile bounds a configuration file, in bytes.
const maxFile = 64 << 10

func readFile(path string) ([]entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("-config: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("-config: %w", err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("-config: %s has more than %d bytes", path, maxFile)
	}
	return parseFile(path, string(content))
}

// parseFile reads lines NAME = VALUE. A # at the begin of a line or after a
// space begins a comment.
func parseFile(path, content string) ([]entry, error) {
	var (
		entries []entry
		number  int
		seen    = make(map[string]int)
	)
	for line := range strings.Lines(content) {
		number++
		line = strings.TrimSpace(withoutComment(line))
		if line == "" {
			continue
		}
		e, err := parseLine(line)
		if err == nil && seen[e.setting.name] > 0 && !e.setting.repeatable() {
			err = fmt.Errorf("%s was set in line %d already", e.setting.name, seen[e.setting.name])
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		seen[e.setting.name] = number
		e.from = fmt.Sprintf("%s:%d: %s", path, number, e.setting.name)
		entries = append(entries, e)
	}
	return entries, nil
}

func parseLine(line string) (entry, error) {
	name, value, found := strings.Cut(line, "=")
	if !found {
		return entry{}, errors.New("want NAME = VALUE")
	}
	name = strings.TrimSpace(name)
	s, ok := find(name)
	switch {
	case !ok:
		return entry{}, fmt.Errorf("%q is no setting; -help lists them", name)
	case name == "config":
		return entry{}, errors.New("a configuration file cannot name another one")
	}
	return entry{setting: s, value: strings.TrimSpace(value)}, nil
}

func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}
