package mask

import (
	"github.com/assenthq/assent/internal/detect"
)

// A Set is what one decision asks to mask, for one actor. It is safe for
// concurrent use.
type Set struct {
	engine *detect.Engine
	rules  map[detect.Class]rule
	vault  *vault // nil: no class has its values kept
}

// A rule is a method with its keys.
type rule struct {
	method string
	shape  shape  // of its class
	tag    []byte // of its class: shared, and never modified
	keys   *keys  // of hash, tokenize and format-preserving
	// stored: the value comes straight out of a column of the upstream. What the
	// client may have written itself never shares a token with what is stored,
	// or SELECT 'guess' would confirm a guess.
	stored bool

	vault *vault // of tokenize; nil: the values aren't kept
	actor string // whose tokens they are
}

// origin keeps stored values and others apart under one key.
func (r *rule) origin() string {
	if r.stored {
		return "stored"
	}
	return "other"
}

// For returns the set of an actor. methods maps class to method; a group
// ("pii") stands for those of its classes that are not named, and an unknown
// method redacts.
func (m *Masker) For(actor string, methods map[string]string) *Set {
	s := &Set{engine: m.engine, rules: map[detect.Class]rule{}}
	for i := range everyClass {
		of := &everyClass[i]
		class := of.class
		method, ok := methods[string(class)]
		if !ok {
			method, ok = methods[string(of.counted)]
		}
		if methods[string(class)] == "" {
			for _, g := range of.groups {
				if by, is := methods[g]; is && (!ok || strictness(by) > strictness(method)) {
					method, ok = by, true
				}
			}
		}
		if ok {
			r := m.rule(class, actor, method)
			if r.vault != nil {
				s.vault = r.vault
			}
			s.rules[class] = r
		}
	}
	for _, class := range m.engine.Own() {
		if method := ownMethod(class, methods); method != "" {
			r := m.rule(class, actor, method)
			if r.vault != nil {
				s.vault = r.vault
			}
			s.rules[class] = r
		}
	}
	s.engine = m.engine.For(func(c detect.Class) bool { _, is := s.rules[c]; return is })
	return s
}

// ownMethod is the method for a class of the deployment's own: what is said of it, or
// of its group; of one of the four groups, where all its classes are masked, the strictest.
func ownMethod(class detect.Class, methods map[string]string) string {
	groups := detect.GroupOf(class)
	for _, name := range append([]string{string(class)}, groups...) {
		if m := methods[name]; m != "" {
			return m
		}
	}
	strictest := ""
	for _, g := range groups {
		all := true
		for i := range everyClass {
			of := &everyClass[i]
			if len(of.groups) == 0 || of.groups[0] != g {
				continue
			}
			m := methods[string(of.class)]
			if m == "" {
				m = methods[string(of.counted)]
			}
			all = all && m != ""
			if m != "" && (strictest == "" || strictness(m) > strictness(strictest)) {
				strictest = m
			}
		}
		if !all {
			strictest = ""
		}
	}
	return strictest
}

// A classOf is what is known of a class before anybody asks.
type classOf struct {
	class, counted detect.Class
	groups         []string
}

var everyClass = func() (out []classOf) {
	for _, c := range detect.Classes() {
		out = append(out, classOf{c, detect.Counted(c), detect.GroupOf(c)})
	}
	return out
}()

// rule is what one method does to one class.
func (m *Masker) rule(class detect.Class, actor, method string) rule {
	r := rule{method: Redact, shape: shapeOf(class), tag: tagBytes[class]}
	if r.tag == nil {
		r.tag = []byte(tag(class))
	}
	word, linkable, kept, ok := parse(method)
	if !ok {
		return r
	}
	r.method = word
	if word == Hash || word == Token || word == Format {
		purpose := word
		if linkable && !fewValues(class) {
			// No actor has this name, and the purpose is one of its own.
			purpose, actor = word+" "+Linkable, ""
		}
		if r.actor = actor; kept {
			r.vault = m.vault
		}
		r.keys = &keys{derive: func(n int) []byte { return m.derive(purpose, class, actor, n) }}
	}
	return r
}

// Bare says that the set masks nothing.
func (s *Set) Bare() bool { return len(s.rules) == 0 }

// Clear says cheaply that the set masks nothing in v, a value of a column or member called
// name, "" for free text. False says nothing. It keeps neither.
func (s *Set) Clear(name string, v []byte) bool {
	if len(s.rules) == 0 {
		return true
	}
	if name != "" {
		if class, _ := s.engine.Column(name, nil); class != "" {
			if _, is := s.rules[class]; is {
				return false
			}
		}
	}
	if s.engine.Clean(v) {
		return true
	}
	found := s.engine.Find(v)
	defer found.Free()
	for _, f := range found.List {
		if _, is := s.rules[f.Class]; is {
			return false
		}
	}
	return true
}

// Text returns free text with the values of the set's classes replaced. It
// returns b itself when there are none.
func (s *Set) Text(b []byte) []byte {
	out, _ := s.TextCounted(b)
	return out
}

// TextCounted is Text with the number of values replaced, by class; nil when none.
func (s *Set) TextCounted(b []byte) (out []byte, counts map[string]int64) {
	if len(s.rules) == 0 {
		return b, nil
	}
	found := s.engine.Find(b)
	defer found.Free()
	return s.replace(b, found.List)
}

// replace masks the findings in b.
func (s *Set) replace(b []byte, found []detect.Finding) (out []byte, counts map[string]int64) {
	at := 0
	for _, f := range found {
		r, ok := s.rules[f.Class]
		if !ok {
			continue
		}
		if counts == nil {
			counts = map[string]int64{}
			out = make([]byte, 0, len(b)+64)
		}
		counts[string(f.Class)]++
		out = append(out, b[at:f.Start]...)
		out = r.appendTo(out, f.Class, b[f.Start:f.End])
		at = f.End
	}
	if counts == nil {
		return b, nil
	}
	return append(out, b[at:]...), counts
}

func tag(c detect.Class) string {
	if t, known := tags[c]; known {
		return t
	}
	return "[masked:" + string(c) + "]"
}

var tags = func() map[detect.Class]string {
	out := map[detect.Class]string{}
	for _, c := range detect.Classes() {
		out[c] = "[masked:" + string(c) + "]"
	}
	return out
}()

// tagBytes are the tags for Redact: shared, and never modified.
var tagBytes = func() map[detect.Class][]byte {
	out := map[detect.Class][]byte{}
	for c, t := range tags {
		out[c] = []byte(t)
	}
	return out
}()

// appendTo appends the mask of one value of class c. What a method has no form for is redacted.
func (r *rule) appendTo(dst []byte, c detect.Class, v []byte) []byte {
	switch r.method {
	case Hash:
		return r.keys.appendMAC(dst, r.origin(), c, r.shape, v, 8)
	case Token:
		if isToken(c, v) {
			return append(dst, v...)
		}
		at := len(dst)
		dst = r.keys.appendMAC(appendTokenHead(dst, c), r.origin(), c, r.shape, v, tokenBytes)
		if r.vault != nil {
			r.vault.note(dst[at:], c, r.actor, v)
		}
		return dst
	case Format:
		if out, ok := r.format(dst, c, v); ok {
			return out
		}
	case Partial:
		if out, ok := appendPartial(dst, c, r.shape, v); ok {
			return out
		}
	}
	return append(dst, r.tag...)
}

// value returns the mask of one value.
func (r *rule) value(c detect.Class, v []byte) string {
	return string(r.appendTo(nil, c, v))
}
