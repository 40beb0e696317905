package shell

import (
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A value is what is known of a variable.
type value struct {
	word  word
	array []word // set for an array; nil for none
	num   bool   // a number, whichever
}

func unknownValue() value { return value{word: word{text: hole, hole: true, multi: true}} }

// A function is what was defined under one name.
type function struct {
	bodies []*syntax.Stmt
	sure   bool // it is defined whenever it is called here
}

// A scope is the state of one shell, as far as the script tells.
type scope struct {
	vars    map[string]value
	funcs   map[string]*function
	aliases map[string]string
	args    []word // $1 …; nil: unknown
	dir     string // "" is where it began
	away    bool   // the directory isn't known, or not in the working copy
	lost    bool   // any variable may have any value
	ifs     bool   // IFS was changed
	stdin   source
	via     []string // wrappers around this shell
	work    *int     // nodes looked through for changes, in all of the text
	taint   string   // why no command is what its name says, or ""
}

func (a *analyzer) top(c Context) *scope {
	sc := &scope{vars: map[string]value{}, funcs: map[string]*function{}, aliases: map[string]string{}, stdin: source{none: true}, work: new(int)}
	for k, v := range c.Env {
		sc.vars[k] = value{word: word{text: v}}
	}
	if c.Home != "" {
		sc.vars["HOME"] = value{word: word{text: c.Home}}
	}
	if c.StdinKnown {
		sc.stdin = source{known: true, text: c.Stdin}
	}
	return sc
}

// maxValue is the longest value that is followed: x=$x$x doubles.
const maxValue = 16 << 10

func (sc *scope) fork() *scope {
	n := *sc
	n.vars, n.funcs, n.aliases = maps.Clone(sc.vars), maps.Clone(sc.funcs), maps.Clone(sc.aliases)
	return &n
}

// set notes an assignment.
func (sc *scope) set(name string, v value) {
	if name == "IFS" {
		sc.ifs = true
	}
	if variableOfCommands(name) && !(name == "PATH" && keepsPath(v.word)) && !harmlessValue(name, v.word) {
		sc.taint = name
	}
	if len(v.word.text) > maxValue || len(v.array) > maxValue/16 {
		v = unknownValue()
	}
	sc.vars[name] = v
}

// forget makes what a part of the script may change unknown.
func (sc *scope) forget(ch changes) {
	if ch.all {
		sc.lost, sc.ifs = true, true
		sc.args = nil
	}
	for name := range ch.names { // who assigns is followed elsewhere, and taints
		sc.vars[name] = unknownValue()
		sc.ifs = sc.ifs || name == "IFS"
	}
	if ch.args {
		sc.args = nil
	}
	if ch.dir {
		sc.away = true
	}
}

// merge takes over what a branch defined: it may or may not have run.
func (sc *scope) merge(branch *scope) {
	for name, f := range branch.funcs {
		have := sc.funcs[name]
		switch {
		case have == f:
		case have == nil:
			sc.funcs[name] = &function{bodies: f.bodies}
		default:
			sc.funcs[name] = &function{bodies: append(slices.Clone(have.bodies), f.bodies...), sure: have.sure}
		}
	}
	for name, body := range branch.aliases {
		sc.aliases[name] = body
	}
	sc.away = sc.away || branch.away || branch.dir != sc.dir
	sc.lost = sc.lost || branch.lost
	sc.ifs = sc.ifs || branch.ifs
	if branch.taint != "" {
		sc.taint = branch.taint
	}
}

// numeric are the parameters that are always numbers.
const numeric = " # ? $ ! RANDOM SRANDOM SECONDS LINENO UID EUID PPID BASHPID EPOCHSECONDS OPTIND COLUMNS LINES "

// lookup is what a parameter holds.
func (sc *scope) lookup(name string) value {
	v, ok := sc.vars[name]
	switch {
	case sc.lost && (!ok || !v.num):
		return unknownValue()
	case ok:
		return v
	case name == "HOME":
		return value{word: word{text: "~"}}
	case name == "IFS":
		return value{word: word{text: " \t\n"}}
	case name == "PWD":
		if sc.away {
			return unknownValue()
		}
		return value{word: word{text: or(sc.dir, ".")}}
	case strings.Contains(numeric, " "+name+" "):
		return value{word: word{text: "0"}, num: true}
	case len(name) == 1 && name[0] >= '1' && name[0] <= '9' && sc.args != nil:
		if n := int(name[0] - '1'); n < len(sc.args) {
			return value{word: sc.args[n]}
		}
	}
	return unknownValue()
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// changes is what a part of a script may change.
type changes struct {
	names     map[string]bool
	all       bool // any variable
	args, dir bool
}

// maxWork bounds changesOf, which looks through a part of a script once for each level around it.
const maxWork = 500_000

// changesOf looks through nodes for what they may change, in whichever order they run.
func (sc *scope) changesOf(nodes ...syntax.Node) changes {
	ch := changes{names: map[string]bool{}}
	for _, n := range nodes {
		if n == nil {
			continue
		}
		syntax.Walk(n, func(n syntax.Node) bool {
			if *sc.work++; *sc.work > maxWork {
				ch.all, ch.args, ch.dir = true, true, true
				return false
			}
			switch n := n.(type) {
			case *syntax.Assign:
				if n.Name != nil {
					ch.names[n.Name.Value] = true
				} else {
					ch.all = true
				}
			case *syntax.WordIter:
				ch.names[n.Name.Value] = true
			case *syntax.ParamExp:
				if n.Exp != nil && (n.Exp.Op == syntax.AssignUnset || n.Exp.Op == syntax.AssignUnsetOrNull) && n.Param != nil {
					ch.names[n.Param.Value] = true
				}
			case *syntax.BinaryArithm:
				if w, ok := n.X.(*syntax.Word); ok && n.Op != syntax.Eql {
					ch.names[w.Lit()] = true
				}
			case *syntax.UnaryArithm:
				if w, ok := n.X.(*syntax.Word); ok {
					ch.names[w.Lit()] = true
				}
			case *syntax.FuncDecl:
				if _, ok := sc.funcs[n.Name.Value]; !ok {
					sc.funcs[n.Name.Value] = &function{bodies: []*syntax.Stmt{n.Body}}
				}
			case *syntax.Redirect:
				if n.N != nil && strings.HasPrefix(n.N.Value, "{") {
					ch.names[strings.Trim(n.N.Value, "{}")] = true
				}
			case *syntax.CallExpr:
				sc.callChanges(n, &ch)
			}
			return true
		})
	}
	delete(ch.names, "")
	return ch
}

func (sc *scope) callChanges(n *syntax.CallExpr, ch *changes) {
	if len(n.Args) == 0 {
		return
	}
	name := n.Args[0].Lit()
	switch name {
	case "":
		ch.all, ch.args, ch.dir = true, true, true
	case "cd", "pushd", "popd":
		ch.dir = true
	case "set", "shift":
		ch.args = true
	case "eval", ".", "source", "alias", "command", "builtin", "trap", "exec", "coproc":
		ch.all, ch.args, ch.dir = true, true, true
	case "read", "readarray", "mapfile", "getopts", "unset", "printf", "wait", "let", "export", "declare", "local", "typeset", "readonly":
		for _, w := range n.Args[1:] {
			lit := w.Lit()
			switch {
			case lit == "" && name != "printf":
				ch.all = ch.all || !onlyQuoted(w)
			case lit != "":
				lit, _, _ = strings.Cut(lit, "[")
				ch.names[strings.TrimSpace(lit)] = true
			}
		}
		ch.names["REPLY"], ch.names["MAPFILE"], ch.names["OPTARG"] = true, true, true
	default:
		_, isFunc := sc.funcs[name]
		_, isAlias := sc.aliases[name]
		if isFunc || isAlias {
			ch.all, ch.args, ch.dir = true, true, true
		}
	}
}

// onlyQuoted reports whether a word is one piece of quoted text, as a prompt or a delimiter is.
func onlyQuoted(w *syntax.Word) bool {
	if len(w.Parts) != 1 {
		return false
	}
	switch p := w.Parts[0].(type) {
	case *syntax.SglQuoted:
		return true
	case *syntax.DblQuoted:
		return len(p.Parts) == 0 || len(p.Parts) == 1 && isLit(p.Parts[0])
	}
	return false
}

func isLit(p syntax.WordPart) bool { _, ok := p.(*syntax.Lit); return ok }
