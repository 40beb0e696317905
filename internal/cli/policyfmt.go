package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

// A formatted is what --json prints of each pack.
type formatted struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"`
}

func (a *app) policyFmtCmd() *cobra.Command {
	var check, write bool
	c := &cobra.Command{
		Use: "fmt [--check | -w] PACK|DIR...|-", Short: "Lay packs out as every pack is", Args: atLeast("PACK, DIR or -"),
		Long: `Lay packs out as every pack is: two spaces a level, one blank line at most, lists
and mappings in brackets on one line where they fit. Keys keep their order and
comments their places; what a pack says, and so its bundle, stays the same.

One pack goes to standard output. -w writes packs back where they changed;
--check names those that would change and ends with status 1.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if check && write {
				return usage(cmd, "--check and -w don't go together")
			}
			packs, err := a.readPacks(args, write)
			if err != nil {
				return err
			}
			if !check && !write && (len(packs) > 1 || a.json) {
				return usage(cmd, "say --check, or -w to write them back")
			}
			return a.format(packs, check, write)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; status 1 where something would change")
	c.Flags().BoolVarP(&write, "write", "w", false, "write packs back where they lie")
	return c
}

// readPacks reads packs; - alone is standard input.
func (a *app) readPacks(args []string, write bool) (map[string][]byte, error) {
	if !slices.Contains(args, "-") {
		packs, err := policy.ReadPaths(args)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		return packs, nil
	}
	if len(args) > 1 || write {
		return nil, failf(exitUsage, "- is standard input, alone, and nothing that can be written back")
	}
	const most = 2 << 20 // above what a pack may have: the loader says so
	text, err := io.ReadAll(io.LimitReader(a.in, most))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	return map[string][]byte{"standard input": text}, nil
}

func (a *app) format(packs map[string][]byte, check, write bool) error {
	list, changed := []formatted{}, 0
	for _, name := range slices.Sorted(maps.Keys(packs)) {
		out, err := policy.Format(name, packs[name])
		if err != nil {
			return &exitError{exitUsage, err}
		}
		f := formatted{name, !bytes.Equal(out, packs[name])}
		list = append(list, f)
		switch {
		case !check && !write:
			_, err = a.out.Write(out)
			return err
		case !f.Changed:
			continue
		case write:
			if err := replaceFile(name, out); err != nil {
				return err
			}
		}
		changed++
		if !a.json {
			a.printf("%s\n", inline(name))
		}
	}
	if a.json {
		if err := a.printJSON(list); err != nil {
			return err
		}
	}
	if check && changed > 0 {
		return failf(exitFailed, "%s laid out otherwise: assent policy fmt -w", count(changed, "pack is", "packs are"))
	}
	return nil
}

// replaceFile puts another content in the place of a file's, whole or not at all.
func replaceFile(name string, text []byte) (err error) {
	if resolved, err := filepath.EvalSymlinks(name); err == nil {
		name = resolved
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".assent-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}

func (a *app) policySchemaCmd() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of packs, for editors", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			b, err := policy.Schema()
			if err != nil {
				return err
			}
			a.printf("%s", b)
			return nil
		},
	}
}
