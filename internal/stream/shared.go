package stream

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/assenthq/assent/internal/store"
)

// A sharedCursor lies in the store: of several nodes one sends. Whose it is and how
// far it came guards nothing: at worst records are sent twice, or a receiver sees
// indexes missing.
type sharedCursor struct {
	settings store.Settings
	key      string
	node     string
	gone     func(context.Context) (func(node string) bool, error)
}

type held struct {
	Node string `json:"node"` // who sends
	Next int64  `json:"next"` // index; -1: nothing was sent yet
}

// SharedCursor is the cursor of a stream's decisions. nodes is nil where there is one process only.
func SharedCursor(stream string, settings store.Settings, nodes store.Replicated) Cursor {
	c := &sharedCursor{settings: settings, key: "stream/" + stream}
	if nodes != nil {
		c.node, c.gone = nodes.Node(), nodes.Gone
	}
	return c
}

func (c *sharedCursor) read(ctx context.Context) (h held, ok bool, err error) {
	b, err := c.settings.Setting(ctx, c.key)
	if err != nil || b == nil {
		return held{Next: -1}, false, err
	}
	if err := json.Unmarshal(b, &h); err != nil || h.Next < -1 {
		return h, false, fmt.Errorf("the setting %s doesn't say how far the stream came: the database was changed outside Assent", c.key)
	}
	return h, true, nil
}

func (c *sharedCursor) write(ctx context.Context, h held) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return c.settings.PutSetting(ctx, c.key, b)
}

// Load implements Cursor.
func (c *sharedCursor) Load(ctx context.Context) (int64, bool, error) {
	h, ok, err := c.read(ctx)
	return max(h.Next, 0), ok && h.Next >= 0, err
}

// Store implements Cursor.
func (c *sharedCursor) Store(ctx context.Context, next int64) error {
	return c.write(ctx, held{c.node, next})
}

// Mine takes the stream over from a node that has ended, or lost its lease.
func (c *sharedCursor) Mine(ctx context.Context) (bool, error) {
	if c.gone == nil {
		return true, nil
	}
	h, ok, err := c.read(ctx)
	if err != nil || ok && h.Node == c.node {
		return err == nil, err
	}
	if ok && h.Node != "" {
		gone, err := c.gone(ctx)
		if err != nil || !gone(h.Node) {
			return false, err
		}
	}
	if err := c.write(ctx, held{c.node, h.Next}); err != nil {
		return false, err
	}
	return false, nil // at the next look, if nobody took it at the same time
}
