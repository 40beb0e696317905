package shell

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// script follows bash source in sc.
func (a *analyzer) script(text string, sc *scope) source {
	a.depth++
	defer func() { a.depth-- }()
	if !a.step() {
		return source{}
	}
	if why := refuse(text); why != "" {
		a.refuse(why)
		return source{}
	}
	f, err := parse(text)
	if err != nil {
		a.refuse("is not understood as bash")
		return source{}
	}
	if strings.ContainsRune(text, '\r') {
		// bash keeps a carriage return as part of the word, the parser takes it for a line's end.
		a.command([]word{{text: "\r"}}, sc.via).unknown("a carriage return means one thing to bash and another to its readers")
	}
	return a.stmts(f.Stmts, sc, sc.stdin)
}

func parse(text string) (f *syntax.File, err error) {
	defer func() {
		if recover() != nil {
			f, err = nil, errParser
		}
	}()
	return syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
}

type parserError string

func (e parserError) Error() string { return string(e) }

const errParser = parserError("the parser failed")

// stmts follows statements one after the other. What they print is known when there is one.
func (a *analyzer) stmts(list []*syntax.Stmt, sc *scope, in source) source {
	var out source
	for _, s := range list {
		out = a.stmt(s, sc, in)
	}
	if len(list) != 1 {
		return source{}
	}
	return out
}

func (a *analyzer) stmt(s *syntax.Stmt, sc *scope, in source) source {
	if s == nil || !a.step() {
		return source{}
	}
	a.depth++
	defer func() { a.depth-- }()
	in, diverted := a.redirs(s, sc, in)
	if s.Background || s.Coprocess {
		sc = sc.fork()
	}
	if s.Cmd == nil {
		if len(s.Redirs) > 0 { // "> file" alone empties it: redirs said so
			return source{}
		}
		a.command(nil, sc.via).harmless = "nothing is run"
		return source{}
	}
	out := a.cmd(s.Cmd, sc, in)
	if diverted {
		return source{}
	}
	return out
}

func (a *analyzer) cmd(c syntax.Command, sc *scope, in source) source {
	switch c := c.(type) {
	case *syntax.CallExpr:
		return a.call(c, sc, in)
	case *syntax.Block:
		return a.stmts(c.Stmts, sc, in)
	case *syntax.Subshell:
		return a.stmts(c.Stmts, sc.fork(), in)
	case *syntax.BinaryCmd:
		return a.binary(c, sc, in)
	case *syntax.IfClause:
		a.ifs(c, sc, in)
	case *syntax.WhileClause:
		a.loop(sc, in, nil, c.Cond, c.Do)
	case *syntax.ForClause:
		a.forLoop(c, sc, in)
	case *syntax.CaseClause:
		a.caseOf(c, sc, in)
	case *syntax.FuncDecl:
		if c.Name == nil {
			a.command(nil, sc.via).unknown("a function without a name")
			break
		}
		sc.funcs[c.Name.Value] = &function{bodies: []*syntax.Stmt{c.Body}, sure: true}
		a.command([]word{{text: "function"}}, sc.via).harmless = "defines a function"
		if standsIn(c.Name.Value) {
			n := sc.fork() // it may be called where nobody looks: by a trap, by another shell
			n.args, n.lost = nil, true
			delete(n.funcs, c.Name.Value)
			a.stmt(c.Body, n, source{})
		}
	case *syntax.ArithmCmd:
		cm := a.command([]word{{text: "(("}}, sc.via)
		cm.harmless = "computes"
		if !a.arith(sc, c.X) {
			cm.unknown("arithmetic on a text that only the shell knows may run it")
		}
	case *syntax.LetClause:
		cm := a.command([]word{{text: "let"}}, sc.via)
		cm.harmless = "computes"
		for _, x := range c.Exprs {
			if !a.arith(sc, x) {
				cm.unknown("arithmetic on a text that only the shell knows may run it")
			}
		}
	case *syntax.TestClause:
		cm := a.command([]word{{text: "[["}}, sc.via)
		cm.harmless = "compares"
		a.test(c.X, sc, cm)
	case *syntax.DeclClause:
		a.decl(c, sc)
	case *syntax.TimeClause:
		if c.Stmt != nil {
			return a.stmt(c.Stmt, sc, in)
		}
		a.command([]word{{text: "time"}}, sc.via).harmless = "measures time"
	case *syntax.CoprocClause:
		a.stmt(c.Stmt, sc.fork(), source{})
		sc.set("COPROC", unknownValue())
	default:
		a.command(nil, sc.via).unknown("a construct on no list")
	}
	return source{}
}

// standsIn reports whether a function of that name is called in place of a command that is known.
func standsIn(name string) bool {
	return name == "command_not_found_handle" || toolbox()[name] != nil || handler(name) != nil
}

func (a *analyzer) binary(c *syntax.BinaryCmd, sc *scope, in source) source {
	if c.Op == syntax.Pipe || c.Op == syntax.PipeAll {
		left := a.stmt(c.X, sc.fork(), in)
		return a.stmt(c.Y, sc.fork(), left)
	}
	a.stmt(c.X, sc, in)
	branch := sc.fork()
	if c.Op == syntax.AndStmt && onlyChangesDir(c.X) {
		a.stmt(c.Y, sc, in) // "cd x && y": y runs nowhere else
		return source{}
	}
	a.stmt(c.Y, branch, in)
	ch := sc.changesOf(c.Y)
	if c.Op == syntax.AndStmt { // what follows may run without it; what it set may hold
		sc.merge(branch)
		for name := range ch.names {
			if v, ok := branch.vars[name]; ok && alwaysTrue(c.X) {
				sc.set(name, v)
				delete(ch.names, name)
			}
		}
	} else {
		sc.merge(branch)
	}
	ch.dir = false
	sc.forget(ch)
	return source{}
}

