package shell

import (
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/assenthq/assent/action"
)

// A tool says what a program does, by its options and its first words. The
// tables hold them as text:
//
//	NAME... FLAGS | OPTIONS THAT TAKE A VALUE
//	 -o --option : EFFECTS            each time the option is there
//	 --option=PATTERN : EFFECTS       with such a value
//	 words of the command : EFFECTS   the first row whose words begin the operands
//
// FLAGS: "~" no option does harm, "=" an option on no list is unknown, "+"
// options are spelled -name, "^" options end where the operands begin. In rows of words a word may be a pattern or
// alternatives (a|b); +--opt and !--opt ask for an option and for none;
// @PATTERN for an operand. EFFECTS are kinds, and
//
//	none       it has no effect          routine   ordinary work on the working copy
//	undo       can be undone             own       only if it runs in the working copy, else unknown
//	R W D RT   operands (the option's value) are read, written, deleted, read with all below
//	R2 W1 WL   from the second on read; the first written; the last written, the others read
//	MV         the last written, the others read and deleted
//	X S        operands are a command; the value is text for a shell
//	H          the first operand (the value) is a host or URL
//	=          the option takes a value  ?  unknown  -  nothing
type tool struct {
	any, strict, single, first bool
	value                      map[string]bool
	options                    map[string][]option
	rows                       []row
}

type option struct {
	pattern string // "": any value, or none
	eff     effects
}

type row struct {
	words []string
	with  []string
	none  []string
	oper  []string
	eff   effects
}

type effects struct {
	kinds         []action.Kind
	none, routine bool
	undo, own     bool
	roles         []string
	value         bool
}

func parseEffects(s string) effects {
	var e effects
	for _, w := range strings.Fields(s) {
		switch w {
		case "none":
			e.none = true
		case "routine":
			e.routine = true
		case "undo":
			e.undo = true
		case "own":
			e.own = true
		case "-": // nothing
		case "=":
			e.value = true
		case "?":
			e.kinds = append(e.kinds, action.Unknown, action.Execute)
		case "R", "W", "D", "RT", "R2", "W1", "WL", "MV", "X", "S", "H", "W2", "D2", "X2":
			e.roles, e.value = append(e.roles, w), true
		default:
			if k := kindOf(w); k != "" {
				e.kinds = append(e.kinds, k)
			} else { // one of special, or a misspelt word, which is unknown
				e.roles, e.value = append(e.roles, w), true
			}
		}
	}
	return e
}

// toolbox reads the tables, once.
var toolbox = sync.OnceValue(func() map[string]*tool {
	out := map[string]*tool{}
	for _, text := range []string{fileTools, systemTools, devTools, vcsTools, cloudTools, dataTools, wrapTools} {
		var t *tool
		for _, line := range strings.Split(text, "\n") {
			switch {
			case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			case line[0] != ' ':
				t = &tool{value: map[string]bool{}, options: map[string][]option{}}
				names, values, _ := strings.Cut(line, "|")
				for _, n := range strings.Fields(names) {
					switch n {
					case "~":
						t.any = true
					case "=":
						t.strict = true
					case "+":
						t.single = true
					case "^":
						t.first = true
					default:
						out[n] = t
					}
				}
				for _, v := range strings.Fields(values) {
					t.value[v] = true
				}
			default:
				t.row(line)
			}
		}
	}
	return out
})

func (t *tool) row(line string) {
	left, right, _ := strings.Cut(line, " : ")
	if strings.HasPrefix(strings.TrimSpace(line), ": ") {
		left, right = "", strings.TrimSpace(line)[2:]
	}
	e := parseEffects(right)
	words := strings.Fields(left)
	if len(words) > 0 && strings.HasPrefix(words[0], "-") {
		for _, w := range words {
			name, pattern, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
			t.options[name] = append(t.options[name], option{pattern, e})
			if e.value {
				t.value[name] = true
			}
		}
		return
	}
	r := row{eff: e}
	for _, w := range words {
		switch w[0] {
		case '+':
			r.with = append(r.with, strings.TrimLeft(w, "+-"))
		case '!':
			r.none = append(r.none, strings.TrimLeft(w, "!-"))
		case '@':
			r.oper = append(r.oper, w[1:])
		default:
			r.words = append(r.words, w)
		}
	}
	t.rows = append(t.rows, r)
}

// given is an option of a command line.
type given struct {
	name  string
	value word
	has   bool
}

