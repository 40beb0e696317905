package detect

import (
	"fmt"
	"slices"
	"strings"
)

// Reference is docs/classes.md: every class, from the table.
func Reference() string {
	var b strings.Builder
	b.WriteString("# Classes\n\n" +
		"What Assent knows to find. A policy names a class, or a group: `pii` (about people), `phi` (about health), `pci` (cards), `secret` (credentials). " +
		"Made by `assent detect classes`.\n\n" +
		"A score says how sure a finding is, from 0.5 to 1; what scores less is no finding. **alone** is the score of a value that passes its check, " +
		"**as written** of one in the groups that are usual for it, **near a word** where a word of the class stands within 48 bytes before or 24 behind, " +
		"**fails near a word** of one that fails its check there. A dash: no finding. The best score takes a value that several classes could be, and between alike ones the nearest word. " +
		"Nine or ten digits alone are nothing. A column or key whose name speaks of a class has that class, whatever its values look like.\n\n" +
		"Not found: a value split over fields or lines, one without a word near it in a form that other things share (a US routing number in a list, a passport number in prose), " +
		"names and places but by the model and by columns.\n\n" +
		"| class | groups | form | check | alone | as written | near a word | fails near a word |\n|---|---|---|---|---|---|---|---|\n")
	for i := range table {
		r := &table[i]
		if r.format == "" {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", r.class, groupsIn(r), r.format, orDash(r.check), score(r.alone), score(r.shaped), score(r.near), score(r.wrong))
	}
	b.WriteString("\n## Words, names and examples\n\nExamples are synthetic, and what is found in them stands between « and ». Names are of columns and keys, in any case and joined by `_`, `-` or capitals.\n")
	for i := range table {
		r := &table[i]
		if r.format == "" {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\nSource: %s.\n", r.class, r.source)
		list(&b, "Words near it", strings.Fields(r.words))
		list(&b, "Names", namesOf(r))
		list(&b, "Found", r.is)
		list(&b, "Not found", r.not)
	}
	var providers []string
	for i := range table {
		if table[i].format == "" {
			providers = append(providers, string(table[i].class))
		}
	}
	slices.Sort(providers)
	b.WriteString("\n## Credentials by provider\n\nEach in the group `secret`, told by its prefix and form:\n\n`" + strings.Join(providers, "` `") + "`\n")
	return b.String()
}

func groupsIn(r *info) string {
	if r.groups == "" {
		return "–"
	}
	return "`" + strings.Join(strings.Fields(r.groups), "` `") + "`"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func score(v float32) string {
	if v == 0 {
		return "–"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.2f", v), "0")
}

// namesOf are the names of a row, without how sure they are.
func namesOf(r *info) (out []string) {
	for one := range strings.SplitSeq(r.names, ",") {
		words := strings.TrimSpace(one)
		if k := strings.LastIndex(words, " 0."); k > 0 {
			words = words[:k]
		}
		if words != "" {
			out = append(out, words)
		}
	}
	return out
}

func list(b *strings.Builder, what string, items []string) {
	if len(items) > 0 {
		fmt.Fprintf(b, "\n%s: `%s`\n", what, strings.Join(items, "` `"))
	}
}
