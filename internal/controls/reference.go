package controls

import (
	"fmt"
	"strings"
)

// Reference is the table as a page of documentation.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Controls

Made from the table that ` + "`assent evidence controls`" + ` works by: ` + "`assent evidence controls --reference >docs/controls.md`" + `. How it is run: [reports.md](reports.md).

For each control: what is claimed, the records behind that and the search that finds them (` + "`--offline`" + ` for a data directory), what counts as an
exception, and what no log can show. Names and claims are our own words. Whether a control is met is for the auditor to say.

## What counts as an exception

| name | found when |
|---|---|
`)
	for _, t := range Tests() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", t, t.Says())
	}
	framework := ""
	table := Table()
	for i := range table {
		c := &table[i]
		if c.Framework != framework {
			framework = c.Framework
			fmt.Fprintf(&b, "\n## %s\n", framework)
		}
		fmt.Fprintf(&b, "\n### %s %s\n\n%s\n\n", c.ID, c.Name, c.Claim)
		for k := range c.Queries {
			fmt.Fprintf(&b, "- %s: `%s`\n", c.Queries[k].Says, c.Queries[k].Command())
		}
		names := []string{}
		for _, t := range c.Tests {
			names = append(names, "`"+string(t)+"`")
		}
		if len(names) == 0 {
			names = []string{"none is looked for"}
		}
		fmt.Fprintf(&b, "\nExceptions: %s.\n\nNot in the log: %s\n", strings.Join(names, ", "), c.Silent)
	}
	return b.String()
}
