package server

import (
	"errors"
	"fmt"

	"github.com/assenthq/assent/internal/detect"
)

// A DetectorConfig is one detector.
type DetectorConfig struct {
	Class     string   `yaml:"class" doc:"A class there is (docs/classes.md), or one of the deployment's own: with group, its name, such as employee-id."`
	Group     string   `yaml:"group" doc:"Group of a class of the deployment's own: pii, phi, pci, secret, or one of its own, such as hr. The class is then called GROUP/CLASS. None: class is one that there is."`
	Regex     string   `yaml:"regex" doc:"What a value looks like, in the syntax of RE2. A value has at most 256 bytes. Three bytes of text, or a run of four of the same narrow kind of character, must be in every match."`
	Keywords  []string `yaml:"keywords" doc:"Words of letters, of which one must stand near: within 48 bytes before or 24 behind."`
	Context   []string `yaml:"context" doc:"Words of letters that make a value surer where one stands near."`
	Columns   []string `yaml:"columns" doc:"Names of columns and keys whose values have this class, whatever they look like: employee_no."`
	Validator string   `yaml:"validator" doc:"Check of the digits: luhn, mod97 (letters too), mod11 or verhoeff. What fails it is nothing, except near a word of context."`
	Score     float32  `yaml:"score" doc:"How sure a match is: 0.5 to 1." default:"0.8"`
	Slow      bool     `yaml:"slow" doc:"Takes a regex that has nothing to look for first, and so is tried on all text." default:"false"`
}

// Detection is what a configuration says of detection, but for the model of names.
func (c *Config) Detection() detect.Options { return c.detectOptions() }

func (c *Config) detectOptions() detect.Options {
	o := detect.Options{Columns: classes(c.Columns)}
	for _, class := range c.Detect.Off {
		o.Off = append(o.Off, detect.Class(class))
	}
	for _, d := range c.Detect.Detectors {
		class := d.Class
		if d.Group != "" {
			class = d.Group + "/" + d.Class
		}
		o.Detectors = append(o.Detectors, detect.Detector{
			Class: detect.Class(class), Regex: d.Regex, Keywords: d.Keywords, Context: d.Context, Columns: d.Columns,
			Validator: d.Validator, Score: d.Score, Slow: d.Slow,
		})
	}
	return o
}

// detectors checks each detector by itself, so that all that is wrong is said at once, and then what names classes.
func (k *checker) detectors(c *Config) {
	o := c.detectOptions()
	ok := true
	for i := range o.Detectors {
		_, err := detect.New(detect.Options{Detectors: o.Detectors[i : i+1]})
		var of *detect.DetectorError
		if errors.As(err, &of) {
			k.fail(fmt.Sprintf("$.detect.detectors[%d]", i), of.Err.Error(), "docs/detection.md says what a detector may be")
			ok = false
		}
	}
	if !ok {
		return
	}
	if _, err := detect.New(o); err != nil {
		at := "$.detect"
		if _, err := detect.New(detect.Options{Detectors: o.Detectors, Off: o.Off}); err == nil {
			at = "$.columns"
		}
		k.fail(at, err.Error(), "docs/classes.md lists the classes")
	}
}
