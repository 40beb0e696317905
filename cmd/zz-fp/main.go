package main

import (
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/detect"
)

func main() {
	skip := map[detect.Class]bool{"email": true, "ip": true, "person": true, "address": true}
	e, _ := detect.New(detect.Options{})
	for _, d := range os.Args[1:] {
		n := map[detect.Class]int{}
		bytes := 0
		filepath.WalkDir(d, func(p string, de os.DirEntry, err error) error {
			if err != nil || !de.Type().IsRegular() {
				if de != nil && de.IsDir() && (de.Name() == "node_modules" || de.Name() == ".git") {
					return filepath.SkipDir
				}
				return nil
			}
			b, err := os.ReadFile(p)
			if err != nil || len(b) > 4<<20 || !utf8.Valid(b) {
				return nil
			}
			bytes += len(b)
			for _, f := range e.Scan(b, nil) {
				n[f.Class]++
				if !skip[f.Class] && n[f.Class] <= 40 {
					fmt.Printf("%s\t%q\t%q\t%v\t%s\n", f.Class, b[f.Start:min(f.End, f.Start+60)], b[max(0, f.Start-50):min(len(b), f.End+25)], f.Score, p)
				}
			}
			return nil
		})
		fmt.Fprintln(os.Stderr, d, float64(bytes)/1e6, "MB")
		for _, c := range detect.Classes() {
			if n[c] > 0 {
				fmt.Fprintf(os.Stderr, "  %s %d\n", c, n[c])
			}
		}
	}
}
