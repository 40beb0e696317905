// Package pins keeps what the tools of MCP servers looked like when somebody
// first relied on them, and holds back a tool that looks different since.
//
// It promises that the definition of a tool is either the pinned one, byte for
// byte in its canonical form, or held: left out of lists and refused. A pin moves
// only by an approved change, and a stored pin that was edited, put back or taken
// away is no pin. What it refuses at first sight too: names made to be taken for
// others, and text that hides something or gives orders to a model.
//
// What it can't see: a tool that behaves differently behind the same definition,
// orders to a model in words that it doesn't know, and what _meta holds.
package pins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/sealed"
)

// Errors of pins.
var (
	ErrUnknown = errors.New("no such tool was seen")
	// ErrRefused is what can't be done to a tool; its text says why.
	ErrRefused = errors.New("this can't be done to the tool")
)

// Bounds.
const (
	maxTools   = 1000        // of one server, unless Options say otherwise
	maxPinned  = 256 << 10   // bytes of a definition
	writeAfter = time.Minute // between two rows about one tool that keeps changing
)

// A Tool is what is kept of one tool.
type Tool struct {
	Gate   string `json:"gate"`
	Server string `json:"server"`
	Name   string `json:"name"`
	Pinned *Form  `json:"pinned,omitempty"` // nil: nobody relies on it yet
	Held   *Form  `json:"held,omitempty"`   // what it looks like now; nil: as pinned
}

// A Form is a definition with how it came to be kept.
type Form struct {
	Digest     string          `json:"digest"`
	Definition json.RawMessage `json:"definition"` // canonical
	At         time.Time       `json:"at"`
	By         string          `json:"by,omitempty"` // who released it; "": it was the first
	Why        []string        `json:"why,omitempty"`
}

// ID names the tool in rows, records and addresses.
func (t *Tool) ID() string { return idOf(t.Gate, t.Server, t.Name) }

func idOf(gate, server, name string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "assent-tool/1 %q %q %q", gate, server, name))
	return hex.EncodeToString(sum[:12])
}

// States of a tool.
const (
	Pinned  = "pinned"
	Held    = "held"
	Unsound = "unbelievable" // its row was changed outside Assent
)

// State is one of them.
func (t *Tool) State() string {
	switch {
	case t.Name == "":
		return Unsound
	case t.Held != nil || t.Pinned == nil:
		return Held
	}
	return Pinned
}

const rows = sealed.Kind[Tool]("tool")

// A Server is what the administrator said about the tools of one server.
type Server struct {
	Gate, Name string
	// Review holds a tool until somebody releases it; otherwise the first definition is relied on.
	Review bool
	// Show lists held tools, with a text of ours in the place of theirs.
	Show bool
	// Allow and Deny are patterns of names; with Allow, others are left out. Deny goes first.
	Allow, Deny []string
}

// Options says what a Keeper works with; Box is needed.
type Options struct {
	Box *sealed.Box
	// Held is told of a tool that is held from now on, once that is durable.
	Held func(ctx context.Context, t Tool)
	Mask func(string) string // what people are shown of definitions
	// MaxTools is how many tools of one server are kept; those beyond are held. 0: 1000.
	MaxTools int
	Clock    func() time.Time
	Logger   *slog.Logger
}

// A Keeper knows every tool that was seen. It is safe for concurrent use.
type Keeper struct {
	o       Options
	changes *change.Engine // nil: nothing is released

	mu      sync.RWMutex
	tools   map[string]*Tool // by id, never changed in place; owned by mu
	servers map[[2]string]Server
}

