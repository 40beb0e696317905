package llm

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/jsontext"
)

// A Unit is text that is read as one: a string, or parts that stand one behind the other.
type Unit struct {
	Where string // "messages[2].content[0].text"; of several, of the first
	// Key is the name of the member that holds it in data of a tool, "" elsewhere.
	Key   string
	Texts []string
}

// A Look is shown each unit. It returns the texts that stand there from now on, or
// nil where they stay as they are.
type Look func(u *Unit) []string

// deepest is how many texts of JSON inside each other are taken apart.
const deepest = 8

// Walk shows every text of a request to look and puts what it returns in its place.
// What can't be looked into is noted in r.Unscanned.
func (r *Request) Walk(look Look) {
	w := &walker{look: look, op: &r.Op}
	w.envelope(r.Root, "")
	w.flush()
	r.Unscanned, r.Fetches = w.unscanned, w.fetches
	if r.Op.Unseen {
		r.Unscanned = "what a file at the provider holds"
	}
}

// WalkText is Walk of text that stands outside of JSON, such as a file.
func WalkText(where, text string, look Look) (out string, changed bool) {
	w := &walker{look: look, op: &Op{}}
	n := &Node{Kind: '"', Text: text, raw: []byte{}}
	w.text(n, where, "", deepest)
	return n.Text, n.touched
}

type walker struct {
	look      Look
	op        *Op
	unscanned string
	fetches   []string

	run  []*Node // parts of text that are read as one
	at   string  // where the first of them is
	role string
}

func (w *walker) envelope(root *Node, at string) {
	for i := range root.Members {
		m := &root.Members[i]
		here := join(at, m.Name)
		if (m.Name == "prompt" || m.Name == "input") && numbers(m.Value) {
			w.dark("text as numbers of tokens")
		}
		switch {
		case (m.Name == "messages" || m.Name == "input" || m.Name == "items") && m.Value.Kind == '[':
			w.messages(m.Value, here)
		case (m.Name == "system" || m.Name == "instructions" || m.Name == "prompt") && m.Value.Kind == '[':
			w.parts(m.Value, here)
			w.flush()
		case m.Name == "requests" && w.op.Name == "batches.create":
			for k, item := range m.Value.Items {
				if p := item.At("params"); p != nil {
					w.envelope(p, here+"["+strconv.Itoa(k)+"].params")
				}
				for j := range item.Members {
					if item.Members[j].Name != "params" {
						w.node(item.Members[j].Value, join(here+"["+strconv.Itoa(k)+"]", item.Members[j].Name), "", deepest, false)
					}
				}
			}
		default:
			w.node(m.Value, here, "", deepest, false)
		}
		w.name(root, i, here)
	}
}

// numbers says that a list holds text in the provider's own numbers, or lists of them.
func numbers(list *Node) bool {
	for _, item := range list.Items {
		if item.Kind == '0' || item.Kind == '[' {
			return true
		}
	}
	return false
}

// messages walks a conversation. What one side says in several parts or messages on end is read as one.
func (w *walker) messages(list *Node, at string) {
	w.role = ""
	for i, m := range list.Items {
		here := at + "[" + strconv.Itoa(i) + "]"
		role := m.Str("role")
		if m.Kind == '"' { // of embeddings and older shapes: a list of texts
			w.flush()
			w.text(m, here, "", deepest)
			continue
		}
		if role == "developer" {
			role = "system"
		}
		if !silent(m.At("content")) { // what says nothing doesn't part what stands around it
			if role != w.role || role == "" {
				w.flush()
			}
			w.role = role
		}
		if t := m.Str("type"); t != "" && t != "message" && !parts[t] && !items[t] {
			w.dark("an item of type " + clip(t))
		}
		for k := range m.Members {
			c := &m.Members[k]
			if c.Name == "content" && c.Value.Kind == '[' {
				w.parts(c.Value, here+".content")
			} else if c.Name == "content" && c.Value.Kind == '"' {
				w.part(c.Value, here+".content")
			}
		}
		for k := range m.Members {
			c := &m.Members[k]
			if c.Name != "content" || c.Value.Kind != '[' && c.Value.Kind != '"' {
				w.side(m, c, here)
			}
			w.name(m, k, join(here, c.Name))
		}
	}
	w.flush()
}

