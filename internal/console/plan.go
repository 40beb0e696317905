package console

import (
	"context"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
)

// planItem is one action of a plan on its page. The gravest stands first, and what is
// grave is open: what doesn't matter is folded under it, never the other way round.
type planItem struct {
	N        int // its place in the plan
	ID       string
	Risk     card.Risk
	State    *card.State // nil while the plan is pending
	Title    []Piece
	Kinds    []string
	Resource []Piece
	Where    []Piece // its data leaves for; nil: it doesn't
	Why      []Piece
	Lines    []Line
	Cut      int
	Effects  []effect
	Open     bool
}

// itemsOf draws the items of a plan, and says how many bytes and masked values they hold.
func (c *Console) itemsOf(ctx context.Context, a *approval.Approval) (out []planItem, cut, masked int) {
	if len(a.Items) == 0 {
		return nil, 0, 0
	}
	var now []*approval.Approval
	if a.State != approval.Pending {
		var err error
		if now, err = c.o.Approvals.ItemsOf(ctx, a); err != nil {
			c.o.Logger.ErrorContext(ctx, "reading the items of a plan", "approval", a.ID, "err", err)
		}
	}
	left := maxShown
	for rank, i := range card.Order(a) {
		of := card.ItemOf(a, i)
		item := planItem{
			N: i + 1, ID: of.ID, Risk: card.RiskOf(of), Title: visible(of.Title, maxTitle), Resource: visible(resourceName(of), maxClaim), Where: visible(card.Where(of), maxClaim),
			Why: visible(of.Reason, maxClaim), Effects: effectsOf(of),
		}
		item.Open = rank == 0 || item.Risk.Class != "mod"
		item.Kinds = append(item.Kinds, string(card.Worst(of.Kinds)))
		for _, k := range of.Kinds {
			if string(k) != item.Kinds[0] {
				item.Kinds = append(item.Kinds, string(k))
			}
		}
		text, more := bounded(of.Statement, left)
		item.Lines, item.Cut = linesOf(of, text)
		item.Cut += more
		left -= len(text)
		if a.State != approval.Pending {
			item.State = &card.State{Class: "bad", Name: "unreadable", Says: "What became of it can't be believed"}
			if now != nil {
				s := stateOf(now[i])
				item.State = &s
			}
		}
		out, cut, masked = append(out, item), cut+item.Cut, masked+len(of.Masked)
	}
	return out, cut, masked
}

// length is how many bytes of statement people must read to answer a.
func length(a *approval.Approval) int {
	n := len(a.Statement)
	for i := range a.Items {
		n += len(a.Items[i].Statement)
	}
	return n
}