// Open reads what is pinned. What can't be believed is a tool that is held.
func Open(ctx context.Context, o Options) (*Keeper, error) {
	if o.Box == nil {
		return nil, errors.New("pins need sealed rows")
	}
	if o.Held == nil {
		o.Held = func(context.Context, Tool) {}
	}
	if o.Mask == nil {
		o.Mask = func(s string) string { return s }
	}
	if o.MaxTools <= 0 {
		o.MaxTools = maxTools
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{o: o, tools: map[string]*Tool{}, servers: map[[2]string]Server{}}
	o.Box.Watch(string(rows), k.read)
	return k, k.load(ctx)
}

// load reads every row, and those by themselves that can't be believed.
func (k *Keeper) load(ctx context.Context) error {
	err := k.o.Box.View(ctx, func(r *sealed.Reader) error {
		all, err := rows.All(ctx, r)
		if errors.Is(err, sealed.ErrTampered) {
			return k.loadEach(ctx, r)
		}
		if err != nil {
			return err
		}
		for _, e := range all {
			k.keep(e.ID, &e.Value)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading pinned tools: %w", err)
	}
	return nil
}

func (k *Keeper) loadEach(ctx context.Context, r *sealed.Reader) error {
	known, err := r.Tx.RevisionsOf(ctx, string(rows))
	if err != nil {
		return err
	}
	stored, err := r.Tx.ListSealed(ctx, sealed.Selection{Kind: string(rows)})
	if err != nil {
		return err
	}
	for _, row := range stored {
		known[row.ID] = row.Revision
	}
	for id := range known {
		if err := k.one(ctx, r, id); err != nil {
			return err
		}
	}
	return nil
}

// one reads one row; one that can't be believed is kept as such.
func (k *Keeper) one(ctx context.Context, r *sealed.Reader, id string) error {
	e, err := rows.Get(ctx, r, id)
	switch {
	case errors.Is(err, sealed.ErrTampered):
		k.o.Logger.ErrorContext(ctx, "a pinned tool can't be believed; it is held", "tool", id, "err", err)
		k.keep(id, &Tool{})
	case err != nil:
		return err
	default:
		k.keep(id, &e.Value)
	}
	return nil
}

func (k *Keeper) keep(id string, t *Tool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tools[id] = t
}

// read takes over one row that changed, here or elsewhere.
func (k *Keeper) read(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := k.o.Box.View(ctx, func(r *sealed.Reader) error { return k.one(ctx, r, id) }); err != nil {
		k.o.Logger.ErrorContext(ctx, "reading a pinned tool; it is held", "tool", id, "err", err)
		k.keep(id, &Tool{})
	}
}

// Serve tells what the administrator said about a server, before it is asked about.
func (k *Keeper) Serve(s Server) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.servers[[2]string{s.Gate, s.Name}] = s
}

// Known is the digest of the definition that is pinned; false: none is, or the
// tool is held.
func (k *Keeper) Known(_ context.Context, gate, server, tool string) (digest string, ok bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	t := k.tools[idOf(gate, server, tool)]
	if t == nil || t.State() != Pinned {
		return "", false
	}
	return t.Pinned.Digest, true
}

// List is every tool that was seen, of one gate or of all, by gate, server and name.
func (k *Keeper) List(gate string) []Tool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var out []Tool
	for _, t := range k.tools {
		if t.Name != "" && (gate == "" || t.Gate == gate) {
			out = append(out, *t)
		}
	}
	slices.SortFunc(out, func(a, b Tool) int {
		return strings.Compare(a.Gate+"\x00"+a.Server+"\x00"+a.Name, b.Gate+"\x00"+b.Server+"\x00"+b.Name)
	})
	return out
}

// Unsound are the ids of tools whose rows can't be believed, sorted.
func (k *Keeper) Unsound() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var out []string
	for _, id := range slices.Sorted(maps.Keys(k.tools)) {
		if k.tools[id].Name == "" {
			out = append(out, id)
		}
	}
	return out
}

// Count is how many tools are in a state.
func (k *Keeper) Count(state string) int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	n := 0
	for _, t := range k.tools {
		if t.State() == state {
			n++
		}
	}
	return n
}

// Get is one tool, by its id.
func (k *Keeper) Get(id string) (Tool, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	t := k.tools[id]
	if t == nil || t.Name == "" {
		return Tool{}, fmt.Errorf("tool %s: %w", id, ErrUnknown)
	}
	return *t, nil
}

// Find is one tool, by where it is.
func (k *Keeper) Find(gate, server, name string) (Tool, error) {
	return k.Get(idOf(gate, server, name))
}

// A Verdict is what becomes of one definition that a server listed.
type Verdict struct {
	Tool   string
	Digest string
	// Pinned: it is what was relied on before, and goes through. Otherwise it is
	// left out of the list, and calls are refused with Why.
	Pinned bool
	Why    string // for people and agents: nothing that the server said
	// Instead is listed in the place of a held tool, where the administrator wants that; nil: nothing is.
	Instead []byte
}

// Instead of a held tool.
func marker(name, why string) []byte {
	b, err := json.Marshal(map[string]any{
		"name": name, "inputSchema": map[string]any{"type": "object"},
		"description": "This tool is held by Assent and can't be called: " + why + ".",
	})
	if err != nil {
		return nil
	}
	return b
}

// size bounds what is kept of a definition.
func size(d *mcp.Definition) bool { return len(d.Canonical) <= maxPinned }
