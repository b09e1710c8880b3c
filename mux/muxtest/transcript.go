package muxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Config is what a transcript is played on.
type Config struct {
	// Options of the mux. With a [Committer] of this package transcripts can say
	// what becomes of commits.
	Options mux.Options
	// Extensions makes the extensions, at the start and at each restart; what is
	// to survive a restart, such as stores, is made outside.
	Extensions func() []mux.Extension
}

// Transcripts plays each file that matches a pattern such as testdata/*.xmpp, as
// a subtest in a bubble of its own. There must be one. config is called for each.
func Transcripts(t *testing.T, pattern string, config func(t *testing.T) Config) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcript matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".xmpp"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { Play(t, config(t), file, string(text)) })
		})
	}
}

// Play plays one transcript on a new host; name is for messages.
func Play(t TB, c Config, name, text string) {
	t.Helper()
	lines, err := parseTranscript(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p := &player{where: &place{TB: t, file: name}, config: c, peers: make(map[string]*Client), captures: make(Captures),
		previous: make(map[string]string)}
	p.h = New(p.where, &c.Options, p.extensions()...)
	p.play(lines)
}

// line is one step of a transcript.
type line struct {
	number int
	name   string
	dir    byte   // > or <, 0 for an event
	text   string // an element, or what happens
}

// place says where in the transcript a test fails.
type place struct {
	TB
	file string
	line int
}

func (p *place) Errorf(format string, args ...any) {
	p.TB.Helper()
	p.TB.Errorf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...))
}

func (p *place) Fatalf(format string, args ...any) {
	p.TB.Helper()
	p.TB.Fatalf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...))
}

func parseTranscript(text string) ([]line, error) {
	var lines []line
	for i, raw := range strings.Split(text, "\n") {
		raw = strings.TrimRight(raw, " \t\r")
		switch {
		case strings.TrimSpace(raw) == "" || strings.HasPrefix(strings.TrimSpace(raw), "#"):
			continue
		case raw[0] == ' ' || raw[0] == '\t':
			if len(lines) == 0 {
				return nil, fmt.Errorf("line %d continues nothing", i+1)
			}
			lines[len(lines)-1].text += "\n" + raw
			continue
		}
		l := line{number: i + 1, text: raw}
		name, rest, spaced := strings.Cut(raw, " ")
		if n := len(name) - 1; spaced && n > 0 && (name[n] == '>' || name[n] == '<') {
			l.name, l.dir, l.text = name[:n], name[n], strings.TrimSpace(rest)
		}
		if peer, ok := strings.CutSuffix(raw, " is dropped"); ok {
			l.name, l.dir, l.text = peer, '<', Dropped
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// player plays a transcript.
type player struct {
	where    *place
	config   Config
	h        *Host
	peers    map[string]*Client
	names    []string // of peers, in order
	captures Captures
	previous map[string]string // id of what a peer may resume
}

func (p *player) extensions() []mux.Extension {
	if p.config.Extensions == nil {
		return nil
	}
	return p.config.Extensions()
}

func (p *player) play(lines []line) {
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		p.where.line = l.number
		switch l.dir {
		case '<':
			p.expect(l)
			continue
		case 0:
			p.nothingLeft()
			p.event(l)
			continue
		}
		if i == 0 || lines[i-1].dir != '>' {
			p.nothingLeft()
		}
		// Lines of one peer that follow one another arrive together.
		elements := []string{p.captures.Expand(l.text)}
		for i+1 < len(lines) && lines[i+1].dir == '>' && lines[i+1].name == l.name {
			i++
			elements = append(elements, p.captures.Expand(lines[i].text))
		}
		p.peer(l.name).Send(elements...)
	}
	p.nothingLeft()
}

// expect takes what has arrived at a peer; for a domain what was routed there
// comes before what its stream got.
func (p *player) expect(l line) {
	if p.domain(l.name) {
		if l.text == "*" {
			p.h.Routed(l.name)
		} else if got, ok := p.h.TakeRouted(l.name); ok {
			if err := Match(l.text, got, p.captures); err != nil {
				p.where.Fatalf("%s: %v\n got: %s\nwant: %s", l.name, err, got, l.text)
			}
			return
		}
	}
	c := p.peer(l.name)
	if l.text == "*" {
		c.Clear()
		return
	}
	if got := c.Arrived(); len(got) > 0 {
		p.remember(l.name, got[0])
	}
	c.ExpectWith(p.captures, l.text)
}

// remember notes what NAME resumes needs.
func (p *player) remember(name, el string) {
	if s, err := mux.Parse([]byte(el)); err == nil && s.Name().Local == "enabled" && s.Attr("id") != "" {
		p.previous[name] = s.Attr("id")
	}
}

// nothingLeft fails if something has arrived that was not expected.
func (p *player) nothingLeft() {
	for _, name := range p.names {
		if got := p.peers[name].Arrived(); len(got) > 0 {
			p.where.Fatalf("before this line, %s got also:\n%s", name, strings.Join(got, "\n"))
		}
	}
	p.h.Settle()
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	for domain, got := range p.h.routed {
		p.where.Fatalf("before this line, %s got also:\n%s", domain, strings.Join(got, "\n"))
	}
}

// pass lets time pass, of the bubble's or, without one, real.
func (p *player) pass(d time.Duration) {
	time.Sleep(d)
	p.h.Settle()
}
