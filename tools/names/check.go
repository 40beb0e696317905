package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"

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
			} else {
				wrong[fmt.Sprintf("wrong  %s %q in %q", kindNames[s.Kind], x.Text[s.Start:s.End], around(x.Text, s.Start, s.End))]++
			}
		}
	}
	for k := names.Person; k < names.Kinds; k++ {
		p, q := float64(right[k])/float64(max(said[k], 1)), float64(hit[k])/float64(max(all[k], 1))
		fmt.Printf("%-13s labelled %5d  precision %.3f  recall %.3f\n", kindNames[k], all[k], p, q)
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
