package llm

import (
	"slices"
	"strconv"
	"strings"
)

// A Usage is what a model counted.
type Usage struct {
	Input, Output int64
	Known         bool
}

// Add takes in what an answer, or an event of one, says was used. Later figures of a
// stream stand for all of it.
func (u *Usage) Add(n *Node) {
	for _, at := range [][]string{{"usage"}, {"response", "usage"}, {"message", "usage"}} {
		v := n.At(at...)
		if v == nil || v.Kind != '{' {
			continue
		}
		in := first(v, "input_tokens", "prompt_tokens") + first(v, "cache_creation_input_tokens") + first(v, "cache_read_input_tokens")
		out := first(v, "output_tokens", "completion_tokens")
		if in == 0 && out == 0 {
			in = first(v, "total_tokens")
		}
		u.Input, u.Output, u.Known = max(u.Input, in), max(u.Output, out), true
	}
}

func first(n *Node, names ...string) int64 {
	for _, name := range names {
		if k, ok := n.Int(name); ok {
			return k
		}
	}
	return 0
}

// A Call is a tool that the model wants called.
type Call struct{ ID, Name string }

// callTypes are those of items by which a model calls a tool of the client's.
var callTypes = []string{"tool_use", "function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "computer_call"}

// Calls are the tools that an answer, or an event of one, calls.
func Calls(n *Node) []Call {
	var out []Call
	add := func(v *Node) {
		if !slices.Contains(callTypes, v.Str("type")) {
			return
		}
		id := v.Str("call_id")
		if id == "" {
			id = v.Str("id")
		}
		name := v.Str("name")
		if name == "" {
			name = v.Str("type")
		}
		out = append(out, Call{id, name})
	}
	for _, v := range n.List("content") {
		add(v)
	}
	for _, v := range n.List("output") {
		add(v)
	}
	for _, v := range n.List("response", "output") {
		add(v)
	}
	for _, one := range []string{"content_block", "item"} {
		if v := n.At(one); v != nil {
			add(v)
		}
	}
	for _, c := range n.List("choices") {
		for _, side := range []string{"message", "delta"} {
			for _, t := range c.List(side, "tool_calls") {
				if name := t.Str("function", "name"); name != "" {
					out = append(out, Call{t.Str("id"), name})
				} else if name := t.Str("custom", "name"); name != "" {
					out = append(out, Call{t.Str("id"), name})
				}
			}
		}
	}
	return out
}

// A Delta is a piece of a text that goes on in later events of a stream.
type Delta struct {
	Key  string // which text; pieces of one text have the same
	Node *Node
	JSON bool // the text is JSON itself, cut anywhere
	Kept bool // it is signed by the provider as it stands: nothing is restored in it
}

// whole are members of a delta that don't go on.
var whole = map[string]bool{"type": true, "role": true, "id": true, "call_id": true, "name": true, "signature": true, "data": true, "encrypted_content": true, "finish_reason": true, "stop_reason": true, "stop_sequence": true}

// Deltas are those of an event, in their order.
func Deltas(ev *Node) []Delta {
	var out []Delta
	t := ev.Str("type")
	switch {
	case t == "content_block_delta":
		i, _ := ev.Int("index")
		if d := ev.At("delta"); d != nil && d.Kind == '{' {
			collect(&out, "b"+strconv.FormatInt(i, 10), d, strings.HasPrefix(d.Str("type"), "thinking"))
		}
	case strings.HasSuffix(t, ".delta"):
		d := ev.At("delta")
		if d == nil || strings.HasSuffix(t, "audio.delta") {
			break
		}
		key := place(ev, strings.TrimSuffix(t, ".delta"))
		if d.Kind == '"' {
			out = append(out, Delta{Key: key, Node: d, JSON: strings.Contains(t, "arguments")})
		} else {
			collect(&out, key, d, false)
		}
	}
	for at, c := range ev.List("choices") {
		i, ok := c.Int("index")
		if !ok {
			i = int64(at)
		}
		key := "c" + strconv.FormatInt(i, 10)
		if d := c.At("delta"); d != nil && d.Kind == '{' {
			collect(&out, key, d, false)
		}
		if text := c.At("text"); text != nil && text.Kind == '"' {
			out = append(out, Delta{Key: key + ".text", Node: text})
		}
	}
	return out
}

// place names one text among those of a response.
func place(ev *Node, stem string) string {
	for _, name := range []string{"item_id", "output_index", "content_index", "summary_index", "command_index"} {
		if v := ev.At(name); v != nil {
			stem += "/" + v.Text
		}
	}
	return stem
}

func collect(out *[]Delta, key string, n *Node, kept bool) {
	for i := range n.Members {
		m := &n.Members[i]
		switch {
		case m.Value.Kind == '"' && !whole[m.Name]:
			*out = append(*out, Delta{Key: key + "." + m.Name, Node: m.Value, JSON: m.Name == "arguments" || m.Name == "partial_json", Kept: kept})
		case m.Value.Kind == '{' && m.Name != "citation":
			collect(out, key+"."+m.Name, m.Value, kept)
		case m.Value.Kind == '[':
			for at, item := range m.Value.Items {
				k, ok := item.Int("index")
				if !ok {
					k = int64(at)
				}
				collect(out, key+"."+m.Name+strconv.FormatInt(k, 10), item, kept)
			}
		}
	}
}

// Ended says which texts end with an event: those whose key begins with one of the
// prefixes. "" are all.
func Ended(ev *Node) []string {
	t := ev.Str("type")
	switch {
	case t == "content_block_stop" || t == "content_block_start":
		i, _ := ev.Int("index")
		return []string{"b" + strconv.FormatInt(i, 10) + "."}
	case t == "message_stop" || t == "message_delta" || t == "error" || t == "response.completed" || t == "response.failed" || t == "response.incomplete":
		return []string{""}
	case strings.HasPrefix(t, "response.output_item.") || strings.HasPrefix(t, "response.content_part."):
		return []string{""}
	case strings.HasSuffix(t, ".done"):
		return []string{place(ev, strings.TrimSuffix(t, ".done"))}
	}
	var out []string
	for at, c := range ev.List("choices") {
		if f := c.At("finish_reason"); f != nil && f.Kind == '"' {
			i, ok := c.Int("index")
			if !ok {
				i = int64(at)
			}
			out = append(out, "c"+strconv.FormatInt(i, 10)+".")
		}
	}
	return out
}

// sealed are members that are no text, or that their maker signed or encrypted.
var sealed = map[string]bool{
	"id": true, "object": true, "type": true, "role": true, "status": true, "signature": true, "encrypted_content": true, "encrypted_index": true,
	"b64_json": true, "partial_image_b64": true, "embedding": true, "call_id": true, "item_id": true, "obfuscation": true,
	"finish_reason": true, "stop_reason": true, "system_fingerprint": true, "service_tier": true, "previous_response_id": true,
}

// Texts shows each whole text of an answer, or of an event of one, but its deltas. f returns what
// stands there from now on. json: the text is JSON, cut nowhere. kept: nothing may be restored in it.
func Texts(n *Node, skip []Delta, f func(text string, json, kept bool) (string, error)) error {
	return texts(n, "", false, false, skip, f)
}

func texts(n *Node, name string, input, kept bool, skip []Delta, f func(string, bool, bool) (string, error)) error {
	switch n.Kind {
	case '{':
		t := n.Str("type")
		kept := kept || t == "thinking"
		audio := n.At("transcript") != nil || n.At("expires_at") != nil
		for i := range n.Members {
			m := &n.Members[i]
			if m.Value.Kind == '"' && (sealed[m.Name] && short(m.Value.Text) || m.Name == "data" && (audio || t == "redacted_thinking" || t == "base64")) {
				continue
			}
			in := input || m.Name == "input" || m.Name == "arguments"
			if in && len(m.Name) > 3 {
				to, err := f(m.Name, false, kept)
				if err != nil {
					return err
				}
				if to != m.Name {
					n.Rename(i, to)
				}
			}
			if err := texts(m.Value, m.Name, in, kept, skip, f); err != nil {
				return err
			}
		}
	case '[':
		for _, item := range n.Items {
			if err := texts(item, name, input, kept, skip, f); err != nil {
				return err
			}
		}
	case '"':
		for i := range skip {
			if skip[i].Node == n {
				return nil
			}
		}
		to, err := f(n.Text, name == "arguments" || name == "partial_json", kept)
		if err != nil {
			return err
		}
		if to != n.Text {
			n.Set(to)
		}
	case '0':
		if !input || len(n.Text) < shortest {
			return nil
		}
		to, err := f(n.Text, false, kept)
		if err != nil {
			return err
		}
		if to != n.Text {
			n.Set(to)
		}
	}
	return nil
}

// short says that what stands in a sealed member can't be worth a look: names and ids
// are; what is longer must look like base64.
func short(text string) bool {
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("_-+/=.", c) < 0 {
			return false
		}
	}
	return true
}

