package shell

import (
	"path"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"mvdan.cc/sh/v3/syntax"
)

// A call is one simple command while it is judged.
type call struct {
	a    *analyzer
	sc   *scope
	argv []word
	in   source
	cm   *command
	opts []given // once its table was asked
}

// call follows a simple command of a script: assignments, then the command.
func (a *analyzer) call(c *syntax.CallExpr, sc *scope, in source) source {
	if len(c.Args) == 0 {
		if len(c.Assigns) == 0 {
			return source{}
		}
		cm := a.command([]word{{text: "="}}, sc.via)
		cm.verb, cm.harmless = "assignment", "sets a variable"
		for _, as := range c.Assigns {
			a.assign(as, sc, cm, false)
		}
		return source{}
	}
	argv := a.fields(sc, c.Args)
	inner := sc
	if len(c.Assigns) > 0 {
		inner = sc.fork()
		cm := a.command([]word{{text: "="}}, sc.via)
		cm.verb, cm.harmless = "assignment", "sets a variable"
		for _, as := range c.Assigns {
			a.assign(as, inner, cm, true)
		}
		inner.vars, inner.ifs = sc.vars, sc.ifs // they hold for what it runs, not for its own words
	}
	if len(argv) == 0 {
		a.command(nil, sc.via).harmless = "nothing is run"
		return source{}
	}
	out := a.exec(inner, argv, in, c.Args)
	if inner != sc { // a builtin with an assignment in front changes this shell all the same
		sc.dir, sc.away, sc.args = inner.dir, inner.away, inner.args
		sc.lost, sc.ifs = inner.lost, inner.ifs
		sc.funcs, sc.aliases = inner.funcs, inner.aliases
	}
	return out
}

// assign follows one assignment. exported: a command is given it.
func (a *analyzer) assign(as *syntax.Assign, sc *scope, cm *command, exported bool) {
	if as.Index != nil && !a.arith(sc, as.Index) {
		if w, ok := as.Index.(*syntax.Word); !ok || !a.key(sc, w) {
			cm.unknown("an index that only the shell knows may run a text")
		}
	}
	if as.Name == nil {
		return
	}
	name := as.Name.Value
	v := value{}
	switch {
	case as.Array != nil:
		v.array = []word{}
		for _, e := range as.Array.Elems {
			if e.Index != nil {
				a.arith(sc, e.Index)
			}
			if e.Value != nil {
				v.array = append(v.array, a.fields(sc, []*syntax.Word{e.Value})...)
			}
		}
		if as.Append {
			v.array = append(slices.Clone(sc.lookup(name).array), v.array...)
			if sc.lookup(name).array == nil {
				v = unknownValue()
			}
		}
	case as.Index != nil:
		v = unknownValue()
	default:
		v.word = a.one(sc, as.Value)
		if as.Append {
			have := sc.lookup(name)
			v.word.text = have.word.text + v.word.text
			v.word.hole = v.word.hole || have.word.hole || have.num
		}
	}
	if strings.Contains(numeric+"HISTCMD ", " "+name+" ") && !number1(v.word) {
		cm.unknown("bash computes what such a variable is given, which may run it")
	}
	cm.setVar(name, v.word, exported)
	sc.set(name, v)
}

// key reports whether an index is the plain key of an associative array: in any other
// array bash would compute it, and run the substitutions in it.
func (a *analyzer) key(sc *scope, index *syntax.Word) bool {
	w := a.one(sc, index)
	_, set := sc.vars[w.text]
	return w.known() && !set && !strings.ContainsAny(w.text, "[$`")
}

