package trail

import (
	"slices"
	"strings"
	"unicode"
)

// Bounds of what fills a blank.
const (
	maxPattern = 256 // bytes in quotes
	maxFilling = 64  // bytes of one blank
	maxBlanks  = 4
)

// filled says that value is a text that stands in quotes in a prompt with its blanks filled in: "Dinner at
// {restaurant}" is filled in by "Dinner at Café Sol". What fills a blank is a few plain words, and no address of any kind.
func filled(prompt, value string) bool {
	if !strings.ContainsAny(prompt, "{[<") || len(value) > maxPattern+maxBlanks*maxFilling {
		return false
	}
	value = strings.ToLower(strings.TrimSpace(value))
	for _, q := range [][2]string{{"'", "'"}, {`"`, `"`}, {"`", "`"}, {"“", "”"}, {"‘", "’"}, {"«", "»"}} {
		rest := strings.ToLower(prompt)
		for {
			_, after, ok := strings.Cut(rest, q[0])
			if !ok {
				break
			}
			rest = after
			if inner, _, ok := strings.Cut(rest, q[1]); ok && len(inner) <= maxPattern && fills(inner, value) {
				return true
			}
		}
	}
	return false
}

// fills says that value is pattern with its blanks filled in; both are in lower case.
func fills(pattern, value string) bool {
	parts := blanks(pattern)
	if len(parts) < 2 || !slices.ContainsFunc(wordsOf(strings.Join(parts, " ")), func(w string) bool { return len(w) >= 4 }) {
		return false
	}
	rest, ok := strings.CutPrefix(value, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, p := range parts[1:last] {
		filling, after, ok := strings.Cut(rest, p)
		if p == "" || !ok || !plainWords(filling) {
			return false
		}
		rest = after
	}
	filling, ok := strings.CutSuffix(rest, parts[last])
	return ok && plainWords(filling)
}

// blanks are the parts of a pattern around its blanks; fewer than two: it has none, or is no pattern.
func blanks(pattern string) (parts []string) {
	for {
		at := strings.IndexAny(pattern, "{[<")
		if at < 0 {
			return append(parts, pattern)
		}
		end := strings.IndexByte(pattern[at:], "}]>"[strings.IndexByte("{[<", pattern[at])])
		if end < 2 || end > 33 || len(parts) == maxBlanks || !plainWords(strings.NewReplacer("_", " ").Replace(pattern[at+1:at+end])) {
			return nil
		}
		parts, pattern = append(parts, pattern[:at]), pattern[at+end+1:]
	}
}

// plainWords says that s is a name of a few words: no host, path, address or second line.
func plainWords(s string) bool {
	if strings.TrimSpace(s) == "" || len(s) > maxFilling || len(strings.Fields(s)) > 8 {
		return false
	}
	for i, c := range s {
		switch {
		case unicode.IsLetter(c), unicode.IsDigit(c), strings.ContainsRune(" '’&-,()", c):
		case c == '.' && (i+1 == len(s) || s[i+1] == ' '): // an abbreviation
		default:
			return false
		}
	}
	return true
}

// nearly says that value is the id of an object of which the prompt has all words of its name or description but the first or the last,
// and that no other object the session read is called so too.
func nearly(read []record, prompt []string, value string) bool {
	of := func(r record) bool {
		return slices.ContainsFunc(r.values, func(v string) bool { return strings.EqualFold(v, value) })
	}
	for _, r := range read {
		if !of(r) {
			continue
		}
		for _, phrase := range r.nearTo(prompt) {
			if !slices.ContainsFunc(read, func(other record) bool { return !of(other) && other.called(phrase, prompt) }) {
				return true
			}
		}
	}
	return false
}

// nearTo are the names of r without their first or last word, as far as the prompt has them.
func (r *record) nearTo(prompt []string) (found [][]string) {
	for _, name := range slices.Concat(r.names, r.says) {
		if dot := strings.LastIndexByte(name, '.'); dot > 0 && len(name)-dot <= 6 {
			name = name[:dot]
		}
		if n := wordsOf(name); len(n) >= 3 {
			for _, phrase := range [][]string{n[1:], n[:len(n)-1]} {
				if telling(phrase) && inside(prompt, phrase) {
					found = append(found, phrase)
				}
			}
		}
	}
	return found
}

// called says that r may be what a phrase of the prompt means.
func (r *record) called(phrase, prompt []string) bool {
	return slices.ContainsFunc(r.names, func(name string) bool { return inside(wordsOf(name), phrase) }) ||
		slices.ContainsFunc(r.nearTo(prompt), func(p []string) bool { return slices.Equal(p, phrase) })
}

// telling says that a phrase has two words at least that could be of a name.
func telling(phrase []string) bool {
	n := 0
	for _, w := range phrase {
		if len(w) >= 4 && !slices.Contains(fillers, w) {
			n++
		}
	}
	return n >= 2
}

// fillers are words of four letters and more that stand in any sentence.
var fillers = strings.Fields("with from this that these those your have will into about their please there which what when where should would could make then them they also just only some other each every")
