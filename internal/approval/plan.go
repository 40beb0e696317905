package approval

import (
	"github.com/assenthq/assent/action"
)

// An Item is one action of a plan. A plan is approved as one card, and run item
// by item: in order, each once, until the first that fails.
type Item struct {
	Digest    action.Digest
	Match     string // HMAC of the envelope
	Kinds     []action.Kind
	Verb      string
	Target    string
	Title     string
	Statement string // masked
	Masked    []Span
	Resource  action.Resource
	Data      action.Data
	Masks     map[string]string
	RowLimit  action.Count
	Preview   *action.Preview

	State   State // Approved (not yet run), Executing, Executed, Failed or Unknown; Pending until the plan is approved
	GrantID string
	Outcome string
	Rows    int64
}
