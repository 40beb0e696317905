package cli

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/words"
)

func (a *app) wordsCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "words [CATALOGUE]",
		Short: "The console's sentences, to translate",
		Long: `Print the sentences of the console's pages as a catalogue to fill in: a JSON
object of each sentence in English and what it is in another language. {0}, {1} …
are values, which a translation may order as its language does.

With a catalogue, print it as it has to be for this version: with what is
new as "", and without what is gone. Standard error says how many are missing.
The configuration names catalogues under languages: (docs/languages.md).`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			have := words.Catalog{}
			if len(args) == 1 {
				text, err := os.ReadFile(args[0])
				if err != nil {
					return &exitError{exitUsage, fmt.Errorf("reading a catalogue: %w", err)}
				}
				if have, err = words.Parse(text); err != nil {
					return &exitError{exitUsage, fmt.Errorf("%s: %w", args[0], err)}
				}
			}
			sentences, err := console.Sentences()
			if err != nil {
				return err
			}
			out, missing, gone := map[string]string{}, 0, 0
			for _, en := range sentences {
				if out[en] = have[en]; out[en] == "" {
					missing++
				}
			}
			for en := range have {
				if !slices.Contains(sentences, en) {
					gone++
				}
			}
			fmt.Fprintf(a.err, "%d of %d sentences are not translated, %d are gone\n", missing, len(sentences), gone)
			return a.printJSON(out)
		},
	}
}
