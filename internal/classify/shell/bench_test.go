package shell

import (
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// What a command of the corpus costs, beside parsing it and nothing else.
func BenchmarkScript(b *testing.B) {
	var texts []string
	for _, l := range corpus(b, ownCorpus) {
		if l.Script != nil {
			texts = append(texts, *l.Script)
		}
	}
	b.Run("classify", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			Script(texts[i%len(texts)], Context{})
		}
	})
	b.Run("parse", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, _ = syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(texts[i%len(texts)]), "")
		}
	})
}
