// Command assent-verify verifies an evidence bundle, and is nothing else: who is given a
// bundle needs no more than this and the log's public key.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/assenthq/assent/evidence"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns 0 when all of the bundle holds, 1 when something does not, 2 when it could not be read.
func run(args []string, out, problems io.Writer) int {
	var keys, witnesses []string
	f := flag.NewFlagSet("assent-verify", flag.ContinueOnError)
	f.SetOutput(problems)
	f.Usage = func() {
		fmt.Fprint(problems, "assent-verify [-key VKEY]... [-keys FILE] [-witness VKEY]... [-json] BUNDLE\n\nVerifies an evidence bundle of Assent offline. Without a key from elsewhere a bundle can only agree with itself.\n\n")
		f.PrintDefaults()
	}
	f.Func("key", "verifier key of the log, from elsewhere than the bundle (repeatable)", func(s string) error { keys = append(keys, s); return nil })
	f.Func("keys", "file of verifier keys, one a line", func(name string) error {
		b, err := os.ReadFile(name)
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				keys = append(keys, line)
			}
		}
		if err == nil && len(keys) == 0 {
			err = fmt.Errorf("%s holds no key", name)
		}
		return err
	})
	f.Func("witness", "key of a witness whose cosignature counts (repeatable)", func(s string) error { witnesses = append(witnesses, s); return nil })
	asJSON := f.Bool("json", false, "print what was verified as JSON")
	var names []string
	for rest := args; ; names, rest = append(names, f.Arg(0)), f.Args()[1:] { // options stand before or behind the bundle
		if f.Parse(rest) != nil {
			return 2
		}
		if f.NArg() == 0 {
			break
		}
	}
	if len(names) != 1 {
		fmt.Fprintf(problems, "assent-verify: it takes one bundle, and %d are named\n", len(names))
		f.Usage()
		return 2
	}
	file, err := os.Open(names[0])
	if err != nil {
		fmt.Fprintln(problems, "assent-verify:", err)
		return 2
	}
	defer func() { _ = file.Close() }()
	r, err := verify(file, evidence.BundleOptions{VKeys: keys, Witnesses: witnesses})
	if err != nil {
		fmt.Fprintln(problems, "assent-verify: NOT VERIFIED:", printable(err.Error()))
		return 1
	}
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		_, err = fmt.Fprintln(out, printable(strings.Join(r.Lines(), "\n")))
	}
	for _, p := range r.Problems {
		fmt.Fprintln(problems, printable(p))
	}
	switch {
	case err != nil:
		fmt.Fprintln(problems, "assent-verify:", err)
		return 2
	case len(r.Problems) > 0:
		fmt.Fprintf(problems, "assent-verify: NOT VERIFIED: %d records contradict what people signed\n", len(r.Problems))
		return 1
	}
	return 0
}

func verify(file *os.File, o evidence.BundleOptions) (*evidence.BundleReport, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	b, err := evidence.OpenBundle(file, size)
	if err != nil {
		return nil, err
	}
	return b.Verify(o)
}

// printable keeps what a bundle says from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}
