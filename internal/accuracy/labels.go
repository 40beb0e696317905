package accuracy

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/detect"
	"github.com/goccy/go-yaml"
)

// A Map says what labels of a data set mean here.
type Map struct {
	// Labels gives each label the classes that are right for it; the figures
	// stand in the row of the first.
	Labels map[string][]string
	// LeftOut has the labels that no class is for, each with the reason.
	LeftOut map[string]string
	// Optional gives labels of which only some values are of a class these classes: to
	// find one as such is neither right nor wrong, and nothing is missed.
	Optional map[string][]string
}

// classes is one class or a list of them.
type classes []string

func (c *classes) UnmarshalYAML(text []byte) error {
	var one string
	if err := yaml.Unmarshal(text, &one); err == nil {
		*c = classes{one}
		return nil
	}
	var all []string
	if err := yaml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("want a class, or a list of classes")
	}
	*c = all
	return nil
}

// ReadMap reads a map from YAML: under labels, a class, group:NAME or a list of those
// for each label; under left_out, a reason for each label that has none; under optional,
// classes of labels that are left out.
func ReadMap(r io.Reader) (*Map, error) {
	var doc struct {
		Labels   map[string]classes `yaml:"labels"`
		LeftOut  map[string]string  `yaml:"left_out"`
		Optional map[string]classes `yaml:"optional"`
	}
	d := yaml.NewDecoder(r, yaml.Strict())
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("reading the map of labels: %w", err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the map of labels has more than one document")
	}
	m := &Map{Labels: map[string][]string{}, LeftOut: doc.LeftOut, Optional: map[string][]string{}}
	for to, part := range map[*map[string][]string]map[string]classes{&m.Labels: doc.Labels, &m.Optional: doc.Optional} {
		for label, all := range part {
			if err := checkClasses(label, all); err != nil {
				return nil, err
			}
			(*to)[label] = all
		}
	}
	for label := range m.Optional {
		if _, twice := m.Labels[label]; twice {
			return nil, fmt.Errorf("label %q has a class and is optional, too", label)
		}
		if _, why := m.LeftOut[label]; !why {
			return nil, fmt.Errorf("label %q is optional: say under left_out why not all of it has a class", label)
		}
	}
	for label := range m.Labels {
		if _, twice := m.LeftOut[label]; twice {
			return nil, fmt.Errorf("label %q has a class and is left out, too", label)
		}
	}
	for label, why := range doc.LeftOut {
		if strings.TrimSpace(why) == "" {
			return nil, fmt.Errorf("label %q is left out: say why", label)
		}
	}
	return m, nil
}

func checkClasses(label string, all []string) error {
	if len(all) == 0 {
		return fmt.Errorf("label %q has no class: name one, or put it under left_out with the reason", label)
	}
	for _, c := range all {
		if g, ok := strings.CutPrefix(c, groupOf); ok && !slices.Contains([]string{detect.PII, detect.PHI, detect.PCI, detect.Secret}, g) {
			return fmt.Errorf("label %q: there is no group %q", label, g)
		}
	}
	return nil
}

// groupOf before a name means every class of that group.
const groupOf = "group:"

// Unknown lists the classes of m that this edition doesn't have: what they label is missed.
func (m *Map) Unknown() []string {
	var out []string
	for _, all := range m.Labels {
		for _, c := range all {
			if !strings.HasPrefix(c, groupOf) && !detect.Class(c).Valid() && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	slices.Sort(out)
	return out
}

// right returns the classes that are right for a label, and false when it is left out: the
// classes are optional then.
// Without a map a label is a class.
func (m *Map) right(label string) ([]string, bool, error) {
	if m == nil {
		if !detect.Class(label).Valid() {
			return nil, false, fmt.Errorf("there is no class %q; a map says what the labels of a data set mean (--map)", label)
		}
		return []string{label}, true, nil
	}
	if all, ok := m.Labels[label]; ok {
		return all, true, nil
	}
	if _, ok := m.LeftOut[label]; ok {
		return m.Optional[label], false, nil
	}
	return nil, false, fmt.Errorf("the map says nothing of label %q: give it a class, or leave it out with the reason", label)
}

// Findings reads findings of another detector as labels: each gets the first class of its
// label, and those left out are dropped.
func (m *Map) Findings(t *Text) ([]detect.Finding, error) {
	var out []detect.Finding
	for _, s := range t.Spans {
		right, ok, err := m.right(s.Label)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, detect.Finding{Start: s.Start, End: s.End, Class: detect.Class(right[0]), Score: 1})
		}
	}
	return out, nil
}

// fits reports whether a finding of class is right where all are.
func fits(all []string, class string) bool {
	for _, c := range all {
		if c == class {
			return true
		}
		if g, ok := strings.CutPrefix(c, groupOf); ok && detect.Class(class).Valid() && slices.Contains(detect.GroupOf(detect.Class(class)), g) {
			return true
		}
	}
	return false
}

// row names the row of figures that a finding of class belongs to where no label is near:
// that of the first label it would be right for.
func (m *Map) row(class string) string {
	if m == nil {
		return class
	}
	var row string
	for _, all := range m.Labels {
		if fits(all, class) && (row == "" || all[0] == class || row != class && all[0] < row) {
			row = all[0]
		}
	}
	if row == "" {
		return class
	}
	return row
}
