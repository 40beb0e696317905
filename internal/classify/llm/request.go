package llm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Request is what a JSON body asks of a model.
type Request struct {
	Op    Op
	Root  *Node
	Model string
	// Others are models that may answer instead, or that a tool asks.
	Others []string
	// Output is the most tokens that it asks to be answered with, over all answers; 0: not said.
	Output int64
	Tools  []string // that the model may call
	// Hosted are tools that run at the provider, and Untrusted those of them that bring what others wrote.
	Hosted    []string
	Untrusted string
	Session   string // that the client's own words name
	Prompt    string // the newest words of a person
	Unscanned string // what can't be looked into, "" when all can
	// Unheard says that it is answered later, where nobody hears what was used.
	Unheard bool
	// Fetches are hosts from which the provider is to fetch something.
	Fetches []string
}

// meant are the members of an envelope that decide something here. In another spelling they are refused:
// whether the provider reads them so is not known.
var meant = []string{"model", "stream", "messages", "input", "system", "instructions", "tools", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of", "metadata", "requests", "background", "models"}

// Read reads the body of a request.
func Read(op Op, body []byte) (*Request, error) {
	root, err := Envelope(body)
	if err != nil {
		return nil, err
	}
	for i := range root.Members {
		name := root.Members[i].Name
		if lower := strings.ToLower(name); lower != name && slices.Contains(meant, lower) {
			return nil, fmt.Errorf("a member is spelled otherwise than %q", lower)
		}
	}
	r := &Request{Op: op, Root: root}
	if m := root.At("model"); m != nil {
		if m.Kind != '"' {
			return nil, errors.New("model is no string")
		}
		r.Model = m.Text
	}
	if err := r.others(root, true); err != nil {
		return nil, err
	}
	if op.API == Anthropic && op.Name == "batches.create" {
		if err := r.batch(); err != nil {
			return nil, err
		}
		return r, r.named()
	}
	if op.Billed && r.Model == "" {
		return nil, errors.New("model is missing")
	}
	if err := r.output(root); err != nil {
		return nil, err
	}
	if b := root.At("background"); b != nil && b.Text == "true" {
		r.Unheard = true
	}
	r.tools(root)
	r.claims(root)
	return r, r.named()
}

// named refuses a name of a model that is none.
func (r *Request) named() error {
	for _, model := range append([]string{r.Model}, r.Others...) {
		for _, c := range []byte(model) {
			if c <= ' ' || c > '~' || c == '"' || c == '<' || c == '>' {
				return errors.New("model is no name of a model")
			}
		}
		if len(model) > 200 {
			return errors.New("model is no name of a model")
		}
	}
	return nil
}

// others finds the models that n names besides its own: those to fall back on, and those of tools.
func (r *Request) others(n *Node, top bool) error {
	for i := range n.Members {
		switch m := &n.Members[i]; {
		case strings.EqualFold(m.Name, "models") || !top && strings.EqualFold(m.Name, "model"):
			if err := r.other(m.Value); err != nil {
				return err
			}
		case m.Name == "tools":
			for _, t := range m.Value.Items {
				if err := r.others(t, false); err != nil {
					return err
				}
			}
		case !top && m.Value.Kind == '{' && !runsHere(n.Str("type")): // a client's own tool has a schema there
			if err := r.others(m.Value, false); err != nil {
				return err
			}
		case top && (m.Name == "input" || m.Name == "messages"):
			for _, item := range m.Value.Items {
				if item.At("tools") != nil {
					if err := r.others(item, true); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// other takes one name of a model, or a list of them.
func (r *Request) other(v *Node) error {
	switch {
	case v.Kind == '"':
		r.Others = append(r.Others, v.Text)
	case v.Kind == '[':
		for _, one := range v.Items {
			if one.Kind != '"' {
				return errors.New("models holds what is no string")
			}
			r.Others = append(r.Others, one.Text)
		}
	case v.Text != "null":
		return errors.New("model is no string")
	}
	return nil
}

// runsHere says that a tool of that type is one that the client runs.
func runsHere(kind string) bool {
	return kind == "" || slices.ContainsFunc(local, func(l string) bool { return strings.HasPrefix(kind, l) })
}

// batch reads Anthropic's batches, whose requests stand in the body.
func (r *Request) batch() error {
	r.Unheard = true
	list := r.Root.List("requests")
	if len(list) == 0 {
		return errors.New("requests is missing")
	}
	for _, item := range list {
		p := item.At("params")
		model := p.Str("model")
		switch {
		case p == nil || model == "":
			return errors.New("a request of the batch names no model")
		case r.Model != "" && r.Model != model:
			return errors.New("the requests of a batch name several models: send a batch for each")
		}
		r.Model = model
		if err := r.others(p, true); err != nil {
			return err
		}
		if err := r.output(p); err != nil {
			return err
		}
		r.tools(p)
	}
	return nil
}

// Limits are the members by which a request bounds its answer.
func (op *Op) Limits() []string {
	switch op.Name {
	case "chat":
		return []string{"max_completion_tokens", "max_tokens"}
	case "responses":
		return []string{"max_output_tokens"}
	case "completions", "messages", "batches.create":
		return []string{"max_tokens"}
	}
	return nil
}

func (r *Request) output(n *Node) error {
	var most int64
	for _, name := range r.Op.Limits() {
		v := n.At(name)
		if v == nil || v.Kind == '0' && v.Text == "null" {
			continue
		}
		k, ok := n.Int(name)
		if !ok {
			return fmt.Errorf("%s is no whole number", name)
		}
		most = max(most, k)
	}
	times := int64(1)
	for _, name := range []string{"n", "best_of"} {
		if v := n.At(name); v != nil && v.Text != "null" {
			k, ok := n.Int(name)
			if !ok || k > 1<<20 {
				return fmt.Errorf("%s is no whole number that could be meant", name)
			}
			times = max(times, k)
		}
	}
	if most > 1<<40 {
		return errors.New("the limit of tokens is none that could be meant")
	}
	r.Output += most * times
	return nil
}

// Answers is how many answers a request asks for.
func (r *Request) Answers() int64 {
	times := int64(1)
	for _, name := range []string{"n", "best_of"} {
		if k, ok := r.Root.Int(name); ok {
			times = max(times, k)
		}
	}
	return max(times, int64(len(r.Root.List("requests"))))
}

// local are beginnings of types of tools that the client runs.
var local = []string{"function", "custom", "bash_", "text_editor_", "computer", "memory_", "local_shell", "apply_patch", "namespace"}

// others are beginnings of types of tools by which the model reads what others wrote.
var others = []struct{ begin, what string }{
	{"web_search", "web page"}, {"web_fetch", "web page"}, {"browser", "web page"}, {"computer", "screen"}, {"mcp", "tool"}, {"file_search", "file"},
}

func (r *Request) tools(n *Node) {
	for _, t := range n.List("tools") {
		kind, name := t.Str("type"), t.Str("name")
		if name == "" {
			name = t.Str("function", "name")
		}
		if name == "" {
			name = kind
		}
		r.Tools = append(r.Tools, name)
		r.tools(t) // a namespace holds some of its own
		if runsHere(kind) {
			continue
		}
		r.Hosted = append(r.Hosted, kind)
		for _, o := range others {
			if strings.HasPrefix(kind, o.begin) && r.Untrusted == "" {
				r.Untrusted = o.what
			}
		}
	}
	if len(n.List("mcp_servers")) > 0 {
		r.Hosted = append(r.Hosted, "mcp")
	}
	for _, name := range []string{"input", "messages"} { // what a search for tools found stands among what was said
		for _, item := range n.List(name) {
			r.tools(item)
		}
	}
	searches := n.At("web_search_options") != nil || strings.Contains(r.Model, "-search-") || strings.Contains(r.Model, "deep-research")
	if searches && !slices.Contains(r.Hosted, "web_search") {
		r.Hosted = append(r.Hosted, "web_search")
	}
	if searches || len(n.List("mcp_servers")) > 0 {
		r.Untrusted = "web page"
	}
	if p := n.At("prompt"); p != nil && p.Kind == '{' { // stored at the provider, with tools that nobody sees here
		r.Hosted = append(r.Hosted, "prompt")
	}
}

// claims finds what the client says of itself: Claude Code puts its session's name into metadata.user_id.
func (r *Request) claims(root *Node) {
	if _, after, is := strings.Cut(root.Str("metadata", "user_id"), "_session_"); is {
		r.Session = after
	}
	list := root.List("messages")
	if list == nil {
		list = root.List("input")
	}
	for _, m := range slices.Backward(list) {
		if m.Str("role") != "user" {
			continue
		}
		if text := spoken(m.At("content")); text != "" {
			r.Prompt = text
			return
		}
	}
	if in := root.Str("input"); in != "" {
		r.Prompt = in
	} else {
		r.Prompt = root.Str("prompt")
	}
}

// spoken is the text of a message, without what tools returned.
func spoken(content *Node) string {
	if content == nil {
		return ""
	}
	if content.Kind == '"' {
		return content.Text
	}
	var parts []string
	for _, p := range content.Items {
		if t := p.Str("type"); t == "text" || t == "input_text" {
			parts = append(parts, p.Str("text"))
		}
	}
	return strings.Join(parts, "\n")
}