// DropLogprobs takes the log probabilities out of an answer: they repeat it token by token, in
// which nothing can be found.
func DropLogprobs(n *Node) {
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name == "logprobs" || m.Name == "top_logprobs" {
			switch {
			case m.Value.Kind == '[' && len(m.Value.Items) > 0:
				m.Value = &Node{Kind: '[', touched: true, formed: true}
			case m.Value.Kind == '{':
				m.Value = &Node{Kind: '0', Text: "null", touched: true, formed: true}
			}
			continue
		}
		DropLogprobs(m.Value)
	}
	for _, item := range n.Items {
		DropLogprobs(item)
	}
}

// Clone is n in memory of its own.
func (n *Node) Clone() *Node {
	out := *n
	out.raw = slices.Clone(n.raw)
	out.Members = slices.Clone(n.Members)
	for i := range out.Members {
		out.Members[i].raw = slices.Clone(out.Members[i].raw)
		out.Members[i].Value = out.Members[i].Value.Clone()
	}
	out.Items = slices.Clone(n.Items)
	for i := range out.Items {
		out.Items[i] = out.Items[i].Clone()
	}
	return &out
}

// Rest makes of an event that was passed on another one, which brings the rest of one of its texts and nothing else.
func Rest(ev *Node, key, rest string) {
	for _, c := range ev.List("choices") {
		prune(c.At("delta"))
	}
	for _, d := range Deltas(ev) {
		if d.Key == key {
			d.Node.Set(rest)
		} else {
			d.Node.Set("")
		}
	}
	for i := range ev.Members {
		if ev.Members[i].Name == "usage" {
			ev.Members[i].Value = &Node{Kind: '0', Text: "null", touched: true}
		}
	}
}

// prune drops what a client would join to what it has already.
func prune(n *Node) {
	if n == nil {
		return
	}
	n.Members = slices.DeleteFunc(n.Members, func(m Member) bool { return whole[m.Name] })
	n.touched = true
	for i := range n.Members {
		prune(n.Members[i].Value)
	}
	for _, item := range n.Items {
		prune(item)
	}
}

// Wrap is an object whose only member is n, as the arguments of a call.
func Wrap(n *Node) *Node {
	return &Node{Kind: '{', Members: []Member{{Name: "input", Value: n, raw: []byte(`"input"`)}}}
}
