package hookfiles

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Install returns text with the hook in it: command asks and is told. text that has it
// as it must be comes back as it is. The empty text is a file that isn't there.
func Install(name string, text []byte, command string) ([]byte, error) {
	a := agents[name]
	root, err := parse(orEmpty(text))
	if err != nil {
		return nil, err
	}
	if err := a.check(root); err != nil {
		return nil, err
	}
	if a.complete(text, root, name, command) {
		return text, nil
	}
	out, err := strip(name, orEmpty(text))
	if err != nil {
		return nil, err
	}
	if name == "cursor" {
		if out, err = ensure(out, nil, "version", "1"); err != nil {
			return nil, err
		}
	}
	if out, err = ensure(out, nil, "hooks", "{}"); err != nil {
		return nil, err
	}
	for _, event := range a.events() {
		if out, err = ensure(out, []string{"hooks"}, event, "[]"); err != nil {
			return nil, err
		}
		root, err := parse(out)
		if err != nil {
			return nil, err
		}
		out = add(out, root.member("hooks").member(event), a.entry(event, command))
	}
	if len(text) == 0 {
		out = append(out, '\n')
	}
	return out, nil
}

func orEmpty(text []byte) []byte {
	if len(strings.TrimSpace(string(text))) == 0 {
		return []byte("{}")
	}
	return text
}

func (a agent) events() []string { return slices.Concat(a.asks, a.tells) }

// check errs where settings have another form than is known here.
func (a agent) check(root *value) error {
	hooks := root.member("hooks")
	if hooks == nil {
		return nil
	}
	if hooks.kind != '{' {
		return fmt.Errorf("hooks is not an object")
	}
	for _, event := range a.events() {
		if list := hooks.member(event); list != nil && list.kind != '[' {
			return fmt.Errorf("hooks.%s is not a list", event)
		}
	}
	return nil
}

// entry is the text of what is added to an event.
func (a agent) entry(event, command string) string {
	asks := slices.Contains(a.asks, event)
	if asks {
		command += fallback()
	}
	quoted, _ := json.Marshal(command) // a string never fails
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted))
	fields := []string{`"command": ` + text, fmt.Sprintf(`"timeout": %d`, a.seconds)}
	if event == "SessionEnd" || event == "sessionEnd" {
		fields[1] = fmt.Sprintf(`"timeout": %d`, a.seconds/200)
	}
	if a.closed[0] != "" && asks {
		fields = append(fields, fmt.Sprintf("%q: %s", a.closed[0], a.closed[1]))
	}
	if !a.nested {
		return "{ " + strings.Join(fields, ", ") + " }"
	}
	handler := `{ "type": "command", ` + strings.Join(fields, ", ") + " }"
	matcher := ""
	if a.matcher && strings.Contains(event, "Tool") {
		matcher = "\"matcher\": \"*\",\n  "
	}
	return "{\n  " + matcher + "\"hooks\": [\n    " + handler + "\n  ]\n}"
}

// complete reports whether each event has the entry once, as it must be, and no other
// event has one.
func (a agent) complete(text []byte, root *value, name, command string) bool {
	hooks := root.member("hooks")
	if hooks == nil || name == "cursor" && root.member("version") == nil {
		return false
	}
	found := 0
	for i, event := range hooks.names {
		for _, item := range hooks.items[i].items {
			if !a.isOurs(item, name) {
				continue
			}
			want, err := parse([]byte(a.entry(event, command)))
			if err != nil || !slices.Contains(a.events(), event) || !reflect.DeepEqual(item.plain(text), want.plain([]byte(a.entry(event, command)))) {
				return false
			}
			found++
		}
	}
	return found == len(a.events())
}

// isOurs reports whether an entry of an event, or one hook in it, is ours.
func (a agent) isOurs(item *value, name string) bool {
	if hooks := item.member("hooks"); a.nested && hooks != nil {
		return slices.ContainsFunc(hooks.items, func(h *value) bool { return handlerIsOurs(h, name) })
	}
	return handlerIsOurs(item, name)
}

func handlerIsOurs(h *value, name string) bool {
	command, url := h.member("command"), h.member("url")
	if url != nil && strings.HasSuffix(url.text, "/v1/hooks/"+name) {
		return true
	}
	if command == nil {
		return false
	}
	line := command.text
	if args := h.member("args"); args != nil {
		for _, w := range args.items {
			line += " " + w.text
		}
	}
	return ours(name).MatchString(line)
}

// ensure adds a member with an empty value to the object that path leads to, where there is none.
func ensure(text []byte, path []string, name, empty string) ([]byte, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	for _, p := range path {
		root = root.member(p)
	}
	if root.member(name) != nil {
		return text, nil
	}
	return add(text, root, fmt.Sprintf("%q: %s", name, empty)), nil
}

// strip takes out what is ours, and what is empty after it.
func strip(name string, text []byte) ([]byte, error) {
	a := agents[name]
	for {
		root, err := parse(text)
		if err != nil {
			return nil, err
		}
		next, done := a.stripOne(root, name, text)
		if done {
			return text, nil
		}
		text = next
	}
}

// stripOne takes out one entry of ours; done says that there is none.
func (a agent) stripOne(root *value, name string, text []byte) (next []byte, done bool) {
	hooks := root.member("hooks")
	if hooks == nil || hooks.kind != '{' {
		return nil, true
	}
	for e, list := range hooks.items {
		if list.kind != '[' {
			continue
		}
		for i, item := range list.items {
			if !a.isOurs(item, name) {
				continue
			}
			inner := item.member("hooks")
			switch {
			case inner != nil && len(inner.items) > 1: // somebody put others beside it
				h := slices.IndexFunc(inner.items, func(h *value) bool { return handlerIsOurs(h, name) })
				return remove(text, inner, h), false
			case len(list.items) > 1:
				return remove(text, list, i), false
			case len(hooks.items) > 1:
				return remove(text, hooks, e), false
			}
			return remove(text, root, slices.Index(root.names, "hooks")), false
		}
	}
	return nil, true
}

// Uninstall returns text without the hook. before is what the file held when it was
// installed, nil where nothing is known of it: where nobody edited the file since, that comes back.
func Uninstall(name string, text, before []byte) ([]byte, error) {
	root, err := parse(orEmpty(text))
	if err != nil {
		return nil, err
	}
	if before != nil {
		if again, err := Install(name, before, agents[name].commandIn(root, name)); err == nil && string(again) == string(text) {
			return before, nil
		}
	}
	return strip(name, orEmpty(text))
}

// commandIn is the command of ours that stands in settings, as Install was given it.
func (a agent) commandIn(root *value, name string) string {
	hooks := root.member("hooks")
	for _, event := range a.asks {
		list := hooks.member(event)
		if list == nil {
			continue
		}
		for _, item := range list.items {
			handlers := []*value{item}
			if inner := item.member("hooks"); inner != nil {
				handlers = inner.items
			}
			for _, h := range handlers {
				if c := h.member("command"); c != nil && handlerIsOurs(h, name) {
					return strings.TrimSuffix(c.text, fallback())
				}
			}
		}
	}
	return ""
}
