package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// A scope is where a pack applies: each of its rules matches there only.
type scope struct {
	kinds kindSet
	lines []line
}

// exactly reports a line of match whose values are compared whole with one fact, so
// that two of them are one with the values of both.
func exactly(line string) bool { return line == "env" || line == "actor" || line == "type" }

// scopeLine is the name of a line of the scope besides one of the rule's own. The
// index finds rules by their own.
func scopeLine(name string) string { return "scope." + name }

// intoScope narrows r to its pack's scope.
func (d *decoder) intoScope(n *node, r *rule, s *scope) {
	if s == nil {
		return
	}
	if r.kinds &= s.kinds; r.kinds == 0 {
		d.failAt(n, "none of the rule's kinds is in the pack's scope", "it would never match")
	}
	for _, l := range s.lines {
		own := r.line(l.name)
		switch {
		case own == nil:
			r.lines = append(r.lines, l)
		case exactly(l.name):
			own.values = slices.DeleteFunc(slices.Clone(own.values), func(v string) bool { return !contains(l.values, v) })
			if len(own.values) == 0 {
				d.failAt(n, fmt.Sprintf("the rule's '%s' is not in the pack's scope", l.name), "it would never match")
			}
		default:
			l.name = scopeLine(l.name)
			r.lines = append(r.lines, l)
		}
	}
}

// A Limit says what packs may speak for. A rule that could match anything else is an
// error, so that a team's packs permit and stop nothing but the team's own.
type Limit struct {
	Packs []string            // a file or directory of packs, as it may be called
	Scope map[string][]string // as scope: in a pack
}

// Check says what is wrong with a limit.
func (l *Limit) Check() error {
	_, err := l.scope()
	return err
}

func (l *Limit) scope() (*scope, error) {
	s := &scope{kinds: everyKind}
	keys := []string{"kind"}
	for _, spec := range lineSpecs() {
		keys = append(keys, spec.key)
	}
	if len(l.Scope) == 0 {
		return nil, fmt.Errorf("a scope of nothing: say where these packs may speak, such as resource: [\"postgres:billing/*\"]")
	}
	for _, key := range slices.Sorted(maps.Keys(l.Scope)) {
		values := l.Scope[key]
		if !contains(keys, key) {
			return nil, fmt.Errorf("a scope has no key '%s': %s", clip(key), didYouMean(key, keys))
		}
		if len(values) == 0 {
			return nil, fmt.Errorf("'%s' must be a list with something in it", key)
		}
		known := kindNames()
		for _, spec := range lineSpecs() {
			if spec.key == key {
				known = spec.enum
				s.lines = append(s.lines, line{name: key, values: values, test: spec.test})
			}
		}
		for _, v := range values {
			if len(known) > 0 && !contains(known, v) && !isOwn(v) {
				return nil, fmt.Errorf("'%s' is no %s: %s", clip(v), key, didYouMean(v, known))
			}
		}
		if key == "kind" {
			s.kinds = 0
			for _, v := range values {
				s.kinds |= kindBit(action.Kind(v))
			}
		}
	}
	return s, nil
}

// holds reports whether the limit is for a file of packs.
func (l *Limit) holds(file string) bool {
	return slices.ContainsFunc(l.Packs, func(p string) bool {
		return file == p || strings.HasPrefix(file, strings.TrimSuffix(p, "/")+"/")
	})
}

// outside finds the rules that speak for more than their pack may.
func outside(packs []*pack, limits []Limit) (errs Errors, err error) {
	for i := range limits {
		l := &limits[i]
		s, err := l.scope()
		if err != nil {
			return nil, fmt.Errorf("the scope of %s: %w", l.Packs[0], err)
		}
		any := false
		for _, p := range packs {
			if !l.holds(p.at.file) {
				continue
			}
			any = true
			for _, r := range p.rules {
				if key := r.beyond(s); key != "" {
					errs = append(errs, r.at.error(fmt.Sprintf("the rule '%s' speaks for more than the packs of %s may", r.id, l.Packs[0]),
						fmt.Sprintf("the configuration lets them speak for %s: say so under `match`, or under `scope` for the whole pack", inWords(l.Scope, key))))
				}
			}
		}
		if !any {
			return nil, fmt.Errorf("no pack of %s is among these, so its scope holds for nothing: name packs as the configuration does, or take the scope out of it", l.Packs[0])
		}
	}
	return errs, nil
}

func inWords(scope map[string][]string, key string) string {
	return key + " " + strings.Join(scope[key], ", ")
}

// beyond is the key of s that r goes beyond; "" when it goes beyond none.
func (r *rule) beyond(s *scope) string {
	kinds := r.kinds
	if r.then == thenMask {
		kinds &^= kindUnknown // every mask has it
	}
	if kinds&^s.kinds != 0 {
		return "kind"
	}
	for _, l := range s.lines {
		inside := func(own line) bool {
			return (own.name == l.name || own.name == scopeLine(l.name)) && !slices.ContainsFunc(own.values, func(v string) bool {
				return !slices.ContainsFunc(l.values, func(w string) bool { return covers(l.name, w, v) })
			})
		}
		if !slices.ContainsFunc(r.lines, inside) {
			return l.name
		}
	}
	return ""
}

// covers reports whether all that narrow matches is matched by wide too.
func covers(line, wide, narrow string) bool {
	switch line {
	case "resource", "destination":
		return globCovers(wide, narrow)
	case "verb":
		return narrow == wide || strings.HasPrefix(narrow, wide+" ")
	}
	return narrow == wide
}

// globCovers reports whether the pattern wide matches all that narrow does. What it
// says yes to is so; a few pairs that it says no to would be too.
func globCovers(wide, narrow string) bool {
	w, n, star, mark := 0, 0, -1, 0
	for n < len(narrow) {
		switch {
		case w < len(wide) && wide[w] == '*':
			star, mark = w, n
			w++
		case w < len(wide) && narrow[n] != '*' && (wide[w] == '?' || wide[w] == narrow[n]):
			w++
			n++
		case star >= 0:
			mark++
			w, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(wide[w:], "*") == ""
}

// Locked names the locked packs, with digests that change when a pack does.
func (s *Set) Locked() map[string]string {
	out := map[string]string{}
	for _, p := range s.packs {
		if p.locked {
			out[p.name] = p.digest
		}
	}
	return out
}

// LockedChanged names the locked packs of before that are not the same, or not there, in after.
func LockedChanged(before, after map[string]string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] != before[name] {
			out = append(out, name)
		}
	}
	return out
}

// sum is SHA-256 over what p says.
func (p *pack) sum() (string, error) {
	b, err := action.Canonical(p.raw)
	if err != nil {
		return "", fmt.Errorf("computing the digest of the pack %s: %w", p.name, err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
