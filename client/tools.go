package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Tool is one tool of an MCP server.
type Tool struct {
	ID     string     `json:"id"`
	Gate   string     `json:"gate"`
	Server string     `json:"server"`
	Name   string     `json:"name"`
	State  string     `json:"state"` // "pinned" or "held"
	Pinned *ToolForm  `json:"pinned,omitempty"`
	Held   *ToolForm  `json:"held,omitempty"`
	Lines  []ToolLine `json:"lines,omitempty"` // of Tool alone
}

// A ToolForm is one definition of a tool.
type ToolForm struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Why    []string  `json:"why,omitempty"`
}

// A ToolLine is one line of a comparison: "-" was, "+" is.
type ToolLine struct {
	Op   string `json:"op"`
	Text string `json:"text"`
}

// Tools lists the tools of MCP servers that were seen, of one gate or of all; unsound
// are the ids of those whose rows were changed outside Assent.
func (c *Client) Tools(ctx context.Context, gate string) (tools []Tool, unsound []string, err error) {
	var out struct {
		Tools   []Tool   `json:"tools"`
		Unsound []string `json:"unsound"`
	}
	q := url.Values{}
	if gate != "" {
		q.Set("gate", gate)
	}
	if err := c.do(ctx, http.MethodGet, "/v1/tools", q, nil, &out); err != nil {
		return nil, nil, err
	}
	return out.Tools, out.Unsound, nil
}

// Tool is one of them, with what changed.
func (c *Client) Tool(ctx context.Context, id string) (*Tool, error) {
	var out Tool
	if err := c.do(ctx, http.MethodGet, "/v1/tools/"+url.PathEscape(id), nil, nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// ReleaseTool asks to rely on the held definition of this digest. It waits for another administrator.
func (c *Client) ReleaseTool(ctx context.Context, id, digest, reason string) (*Change, error) {
	return c.change(ctx, "/v1/tools/"+url.PathEscape(id)+"/release", map[string]any{"digest": digest, "reason": reason})
}

// HoldTool refuses calls of a tool from now on.
func (c *Client) HoldTool(ctx context.Context, id, reason string) (*Change, error) {
	return c.change(ctx, "/v1/tools/"+url.PathEscape(id)+"/hold", map[string]any{"reason": reason})
}
