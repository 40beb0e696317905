package shell

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// hole stands in a word's text for what only the running shell will know.
// A script can't hold it: NUL is refused.
const hole = "\x00"

// A word is one word of a command, after expansion.
type word struct {
	text   string
	hole   bool    // some of it isn't known
	multi  bool    // it may become several words, or none
	glob   bool    // a pattern of file names
	source *source // what a process substitution gives
}

func (w word) known() bool { return !w.hole && !w.glob }

// show is the word for people.
func (w word) show() string { return strings.ReplaceAll(w.text, hole, "…") }

// maybeOption reports whether the word may turn out to be an option.
func (w word) maybeOption() bool {
	return w.hole && (w.multi || strings.HasPrefix(w.text, hole) || strings.HasPrefix(w.text, "-"))
}

// A source is what flows into a command.
type source struct {
	known bool
	text  string
	names []word // it is a list of file names: these
	from  string // "", "net" or "file", for the reason
	none  bool   // nothing flows: a terminal, or nobody knows
}

// fields expands words as bash would: braces, tilde, parameters, commands,
// splitting, quotes. What isn't known becomes a hole.
func (a *analyzer) fields(sc *scope, words []*syntax.Word) []word {
	var out []word
	for _, w := range words {
		for _, b := range a.braces(w) {
			out = append(out, a.field(sc, b)...)
		}
		if len(out) > maxSteps/10 {
			a.depth += maxDepth + 1
			a.step()
			a.depth -= maxDepth + 1
			return out[:maxSteps/10]
		}
	}
	return out
}

const maxBraces = 64

// braces expands {a,b}. Sequences and large ones become a hole.
func (a *analyzer) braces(w *syntax.Word) []*syntax.Word {
	open := 0
	for _, p := range w.Parts {
		if l, ok := p.(*syntax.Lit); ok {
			open += strings.Count(l.Value, "{")
		}
	}
	unknown := []*syntax.Word{{Parts: []syntax.WordPart{&syntax.ParamExp{Param: &syntax.Lit{Value: "?brace"}}}}}
	if open > maxBraces {
		return unknown
	}
	cp := *w
	if open == 0 || !syntax.SplitBraces(&cp) {
		return []*syntax.Word{w}
	}
	out, ok := expandBraces(cp.Parts)
	if !ok {
		return unknown
	}
	words := make([]*syntax.Word, len(out))
	for i, parts := range out {
		words[i] = &syntax.Word{Parts: parts}
	}
	return words
}

func expandBraces(parts []syntax.WordPart) (out [][]syntax.WordPart, ok bool) {
	out = [][]syntax.WordPart{nil}
	for _, p := range parts {
		br, isBrace := p.(*syntax.BraceExp)
		if !isBrace {
			for i := range out {
				out[i] = append(out[i], p)
			}
			continue
		}
		if br.Sequence {
			return nil, false
		}
		var next [][]syntax.WordPart
		for _, e := range br.Elems {
			inner, ok := expandBraces(e.Parts)
			if !ok || len(inner)*len(out)+len(next) > maxBraces {
				return nil, false
			}
			for _, have := range out {
				for _, in := range inner {
					next = append(next, append(append([]syntax.WordPart(nil), have...), in...))
				}
			}
		}
		out = next
	}
	return out, true
}

// A fielder builds the fields of one word.
type fielder struct {
	a     *analyzer
	sc    *scope
	out   []word
	cur   word
	begun bool
}

func (a *analyzer) field(sc *scope, w *syntax.Word) []word {
	f := fielder{a: a, sc: sc}
	for _, p := range w.Parts {
		f.part(p)
	}
	f.end()
	return f.out
}

// one is a word that isn't split: an assignment's value, a redirection, a here-document.
func (a *analyzer) one(sc *scope, w *syntax.Word) word {
	if w == nil {
		return word{}
	}
	f := fielder{a: a, sc: sc}
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst:
			f.quoted(p, true)
		default:
			f.part(p)
		}
	}
	if len(f.out) > 0 {
		return word{text: hole, hole: true, multi: true}
	}
	return f.cur
}

func (f *fielder) end() {
	if f.begun {
		f.out = append(f.out, f.cur)
	}
	f.cur, f.begun = word{}, false
}

func (f *fielder) put(s string) { f.cur.text, f.begun = f.cur.text+s, true }

func (f *fielder) hole(multi bool) {
	f.put(hole)
	f.cur.hole = true
	f.cur.multi = f.cur.multi || multi
}

