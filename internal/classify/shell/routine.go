package shell

import (
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// loudOption is an option of a build, test or check by which the caller brings code or
// a command of its own, sends something away, or installs.
var loudOption = regexp.MustCompile(`(?i)exec|command|hook|plugin|load|require|preload|addon|^init|-init|extld|linker|wrapper|shell|script|pdbcls|pastebin|install|eval|javaagent|external|serve|publish`)

// quietOption are options that loudOption would take for one.
const quietOption = " ignore-scripts ignore-script no-install no-plugins disable-plugins no-load no-external "

// stray takes back that a command is ordinary work where its words reach out of the
// working copy, into its settings, or bring code of their own.
func (c *call) stray() {
	if !c.cm.isRoutine() {
		return
	}
	for i, w := range c.argv[1:] {
		option := strings.HasPrefix(w.text, "-") && len(w.text) > 1
		name, _, _ := strings.Cut(strings.TrimLeft(w.text, "-"), "=")
		if option && len(name) > 2 && loudOption.MatchString(name) && !strings.Contains(quietOption, " "+name+" ") {
			c.cm.unknown("an option that brings code of its own, or sends something away")
		}
		if strings.HasPrefix(c.argv[i].text, "-") || option {
			c.strayValue(w)
		}
		for _, p := range pieces(w.text) {
			c.strayPath(word{text: p, hole: strings.Contains(p, hole), glob: w.glob})
		}
	}
}

// pieces are the parts of a word that may be paths.
func pieces(text string) []string {
	if len(text) > 2 && text[0] == '-' && text[1] != '-' && strings.IndexByte("/~.", text[2]) >= 0 {
		text = text[2:] // -o/path
	}
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(":,= '\"", r) })
}

// strayValue is the value of an option: a file that the command may write.
func (c *call) strayValue(w word) {
	for _, p := range pieces(w.text) {
		v := word{text: p, hole: strings.Contains(p, hole), glob: w.glob}
		if kinds := writeKinds(c.abs(v), v.glob); len(kinds) > 1 && slices.Contains(kinds, action.Execute) {
			c.cm.add("may write a file that is run later", kinds...)
		}
	}
}

func (c *call) strayPath(w word) {
	switch {
	case keepsNothing(w.text):
	case (strings.HasPrefix(w.text, "/") || strings.HasPrefix(w.text, "~") || w.text == ".." || strings.Contains(w.text, "../")) && !c.own(w):
		c.cm.unknown("names a place outside of the working copy")
	case slices.Contains(readKinds(c.abs(w), false), action.SecretAccess):
		c.cm.add("names a file that holds secrets", action.SecretAccess)
	}
}
