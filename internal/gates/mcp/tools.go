package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	classify "github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/jsontext"
	"github.com/assenthq/assent/internal/pins"
)

// A Judge says what a call of a tool does; classify.Classifier is one. What it
// does not know is tool.call.
type Judge interface {
	Tool(s classify.Server, def classify.Definition, arguments []byte) classify.Result
}

// A Tool is one tool as its server defines it.
type Tool struct {
	classify.Definition
	Raw    []byte // as it came
	Pinned string // digest of the definition
	Output bool   // it declares the shape of what it returns
}

// Pins keeps the definitions that tools had when they were first relied on.
type Pins interface {
	// Check tells what becomes of each definition, in their order. It is asked for
	// each listing. An error means that none of them may be used.
	Check(ctx context.Context, server string, defs []classify.Definition) ([]pins.Verdict, error)
	// Known is the digest that is relied on; false: none is, or the tool was held meanwhile.
	Known(ctx context.Context, server, tool string) (digest string, ok bool)
}

// maxTools bounds the tools of one server, maxPages the pages they may come in.
const (
	maxTools = 4096
	maxPages = 64
)

// tool reads one definition.
func tool(raw []byte) (*Tool, error) {
	def, err := classify.Parse(raw)
	if err != nil {
		return nil, err
	}
	if len(def.Name) > 256 {
		return nil, errors.New("a tool with a name of more than 256 bytes")
	}
	return &Tool{Definition: def, Raw: raw, Pinned: def.Digest(), Output: member(raw, "outputSchema") != nil}, nil
}

// A catalog is the tools that one server has told one client of, as far as they may be used.
type catalog struct {
	server string
	pins   Pins // nil: every definition may be used
	now    func() time.Time

	mu     sync.Mutex
	tools  map[string]*Tool  // owned by mu
	barred map[string]string // owned by mu: tools that may not be used, and why
	read   time.Time         // owned by mu: when all were listed; zero: never, or they have changed
}

// pinnedAs is how the tools of a server are pinned: those of a server that its client
// starts for each command by itself, or one client's command could hold another's tools.
func pinnedAs(server, command string) string {
	if command == "" {
		return server
	}
	sum := sha256.Sum256([]byte(command))
	return server + "#" + hex.EncodeToString(sum[:8])
}

func newCatalog(server string, pins Pins) *catalog {
	return &catalog{server: server, pins: pins, now: time.Now}
}

// find returns a tool, or why it may not be used; both are empty for one that was not listed.
func (c *catalog) find(name string) (t *Tool, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tools[name], c.barred[name]
}

// doubted says that what is relied on of a tool is not what find says of it: another
// client was told of another definition, or an administrator held or released it.
func (c *catalog) doubted(ctx context.Context, name string, t *Tool, why string) bool {
	if c.pins == nil || t == nil && why == "" {
		return false
	}
	digest, ok := c.pins.Known(ctx, c.server, name)
	return t == nil && ok || t != nil && (!ok || digest != t.Pinned)
}

// stale says that the tools were not listed within age.
func (c *catalog) stale(age time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read.IsZero() || age > 0 && c.now().Sub(c.read) > age
}

// forget is called when the server says that its tools have changed.
func (c *catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = time.Time{}
}

// page takes over one page of a listing, and returns it without what may not be used.
// first begins a new listing.
func (c *catalog) page(ctx context.Context, result []byte, first bool) ([]byte, error) {
	members, err := jsontext.Members(result)
	if err != nil {
		return nil, err
	}
	var defs []*Tool
	var rest []any
	for _, m := range members {
		if m.Name != "tools" {
			rest = append(rest, m.Name, m.Value)
			continue
		}
		elements, err := jsontext.Elements(m.Value)
		if err != nil {
			return nil, err
		}
		if len(elements) > maxTools { // before any of them is looked at
			return nil, fmt.Errorf("more than %d tools", maxTools)
		}
		for _, e := range elements {
			t, err := tool(e)
			if err != nil {
				return nil, err
			}
			defs = append(defs, t)
		}
	}
	why, instead, err := c.check(ctx, defs)
	if err != nil {
		return nil, err
	}
	if err := c.add(defs, why, first); err != nil {
		return nil, err
	}
	if len(defs) == 0 {
		return result, nil
	}
	kept := []byte{'['}
	same := true
	for i, t := range defs {
		raw := t.Raw
		if why[i] != "" {
			same = false
			if raw = instead[i]; raw == nil {
				continue
			}
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, raw...)
	}
	if same {
		return result, nil
	}
	return object(append(rest, "tools", append(kept, ']'))...), nil
}

// check says why definitions may not be used, and what is listed in their place.
func (c *catalog) check(ctx context.Context, tools []*Tool) (why []string, instead [][]byte, err error) {
	why, instead = make([]string, len(tools)), make([][]byte, len(tools))
	if c.pins == nil || len(tools) == 0 {
		return why, instead, nil
	}
	defs := make([]classify.Definition, len(tools))
	for i, t := range tools {
		defs[i] = t.Definition
	}
	verdicts, err := c.pins.Check(ctx, c.server, defs)
	if err == nil && len(verdicts) != len(defs) {
		err = errors.New("not as many verdicts as tools")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("checking the tools' definitions: %w", err)
	}
	for i := range verdicts {
		if v := &verdicts[i]; !v.Pinned {
			why[i], instead[i] = orElse(v.Why, "it is held"), v.Instead
		}
	}
	return why, instead, nil
}

func (c *catalog) add(defs []*Tool, why []string, first bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first || c.tools == nil {
		c.tools, c.barred = map[string]*Tool{}, map[string]string{}
		c.read = time.Time{} // until the last page
	}
	if len(c.tools)+len(c.barred)+len(defs) > maxTools {
		return fmt.Errorf("more than %d tools", maxTools)
	}
	for i, t := range defs {
		if old := c.tools[t.Name]; old != nil && old.Pinned != t.Pinned && why[i] == "" {
			why[i] = "the server lists it twice, in two ways"
		}
		if why[i] != "" {
			c.barred[t.Name] = why[i]
			delete(c.tools, t.Name)
		}
		if c.barred[t.Name] == "" {
			c.tools[t.Name] = t
		}
	}
	for i, t := range defs {
		if why[i] == "" {
			why[i] = c.barred[t.Name]
		}
	}
	return nil
}

func (c *catalog) complete() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = c.now()
}

// An asker sends a request of our own to the server, outside of the client's sight.
type asker func(ctx context.Context, method string, params []byte) (result []byte, err error)

// list asks for all tools.
func (c *catalog) list(ctx context.Context, ask asker, meta []byte) error {
	cursor := ""
	for page := range maxPages {
		var pairs []any
		if cursor != "" {
			pairs = append(pairs, "cursor", cursor)
		}
		if meta != nil {
			pairs = append(pairs, "_meta", meta)
		}
		result, err := ask(ctx, "tools/list", object(pairs...))
		if err != nil {
			return err
		}
		if _, err := c.page(ctx, result, page == 0); err != nil {
			return err
		}
		if cursor = text(result, "nextCursor"); cursor == "" {
			c.complete()
			return nil
		}
	}
	return fmt.Errorf("a listing of tools of more than %d pages", maxPages)
}