// decl is export, declare, local, readonly, typeset, nameref.
func (a *analyzer) decl(c *syntax.DeclClause, sc *scope) {
	cm := a.command([]word{{text: c.Variant.Value}}, sc.via)
	cm.harmless = "declares variables"
	exported := c.Variant.Value == "export"
	lists := true
	for _, as := range c.Args {
		if as.Name == nil {
			w := a.one(sc, as.Value)
			switch {
			case !w.known():
				cm.unknown("declares what only the shell knows")
				sc.lost = true
			case strings.HasPrefix(w.text, "-"):
				exported = exported || strings.Contains(w.text, "x")
				if strings.ContainsAny(w.text, "fF") {
					if lists = false; exported {
						cm.unknown("a function in the environment stands in for a command of other shells")
					}
				}
				if strings.ContainsAny(w.text, "ni") || c.Variant.Value == "nameref" {
					cm.unknown("a reference or an integer may run the text it is given")
					sc.lost = true
				}
			case strings.ContainsAny(w.text, "[($`"):
				cm.unknown("an array that is declared in quotes may run the text it is given")
				sc.lost = true
			default: // 'name=value' in quotes
				lists = false
				name, text, _ := strings.Cut(w.text, "=")
				a.declared(sc, cm, strings.TrimSuffix(name, "+"), text, exported)
			}
			continue
		}
		lists = false
		if as.Naked {
			if exported {
				cm.setVar(as.Name.Value, sc.lookup(as.Name.Value).word, true)
			} else if _, ok := sc.vars[as.Name.Value]; !ok {
				sc.set(as.Name.Value, value{})
			}
			continue
		}
		a.assign(as, sc, cm, exported)
	}
	if lists && len(c.Args) < 2 {
		cm.add("prints variables, and what is secret in them", action.DataRead, action.SecretAccess)
	}
}

// declared notes a variable that is declared by a quoted word.
func (a *analyzer) declared(sc *scope, cm *command, name, text string, exported bool) {
	v := word{text: text}
	if cm.setVar(name, v, exported); variableOfCommands(name) && !(name == "PATH" && keepsPath(v)) && !harmlessValue(name, v) {
		sc.taint = name
	}
	sc.set(name, unknownValue())
}

// exec judges a command whose words are known as far as they ever will be.
// src are the words as written, nil where there are none.
func (a *analyzer) exec(sc *scope, argv []word, in source, src []*syntax.Word) source {
	a.depth++
	defer func() { a.depth-- }()
	if !a.step() {
		return source{}
	}
	name := argv[0]
	if !name.known() && !(name.text == "[" && !name.hole) {
		cm := a.command(argv, sc.via)
		cm.unknown("which command runs only the shell will know")
		sc.lost = true
		for _, w := range argv[1:] {
			(&call{a: a, sc: sc, cm: cm, argv: argv}).mention(w)
		}
		return source{}
	}
	if body, ok := sc.aliases[name.text]; ok && len(src) > 0 && src[0].Lit() == name.text {
		n := sc.fork()
		delete(n.aliases, name.text)
		a.script(body+" "+quoteAll(argv[1:]), n)
		sc.merge(n)
	}
	if f, ok := sc.funcs[name.text]; ok && len(f.bodies) > 0 {
		outer := sc.args
		sc.args = slices.Clone(argv[1:])
		if sc.args == nil {
			sc.args = []word{}
		}
		var out source
		for _, b := range f.bodies {
			out = a.stmt(b, sc, in)
		}
		if sc.args = outer; f.sure && len(f.bodies) == 1 {
			return out
		}
	}
	return a.program(sc, argv, in)
}

// quoteAll writes words so that bash reads the same again.
func quoteAll(ws []word) string {
	var b strings.Builder
	for _, w := range ws {
		switch {
		case w.hole || w.glob:
			b.WriteString(" $?UNKNOWN") // a hole again
		default:
			b.WriteString(" '" + strings.ReplaceAll(w.text, "'", `'\''`) + "'")
		}
	}
	return strings.ReplaceAll(b.String(), "$?UNKNOWN", "$ASSENT_UNKNOWN")
}

