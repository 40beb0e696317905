package policy

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A term is a part of a random condition. Its text is what a pack says; its plain text means
// the same to an interpreter that knows neither limits, calendars nor missing labels.
type term struct {
	typ    varType
	form   string // how to write it, with %s for each of kids
	plain  string // and for the interpreter, where that differs; %[1]s, …
	name   string // of the operator or function, "" for what has none
	from   *variable
	number *big.Int // of a whole number that stands there
	kids   []*term
}

func (t *term) write(plain bool) string {
	args := make([]any, len(t.kids))
	for i, k := range t.kids {
		args[i] = k.write(plain)
		if plain && k.typ == listVar && k.from != nil {
			return fmt.Sprintf(map[string]string{
				"in": "(%[1]s || %[2]s)", "exists": "(%[1]s || %[2]s)", "all": "(%[1]s && !%[2]s)", "size": "(%[2]s ? 0 : %[1]s)",
			}[t.name], t.closed().write(true), k.from.name+restOf)
		}
	}
	if plain && t.plain != "" {
		return fmt.Sprintf(t.plain, args...)
	}
	return fmt.Sprintf(t.form, args...)
}

// restOf behind the name of a list is false where the list is complete, unknown where it isn't.
const restOf = ".rest"

// closed is t over what is known of its list.
func (t *term) closed() *term {
	c := *t
	c.kids = slices.Clone(t.kids)
	for i, k := range c.kids {
		if k.typ == listVar && k.from != nil {
			c.kids[i] = literal(listVar, k.from.name)
		}
	}
	return &c
}

// asked is t for the interpreter. Where t permits and must hold, a row bound holds for rows that
// nobody knows.
func (t *term) asked(must bool) string {
	if !must {
		return t.write(true)
	}
	if t.name == "&&" {
		return "(" + t.kids[0].asked(true) + " && " + t.kids[1].asked(true) + ")"
	}
	if t.bounds() {
		return "(rows_open || " + t.write(true) + ")"
	}
	return t.write(true)
}

// bounds reports data.rows <= n, data.rows < n, or either from the other side.
func (t *term) bounds() bool {
	least := big.NewInt(0)
	rows := func(k *term) bool { return k.from != nil && k.from.name == "data.rows" }
	switch t.name {
	case "<=", "<":
		if t.name == "<" {
			least = big.NewInt(1)
		}
		n := t.kids[1].value()
		return rows(t.kids[0]) && n != nil && n.Cmp(least) >= 0
	case ">=", ">":
		if t.name == ">" {
			least = big.NewInt(1)
		}
		n := t.kids[0].value()
		return rows(t.kids[1]) && n != nil && n.Cmp(least) >= 0
	}
	return false
}

// value is the whole number that t always is, nil without one.
func (t *term) value() *big.Int {
	if t.number != nil || t.typ != intVar {
		return t.number
	}
	var args []*big.Int
	for _, k := range t.kids {
		args = append(args, k.value())
	}
	if slices.Contains(args, nil) {
		return nil
	}
	out := new(big.Int)
	switch t.name {
	case "+":
		out.Add(args[0], args[1])
	case "-":
		out.Sub(args[0], args[1])
	case "*":
		out.Mul(args[0], args[1])
	case "negate":
		out.Neg(args[0])
	case "/", "%":
		if args[1].Sign() == 0 {
			return nil
		}
		if out.Quo(args[0], args[1]); t.name == "%" {
			out.Rem(args[0], args[1])
		}
	default:
		return nil
	}
	if !out.IsInt64() {
		return nil
	}
	return out
}

// all are t and every term in it.
func (t *term) all() []*term {
	out := []*term{t}
	for _, k := range t.kids {
		out = append(out, k.all()...)
	}
	return out
}

// with is a copy of t in which old is replaced by its substitute.
func (t *term) with(old, by *term) *term {
	if t == old {
		return by
	}
	c := *t
	c.kids = slices.Clone(t.kids)
	for i, k := range c.kids {
		c.kids[i] = k.with(old, by)
	}
	return &c
}

// A drawer draws conditions over the whole table of variables, and every operator and function.
type drawer struct {
	*rand.Rand
	vars       []variable
	calendars  []string
	permitting bool
	loop       bool // inside exists() or all()
}

func (d *drawer) pick(from ...string) string { return from[d.IntN(len(from))] }

func (d *drawer) variable(typ varType) *term {
	var of []*variable
	for i := range d.vars {
		if v := &d.vars[i]; v.typ == typ && !v.reason && !(d.permitting && v.vouch == claimed) {
			of = append(of, v)
		}
	}
	v := of[d.IntN(len(of))]
	return &term{typ: typ, form: v.name, from: v}
}

func literal(typ varType, text string) *term {
	return &term{typ: typ, form: strings.ReplaceAll(text, "%", "%%")}
}

