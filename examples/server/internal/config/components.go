package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Component is an external component and the file with its secret.
type Component struct{ Domain, SecretFile string }

// repeatable reports whether all values of a setting in one source count, not the
// last one only.
func (s *setting) repeatable() bool { return s.separator() != "" }

// separator is what stands between several values of a repeatable setting in one;
// empty for others.
func (s *setting) separator() string {
	switch s.name {
	case "component-secret":
		return ","
	case "contact": // a URI may have commas, and no spaces
		return " "
	}
	return ""
}

// combined joins the values of repeatable settings of a source.
func combined(source []entry) []entry {
	var out []entry
	for _, e := range source {
		i := slices.IndexFunc(out, func(o entry) bool { return o.setting == e.setting })
		if i < 0 || !e.setting.repeatable() {
			out = append(out, e)
			continue
		}
		out[i].value += e.setting.separator() + e.value
	}
	return out
}

// setComponents takes a list DOMAIN=FILE apart.
func setComponents(c *Config, value string) error {
	c.Components = nil
	if value == "" {
		return nil
	}
	for item := range strings.SplitSeq(value, ",") {
		name, file, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || file == "" {
			return errors.New("want DOMAIN=FILE") // what was given may be a secret
		}
		domain, err := prepareDomain(name)
		if err != nil {
			return fmt.Errorf("%q is not a domain: %w", name, err)
		}
		if slices.ContainsFunc(c.Components, func(o Component) bool { return o.Domain == domain }) {
			return fmt.Errorf("component %s is given twice", domain)
		}
		c.Components = append(c.Components, Component{domain, file})
	}
	return nil
}

// checkComponents checks what concerns components and other settings.
func (c *Config) checkComponents() error {
	if (c.Component == "") != (len(c.Components) == 0) {
		return errors.New("-component and -component-secret go together: give both or none")
	}
	for _, o := range c.Components {
		if slices.Contains(c.Domains, o.Domain) {
			return fmt.Errorf("-component-secret: %s is a domain of -domain", o.Domain)
		}
	}
	return nil
}

// maxSecret bounds the file of a secret, in bytes.
const maxSecret = 4 << 10

// Secret reads the component's secret: the file without the white space around
// what is in it.
func (o Component) Secret() ([]byte, error) {
	content, err := os.ReadFile(o.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", o.Domain, err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" || len(secret) > maxSecret {
		return nil, fmt.Errorf("component %s: %s is no secret: want 1 to %d bytes", o.Domain, o.SecretFile, maxSecret)
	}
	return []byte(secret), nil
}
