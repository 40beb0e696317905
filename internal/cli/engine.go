package cli

import (
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/names"
	"github.com/spf13/cobra"
)

// finder is which detectors a command looks with.
type finder struct{ names bool }

// flags adds what chooses them.
func (f *finder) flags(c *cobra.Command, names bool) {
	c.Flags().BoolVar(&f.names, "names", names, "find names of people, addresses, diseases and drugs too, by the model for them")
}

func (f *finder) engine() (*detect.Engine, error) {
	var o detect.Options
	if f.names {
		var err error
		if o.Names, err = names.Default(); err != nil {
			return nil, err
		}
	}
	return detect.New(o)
}
