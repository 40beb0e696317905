package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/assenthq/assent/internal/names"
)

var kindNames = [names.Kinds]string{"", "person", "place", "address", "organisation", "diagnosis", "drug"}

// check prints how a model does on labelled lines: {"text", "spans": [{"start", "end", "kind"}]}.
func check(model, path string, show int) error {
	file, err := os.ReadFile(model)
	if err != nil {
		return err
	}
	m, err := names.Load(file)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var hit, all, right, said [names.Kinds]int
	wrong := map[string]int{}
	var good, bad [names.Kinds][10]int // by score
	var t names.Text
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			break
		}
		var x struct {
			Text  string
			Spans []struct {
				Start, End int
				Kind       names.Kind
			}
		}
		if err := json.Unmarshal(line, &x); err != nil {
			return err
		}
		found := m.All([]byte(x.Text), &t, nil)
		for _, g := range x.Spans {
			all[g.Kind]++
			ok := false
			for _, s := range found {
				ok = ok || s.Kind == g.Kind && s.Start < g.End && s.End > g.Start
			}
			if ok {
				hit[g.Kind]++
			} else {
				wrong[fmt.Sprintf("missed %s %q in %q", kindNames[g.Kind], x.Text[g.Start:g.End], around(x.Text, g.Start, g.End))]++
			}
		}
		for _, s := range found {
			said[s.Kind]++
			ok := false
			for _, g := range x.Spans {
				ok = ok || s.Kind == g.Kind && s.Start < g.End && s.End > g.Start
			}
			if ok {
				right[s.Kind]++
				good[s.Kind][int(s.Score*20)%10]++
			} else {
				bad[s.Kind][int(s.Score*20)%10]++
				wrong[fmt.Sprintf("wrong  %s %q in %q", kindNames[s.Kind], x.Text[s.Start:s.End], around(x.Text, s.Start, s.End))]++
			}
		}
	}
	for k := names.Person; k < names.Kinds; k++ {
		p, q := float64(right[k])/float64(max(said[k], 1)), float64(hit[k])/float64(max(all[k], 1))
		fmt.Printf("%-13s labelled %5d  precision %.3f  recall %.3f  %v %v\n", kindNames[k], all[k], p, q, good[k], bad[k])
	}
	keys := make([]string, 0, len(wrong))
	for k := range wrong {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(a, b int) bool {
		return wrong[keys[a]] > wrong[keys[b]] || wrong[keys[a]] == wrong[keys[b]] && keys[a] < keys[b]
	})
	for _, k := range keys[:min(show, len(keys))] {
		fmt.Println(wrong[k], k)
	}
	return nil
}

func around(t string, i, j int) string { return t[max(0, i-30):min(len(t), j+20)] }

// clean prints what a model finds under a folder in which little is to be found.
func clean(model, dir string, show int) error {
	file, err := os.ReadFile(model)
	if err != nil {
		return err
	}
	m, err := names.Load(file)
	if err != nil {
		return err
	}
	var t names.Text
	var bad [names.Kinds][10]int
	size, said, what := 0, [names.Kinds]int{}, map[string]int{}
	begun := time.Now()
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || size > 60<<20 {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(b, 0) >= 0 {
			return nil
		}
		size += len(b)
		for _, s := range m.All(b, &t, nil) {
			said[s.Kind]++
			bad[s.Kind][int(s.Score*20)%10]++
			what[fmt.Sprintf("%s %q %.2f in %q", kindNames[s.Kind], b[s.Start:s.End], s.Score, around(string(b), s.Start, s.End))]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("%.1f MB, %.1f MB/s\n", float64(size)/1e6, float64(size)/1e6/time.Since(begun).Seconds())
	for k := names.Person; k < names.Kinds; k++ {
		fmt.Printf("%-13s %6d, %.1f a MB %v\n", kindNames[k], said[k], float64(said[k])/float64(size)*1e6, bad[k])
	}
	keys := make([]string, 0, len(what))
	for k := range what {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	r := rand.New(rand.NewPCG(1, 1))
	for range min(show, len(keys)) {
		k := keys[r.IntN(len(keys))]
		fmt.Println(what[k], k)
	}
	return nil
}