// silent says that a message has no text.
func silent(content *Node) bool {
	switch {
	case content == nil || content.Text == "null":
		return true
	case content.Kind == '"':
		return strings.TrimSpace(content.Text) == ""
	}
	return content.Kind == '[' && len(content.Items) == 0
}

// side walks a member beside the text of a message or a part, without breaking what is read as one.
func (w *walker) side(of *Node, c *Member, at string) {
	if c.Name == "role" || c.Name == "type" {
		if len(c.Value.Text) <= 40 && !strings.ContainsAny(c.Value.Text, "@0123456789") {
			return
		}
	}
	w.fetch(of, c, data(of, c.Name))
	kept, first, role := w.run, w.at, w.role
	w.run = nil
	w.node(c.Value, join(at, c.Name), "", deepest, data(of, c.Name))
	w.run, w.at, w.role = kept, first, role
}

// data says that a member holds what a tool takes or returned, in its own shape.
func data(of *Node, name string) bool {
	switch name {
	case "input", "arguments", "output", "result", "results":
		t := of.Str("type")
		return of.At("name") != nil || strings.HasSuffix(t, "_call") || strings.HasSuffix(t, "_output") || strings.HasSuffix(t, "_use") || strings.HasSuffix(t, "_result")
	}
	return false
}

// parts walks a list of content parts.
func (w *walker) parts(list *Node, at string) {
	for i, p := range list.Items {
		here := at + "[" + strconv.Itoa(i) + "]"
		if p.Kind == '"' {
			w.part(p, here)
			continue
		}
		t := p.Str("type")
		if !parts[t] && !items[t] {
			w.dark("a part of type " + clip(t))
		}
		text := p.At("text")
		plain := (t == "text" || t == "input_text" || t == "output_text" || t == "refusal" || t == "") && text != nil && text.Kind == '"'
		if plain {
			w.part(text, here+".text")
		} else {
			w.flush()
		}
		for k := range p.Members {
			c := &p.Members[k]
			if c.Name == "content" && c.Value.Kind == '[' {
				w.parts(c.Value, here+".content")
				w.flush()
			} else if !plain || c.Name != "text" {
				w.side(p, c, here)
			}
			w.name(p, k, join(here, c.Name))
		}
	}
}

// part adds a text to what is read as one.
func (w *walker) part(n *Node, at string) {
	if isJSON(n.Text) {
		w.flush()
		w.text(n, at, "", deepest)
		return
	}
	if strings.TrimSpace(n.Text) == "" {
		return
	}
	if len(w.run) == 0 {
		w.at = at
	}
	w.run = append(w.run, n)
}

// flush shows what is read as one.
func (w *walker) flush() {
	run := w.run
	w.run = nil
	if len(run) == 0 {
		return
	}
	if len(run) == 1 {
		w.text(run[0], w.at, "", deepest)
		return
	}
	for _, n := range run {
		w.lines(n, w.at, deepest)
	}
	u := &Unit{Where: w.at}
	for _, n := range run {
		u.Texts = append(u.Texts, n.Text)
	}
	for i, text := range w.look(u) {
		if text != run[i].Text {
			run[i].Set(text)
		}
	}
}

