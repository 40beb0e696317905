package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocsExamples runs docs/api.md from top to bottom: each sh block is one
// curl command, the json block after it what the answer must hold.
func TestDocsExamples(t *testing.T) {
	w := newWorld(t)
	page := string(must(os.ReadFile("../../docs/api.md"))(t))
	vars := map[string]string{"ASSENT": "", "AGENT": w.agent, "REVIEWER": w.mira, "AUDITOR": w.reader, "ADMIN": w.admin}
	blocks := regexp.MustCompile("(?s)```(sh|json)\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) < 19 {
		t.Fatalf("%d blocks: the page lost its examples", len(blocks))
	}
	var last *answer
	for _, b := range blocks {
		if b[1] == "sh" {
			last = w.curl(b[2], vars)
			continue
		}
		var want, got any
		mustDecode(t, []byte(b[2]), &want)
		mustDecode(t, last.body, &got)
		if err := holds(want, got, vars); err != nil {
			t.Errorf("%v\nwant %s\ngot %s", err, b[2], last.body)
		}
	}
}

// curl runs the part of curl's language that the page uses.
func (w *world) curl(command string, vars map[string]string) *answer {
	w.t.Helper()
	command, body, _ := strings.Cut(command, "<<EOF\n")
	expand := func(s string) string {
		return os.Expand(s, func(name string) string {
			v, ok := vars[name]
			if !ok {
				w.t.Errorf("$%s is used before the page has it", name)
			}
			return v
		})
	}
	var method, path string
	var headers []string
	args := regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(command, -1)
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; arg {
		case "curl", "-s":
		case "-X":
			i++
			method = args[i]
		case "-H":
			i++
			headers = append(headers, expand(strings.Trim(args[i], `"`)))
		case "-d":
			i++
			method = http.MethodPost
		default:
			if path != "" || !strings.HasPrefix(arg, `"$ASSENT/`) {
				w.t.Fatalf("curl: what is %s?", arg)
			}
			path = expand(strings.Trim(arg, `"`))
		}
	}
	set := func(r *http.Request) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
	}
	switch method {
	case http.MethodPost:
		return w.call(method, path, "", expand(strings.TrimSuffix(body, "EOF\n")), set)
	case "":
		method = http.MethodGet
	}
	return w.call(method, path, "", nil, set)
}

// holds reports whether got has what want shows: "…" is anything, "$NAME" the
// value of that name, or its first appearance.
func holds(want, got any, vars map[string]string) error {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%v is no object", got)
		}
		for name, v := range want {
			if err := holds(v, m[name], vars); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case []any:
		l, ok := got.([]any)
		if !ok || len(l) != len(want) {
			return fmt.Errorf("%v hasn't %d elements", got, len(want))
		}
		for i := range want {
			if err := holds(want[i], l[i], vars); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	}
	return equals(want, got, vars)
}

func equals(want, got any, vars map[string]string) error {
	text, err := json.Marshal(got)
	if err != nil || got == nil {
		return errors.New("it is missing")
	}
	value := strings.Trim(string(text), `"`)
	if name, isVar := strings.CutPrefix(fmt.Sprint(want), "$"); isVar {
		if old, seen := vars[name]; seen && old != value {
			return fmt.Errorf("want %v, which was %s, got %v", want, old, got)
		}
		vars[name] = value
		return nil
	}
	if want == "…" || fmt.Sprint(want) == fmt.Sprint(got) {
		return nil
	}
	return fmt.Errorf("want %v, got %v", want, got)
}