func (d *drawer) text(of *variable) *term {
	words := wordsOf(of)
	return literal(stringVar, strconv.Quote(words[d.IntN(len(words))]))
}

// words are what facts and conditions say, so that they meet.
func words() []string {
	return []string{"", "a", "ab", "agent:a", "group:x", "sam", "postgres:billing/prod/customers", "postgres:", "customers", "select", "drop", "drop table", "é日本", "T-1", "gold", "https://x.example/y"}
}

func wordsOf(v *variable) []string {
	if v != nil && len(v.enum) > 0 {
		return v.enum
	}
	return words()
}

func (d *drawer) integer() *term {
	var n int64
	switch d.IntN(8) {
	case 0:
		n = []int64{-1 << 63, 1<<63 - 1, 1 << 62, -1 << 62, 3_037_000_500, 1 << 32}[d.IntN(6)]
	case 1, 2:
		n = -d.Int64N(30)
	default:
		n = d.Int64N(30)
	}
	return &term{typ: intVar, form: strconv.FormatInt(n, 10), number: big.NewInt(n)}
}

func (d *drawer) moment() *term {
	return literal(timeVar, "timestamp("+strconv.Quote(d.pick(
		"2026-11-24T12:00:00Z", "2026-11-24T13:00:00+01:00", "2026-11-22T23:59:59.999999999Z", "1970-01-01T00:00:00Z", "1678-01-01T00:00:00Z", "2261-12-31T23:59:59.999999999Z"))+")")
}

// draw is a random term of the type.
func (d *drawer) draw(typ varType, depth int) *term {
	switch typ {
	case intVar:
		return d.drawInt(depth)
	case stringVar:
		return d.drawString(depth)
	case listVar:
		return d.drawList()
	case timeVar:
		if d.IntN(2) == 0 {
			return d.moment()
		}
		return d.variable(timeVar)
	}
	return d.drawBool(depth)
}

func (d *drawer) choose(typ varType, depth int) *term {
	return &term{typ: typ, name: "?:", form: "(%s ? %s : %s)", kids: []*term{d.drawBool(depth - 1), d.draw(typ, depth-1), d.draw(typ, depth-1)}}
}

func (d *drawer) drawInt(depth int) *term {
	n := 9
	if depth <= 0 {
		n = 5
	}
	switch d.IntN(n) {
	case 0:
		return d.integer()
	case 1, 2:
		return d.variable(intVar)
	case 3:
		return d.entry(countMap)
	case 4:
		over := d.pick("text", "list")
		return &term{typ: intVar, name: "size", form: "size(%s)", kids: []*term{d.draw(map[string]varType{"text": stringVar, "list": listVar}[over], depth-1)}}
	case 5:
		return &term{typ: intVar, name: "negate", form: "-(%s)", kids: []*term{d.drawInt(depth - 1)}}
	case 6:
		return d.choose(intVar, depth)
	}
	op := d.pick("+", "-", "*", "/", "%")
	return &term{typ: intVar, name: op, form: "(%s " + strings.ReplaceAll(op, "%", "%%") + " %s)", kids: []*term{d.drawInt(depth - 1), d.drawInt(depth - 1)}}
}

// entry is one entry of a map: a label, or a count of a class.
func (d *drawer) entry(of varType) *term {
	m := d.variable(of)
	if of == countMap {
		return &term{typ: intVar, name: "entry", form: "%s[%s]", plain: "(%[2]s in %[1]s ? %[1]s[%[2]s] : 0)", kids: []*term{m, d.text(m.from)}}
	}
	if d.IntN(2) == 0 {
		key := d.pick("tier", "team", "none")
		return &term{typ: stringVar, name: "select", form: "%s." + key, plain: `("` + key + `" in %[1]s ? %[1]s.` + key + ` : "")`, kids: []*term{m}}
	}
	key := literal(stringVar, strconv.Quote(d.pick("tier", "team", "none", "ab")))
	if d.IntN(4) == 0 {
		key = d.drawString(0)
	}
	return &term{typ: stringVar, name: "entry", form: "%s[%s]", plain: `(%[2]s in %[1]s ? %[1]s[%[2]s] : "")`, kids: []*term{m, key}}
}

func (d *drawer) drawString(depth int) *term {
	n := 8
	if depth <= 0 {
		n = 7
	}
	switch d.IntN(n) {
	case 0, 1:
		return d.text(nil)
	case 2:
		return d.entry(textMap)
	case 3, 4:
		if d.loop {
			return literal(stringVar, "x")
		}
	case 7:
		return d.choose(stringVar, depth)
	}
	return d.variable(stringVar)
}

func (d *drawer) drawList() *term {
	if d.IntN(3) > 0 {
		return d.variable(listVar)
	}
	return d.list(nil)
}