// onlyChangesDir reports whether s is a cd; what stands after && then runs there or not at all.
func onlyChangesDir(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) > 0 && c.Args[0].Lit() == "cd"
}

// alwaysTrue reports whether s is an assignment, which doesn't fail.
func alwaysTrue(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) == 0
}

func (a *analyzer) ifs(c *syntax.IfClause, sc *scope, in source) {
	for ; c != nil; c = c.Else {
		a.stmts(c.Cond, sc, in)
		branch := sc.fork()
		a.stmts(c.Then, branch, in)
		sc.merge(branch)
		ch := sc.changesOf(nodes(c.Then)...)
		ch.dir = false
		sc.forget(ch)
	}
}

func nodes(list []*syntax.Stmt) []syntax.Node {
	out := make([]syntax.Node, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// loop follows a body that may run again: what it changes is unknown in it.
func (a *analyzer) loop(sc *scope, in source, set func(*scope), parts ...[]*syntax.Stmt) {
	var all []syntax.Node
	for _, p := range parts {
		all = append(all, nodes(p)...)
	}
	sc.forget(sc.changesOf(all...))
	if set != nil {
		set(sc)
	}
	for _, p := range parts {
		a.stmts(p, sc, in)
	}
	sc.forget(sc.changesOf(all...))
}

// forLoop follows the body once for each word, when they are few and known.
func (a *analyzer) forLoop(c *syntax.ForClause, sc *scope, in source) {
	switch l := c.Loop.(type) {
	case *syntax.CStyleLoop:
		ch := sc.changesOf(c)
		sc.forget(ch)
		for _, x := range []syntax.ArithmExpr{l.Init, l.Cond, l.Post} {
			if b, ok := x.(*syntax.BinaryArithm); ok && b.Op == syntax.Assgn {
				if w, ok := b.X.(*syntax.Word); ok && a.arith(sc, b.Y) {
					sc.set(w.Lit(), value{word: word{text: "0"}, num: true})
				}
				continue
			}
			if x != nil && !a.arith(sc, x) {
				a.command([]word{{text: "for"}}, sc.via).unknown("arithmetic on a text that only the shell knows may run it")
			}
		}
		a.stmts(c.Do, sc, in)
		sc.forget(ch)
	case *syntax.WordIter:
		items := sc.args
		if len(l.Items) > 0 || l.InPos.IsValid() {
			items = a.fields(sc, l.Items)
			if len(items) == 0 {
				items = []word{}
			}
		}
		name := l.Name.Value
		if c.Select || items == nil || len(items) > 6 {
			a.loop(sc, in, func(sc *scope) { sc.set(name, unknownValue()) }, c.Do)
			sc.set(name, unknownValue())
			return
		}
		if len(items) == 0 {
			items = []word{{}} // it runs never; followed once all the same
		}
		for _, it := range items {
			a.loop(sc, in, func(sc *scope) { sc.set(name, value{word: it}) }, c.Do)
		}
		sc.set(name, unknownValue())
	default:
		a.command(nil, sc.via).unknown("a loop on no list")
	}
}

func (a *analyzer) caseOf(c *syntax.CaseClause, sc *scope, in source) {
	a.one(sc, c.Word)
	a.command([]word{{text: "case"}}, sc.via).harmless = "compares"
	for _, it := range c.Items {
		for _, p := range it.Patterns {
			a.one(sc, p)
		}
		branch := sc.fork()
		a.stmts(it.Stmts, branch, in)
		sc.merge(branch)
		ch := sc.changesOf(nodes(it.Stmts)...)
		ch.dir = false
		sc.forget(ch)
	}
}

func (a *analyzer) test(x syntax.TestExpr, sc *scope, cm *command) {
	switch x := x.(type) {
	case *syntax.BinaryTest:
		switch x.Op {
		case syntax.TsEql, syntax.TsNeq, syntax.TsLeq, syntax.TsGeq, syntax.TsLss, syntax.TsGtr:
			for _, side := range []syntax.TestExpr{x.X, x.Y} {
				if w, ok := side.(*syntax.Word); ok && !number1(a.one(sc, w)) {
					cm.unknown("[[ -eq ]] computes a text that only the shell knows, which may run it")
				}
			}
		default:
			a.test(x.X, sc, cm)
			a.test(x.Y, sc, cm)
		}
	case *syntax.UnaryTest:
		if w, ok := x.X.(*syntax.Word); ok && (x.Op == syntax.TsVarSet || x.Op == syntax.TsRefVar) {
			if t := a.one(sc, w); !t.known() || strings.ContainsAny(t.text, "[$`") {
				cm.unknown("-v of a name that only the shell knows may run it")
			}
			return
		}
		a.test(x.X, sc, cm)
	case *syntax.ParenTest:
		a.test(x.X, sc, cm)
	case *syntax.Word:
		a.one(sc, x)
	default:
		cm.unknown("a test on no list")
	}
}

// number1 reports whether w is surely a number, or a name of one.
func number1(w word) bool { return w.known() && strings.Trim(w.text, "0123456789+-. ") == "" }
