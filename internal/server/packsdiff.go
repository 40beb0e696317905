package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	diffContext = 2
	maxCompared = 4000 // lines of one pack; a longer one is shown whole
)

// packsDiff shows what changes between two sets of packs, line by line.
func packsDiff(before, after map[string]string) string {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, was := before[name]
		now, is := after[name]
		switch {
		case was && is && old == now:
			fmt.Fprintf(&b, "  %s: as it is\n", name)
			continue
		case !is:
			fmt.Fprintf(&b, "- %s: no longer in force\n", name)
		case !was:
			fmt.Fprintf(&b, "+ %s: new\n", name)
		default:
			fmt.Fprintf(&b, "± %s\n", name)
		}
		b.WriteString(linesDiff(lines(old), lines(now)))
	}
	return b.String()
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// linesDiff is the shortest way from a to b, with some of what stays around it.
func linesDiff(a, b []string) string {
	if len(a) > maxCompared || len(b) > maxCompared {
		return "  too long to compare; whole:\n" + "+ " + strings.Join(b, "\n+ ") + "\n"
	}
	// common[i][j] is how many lines a[i:] and b[j:] have in common.
	common := make([][]uint16, len(a)+1)
	for i := range common {
		common[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return near(out)
}

// near leaves out what stays, but for the lines around what doesn't.
func near(all []string) string {
	keep := make([]bool, len(all))
	for i, l := range all {
		if l[0] == ' ' {
			continue
		}
		for k := max(0, i-diffContext); k <= min(len(all)-1, i+diffContext); k++ {
			keep[k] = true
		}
	}
	var b strings.Builder
	gap := false
	for i, l := range all {
		if !keep[i] {
			gap = true
			continue
		}
		if gap {
			b.WriteString("  …\n")
		}
		gap = false
		b.WriteString(l + "\n")
	}
	return b.String()
}