// args splits words into options and operands.
func (t *tool) args(words []word) (opts []given, operands []word) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w.text == "--":
			return opts, append(operands, words[i+1:]...)
		case t.first && (len(w.text) < 2 || w.text[0] != '-'):
			return opts, append(operands, words[i:]...)
		case len(w.text) < 2 || w.text[0] != '-':
			operands = append(operands, w)
			continue
		}
		long := strings.HasPrefix(w.text, "--")
		if !long && !t.single {
			opts, i = t.cluster(opts, words, i)
			continue
		}
		name, value, has := strings.Cut(strings.TrimLeft(w.text, "-"), "=")
		g := given{name: name, has: has, value: word{text: value, hole: strings.Contains(value, hole), glob: w.glob}}
		if !has && t.takes(name) && i+1 < len(words) {
			i++
			g.value, g.has = words[i], true
		}
		opts = append(opts, g)
	}
	return opts, operands
}

// cluster reads short options written together.
func (t *tool) cluster(opts []given, words []word, i int) ([]given, int) {
	w := words[i]
	for at := 1; at < len(w.text); at++ {
		name := w.text[at : at+1]
		if !t.value[name] {
			opts = append(opts, given{name: name})
			continue
		}
		g := given{name: name, has: true}
		if rest := w.text[at+1:]; rest != "" {
			g.value = word{text: rest, hole: strings.Contains(rest, hole), multi: w.multi, glob: w.glob}
		} else if i+1 < len(words) {
			i++
			g.value = words[i]
		} else {
			g.has = false
		}
		return append(opts, g), i
	}
	return opts, i
}

// takes reports whether a long option has a value in the next word; GNU programs take unambiguous beginnings.
func (t *tool) takes(name string) bool {
	if t.value[name] {
		return true
	}
	if t.single || len(name) < 3 {
		return false
	}
	for v := range t.value {
		if len(v) > len(name) && strings.HasPrefix(v, name) {
			return true
		}
	}
	return false
}

func (t *tool) listed(name string) []option {
	if o, ok := t.options[name]; ok || len(name) < 2 {
		return o
	}
	if t.value[name] || t.single {
		return nil
	}
	var out []option
	for full, o := range t.options {
		if len(full) > len(name) && strings.HasPrefix(full, name) && len(full) > 1 {
			out = append(out, o...)
		}
	}
	return out
}

// tool judges the command by its table.
func (c *call) tool(t *tool) source {
	opts, operands := t.args(c.argv[1:])
	c.opts = opts
	for _, w := range c.argv[1:] {
		if w.maybeOption() && !t.any {
			c.cm.unknown("an option that only the shell will know")
			break
		}
	}
	for _, w := range c.argv[1:] {
		if _, file, ok := strings.Cut(w.text, "file://"); ok { // as aws takes parameters
			if slices.Contains(readKinds(canonical(file), w.hole), action.SecretAccess) {
				c.cm.add("reads a file that holds secrets", action.SecretAccess)
			}
		}
	}
	for _, o := range opts {
		listed := t.listed(o.name)
		if len(listed) == 0 && t.strict && !t.value[o.name] {
			c.cm.unknown("an option that isn't on a list")
		}
		for _, l := range listed {
			if l.pattern == "" || !o.value.known() || globMatch(l.pattern, o.value.text) {
				c.apply(l.eff, []word{o.value}, true)
			}
		}
	}
	for i := range t.rows {
		r := &t.rows[i]
		ok, sure := r.fits(t, opts, operands)
		if !sure {
			break
		}
		if ok {
			if len(r.words) > 0 {
				names := []string{c.cm.verb}
				for _, w := range operands[:len(r.words)] {
					names = append(names, w.text)
				}
				c.cm.verb = strings.Join(names, " ")
			}
			out := c.apply(r.eff, operands[len(r.words):], false)
			c.stray()
			return out
		}
	}
	c.cm.unknown("what it is asked to do isn't on a list")
	return source{}
}

func globMatch(pattern, s string) bool {
	for _, p := range strings.Split(pattern, "|") {
		if ok, err := path.Match(p, s); err == nil && ok {
			return true
		}
		if in := strings.Trim(p, "*"); len(p) == len(in)+2 && strings.HasPrefix(p, "*") && !strings.ContainsAny(in, "*?[") && strings.Contains(s, in) {
			return true // so does one at each end
		}
		if strings.HasSuffix(p, "*") && strings.HasPrefix(s, strings.TrimSuffix(p, "*")) && !strings.ContainsAny(strings.TrimSuffix(p, "*"), "*?[") {
			return true // "*" at the end takes slashes too
		}
	}
	return false
}