func (f *fielder) part(p syntax.WordPart) {
	switch p := p.(type) {
	case *syntax.Lit:
		f.lit(p.Value)
	case *syntax.SglQuoted:
		text := p.Value
		if p.Dollar {
			text, _, _ = strings.Cut(unescape(text, false), "\x00") // bash ends it there
		}
		f.put(text)
	case *syntax.DblQuoted:
		f.begun = true
		for _, q := range p.Parts {
			f.quoted(q, false)
		}
	case *syntax.ParamExp:
		f.split(f.a.param(f.sc, p, false))
	case *syntax.CmdSubst:
		f.split([]word{f.a.subst(f.sc, p)})
	case *syntax.ArithmExp:
		f.arithm(p)
	case *syntax.ProcSubst:
		src := f.a.procSubst(f.sc, p)
		f.put("/dev/fd/63")
		f.cur.source = &src
	case *syntax.ExtGlob:
		f.put("*")
		f.cur.glob = true
	default:
		f.hole(true)
	}
}

func (f *fielder) arithm(p *syntax.ArithmExp) {
	if f.a.arith(f.sc, p.X) {
		f.put("0") // some number
		return
	}
	f.a.command([]word{{text: "$(("}}, f.sc.via).unknown("arithmetic on a text that only the shell knows may run it")
	f.hole(false)
}

// quoted is a part inside double quotes, or where nothing is split (bare).
func (f *fielder) quoted(p syntax.WordPart, bare bool) {
	switch p := p.(type) {
	case *syntax.Lit:
		f.put(unquoteDouble(p.Value))
	case *syntax.ParamExp:
		for i, w := range f.a.param(f.sc, p, true) {
			if i > 0 {
				if bare {
					f.put(" ")
				} else {
					f.end()
				}
			}
			f.put(w.text)
			f.cur.hole = f.cur.hole || w.hole
			f.cur.multi = f.cur.multi || w.multi
			f.cur.glob = f.cur.glob || bare && w.glob
		}
	case *syntax.CmdSubst:
		w := f.a.subst(f.sc, p)
		f.put(w.text)
		f.cur.hole = f.cur.hole || w.hole
	default:
		f.part(p)
	}
}

// split puts an unquoted expansion: known text is split at blanks.
func (f *fielder) split(ws []word) {
	for i, w := range ws {
		if i > 0 {
			f.end()
		}
		if w.hole || f.sc.ifs {
			if w.text != "" {
				f.put(w.text)
			}
			f.hole(true)
			continue
		}
		text := w.text
		if strings.ContainsAny(text, "*?[") || w.glob {
			f.cur.glob = true
		}
		for n, field := range strings.Fields(text) {
			if n > 0 || strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t") || strings.HasPrefix(text, "\n") {
				g := f.cur.glob
				f.end()
				f.cur.glob = g
			}
			f.put(field)
		}
		if text != "" && strings.TrimRight(text, " \t\n") != text {
			f.end()
		}
	}
}

// lit is unquoted text with backslashes.
func (f *fielder) lit(s string) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i++; i < len(s) && s[i] != '\n' {
				f.put(s[i : i+1])
			}
		case '*', '?', '[':
			f.cur.glob = f.cur.glob || c != '[' || strings.Contains(s[i:], "]")
			f.put(s[i : i+1])
		default:
			n := strings.IndexAny(s[i:], `\*?[`)
			if n < 0 {
				n = len(s) - i
			}
			f.put(s[i : i+n])
			i += n - 1
		}
	}
}

func unquoteDouble(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("$`\"\\\n", s[i+1]) >= 0 {
			if i++; s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unescape reads the escapes of $'…', and of echo -e and printf's %b, where octal begins with 0.
func unescape(s string, echo bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte("abeEfnrtv", s[i]); at >= 0 {
			b.WriteByte("\a\b\x1b\x1b\f\n\r\t\v"[at])
			continue
		}
		switch c := s[i]; {
		case c >= '0' && c <= '7':
			n, used := number(s[i:], 8, 3+btoi(echo && c == '0'))
			i += used - 1
			b.WriteByte(byte(n))
		case c == 'x' || c == 'u' || c == 'U':
			n, used := number(s[i+1:], 16, map[byte]int{'x': 2, 'u': 4, 'U': 8}[c])
			if i += used; c == 'x' {
				b.WriteByte(byte(n))
			} else {
				b.WriteRune(rune(n))
			}
		case c == 'c' && i+1 < len(s):
			i++
			b.WriteByte(s[i] & 0x1f)
		case strings.IndexByte(`\'"?`, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func number(s string, base, most int) (n, used int) {
	for used < len(s) && used < most {
		d := strings.IndexByte("0123456789abcdefABCDEF", s[used])
		if d > 15 {
			d -= 6
		}
		if d < 0 || d >= base {
			break
		}
		n = n*base + d
		used++
	}
	return n, used
}
