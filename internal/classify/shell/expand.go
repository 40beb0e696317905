package shell

import (
	"strings"

	"github.com/assenthq/assent/action"
	"mvdan.cc/sh/v3/syntax"
)

// param is what a parameter expands to, as one or more words.
func (a *analyzer) param(sc *scope, p *syntax.ParamExp, quoted bool) []word {
	unknown := []word{{text: hole, hole: true, multi: !quoted}}
	if p.Param == nil || p.Flags != nil || p.NestedParam != nil {
		a.command(nil, sc.via).unknown("an expansion on no list")
		return unknown
	}
	name := p.Param.Value
	if a.inParam(sc, p) {
		return unknown
	}
	switch {
	case name == "?brace":
		return []word{{text: hole, hole: true, multi: true}}
	case p.Length:
		return []word{{text: "0"}}
	case p.Excl, p.Names != 0, p.Slice != nil, p.Repl != nil:
		return []word{{text: hole, hole: true, multi: true}}
	case name == "@" || name == "*":
		if sc.args == nil || p.Exp != nil {
			return []word{{text: hole, hole: true, multi: true}}
		}
		return sc.args
	}
	v := sc.lookup(name)
	if secretName(name) {
		a.command([]word{{text: "$" + name}}, sc.via).secretVar()
	}
	if ix, ok := p.Index.(*syntax.Word); p.Index != nil {
		all := ok && (ix.Lit() == "@" || ix.Lit() == "*")
		if all && v.array != nil && !sc.lost {
			return v.array
		}
		return []word{{text: hole, hole: true, multi: all || !quoted}}
	}
	if p.Exp != nil {
		return a.expansion(sc, p, v)
	}
	if v.array != nil {
		if len(v.array) == 0 {
			return []word{{}}
		}
		return v.array[:1]
	}
	if v.num {
		return []word{{text: "0"}}
	}
	w := v.word
	w.multi = w.hole && !quoted
	return []word{w}
}

// inParam follows what stands inside an expansion, and reports whether it can run a text.
func (a *analyzer) inParam(sc *scope, p *syntax.ParamExp) bool {
	bad := false
	arith := func(x syntax.ArithmExpr) {
		if w, ok := x.(*syntax.Word); ok && (w.Lit() == "@" || w.Lit() == "*") {
			return
		}
		if x != nil && !a.arith(sc, x) {
			bad = true
		}
	}
	if _, isArray := sc.vars[p.Param.Value]; !isArray || p.Index != nil {
		arith(p.Index)
	}
	if p.Slice != nil {
		arith(p.Slice.Offset)
		arith(p.Slice.Length)
	}
	if p.Repl != nil {
		a.one(sc, p.Repl.Orig)
		a.one(sc, p.Repl.With)
	}
	if p.Exp != nil && p.Exp.Op == syntax.OtherParamOps && p.Exp.Word != nil && p.Exp.Word.Lit() == "P" {
		bad = true // a prompt string: commands in it are run
	}
	if p.Excl && p.Names == 0 {
		if v := sc.lookup(p.Param.Value); !v.word.known() || strings.ContainsAny(v.word.text, "[$`") {
			bad = true
		}
	}
	if bad {
		a.command([]word{{text: "${"}}, sc.via).unknown("an expansion may run a text that only the shell knows")
	}
	return bad
}

// expansion is ${a:-b} and the like.
func (a *analyzer) expansion(sc *scope, p *syntax.ParamExp, v value) []word {
	other := a.one(sc, p.Exp.Word)
	set := v.word.known() && !v.num && v.word.text != ""
	switch p.Exp.Op {
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull:
		if set {
			return []word{v.word}
		}
	case syntax.AssignUnset, syntax.AssignUnsetOrNull:
		if set {
			return []word{v.word}
		}
		sc.set(p.Param.Value, unknownValue())
	case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		if set {
			return []word{v.word}
		}
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		if set {
			return []word{other}
		}
	}
	return []word{{text: hole, hole: true, multi: true}}
}

// subst is a command substitution: what it prints, when that is known.
func (a *analyzer) subst(sc *scope, p *syntax.CmdSubst) word {
	if len(p.Stmts) == 1 && p.Stmts[0].Cmd == nil && len(p.Stmts[0].Redirs) == 1 {
		a.stmt(p.Stmts[0], sc.fork(), sc.stdin)
		return word{text: hole, hole: true, multi: true}
	}
	out := a.stmts(p.Stmts, sc.fork(), sc.stdin)
	if !out.known || strings.Contains(out.text, hole) {
		return word{text: hole, hole: true, multi: true}
	}
	return word{text: strings.TrimRight(out.text, "\n")}
}

func (a *analyzer) procSubst(sc *scope, p *syntax.ProcSubst) source {
	if p.Op == syntax.CmdIn {
		return a.stmts(p.Stmts, sc.fork(), source{none: true})
	}
	a.stmts(p.Stmts, sc.fork(), source{})
	return source{}
}