// node walks anything. inData: it is data of a tool, whose names tell what values are.
func (w *walker) node(n *Node, at, key string, depth int, inData bool) {
	switch n.Kind {
	case '{':
		binary := n.Str("type") == "base64" || n.Str("format") != "" && n.At("data") != nil
		for i := range n.Members {
			m := &n.Members[i]
			here, k := join(at, m.Name), ""
			if inData {
				k = m.Name
			}
			w.fetch(n, m, inData)
			switch {
			case m.Value.Kind == '"' && (binary && m.Name == "data" || m.Name == "file_data" || m.Name == "b64_json"):
				w.blob(m.Value, here, depth)
			case m.Name == "content" && m.Value.Kind == '[' && !inData:
				w.parts(m.Value, here)
				w.flush()
			default:
				w.node(m.Value, here, k, depth, inData || data(n, m.Name))
			}
			w.name(n, i, here)
		}
	case '[':
		for i, item := range n.Items {
			w.node(item, at+"["+strconv.Itoa(i)+"]", key, depth, inData)
		}
	case '"':
		w.text(n, at, key, depth)
	case '0':
		if len(n.Text) < shortest {
			return
		}
		u := &Unit{Where: at, Key: key, Texts: []string{n.Text}}
		if out := w.look(u); out != nil && out[0] != n.Text {
			n.Set(out[0])
		}
	}
}

// fetch notes an address from which the provider is to fetch something.
func (w *walker) fetch(of *Node, m *Member, inData bool) {
	if inData {
		return
	}
	at := m.Value
	switch m.Name {
	case "image_url", "file_url", "server_url":
		if inner := at.At("url"); inner != nil {
			at = inner
		}
	case "url":
		if t := of.Str("type"); t != "url" || len(of.Members) > 4 {
			return
		}
	default:
		return
	}
	u, err := url.Parse(at.Text)
	if at.Kind != '"' || len(at.Text) > 4 && strings.EqualFold(at.Text[:5], "data:") {
		return
	}
	host := "(an address)"
	if err == nil && u.Host != "" {
		host = u.Hostname()
	}
	if !slices.Contains(w.fetches, host) && len(w.fetches) < 64 {
		w.fetches = append(w.fetches, host)
	}
}

// shortest is how many bytes a number has that is looked at: fewer are no finding.
const shortest = 7

// name looks at the name of a member.
func (w *walker) name(of *Node, i int, at string) {
	name := of.Members[i].Name
	if len(name) < 4 {
		return
	}
	u := &Unit{Where: at + " (a name)", Texts: []string{name}}
	if out := w.look(u); out != nil && out[0] != name {
		of.Rename(i, out[0])
	}
}

// text looks at one string: at what is JSON in it first, since escapes there would hide values.
func (w *walker) text(n *Node, at, key string, depth int) {
	if head, encoded, is := strings.Cut(n.Text, ";base64,"); is && len(head) > 4 && strings.EqualFold(head[:5], "data:") {
		inner := &Node{Kind: '"', Text: encoded, raw: []byte{}}
		w.blob(inner, at, depth)
		if inner.touched {
			n.Set(head + ";base64," + inner.Text)
		}
		if u := (&Unit{Where: at, Texts: []string{head}}); w.look(u) != nil { // a value in what should be a type
			n.Set("data:;base64," + inner.Text)
		}
		return
	}
	w.lines(n, at, depth)
	u := &Unit{Where: at, Key: key, Texts: []string{n.Text}}
	if out := w.look(u); out != nil && out[0] != n.Text {
		n.Set(out[0])
	}
}

// lines takes apart what is JSON in a text: all of it, or single lines.
func (w *walker) lines(n *Node, at string, depth int) {
	if depth == 0 {
		return
	}
	if isJSON(n.Text) {
		if out, changed, ok := w.inner(n.Text, at, depth); ok {
			if changed {
				n.Set(out)
			}
			return
		}
	}
	if strings.IndexByte(n.Text, '\n') < 0 {
		return
	}
	var out []byte
	any := false
	for line := range strings.Lines(n.Text) {
		if isJSON(line) {
			if inner, changed, ok := w.inner(line, at, depth); ok && changed {
				any = true
				line = inner
			}
		}
		out = append(out, line...)
	}
	if any {
		n.Set(string(out))
	}
}

