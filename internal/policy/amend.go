package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// An Amendment is a change of one pack's text, as a person would make it: comments and all
// that it doesn't touch stay as they are.
type Amendment struct {
	// Except names rules, each with a condition under which it no longer applies.
	Except []Exception
	// Enforce names a rule in shadow mode that is to act.
	Enforce string
	// Rule and Tests are YAML of one more rule, and of more tests: items without indentation
	// before their dash. "" is none.
	Rule, Tests string
}

// An Exception says when a rule doesn't apply. The condition may have several lines.
type Exception struct{ Rule, When string }

// Amend changes the text of a pack. It compares what the pack says before and after, and errs when
// anything else would change.
func Amend(file string, data []byte, a Amendment) ([]byte, error) {
	d := &decoder{file: file}
	root := d.parseYAML(data)
	if root == nil || len(d.errs) > 0 {
		return nil, d.errs
	}
	e := &amender{file: file, lines: slices.Clone(d.lines), root: root}
	was, _ := root.canonical().(map[string]any)
	want := map[string]map[string]any{}
	for _, x := range a.Except {
		if err := e.except(x, want); err != nil {
			return nil, err
		}
	}
	if a.Enforce != "" {
		r, err := e.rule(a.Enforce)
		if err != nil {
			return nil, err
		}
		e.drop(r, "mode")
		e.drop(r, "until")
		want[a.Enforce] = map[string]any{"mode": nil, "until": nil}
	}
	for key, items := range map[string]string{"rules": a.Rule, "tests": a.Tests} {
		if items != "" {
			if err := e.add(key, items); err != nil {
				return nil, err
			}
		}
	}
	out := []byte(e.text())
	after := &decoder{file: file}
	now := after.parseYAML(out)
	if now == nil || len(after.errs) > 0 || !amended(was, now.canonical(), want) {
		return nil, fmt.Errorf("%s: its text can't be changed without a change of what else it says: lay it out by assent policy fmt, each rule a block of its own", file)
	}
	return out, nil
}

// An amender changes lines. Each line stays one string, which may come to hold several lines or
// none, so that places keep their numbers.
type amender struct {
	file  string
	lines []string
	root  *node
}

func (e *amender) text() string {
	return strings.Join(slices.DeleteFunc(e.lines, func(l string) bool { return l == gone }), "\n")
}

const gone = "\x00" // a line that was dropped

// child is the value of a key of n, or nil.
func child(n *node, key string) *node {
	for _, f := range n.fields {
		if f.key.text == key {
			return f.value
		}
	}
	return nil
}

func (e *amender) rule(id string) (*node, error) {
	if rules := child(e.root, "rules"); rules != nil {
		for _, r := range rules.items {
			if x := child(r, "id"); x != nil && x.text == id {
				if r.flow {
					return nil, fmt.Errorf("%s:%d: the rule '%s' stands in {…}: write it as a block, a line for each key", e.file, r.line, id)
				}
				return r, nil
			}
		}
	}
	return nil, fmt.Errorf("%s has no rule '%s'", e.file, id)
}

// span is the lines of a field, from 0: its key and what is indented further.
func (e *amender) span(key *node) (from, to int) {
	from = key.line - 1
	for to = from + 1; to < len(e.lines); to++ {
		l := e.lines[to]
		if strings.TrimSpace(l) != "" && len(l)-len(strings.TrimLeft(l, " ")) < key.column {
			break
		}
	}
	for to > from+1 && strings.TrimSpace(e.lines[to-1]) == "" {
		to--
	}
	return from, to
}

func (e *amender) key(r *node, name string) *node {
	for _, f := range r.fields {
		if f.key.text == name {
			return f.key
		}
	}
	return nil
}

func (e *amender) drop(r *node, name string) {
	key := e.key(r, name)
	if key == nil {
		return
	}
	from, to := e.span(key)
	for i := from; i < to; i++ {
		e.lines[i] = gone
	}
}

func (e *amender) except(x Exception, want map[string]map[string]any) error {
	r, err := e.rule(x.Rule)
	if err != nil {
		return err
	}
	id := e.key(r, "id")
	indent := strings.Repeat(" ", id.column-1)
	when := "!(" + strings.TrimSpace(x.When) + ")"
	if old := child(r, "when"); old != nil {
		when = "(" + strings.TrimSpace(old.text) + ") &&\n" + when
	}
	block := indent + "when: |-\n" + indented(when, indent+"  ")
	if key := e.key(r, "when"); key != nil {
		from, to := e.span(key)
		head := e.lines[from][:key.column-1] // "  - " where when comes first
		e.lines[from] = head + strings.TrimPrefix(block, indent)
		for i := from + 1; i < to; i++ {
			e.lines[i] = gone
		}
	} else {
		_, to := e.span(id)
		e.lines[to-1] += "\n" + block
	}
	want[x.Rule] = map[string]any{"when": when}
	return nil
}

func indented(text, by string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = by + l
		}
	}
	return strings.Join(lines, "\n")
}

// add puts items at the end of a list, which begins at the end of the file where there is none.
func (e *amender) add(key, items string) error {
	list := child(e.root, key)
	if list == nil {
		last := len(e.lines) - 1
		for last > 0 && (e.lines[last] == "" || e.lines[last] == gone) {
			last--
		}
		e.lines[last] += "\n" + key + ":\n" + indented(items, "  ")
		return nil
	}
	if len(list.items) == 0 || list.flow {
		return fmt.Errorf("%s: its %s stand in […]: write them as a block, one item after the other", e.file, key)
	}
	first := e.lines[list.items[0].line-1]
	indent := first[:len(first)-len(strings.TrimLeft(first, " "))]
	last := list.items[len(list.items)-1].line - 1
	for i := last + 1; i < len(e.lines); i++ {
		l := e.lines[i]
		text := strings.TrimSpace(l)
		if text == "" || l == gone || strings.HasPrefix(text, "#") {
			continue
		}
		if len(l)-len(strings.TrimLeft(l, " ")) <= len(indent) {
			break
		}
		last = i
	}
	e.lines[last] += "\n" + indented(items, indent)
	return nil
}

// amended reports whether now is was with more rules and tests behind its own, and with no
// other change than want.
func amended(was map[string]any, after any, want map[string]map[string]any) bool {
	now, ok := after.(map[string]any)
	if !ok || was == nil {
		return false
	}
	for key := range now {
		if _, there := was[key]; !there && key != "tests" {
			return false
		}
	}
	for key, value := range was {
		old, isList := value.([]any)
		if !isList || key != "rules" && key != "tests" {
			if !reflect.DeepEqual(value, now[key]) {
				return false
			}
			continue
		}
		list, _ := now[key].([]any)
		if len(list) < len(old) {
			return false
		}
		for i := range old {
			if !sameItem(old[i], list[i], want) {
				return false
			}
		}
	}
	return true
}

func sameItem(old, now any, want map[string]map[string]any) bool {
	a, ok := old.(map[string]any)
	b, ok2 := now.(map[string]any)
	if !ok || !ok2 {
		return reflect.DeepEqual(old, now)
	}
	id, _ := a["id"].(string)
	expect := map[string]any{}
	for k, v := range a {
		expect[k] = v
	}
	for k, v := range want[id] {
		if v == nil {
			delete(expect, k)
		} else {
			expect[k] = v
		}
	}
	return reflect.DeepEqual(expect, b)
}
