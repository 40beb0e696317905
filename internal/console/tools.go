package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/pins"
)

// Pins are the tools of MCP servers as they were first relied on, and those held back.
type Pins interface {
	List(gate string) []pins.Tool
	Unsound() []string
	Get(id string) (pins.Tool, error)
	Diff(t *pins.Tool) []pins.Line
	Release(ctx context.Context, id, digest, reason string, p change.Proposal) (change.Entry, error)
	Hold(ctx context.Context, id, reason string, p change.Proposal) (change.Entry, error)
}

func (c *Console) toolRoutes(mux *http.ServeMux) {
	if c.o.Pins == nil {
		return
	}
	mux.HandleFunc("GET /tools", c.signedIn(c.showTools))
	mux.HandleFunc("GET /tools/{id}", c.signedIn(c.showTool))
	mux.HandleFunc("POST /tools/{id}/release", c.signedIn(c.releaseTool))
	mux.HandleFunc("POST /tools/{id}/hold", c.signedIn(c.holdTool))
}

// toolsPage is every tool that was seen, held ones first.
type toolsPage struct {
	Shell
	Held, Pinned []toolRow
	Unsound      []string
}

type toolRow struct {
	pins.Tool
	ID, Why string
}

func toolRowOf(t *pins.Tool) toolRow {
	row := toolRow{Tool: *t, ID: t.ID()}
	if t.Held != nil {
		row.Why = strings.Join(t.Held.Why, "; ")
	}
	return row
}

func (c *Console) showTools(w http.ResponseWriter, r *http.Request, p *who) {
	page := toolsPage{Shell: c.shellOf(r, p, "tools", "Tools", -1), Unsound: c.o.Pins.Unsound()}
	for _, t := range c.o.Pins.List("") {
		if row := toolRowOf(&t); t.State() == pins.Held {
			page.Held = append(page.Held, row)
		} else {
			page.Pinned = append(page.Pinned, row)
		}
	}
	c.page(w, r, http.StatusOK, "tools", page)
}

// toolPage is one of them, with what changed.
type toolPage struct {
	Shell
	toolRow
	May   bool // this session may ask for changes
	Lines []pins.Line
}

func (c *Console) showTool(w http.ResponseWriter, r *http.Request, p *who) {
	t, err := c.o.Pins.Get(r.PathValue("id"))
	if err != nil {
		c.fail(w, r, http.StatusNotFound, "No such tool was seen.", "Go back to the tools.")
		return
	}
	c.page(w, r, http.StatusOK, "tool", toolPage{
		Shell: c.shellOf(r, p, "tools", "Tool", -1), toolRow: toolRowOf(&t), May: c.administers(p), Lines: c.o.Pins.Diff(&t),
	})
}

func (c *Console) releaseTool(w http.ResponseWriter, r *http.Request, p *who) {
	if proposal, may := c.mayChange(w, r, p); may {
		e, err := c.o.Pins.Release(r.Context(), r.PathValue("id"), r.PostFormValue("digest"), r.PostFormValue("reason"), proposal)
		c.moved(w, r, e, err)
	}
}

func (c *Console) holdTool(w http.ResponseWriter, r *http.Request, p *who) {
	if proposal, may := c.mayChange(w, r, p); may {
		e, err := c.o.Pins.Hold(r.Context(), r.PathValue("id"), r.PostFormValue("reason"), proposal)
		c.moved(w, r, e, err)
	}
}

// moved shows what waits for others, goes back where it is done, or says why nothing was.
func (c *Console) moved(w http.ResponseWriter, r *http.Request, e change.Entry, err error) {
	switch {
	case err == nil && e.State != change.Proposed:
		http.Redirect(w, r, "/tools", http.StatusSeeOther)
	case errors.Is(err, pins.ErrUnknown):
		c.fail(w, r, http.StatusNotFound, "No such tool was seen. Nothing was changed.", "Go back to the tools.")
	case errors.Is(err, pins.ErrRefused):
		text := strings.TrimSuffix(err.Error(), ": "+pins.ErrRefused.Error())
		c.fail(w, r, http.StatusConflict, "Nothing was changed: "+plain(text, maxClaim)+".", "Go back and look at what its server lists now.")
	default:
		c.proposed(w, r, e, err)
	}
}