// arith follows an arithmetic expression. False: it computes a text that only
// the shell knows, and bash runs the substitutions in such a text.
func (a *analyzer) arith(sc *scope, x syntax.ArithmExpr) bool {
	switch x := x.(type) {
	case nil:
		return true
	case *syntax.BinaryArithm:
		l, r := true, a.arith(sc, x.Y)
		if w, ok := x.X.(*syntax.Word); ok && x.Op == syntax.Assgn && syntax.ValidName(w.Lit()) {
			sc.set(w.Lit(), value{word: word{text: "0"}, num: r})
		} else {
			l = a.arith(sc, x.X)
		}
		return l && r
	case *syntax.UnaryArithm:
		return a.arith(sc, x.X)
	case *syntax.ParenArithm:
		return a.arith(sc, x.X)
	case *syntax.Word:
		if name := x.Lit(); syntax.ValidName(name) {
			v := sc.lookup(name)
			return v.num || number1(v.word)
		}
		w := a.one(sc, x)
		return w.known() && strings.Trim(w.text, "0123456789abcdefABCDEFxX#_") == "" && !syntax.ValidName(w.text)
	}
	return false
}

// heredoc is the text of a here-document.
func (a *analyzer) heredoc(sc *scope, r *syntax.Redirect) source {
	if r.Hdoc == nil {
		return source{known: true}
	}
	quoted := false
	for _, p := range r.Word.Parts {
		if l, ok := p.(*syntax.Lit); !ok || strings.Contains(l.Value, `\`) {
			quoted = true
		}
	}
	f := fielder{a: a, sc: sc}
	for _, p := range r.Hdoc.Parts {
		if l, ok := p.(*syntax.Lit); ok {
			if quoted {
				f.put(l.Value)
			} else {
				f.put(unquoteHere(l.Value))
			}
			continue
		}
		f.quoted(p, true)
	}
	text := f.cur.text
	if r.Op == syntax.DashHdoc {
		lines := strings.Split(text, "\n")
		for i, l := range lines {
			lines[i] = strings.TrimLeft(l, "\t")
		}
		text = strings.Join(lines, "\n")
	}
	return source{known: !f.cur.hole, text: text}
}

func unquoteHere(s string) string {
	return strings.NewReplacer("\\\n", "", `\\`, `\`, `\$`, `$`, "\\`", "`").Replace(s)
}

// redirs follows redirections. diverted: standard output goes elsewhere.
func (a *analyzer) redirs(s *syntax.Stmt, sc *scope, in source) (out source, diverted bool) {
	for _, r := range s.Redirs {
		if r.N != nil && strings.HasPrefix(r.N.Value, "{") {
			sc.set(strings.Trim(r.N.Value, "{}"), value{word: word{text: "0"}, num: true})
		}
		stdin := r.N == nil || r.N.Value == "0"
		stdout := r.N == nil || r.N.Value == "1"
		switch r.Op {
		case syntax.Hdoc, syntax.DashHdoc:
			if src := a.heredoc(sc, r); stdin {
				in = src
			}
			continue
		case syntax.WordHdoc:
			if w := a.one(sc, r.Word); stdin {
				in = source{known: !w.hole, text: w.text + "\n"}
			}
			continue
		}
		w := a.one(sc, r.Word)
		switch r.Op {
		case syntax.DplIn, syntax.DplOut:
			if w.known() && (strings.Trim(w.text, "0123456789-") == "") {
				diverted = diverted || stdout && r.Op == syntax.DplOut
				if r.Op == syntax.DplIn && stdin {
					in = source{}
				}
				continue
			}
			a.redirect(sc, r.Op, w)
			diverted = true
		case syntax.RdrIn:
			a.redirect(sc, r.Op, w)
			if stdin {
				if in = (source{from: "file"}); w.source != nil {
					in = *w.source
				}
			}
		default:
			a.redirect(sc, r.Op, w)
			diverted = diverted || stdout || r.Op == syntax.RdrAll || r.Op == syntax.AppAll
		}
	}
	return in, diverted
}

// mayConnect reports whether a text with holes can become /dev/tcp/… or /dev/udp/….
func mayConnect(text string) bool {
	head, _, _ := strings.Cut(text, hole)
	for _, p := range []string{"/dev/tcp/", "/dev/udp/"} {
		if strings.HasPrefix(p, head) && head != "" || strings.HasPrefix(head, p) {
			return true
		}
	}
	return head == "" && strings.Count(text, "/") > 1
}

// redirect notes what opening a file for a redirection does.
func (a *analyzer) redirect(sc *scope, op syntax.RedirOperator, w word) {
	cm := a.command([]word{{text: op.String()}, w}, sc.via)
	cm.verb, cm.target = "redirect to", w.show()
	cm.harmless = "nothing is kept of it"
	c := &call{a: a, sc: sc, cm: cm, argv: cm.argv}
	switch {
	case w.hole && mayConnect(w.text):
		cm.unknown("it may be a connection of the shell")
	case strings.HasPrefix(w.text, "/dev/tcp/") || strings.HasPrefix(w.text, "/dev/udp/"):
		host, _, _ := strings.Cut(w.text[len("/dev/tcp/"):], "/")
		c.host(host)
		if cm.add("opens a connection of the shell", action.NetFetch); op != syntax.RdrIn {
			cm.add("sends to a connection of the shell", action.DataExport)
		}
	case op == syntax.RdrIn:
		cm.verb = "read"
		c.read(w)
	case w.source != nil:
	default:
		c.write(w)
	}
	if op == syntax.RdrInOut {
		c.read(w)
	}
	cm.reversible = op == syntax.AppOut || op == syntax.AppAll
}
