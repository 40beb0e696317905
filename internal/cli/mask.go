package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/scan"
	"github.com/spf13/cobra"
)

// A maskingRun is one run of assent mask.
type maskingRun struct {
	finder
	a       *app
	masks   []string
	columns []string
	format  string
	key     string
	quiet   bool
}

func (a *app) maskCmd() *cobra.Command {
	m := &maskingRun{a: a}
	c := &cobra.Command{
		Use:   "mask [FILES|-]",
		Short: "Copy text with sensitive values masked",
		Long: `Copy files, or standard input, to standard output with sensitive values masked, as it
comes, in bounded memory. Names of columns and members count where the format has
them: what stands under "ssn" is masked whole.

--mask says how, by class or group, in the words of policy: redact, hash, tokenize,
format-preserving, partial. Without it, everything is redacted. Masks under one key
can be compared; without --key-file it is a new one each time.

What is compressed, an archive or UTF-16 is refused: nothing passes unseen.

  kubectl logs api | assent mask
  assent mask --mask card=partial --mask email=hash --key-file mask.key orders.csv
  assent mask --columns name,notes people.csv`,
		RunE: func(c *cobra.Command, args []string) error { return m.run(c, args) },
	}
	f := c.Flags()
	m.flags(c, true)
	f.StringSliceVar(&m.masks, "mask", nil, "CLASS=METHOD or GROUP=METHOD, as often as needed")
	f.StringSliceVar(&m.columns, "columns", nil, "columns of CSV to mask whole: NAME, or NAME=CLASS")
	f.StringVar(&m.format, "format", "", "text, json, csv, tsv, sql (default: by name and content)")
	f.StringVar(&m.key, "key-file", "", "file with the secret that hash, tokenize and format-preserving are made under, 16 bytes or more")
	f.BoolVarP(&m.quiet, "quiet", "q", false, "don't say how much was masked")
	return c
}

func (m *maskingRun) run(c *cobra.Command, args []string) error {
	how, err := m.prepare()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if len(args) == 0 {
		args = []string{"-"}
	}
	counts := map[string]int64{}
	for _, name := range args {
		in, end, err := m.open(name)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		some, err := how.Mask(c.Context(), name, in, m.a.out)
		end()
		if err != nil {
			return fmt.Errorf("masking %s: %w", name, err)
		}
		for class, n := range some {
			counts[class] += n
		}
	}
	if !m.quiet {
		var list []string
		for _, class := range slices.Sorted(maps.Keys(counts)) {
			list = append(list, fmt.Sprintf("%s %d", class, counts[class]))
		}
		if len(list) == 0 {
			list = []string{"nothing"}
		}
		fmt.Fprintf(m.a.err, "masked: %s\n", strings.Join(list, ", "))
	}
	return nil
}

func (m *maskingRun) open(name string) (io.Reader, func(), error) {
	if name == "-" {
		return m.a.in, func() {}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("opening what to mask: %w", err)
	}
	return f, func() { _ = f.Close() }, nil
}

// prepare reads the flags.
func (m *maskingRun) prepare() (how scan.Masking, err error) {
	methods, err := masksOf(m.masks)
	if err != nil {
		return how, err
	}
	how.Format, how.Columns = scan.Format(m.format), map[string]detect.Class{}
	if !how.Format.Valid() {
		return how, fmt.Errorf("--format %q: text, json, csv, tsv or sql", m.format)
	}
	for _, c := range m.columns {
		name, class, _ := strings.Cut(c, "=")
		if class != "" && !detect.Class(class).Valid() {
			return how, fmt.Errorf("--columns %s: there is no class %q", c, class)
		}
		how.Columns[name] = detect.Class(class)
	}
	var key []byte
	if m.key != "" {
		if key, err = scan.ReadKey(m.key, false); err != nil {
			return how, fmt.Errorf("--key-file: %w", err)
		}
		if len(key) < 16 {
			return how, fmt.Errorf("--key-file %s: a key has 16 bytes or more", m.key)
		}
	}
	if how.Engine, err = m.engine(); err != nil {
		return how, err
	}
	how.Set = mask.New(key, how.Engine).For("assent mask", methods)
	return how, nil
}

// methodsOfMasks are the words of policy.
var methodsOfMasks = []string{mask.Redact, mask.Hash, mask.Token, mask.Format, mask.Partial}

// masksOf reads CLASS=METHOD. None: everything is redacted.
func masksOf(list []string) (map[string]string, error) {
	out := map[string]string{}
	groups := detect.Groups(detect.Classes())
	for _, one := range list {
		what, method, ok := strings.Cut(one, "=")
		switch {
		case !ok || what == "":
			return nil, fmt.Errorf("--mask %s: want CLASS=METHOD or GROUP=METHOD", one)
		case !detect.Class(what).Valid() && !slices.Contains(groups, what):
			return nil, fmt.Errorf("--mask %s: there is no class or group %q", one, what)
		case !slices.Contains(methodsOfMasks, method):
			return nil, fmt.Errorf("--mask %s: want one of %s", one, strings.Join(methodsOfMasks, ", "))
		}
		out[what] = method
	}
	if len(list) == 0 {
		for _, g := range groups {
			out[g] = mask.Redact
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is nothing to mask")
	}
	return out, nil
}
