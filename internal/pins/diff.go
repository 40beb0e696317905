package pins

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/show"
)

// A Line is one line of a comparison.
type Line struct {
	Op   string `json:"op"` // " ", "-" was, "+" is
	Text string `json:"text"`
}

// Bounds of what people are shown.
const (
	maxLines = 1500
	maxLine  = 2000 // bytes
	maxName  = 200
)

func shown(s string) string { return show.Plain(s, maxName) }

// Diff compares what is pinned with what is held, a line for each thing the
// definition says: masked, and fit to be read.
func (k *Keeper) Diff(t *Tool) []Line {
	var was, is []string
	if t.Pinned != nil {
		was = k.lines(t.Pinned.Definition)
	}
	if t.Held != nil {
		is = k.lines(t.Held.Definition)
	} else {
		is = was
	}
	return compare(was, is)
}

func (k *Keeper) lines(definition []byte) []string {
	var out []string
	for _, l := range lines(definition) {
		out = append(out, show.Plain(k.o.Mask(l), maxLine))
		if len(out) == maxLines {
			return append(out, "… and more")
		}
	}
	return out
}

// lines says what a definition says, each thing with its path; text line by line.
func lines(definition []byte) []string {
	var v any
	d := json.NewDecoder(strings.NewReader(string(definition)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return []string{string(definition)}
	}
	return walk(nil, "", v)
}

func walk(out []string, path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out = walk(out, strings.TrimPrefix(path+"."+name, "."), v[name])
		}
		if len(v) == 0 {
			out = append(out, path+": {}")
		}
	case []any:
		for i, e := range v {
			out = walk(out, fmt.Sprintf("%s[%d]", path, i), e)
		}
		if len(v) == 0 {
			out = append(out, path+": []")
		}
	case string:
		for l := range strings.SplitSeq(v, "\n") {
			out = append(out, path+": "+l)
		}
	default:
		out = append(out, fmt.Sprintf("%s: %v", path, v))
	}
	return out
}

// compare finds the longest common lines.
func compare(a, b []string) []Line {
	n, m := len(a), len(b)
	common := make([][]int16, n+1)
	for i := range common {
		common[i] = make([]int16, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	out := make([]Line, 0, n+m)
	for i, j := 0, 0; i < n || j < m; {
		switch {
		case i < n && j < m && a[i] == b[j]:
			out = append(out, Line{" ", a[i]})
			i++
			j++
		case j == m || i < n && common[i+1][j] >= common[i][j+1]:
			out = append(out, Line{"-", a[i]})
			i++
		default:
			out = append(out, Line{"+", b[j]})
			j++
		}
	}
	return out
}

// changed says in words of ours what of a definition is another.
func changed(was, is []byte) string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(was, &a) != nil || json.Unmarshal(is, &b) != nil {
		return "its definition changed"
	}
	var what []string
	for _, m := range []struct{ name, word string }{
		{"title", "title"}, {"description", "description"}, {"inputSchema", "arguments"}, {"outputSchema", "answer"}, {"annotations", "annotations"},
	} {
		if string(a[m.name]) != string(b[m.name]) {
			what = append(what, m.word)
		}
		delete(a, m.name)
		delete(b, m.name)
	}
	if !maps.EqualFunc(a, b, func(x, y json.RawMessage) bool { return string(x) == string(y) }) {
		what = append(what, "other members")
	}
	return "its definition changed: " + strings.Join(what, ", ")
}
