// Command names trains the model of internal/names.
//
//	tools/names/data.sh DIR                       # fetch packages, write lists
//	go -C tools/names run . -data DIR -out ../../internal/names/model.bin
//
// Its text is made of templates (text/) and lists (DIR/lists), and of documentation
// and source code in which nothing is to be found (DIR/plain). The same lists, seed
// and Go version on amd64 give the same model, byte for byte.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/assenthq/assent/internal/names"
)

func main() {
	data := flag.String("data", "", "folder that data.sh wrote")
	out := flag.String("out", "", "model file to write")
	seed := flag.Uint64("seed", 8, "of everything random")
	n := flag.Int("n", 60000, "segments to learn from in each pass")
	passes := flag.Int("passes", 4, "over fresh text")
	bits := flag.Int("bits", 16, "rows of weights, as a power of two")
	show := flag.Int("show", 0, "print that many segments, marked, and stop")
	labelled := flag.String("check", "", "labelled lines to try the model -out on, instead of training")
	dir := flag.String("clean", "", "folder of text with little to find, to try the model -out on")
	flag.Parse()
	if *dir != "" {
		if err := clean(*out, *dir, *show); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *labelled != "" {
		if err := check(*out, *labelled, *show); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(*data, *out, *seed, *n, *passes, *bits, *show); err != nil {
		log.Fatal(err)
	}
}

func run(data, out string, seed uint64, n, passes, bits, show int) error {
	l, err := readLists(filepath.Join(data, "lists"))
	if err != nil {
		return err
	}
	w, err := newWriter(l, filepath.Join(data, "plain"), seed)
	if err != nil {
		return err
	}
	if show > 0 {
		for range show {
			fmt.Println(w.segment().marked())
		}
		return nil
	}
	lists, err := names.MakeLists(l.bits)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d words in the lists\n", len(l.bits))
	t := newTrainer(lists, bits, seed)
	begun := time.Now()
	for p := range passes {
		loss, tokens := 0.0, 0
		for range n {
			a, b := t.learn(w.segment())
			loss, tokens = loss+a, tokens+b
		}
		fmt.Fprintf(os.Stderr, "pass %d: %d tokens, loss %.4f a token, %.0f s\n", p+1, tokens, loss/float64(tokens), time.Since(begun).Seconds())
	}
	m := t.model()
	file, err := m.Encode()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d bytes\n", len(file))
	return os.WriteFile(out, file, 0o644)
}
