package cli

import (
	"cmp"
	"os"

	"github.com/spf13/cobra"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/server"
)

// finder is which detectors a command looks with.
type finder struct{ names, config string }

// flags adds what chooses them.
func (f *finder) flags(c *cobra.Command, names bool) {
	word := "off"
	if names {
		word = "on"
	}
	c.Flags().StringVar(&f.names, "names", word, "find names of people, places, addresses, diseases and drugs too, by a model: on, off, or all, with organisations")
	c.Flags().Lookup("names").NoOptDefVal = "on"
	c.Flags().StringVar(&f.config, "config", "", "configuration whose detectors, columns and classes that are off count here too")
}

// engine takes another model from ASSENT_DETECT_MODEL.
func (f *finder) engine() (*detect.Engine, error) {
	var o detect.Options
	if f.config != "" {
		cfg, err := server.ReadConfig(f.config)
		if err != nil {
			return nil, err //nolint:wrapcheck // names the file and the line
		}
		o = cfg.Detection()
	}
	word := map[string]string{"true": "on", "false": "off"}[f.names]
	if err := o.ParseNames(cmp.Or(word, f.names), os.Getenv("ASSENT_DETECT_MODEL")); err != nil {
		return nil, err
	}
	return detect.New(o)
}