// systemDirs hold programs that are what their name says, on a machine in order.
const systemDirs = " /bin /usr/bin /sbin /usr/sbin /usr/local/bin /usr/local/sbin /opt/homebrew/bin /snap/bin /usr/lib/git-core "

// projectDirs hold tools that a project's package manager put there.
var projectDirs = []string{"node_modules/.bin", ".venv/bin", "venv/bin", "vendor/bin"}

// programName is the name in the tables of a command word, or "" for a program of nobody knows what.
func programName(text string) string {
	if !strings.Contains(text, "/") {
		return text
	}
	dir, base := path.Split(path.Clean(text))
	dir = strings.TrimSuffix(dir, "/")
	if strings.Contains(systemDirs, " "+dir+" ") {
		return base
	}
	for _, p := range projectDirs {
		if dir == p || dir == "./"+p {
			return base
		}
	}
	return ""
}

func (a *analyzer) program(sc *scope, argv []word, in source) source {
	cm := a.command(argv, sc.via)
	c := &call{a: a, sc: sc, argv: argv, in: in, cm: cm}
	for _, w := range argv {
		if strings.HasPrefix(w.text, "-") && len(w.text) > 1 {
			name, _, _ := strings.Cut(w.text, "=")
			cm.options = append(cm.options, name)
		}
	}
	name := programName(argv[0].text)
	if name == "" {
		cm.unknown("a program or script that isn't on a list")
		return source{}
	}
	cm.verb = name
	if sc.taint != "" && !strings.Contains(builtins, " "+name+" ") {
		cm.unknown("a variable was changed that says which code runs")
	}
	if h := handler(name); h != nil {
		return h(c)
	}
	if t := toolbox()[name]; t != nil {
		return c.tool(t)
	}
	if strings.HasPrefix(name, "mkfs") || strings.HasPrefix(name, "fsck") {
		cm.add("writes a file system", action.DataDelete, action.InfraChange)
		return source{}
	}
	for _, w := range argv[1:] {
		c.mention(w)
	}
	cm.unknown("a program that isn't on a list")
	return source{}
}

// mention notes what a word of an unknown command shows: a secret that it names.
func (c *call) mention(w word) {
	for _, k := range readKinds(c.abs(w), w.glob || w.hole) {
		if k == action.SecretAccess {
			c.cm.add("names a file that holds secrets", k)
		}
	}
}

// inner runs words as a command of their own, under this wrapper.
func (c *call) inner(words []word, in source) source {
	if len(words) == 0 {
		return source{}
	}
	sc := c.sc.fork()
	sc.via = append(slices.Clone(c.sc.via), c.cm.verb)
	sc.funcs, sc.aliases = map[string]*function{}, map[string]string{}
	out := c.a.exec(sc, words, in, nil)
	if c.cm.verb == "command" || c.cm.verb == "builtin" { // they run it in this shell
		c.sc.dir, c.sc.away, c.sc.args, c.sc.lost, c.sc.ifs, c.sc.taint = sc.dir, sc.away, sc.args, sc.lost, sc.ifs, sc.taint
		c.sc.vars = sc.vars
	}
	return out
}

// shell runs text as a shell of its own under this wrapper, with arguments.
func (c *call) shell(text word, args []word, in source) source {
	if !text.known() && text.hole {
		c.cm.unknown("runs a text that only the shell will know")
		// What is known of it still says what it is about.
		sc := c.sc.fork()
		sc.via = append(slices.Clone(c.sc.via), c.cm.verb)
		c.a.script(strings.ReplaceAll(text.text, hole, "$ASSENT_UNKNOWN"), sc)
		return source{}
	}
	sc := c.sc.fork()
	sc.via = append(slices.Clone(c.sc.via), c.cm.verb)
	sc.args, sc.stdin = args, in
	if len(args) == 0 || slices.ContainsFunc(args, func(w word) bool { return w.multi || w.glob }) {
		sc.args = nil // nobody knows which is which
	}
	return c.a.script(text.text, sc)
}
