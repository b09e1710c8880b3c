package repotest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is one fenced code block of a Markdown text.
type block struct {
	language string
	lines    []string
}

// codeBlocks returns the fenced blocks of text in order, without empty lines.
func codeBlocks(text string) []block {
	var (
		blocks []block
		open   bool
	)
	for line := range strings.SplitSeq(text, "\n") {
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !open:
			blocks = append(blocks, block{language: language})
			open = true
		case fence:
			open = false
		case open && strings.TrimSpace(line) != "":
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, line)
		}
	}
	return blocks
}

func TestCodeBlocks(t *testing.T) {
	t.Parallel()
	got := codeBlocks("text\n\n```sh\none\n\ntwo\n```\ntext\n```\n```\n")
	if len(got) != 2 || got[0].language != "sh" || !slices.Equal(got[0].lines, []string{"one", "two"}) || got[1].lines != nil {
		t.Errorf("codeBlocks = %+v", got)
	}
}

// TestRepositoryReadme keeps the promise of the two commands, which the
// continuous integration runs exactly as written there.
func TestRepositoryReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := codeBlocks(string(text))
	if len(blocks) == 0 {
		t.Fatal("README.md has no code block")
	}
	want := []string{"go run ./examples/server", "go test work"}
	if !slices.Equal(blocks[0].lines, want) {
		t.Errorf("the first code block has the commands %q, want %q", blocks[0].lines, want)
	}
	for _, b := range blocks {
		if b.language == "go" {
			t.Errorf("README.md has Go code that nothing compiles; make it an Example of a package and link to it:\n%s", strings.Join(b.lines, "\n"))
		}
	}
}
