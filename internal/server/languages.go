package server

import (
	"fmt"
	"os"

	"github.com/assenthq/assent/internal/words"
)

// languages reads the catalogues of the configuration.
func (c *Config) languages() (map[string]words.Catalog, error) {
	out := map[string]words.Catalog{}
	for tag, file := range c.Languages {
		text, err := os.ReadFile(c.path(file))
		if err != nil {
			return nil, fmt.Errorf("languages.%s: %w", tag, err)
		}
		if out[tag], err = words.Parse(text); err != nil {
			return nil, fmt.Errorf("languages.%s: %s: %w", tag, file, err)
		}
	}
	return out, nil
}
