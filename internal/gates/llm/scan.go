package llm

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/classify/llm"
	"github.com/assenthq/assent/internal/detect"
)

// A finding is a value in a unit: bytes of its texts, one behind the other.
type finding struct {
	start, end int
	class      detect.Class
}

// find looks for values in what a unit's texts are together. What a tool's data calls by a
// name is of that name's class.
func find(e *detect.Engine, u *llm.Unit) (joined string, found []finding) {
	joined = u.Texts[0]
	if len(u.Texts) > 1 {
		joined = strings.Join(u.Texts, "")
	}
	if u.Key != "" {
		if class, _ := e.Column(u.Key, nil); class != "" && holds(joined) {
			at := len(joined) - len(strings.TrimLeft(joined, " \t\r\n"))
			return joined, []finding{{at, len(strings.TrimRight(joined, " \t\r\n")), class}}
		}
	}
	list := e.FindString(joined)
	defer list.Free()
	for _, f := range list.List {
		found = append(found, finding{f.Start, f.End, f.Class})
	}
	return joined, found
}

// holds says that a value says something.
func holds(text string) bool {
	text = strings.TrimSpace(text)
	return len(text) > 1 && text != "true" && text != "false" && text != "null"
}

// A survey is what a request carries.
type survey struct {
	engine  *detect.Engine
	classes map[string]int64
	secrets []string // where the first of them are, and of which class
	text    strings.Builder
	cut     bool
}

// maxStatement is how much of a request people are shown.
const maxStatement = 256 << 10

// maxPlaces is how many places of secrets are told.
const maxPlaces = 5

func (s *survey) look(u *llm.Unit) []string {
	joined, found := find(s.engine, u)
	for _, f := range found {
		s.classes[string(f.class)]++
		if isSecret(f.class) && len(s.secrets) < maxPlaces {
			s.secrets = append(s.secrets, string(f.class)+" in "+u.Where)
		}
	}
	if strings.HasSuffix(u.Where, "(a name)") && len(found) == 0 {
		return nil
	}
	if s.text.Len()+len(joined) > maxStatement {
		s.cut = true
		return nil
	}
	if u.Key != "" && len(found) == 1 && found[0].start == 0 && found[0].end == len(joined) {
		joined = "[masked:" + string(found[0].class) + "]" // by its name: who masks text alone would not find it
	}
	s.text.WriteString(u.Where)
	s.text.WriteString(": ")
	s.text.WriteString(joined)
	s.text.WriteByte('\n')
	return nil
}

// isSecret says that a class is of the group secret and of no other.
func isSecret(c detect.Class) bool { return slices.Equal(detect.GroupOf(c), []string{detect.Secret}) }

// A swap puts tokens in the place of what is masked.
type swap struct {
	engine *detect.Engine
	masked func(class string) bool
	tokens *tokens
	left   map[string]bool // classes that stay as they are
}

func (s *swap) look(u *llm.Unit) []string {
	joined, found := find(s.engine, u)
	found = slices.DeleteFunc(found, func(f finding) bool {
		if s.tokens.is(joined[f.start:f.end]) {
			return true
		}
		if s.masked(string(f.class)) {
			return false
		}
		s.left[string(f.class)] = true
		return true
	})
	if len(found) == 0 {
		return nil
	}
	out := make([]string, len(u.Texts))
	begin := 0
	for i, text := range u.Texts {
		end := begin + len(text)
		var b strings.Builder
		at := begin
		for _, f := range found {
			if f.end <= begin || f.start >= end {
				continue
			}
			if f.start >= begin {
				b.WriteString(joined[at:f.start])
				b.WriteString(s.tokens.of(string(f.class), joined[f.start:f.end]))
			}
			at = min(f.end, end)
		}
		b.WriteString(joined[at:end])
		if out[i] = b.String(); out[i] == "" && text != "" {
			out[i] = "…" // its other parts hold all of it, and a part of nothing is refused
		}
		begin = end
	}
	return out
}

// masker says which classes masks name, by themselves or by a group of theirs.
func masker(masks map[string]string) func(string) bool {
	return func(class string) bool {
		if masks[class] != "" || masks[string(detect.Counted(detect.Class(class)))] != "" {
			return true
		}
		return slices.ContainsFunc(detect.GroupOf(detect.Class(class)), func(g string) bool { return masks[g] != "" })
	}
}
