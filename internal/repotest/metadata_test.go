package repotest

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// supportedXEP is what doap.xml says of one XEP (XEP-0453).
type supportedXEP struct {
	Document struct {
		URL string `xml:"http://www.w3.org/1999/02/22-rdf-syntax-ns# resource,attr"`
	} `xml:"https://linkmauve.fr/ns/xmpp-doap# xep"`
	Status  string `xml:"https://linkmauve.fr/ns/xmpp-doap# status"`
	Version string `xml:"https://linkmauve.fr/ns/xmpp-doap# version"`
}

var xepURL = regexp.MustCompile(`^https://xmpp\.org/extensions/xep-(\d{4})\.html$`)

// name is the XEP's name as package comments write it, or "".
func (x supportedXEP) name() string {
	m := xepURL.FindStringSubmatch(x.Document.URL)
	if m == nil {
		return ""
	}
	return "XEP-" + m[1]
}

func parseDOAP(text []byte) ([]supportedXEP, error) {
	var doap struct {
		XEPs []supportedXEP `xml:"Project>implements>SupportedXep"`
	}
	err := xml.Unmarshal(text, &doap)
	return doap.XEPs, err
}

// claims lists what doap.xml says and no package comment confirms by naming
// the XEP and the version.
func claims(xeps []supportedXEP, comments []string) []string {
	var found []string
	for _, x := range xeps {
		switch name := x.name(); {
		case name == "":
			found = append(found, "malformed address "+x.Document.URL)
		case !slices.Contains([]string{"complete", "partial", "planned", "deprecated", "removed", "wontfix"}, x.Status):
			found = append(found, name+": status "+x.Status)
		case x.Status == "planned" || x.Status == "removed" || x.Status == "wontfix":
		case !slices.ContainsFunc(comments, func(c string) bool {
			return strings.Contains(c, name) && x.Version != "" && strings.Contains(c, x.Version)
		}):
			found = append(found, name+": no package comment names it with version "+x.Version)
		}
	}
	return found
}

func TestClaims(t *testing.T) {
	t.Parallel()
	const text = `<rdf:RDF xmlns='http://usefulinc.com/ns/doap#' xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'
	xmlns:xmpp='https://linkmauve.fr/ns/xmpp-doap#'><Project>
	<implements rdf:resource='https://xmpp.org/rfcs/rfc6120.html'/>
	<implements><xmpp:SupportedXep><xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-0199.html'/><xmpp:status>complete</xmpp:status><xmpp:version>2.0.1</xmpp:version></xmpp:SupportedXep></implements>
	<implements><xmpp:SupportedXep><xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-0092.html'/><xmpp:status>complete</xmpp:status><xmpp:version>1.1</xmpp:version></xmpp:SupportedXep></implements>
	<implements><xmpp:SupportedXep><xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-0313.html'/><xmpp:status>planned</xmpp:status></xmpp:SupportedXep></implements>
	<implements><xmpp:SupportedXep><xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-0030.html'/><xmpp:status>good</xmpp:status></xmpp:SupportedXep></implements>
	</Project></rdf:RDF>`
	xeps, err := parseDOAP([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := claims(xeps, []string{"Package ping implements XEP-0199 (version 2.0.1).", "Package version implements XEP-0092 (version 1.0)."})
	want := []string{"XEP-0092: no package comment names it with version 1.1", "XEP-0030: status good"}
	if !slices.Equal(got, want) {
		t.Errorf("claims = %q, want %q", got, want)
	}
}

func TestRepositoryDOAP(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "doap.xml"))
	if err != nil {
		t.Fatal(err)
	}
	xeps, err := parseDOAP(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(xeps) == 0 {
		t.Error("doap.xml names no XEP")
	}
	var comments []string
	for _, s := range sources(t) {
		if !s.test() && s.file.Doc != nil {
			comments = append(comments, s.file.Doc.Text())
		}
	}
	report(t, claims(xeps, comments))
}

var relativeLink = regexp.MustCompile(`\]\(([^():#]+)(#[^()]*)?\)`)

// links returns the targets of the links of a Markdown text that point into
// the repository.
func links(text string) []string {
	var found []string
	for _, m := range relativeLink.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func TestLinks(t *testing.T) {
	t.Parallel()
	got := links("[a](docs/a.md), [b](https://example.org/x), [`mux`](mux) and [c](b.md#part) or [d](#here)")
	want := []string{"docs/a.md", "mux", "b.md"}
	if !slices.Equal(got, want) {
		t.Errorf("links = %q, want %q", got, want)
	}
}

// TestRepositoryLinks: what the texts point to exists.
func TestRepositoryLinks(t *testing.T) {
	t.Parallel()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/conformance/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		t.Fatal("no texts found")
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links(string(text)) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), l)); err != nil {
				t.Errorf("%s links to %s, which does not exist", filepath.Base(name), l)
			}
		}
	}
}
