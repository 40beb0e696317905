package policy

import (
	"fmt"
	"maps"
	"slices"
)

// Values are all variables of in by name, with their whole values: for whoever keeps
// what a decision was made from and may lose none of it. "unknown" stands alone for
// what nobody knows; text is quoted.
func Values(in *Input) map[string]string {
	out := map[string]string{}
	table := variables()
	for i := range table {
		v := &table[i]
		out[v.name] = v.whole(in)
	}
	return out
}

func (v *variable) whole(in *Input) string {
	switch {
	case v.str != nil:
		if s, ok := v.str(in); ok {
			return fmt.Sprintf("%q", s)
		}
	case v.num != nil:
		if n, ok := v.num(in); ok {
			return fmt.Sprint(n)
		}
	case v.truth != nil:
		return [...]string{"unknown", "false", "true"}[v.truth(in)]
	case v.list != nil:
		n, complete := v.list.size(in)
		var all []string
		for i := range n {
			all = append(all, v.list.at(in, i))
		}
		return fmt.Sprintf("%q %t", all, complete)
	case v.texts != nil:
		labels := in.Action.Resource.Labels
		out := ""
		for _, k := range slices.Sorted(maps.Keys(labels)) {
			out += fmt.Sprintf("%q=%q ", k, v.texts(in, k))
		}
		return out
	case v.count != nil:
		out := ""
		for _, k := range v.enum {
			if n, ok := v.count(in, k); ok {
				out += fmt.Sprintf("%s=%d ", k, n)
			}
		}
		return out
	}
	return "unknown"
}
