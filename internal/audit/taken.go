package audit

import (
	"context"
	"slices"
	"strings"
)

// GateNode begins the names of nodes that are gate processes: their traffic is handed over
// segment by segment, and the newest ones are still with them.
const GateNode = "gate."

// taken compares what gate processes handed over with its seals.
func (v *verifier) taken(ctx context.Context) error {
	nodes := map[string]map[int64]Seal{}
	for name, s := range v.seals.known {
		if strings.HasPrefix(name.node, GateNode) {
			if nodes[name.node] == nil {
				nodes[name.node] = map[int64]Seal{}
			}
			nodes[name.node][name.segment] = s.Seal
		}
	}
	if v.o.Taken == nil {
		return nil
	}
	for _, node := range sortedNodes(nodes) {
		if err := v.takenFrom(ctx, node, nodes[node]); err != nil {
			return err
		}
	}
	return nil
}

func sortedNodes(m map[string]map[int64]Seal) []string {
	var out []string
	for node := range m {
		out = append(out, node)
	}
	slices.Sort(out)
	return out
}

func (v *verifier) takenFrom(ctx context.Context, node string, seals map[int64]Seal) error {
	there, err := v.o.Taken.Segments(ctx, node)
	if err != nil {
		if v.o.Listed {
			v.line("the archive of traffic can't be asked, and what %s handed over was not looked for: %v", node, err)
			return nil
		}
		return v.problem(-1, "what %s handed over can't be listed: %v", node, err)
	}
	last := int64(0)
	if len(there) > 0 {
		last = there[len(there)-1]
	}
	away, records := 0, int64(0)
	for n, s := range seals {
		if slices.Contains(there, n) || v.pruned.Holds(node, n) {
			continue
		}
		if n > last && s.Count > 0 || s.Count == 0 {
			away++
			continue
		}
		if err := v.problem(-1, "segment %d of %s with %d records was handed over, and is gone", n, node, s.Count); err != nil {
			return err
		}
	}
	for _, n := range there {
		seal, sealed := seals[n]
		if !sealed {
			if err := v.problem(-1, "segment %d of %s is not sealed in the log", n, node); err != nil {
				return err
			}
			continue
		}
		records += seal.Count
		if v.o.Listed {
			continue
		}
		g, err := v.o.Taken.read(ctx, node, n, nil)
		if err != nil {
			if err := v.problem(-1, "segment %d of %s can't be read: %v", n, node, err); err != nil {
				return err
			}
			continue
		}
		if !g.fits(seal) {
			if err := v.problem(-1, "segment %d of %s isn't the one that was sealed: it holds %d records of %d", n, node, g.Count, seal.Count); err != nil {
				return err
			}
		}
	}
	read := ""
	if v.o.Listed {
		read = ", looked for and not read"
	}
	v.line("%d traffic records of %s in %d segments%s; %d sealed ones are still with it", records, node, len(there), read, away)
	return nil
}