// fits reports whether a row is about these words. sure is false where only the shell will know.
func (r *row) fits(t *tool, opts []given, operands []word) (ok, sure bool) {
	for i, want := range r.words {
		if i >= len(operands) {
			return false, true
		}
		if !operands[i].known() {
			if want == "*" {
				continue
			}
			return false, false
		}
		if !globMatch(want, operands[i].text) {
			return false, true
		}
	}
	for _, w := range r.with {
		if !t.hasOption(opts, w) {
			return false, true
		}
	}
	for _, n := range r.none {
		if slices.ContainsFunc(opts, func(g given) bool { return g.name == n }) {
			return false, true
		}
	}
	for _, p := range r.oper {
		if !slices.ContainsFunc(operands, func(w word) bool { return globMatch(p, w.text) }) {
			return false, true
		}
	}
	return true, true
}

// hasOption reports whether one of a|b|c is given, also by its beginning, and isn't switched off.
func (t *tool) hasOption(opts []given, names string) bool {
	found := false
	for _, g := range opts {
		if !slices.ContainsFunc(strings.Split(names, "|"), func(n string) bool {
			return n == g.name || !t.single && len(g.name) > 1 && strings.HasPrefix(n, g.name)
		}) {
			continue
		}
		if g.has && (!g.value.known() || g.value.text == "false" || g.value.text == "none" || g.value.text == "0") {
			return false
		}
		found = true
	}
	return found
}

// apply notes effects; ws are the operands, or the value of an option.
func (c *call) apply(e effects, ws []word, isOption bool) source {
	if e.none {
		c.cm.harmless = "only shows what it is asked for"
	}
	if e.own && !c.ownDir() {
		c.cm.unknown("runs outside of the working copy")
	}
	if e.routine {
		if c.cm.ordinary(); !c.ownDir() {
			c.cm.plain = true
		}
		for _, w := range ws {
			if (strings.HasPrefix(w.text, "/") || strings.HasPrefix(w.text, "~") || strings.HasPrefix(w.text, "..")) && !c.own(w) {
				c.cm.unknown("works outside of the working copy")
			}
		}
	}
	if e.undo {
		c.cm.reversible = true
	}
	if len(e.kinds) > 0 {
		c.cm.add("", e.kinds...)
	}
	if len(e.roles) == 0 && len(ws) > 0 && !isOption && ws[0].text != "" {
		c.target(ws[0])
	}
	var out source
	for _, r := range e.roles {
		if s := c.role(r, ws); s.known || s.names != nil || s.from != "" {
			out = s
		}
	}
	if e.none && len(e.roles) == 0 && len(c.cm.kinds) == 0 && !isOption {
		c.cm.harmless = "only shows what it is asked for"
	}
	return out
}

func (c *call) role(r string, ws []word) source {
	each := func(f func(word), ws []word) {
		for _, w := range ws {
			f(w)
		}
	}
	from := func(n int) []word { return ws[min(n, len(ws)):] }
	last := max(len(ws)-1, 0)
	switch r {
	case "R", "R2":
		ws := from(btoi(r == "R2"))
		if each(c.read, ws); len(ws) == 0 {
			c.cm.add("reads what it is given", action.DataRead)
		}
	case "RT":
		each(c.readTree, ws)
	case "W":
		each(c.write, ws)
	case "W1":
		each(c.write, ws[:min(1, len(ws))])
	case "W2":
		each(c.write, from(1))
	case "D":
		c.cm.add("deletes", action.DataDelete)
		each(c.remove, ws)
	case "D2":
		each(c.remove, from(1))
	case "WL":
		each(c.readTree, ws[:last])
		each(c.write, from(last))
	case "MV":
		each(c.readTree, ws[:last])
		each(c.moved, ws[:last])
		each(c.write, from(last))
	case "X", "X2":
		c.cm.harmless = "runs another command"
		return c.inner(from(btoi(r == "X2")), c.in)
	case "S":
		c.cm.harmless = "runs another command"
		for _, w := range ws {
			c.shell(w, nil, source{})
		}
	case "H":
		if len(ws) > 0 {
			c.hostOf(ws[0].text)
		}
	default:
		if f := special(r); f != nil {
			return f(c, ws)
		}
		c.cm.unknown("its row in the tables is not understood")
	}
	return source{}
}

// hostOf notes the host of a URL, of user@host:path or of host:port.
func (c *call) hostOf(s string) {
	if strings.Contains(s, "://") {
		_, h, _ := urlKinds(s)
		c.host(h)
		return
	}
	if at := strings.LastIndex(s, "@"); at >= 0 {
		s = s[at+1:]
	}
	s, _, _ = strings.Cut(s, ":")
	s, _, _ = strings.Cut(s, "/")
	c.host(s)
}

// moved notes that a file is no longer where it was.
func (c *call) moved(w word) {
	for _, k := range writeKinds(c.abs(w), w.glob || w.hole) {
		c.cm.add(writeWhy(k), k)
	}
	c.a.writes = append(c.a.writes, w.show())
}
