package main

import (
	"bufio"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/names"
)

//go:embed text
var texts embed.FS

// lists are what text is made of, and what the model is told of words.
type lists struct {
	dir  string
	all  map[string][]string // by the file's name, without .txt
	bits map[uint32]uint8    // by the word's hash

	census struct{ female, male, last weighted }
	cities weighted
	words  []string
}

// weighted draws frequent values more often.
type weighted struct {
	values []string
	upTo   []float64
}

func (w *weighted) add(v string, weight float64) {
	if n := len(w.upTo); n > 0 {
		weight += w.upTo[n-1]
	}
	w.values, w.upTo = append(w.values, v), append(w.upTo, weight)
}

func lines(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return cut(string(b)), nil
}

func cut(s string) []string {
	var out []string
	for r := bufio.NewScanner(strings.NewReader(s)); r.Scan(); {
		if t := r.Text(); t != "" && t[0] != '#' {
			out = append(out, t)
		}
	}
	return out
}

var digits = regexp.MustCompile(`\d`)

func readLists(dir string) (*lists, error) {
	l := &lists{dir: dir, all: map[string][]string{}, bits: map[uint32]uint8{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no lists in %s: run data.sh first", dir)
	}
	for _, f := range files {
		if l.all[strings.TrimSuffix(filepath.Base(f), ".txt")], err = lines(f); err != nil {
			return nil, err
		}
	}
	for _, f := range []string{"drugs", "diseases"} {
		b, err := texts.ReadFile("text/" + f + ".txt")
		if err != nil {
			return nil, err
		}
		l.all["own."+f] = cut(string(b))
	}
	l.words = l.all["words"]
	l.tell()
	return l, nil
}

func (l *lists) set(word string, bits uint8) {
	if utf8.RuneCountInString(word) >= 2 || !isASCII(word) {
		l.bits[names.Fold(word)] |= bits
	}
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0 }

func parts(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '\'' && r != '’' })
}

// tell fills bits.
func (l *lists) tell() {
	for kind, values := range l.all {
		base, _, _ := strings.Cut(kind, ".")
		for _, v := range values {
			switch base {
			case "given":
				for _, p := range nameParts(v) {
					l.set(p, names.Given)
				}
			case "surname":
				for _, p := range nameParts(v) {
					l.set(p, names.Surname)
				}
			case "lorem", "words":
				l.set(v, names.Common)
			case "city":
				for _, p := range parts(v) {
					l.set(p, names.InPlace)
				}
			case "region", "country":
				for _, p := range parts(v) {
					l.set(p, names.Region)
				}
			}
		}
	}
	for kind, w := range map[string]*weighted{"female": &l.census.female, "male": &l.census.male, "last": &l.census.last} {
		for i, row := range l.all["census."+kind] {
			name, share, _ := strings.Cut(row, "\t")
			f, _ := strconv.ParseFloat(share, 64)
			w.add(name, f+0.002)
			bit := uint8(names.Given)
			if kind == "last" {
				bit = names.Surname
			}
			if i < 1200 {
				bit |= names.Frequent
			}
			if i < 45000 {
				l.set(name, bit)
			}
		}
	}
	for i, row := range l.all["geo.city"] {
		f := strings.Split(row, "\t")
		people, _ := strconv.ParseFloat(f[2], 64)
		l.cities.add(f[0], 20000+people/8)
		if i < 20000 {
			for _, p := range parts(f[0]) {
				l.set(p, names.InPlace)
			}
		}
	}
	for _, v := range append(l.all["geo.country"], l.all["geo.state"]...) {
		v, _, _ = strings.Cut(v, "\t")
		for _, p := range parts(v) {
			l.set(p, names.Region)
		}
	}
	l.tellCare()
	for _, w := range strings.Fields(never) {
		delete(l.bits, names.Fold(w))
		l.set(w, names.Common)
	}
}

// nameParts are the words of a name that lists may know it by.
func nameParts(v string) []string {
	var out []string
	for _, p := range parts(v) {
		if r, _ := utf8.DecodeRuneInString(p); unicode.IsLower(r) {
			continue // von, de, al
		}
		if r, n := utf8.DecodeRuneInString(p); r >= 0x3400 && r <= 0x9fff {
			for _, c := range p[n:] { // the characters of a name, each a word here
				out = append(out, string(c))
			}
			out = append(out, string(r))
			continue
		}
		out = append(out, p)
	}
	return out
}

// tellCare marks words of diseases and drugs that aren't words of everything else.
func (l *lists) tellCare() {
	common := map[string]bool{}
	for _, w := range l.words {
		common[w] = true
	}
	plain := map[string]bool{}
	for _, w := range strings.Fields(vague) {
		plain[w] = true
	}
	for kind, values := range l.all {
		base, _, _ := strings.Cut(kind, ".")
		for _, v := range values {
			switch {
			case kind == "own.drugs", base == "drug":
				if base == "drug" && !oneWord(v) {
					continue
				}
				for _, p := range parts(v) {
					if w := strings.ToLower(p); len(w) > 4 && !plain[w] && (base != "drug" || !common[w]) {
						l.set(w, names.InDrug)
					}
				}
			case kind == "own.diseases", base == "disease":
				for _, p := range parts(v) {
					if w := strings.ToLower(p); (len(w) > 3 || strings.ToUpper(p) == p) && !plain[w] {
						l.set(w, names.Disease)
					}
				}
			case kind == "icd":
				for _, p := range parts(v) {
					if w := strings.ToLower(p); len(w) > 5 && !common[w] && diseaseEnd.MatchString(w) {
						l.set(w, names.Disease)
					}
				}
			}
		}
	}
}

func oneWord(s string) bool { return !strings.ContainsAny(s, " -") }

var diseaseEnd = regexp.MustCompile(`(itis|osis|emia|aemia|oma|omas|pathy|plegia|algia|uria|trophy|penia|rrhea|ectasis|iasis|ismus|phobia|sclerosis|dystonia|edema|megaly)$`)

// never are words that some list takes for a name and that are nearly always others.
const never = `monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
september october november december mr mrs ms dr prof sir the and for not you all any can has her was one our out day get him
how new now old see two way who its did yes no to in is it of on or so we he if me my us go do am an as at be by up
id name user test data file code type list page city street road address phone email date time null true false none
please thanks thank hello hi dear note subject from sent total order number account invoice patient doctor nurse hospital`

// vague are words of names of diseases and drugs that tell nothing alone.
const vague = `type stage disease disorder syndrome with without high blood pressure chronic acute pain long heart kidney failure
attack deficiency unspecified major minor general generalized stress body test use brain end real stones hip lung breast colon
injury tumor tumour infection infections cancer allergy allergic vein deep valve artery early late primary secondary severe mild
habit habits care skin bone hand foot feet knee back neck head face teeth sleep weight loss gain low stage virus bacterial viral
aura sugar water acid vitamin iron calcium sodium potassium magnesium oxygen insulin aspart lispro zinc folic alpha beta blockers
supplements therapy inhibitors agonists injection steroids cream drops gel salt cell cells large small single multiple pregnancy
birth child adult senile family nail tennis elbow frozen dry eyes vision hearing voice burn burns bite cut wound fever cold flu
syndrom krankheit maladie trouble troubles enfermedad trastorno doença transtorno störung störungen hoch tief chronische akute chronisch
akut aiguë chronique crónica aguda crônica insuficiencia insuffisance infección infecção infektion legs restless tract system motor
diet control exercise surgery radiation laser saline statins none medications hydration delivery dialysis moisturizers`