func (d *drawer) list(of *variable) *term {
	var kids []*term
	for range d.IntN(4) + 1 {
		kids = append(kids, d.text(of))
	}
	return &term{typ: listVar, name: "list", form: "[" + strings.TrimSuffix(strings.Repeat("%s, ", len(kids)), ", ") + "]", kids: kids}
}

func (d *drawer) drawBool(depth int) *term {
	if depth > 0 {
		switch d.IntN(9) {
		case 0, 1:
			return &term{typ: boolVar, name: "&&", form: "(%s && %s)", kids: []*term{d.drawBool(depth - 1), d.drawBool(depth - 1)}}
		case 2, 3:
			return &term{typ: boolVar, name: "||", form: "(%s || %s)", kids: []*term{d.drawBool(depth - 1), d.drawBool(depth - 1)}}
		case 4:
			return &term{typ: boolVar, name: "!", form: "!(%s)", kids: []*term{d.drawBool(depth - 1)}}
		case 5:
			return d.choose(boolVar, depth)
		case 6:
			if !d.loop {
				return d.drawLoop(depth)
			}
		}
	}
	return d.leaf(depth)
}

func (d *drawer) drawLoop(depth int) *term {
	name, over := d.pick("exists", "all"), d.drawList()
	d.loop = true
	each := d.drawBool(depth - 1)
	d.loop = false
	return &term{typ: boolVar, name: name, form: "%s." + name + "(x, %s)", kids: []*term{over, each}}
}

func (d *drawer) leaf(depth int) *term {
	two := func(name, form string, l, r *term) *term {
		return &term{typ: boolVar, name: name, form: form, kids: []*term{l, r}}
	}
	switch d.IntN(14) {
	case 0:
		return d.variable(boolVar)
	case 1: // text, which may be one of a closed list
		l := d.drawString(depth)
		r := d.drawString(depth)
		if l.from != nil && d.IntN(2) == 0 || l.from != nil && len(l.from.enum) > 0 {
			r = d.text(l.from)
		}
		op := d.pick("==", "!=")
		return two(op, "(%s "+op+" %s)", l, r)
	case 2, 3, 4:
		op := d.pick("==", "!=", "<", "<=", ">", ">=")
		return two(op, "(%s "+op+" %s)", d.drawInt(depth), d.drawInt(depth))
	case 5:
		op := d.pick("==", "!=", "<", "<=", ">", ">=")
		return two(op, "(%s "+op+" %s)", d.draw(timeVar, 0), d.draw(timeVar, 0))
	case 6:
		op := d.pick("==", "!=")
		return two(op, "(%s "+op+" %s)", d.drawBool(depth-1), d.drawBool(depth-1))
	case 7:
		l := d.drawList()
		return two("in", "(%s in %s)", d.text(l.from), l)
	case 8:
		x := d.drawString(0)
		return two("in", "(%s in %s)", x, d.list(x.from))
	case 9:
		m := d.variable([]varType{textMap, countMap}[d.IntN(2)])
		if m.typ == countMap {
			return &term{typ: boolVar, name: "in", form: "(%s in %s)", plain: "((%[1]s in %[2]s ? %[2]s[%[1]s] : 0) > 0)", kids: []*term{d.text(m.from), m}}
		}
		return &term{typ: boolVar, name: "in", form: "(%s in %s)", plain: `((%[1]s in %[2]s ? %[2]s[%[1]s] : "") != "")`, kids: []*term{d.drawString(0), m}}
	case 10:
		key := d.pick("tier", "team", "none")
		return &term{typ: boolVar, name: "has", form: "has(%s." + key + ")", plain: `(("` + key + `" in %[1]s ? %[1]s.` + key + ` : "") != "")`, kids: []*term{d.variable(textMap)}}
	case 11:
		f := d.pick("startsWith", "endsWith", "contains")
		return two(f, "%s."+f+"(%s)", d.drawString(0), d.drawString(0))
	case 12:
		pattern := literal(stringVar, strconv.Quote(d.pick("^a", "b$", "^[a-z]+:", "", "日|é", "(?i)GOLD", `^.{2}$`)))
		return two("matches", "%s.matches(%s)", d.drawString(0), pattern)
	}
	switch d.IntN(3) {
	case 0:
		return literal(boolVar, d.pick("true", "false"))
	case 1:
		return &term{typ: boolVar, name: "time difference", form: "(%s - %s < %s - %s)", kids: []*term{d.draw(timeVar, 0), d.draw(timeVar, 0), d.draw(timeVar, 0), d.draw(timeVar, 0)}}
	}
	c := d.pick(d.calendars...)
	return &term{typ: boolVar, name: "in_calendar", form: `in_calendar("` + c + `")`, plain: "calendar_" + c}
}