// inner walks a text that may be JSON.
func (w *walker) inner(text, at string, depth int) (out string, changed, ok bool) {
	raw := []byte(text)
	if jsontext.Check(raw) != nil {
		return "", false, false
	}
	n, err := Parse(raw)
	if err != nil {
		return "", false, false
	}
	w.node(n, at, "", depth-1, true)
	if !n.Changed() {
		return "", false, true
	}
	return string(n.Patched(raw)), true, true
}

// isJSON says that t may be an object, a list or a string of JSON.
func isJSON(t string) bool {
	t = strings.TrimSpace(t)
	if len(t) < 2 {
		return false
	}
	last := t[len(t)-1]
	return t[0] == '{' && last == '}' || t[0] == '[' && last == ']' || t[0] == '"' && last == '"'
}

// blob looks into base64 that holds text. What holds anything else is not looked into.
func (w *walker) blob(n *Node, at string, depth int) {
	raw, ok := unbase64(n.Text)
	if !ok {
		w.text(n, at, "", min(depth, 1))
		return
	}
	if !Readable(raw) {
		w.dark(http.DetectContentType(raw))
		return
	}
	inner := &Node{Kind: '"', Text: string(raw), raw: []byte{}}
	w.lines(inner, at, depth)
	u := &Unit{Where: at, Texts: []string{inner.Text}}
	if out := w.look(u); out != nil && out[0] != inner.Text {
		inner.Set(out[0])
	}
	if inner.touched {
		n.Set(base64.StdEncoding.EncodeToString([]byte(inner.Text)))
	}
}

// Readable says that raw is text.
func Readable(raw []byte) bool { return utf8.Valid(raw) && bytes.IndexByte(raw, 0) < 0 }

func unbase64(text string) ([]byte, bool) {
	text = strings.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case '=', ' ', '\t', '\r', '\n':
			return -1
		}
		return r
	}, text)
	raw, err := base64.RawStdEncoding.DecodeString(text)
	return raw, err == nil
}

func (w *walker) dark(what string) {
	if w.unscanned == "" {
		w.unscanned = what
	}
}

func join(at, name string) string {
	if at == "" {
		return clip(name)
	}
	return at + "." + clip(name)
}

// clip is a name that the asker chose, if it can't be a value itself: places are told and recorded.
func clip(s string) string {
	digits := 0
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c != '_' && (c < 'a' || c > 'z'):
			return "(a name)"
		}
	}
	if len(s) > 32 || digits > 3 {
		return "(a name)"
	}
	return s
}

func set(names string) map[string]bool {
	out := map[string]bool{}
	for n := range strings.FieldsSeq(names) {
		out[n] = true
	}
	return out
}

// parts are the types of content that are known, and items those of what stands between messages.
var (
	parts = set(`text input_text output_text refusal image_url input_image image input_audio file input_file document summary_text reasoning_text
		tool_use tool_result thinking redacted_thinking server_tool_use mcp_tool_use search_result content tool_reference container_upload compaction
		web_search_tool_result web_fetch_tool_result web_search_result web_fetch_result code_execution_tool_result code_execution_result
		bash_code_execution_tool_result bash_code_execution_result text_editor_code_execution_tool_result mcp_tool_result tool_search_tool_result
		web_search_tool_result_error web_fetch_tool_result_error code_execution_tool_result_error computer_screenshot`)
	items = set(`message reasoning item_reference function_call function_call_output custom_tool_call custom_tool_call_output
		web_search_call file_search_call computer_call computer_call_output image_generation_call code_interpreter_call
		local_shell_call local_shell_call_output shell_call shell_call_output apply_patch_call apply_patch_call_output
		mcp_call mcp_list_tools mcp_approval_request mcp_approval_response tool_search_call tool_search_output`)
)
