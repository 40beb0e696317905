package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unicode"

	"github.com/assenthq/assent/internal/names"
)

// A writer writes the text to learn from, without end.
type writer struct {
	draw
	templates map[string][]string // by language
	langs     weighted
	clean     []string // segments in which nothing is to be found
}

func newWriter(l *lists, plain string, seed uint64) (*writer, error) {
	w := &writer{draw: draw{rand.New(rand.NewPCG(seed, 1)), l}, templates: map[string][]string{}}
	shares := map[string]float64{"en": 60, "xx": 4, "de": 7, "fr": 6, "es": 6, "it": 4, "pt": 4, "nl": 3, "pl": 3, "sv": 3, "ja": 2, "zh": 2}
	keys := make([]string, 0, len(shares))
	for lang := range shares {
		keys = append(keys, lang)
	}
	sort.Strings(keys)
	for _, lang := range keys {
		b, err := texts.ReadFile("text/" + lang + ".txt")
		if err != nil {
			return nil, err
		}
		w.templates[lang] = cut(string(b))
		w.langs.add(lang, shares[lang])
	}
	files, err := filepath.Glob(filepath.Join(plain, "*"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for t := b; len(t) > 0; {
			n := names.Segment(t, true)
			w.clean = append(w.clean, string(t[:n]))
			t = t[n:]
		}
	}
	return w, nil
}

// segment writes one.
func (w *writer) segment() sample {
	var s sample
	if len(w.clean) > 0 && w.chance(0.30) {
		s.plain(w.of(w.clean))
		return s
	}
	lang := w.from(&w.langs)
	n := 1 + w.IntN(4)
	between := w.of([]string{" ", " ", "\n", "\n", "\n\n", ". "})
	if w.chance(0.05) {
		between = "\n> "
	}
	indent := w.of([]string{"", "", "", "", "", "  ", "- ", "* ", "// ", "# ", "\t", "> "})
	s.plain(indent)
	topic := w.topic(lang)
	for i := range n {
		if len(s.text) > 400 {
			break
		}
		if i > 0 {
			s.plain(between)
		}
		w.fill(&s, topic[w.IntN(len(topic))], lang)
	}
	if w.chance(0.04) {
		s = w.respell(s, unicode.ToUpper)
	} else if w.chance(0.03) {
		s = w.respell(s, unicode.ToLower)
	}
	w.hideSome(&s)
	return s
}

// topic is a window of templates, so that what stands together belongs together.
func (w *writer) topic(lang string) []string {
	t := w.templates[lang]
	if w.chance(0.3) || len(t) < 12 {
		return t
	}
	i := w.IntN(len(t) - 8)
	return t[i : i+8]
}

// respell changes the case of all of s.
func (w *writer) respell(s sample, to func(rune) rune) sample {
	var out sample
	at := 0
	turn := func(b []byte) string { return strings.Map(to, string(b)) }
	for _, p := range s.spans {
		out.plain(turn(s.text[at:p.Start]))
		out.put(turn(s.text[p.Start:p.End]), p.Kind)
		at = p.End
	}
	out.plain(turn(s.text[at:]))
	return out
}

// hideSome picks words of names that the lists shall not know this time.
func (w *writer) hideSome(s *sample) {
	s.hide = map[int]bool{}
	for _, p := range s.spans {
		share := 0.15
		if p.Kind == names.Diagnosis || p.Kind == names.Drug {
			share = 0.1
		}
		for i := p.Start; i < p.End; i++ {
			if (i == p.Start || s.text[i-1] == ' ' || s.text[i-1] == '-') && w.chance(share) {
				s.hide[i] = true
			}
		}
	}
}

// fill writes one template: [a|b] is one of them, {X} a slot, \n an end of line.
func (w *writer) fill(s *sample, t, lang string) {
	for len(t) > 0 {
		i := strings.IndexAny(t, "[{\\")
		if i < 0 {
			s.plain(t)
			return
		}
		s.plain(t[:i])
		t = t[i:]
		switch t[0] {
		case '\\':
			s.plain(map[byte]string{'n': "\n", 't': "\t"}[t[1]])
			t = t[2:]
		case '{':
			j := strings.IndexByte(t, '}')
			if j < 0 || strings.ContainsAny(t[1:j], "\" :") || !w.slot(s, t[1:j], lang) {
				s.plain("{")
				t = t[1:]
				continue
			}
			t = t[j+1:]
		case '[':
			j := strings.IndexByte(t, ']')
			if j < 0 || !strings.Contains(t[1:j], "|") {
				s.plain("[")
				t = t[1:]
				continue
			}
			w.fill(s, w.of(strings.Split(t[1:j], "|")), lang)
			t = t[j+1:]
		}
	}
}

var titles = strings.Fields("Mr. Mrs. Ms. Mr Mrs Ms Miss Dr. Dr Prof.")

func (w *writer) slot(s *sample, slot, lang string) bool {
	switch slot {
	case "P":
		s.put(w.person(lang), names.Person)
	case "p":
		s.put(strings.ToLower(w.person(lang)), names.Person)
	case "G":
		g, _, _ := w.name(lang)
		s.put(g, names.Person)
	case "S":
		_, f, _ := w.name(lang)
		s.put(f, names.Person)
	case "A":
		if w.chance(0.2) {
			s.put(w.street(lang), names.Address)
		} else {
			s.put(w.address(lang), names.Address)
		}
	case "St":
		s.put(w.street(lang), names.Address)
	case "C":
		s.put(w.city(lang), names.Place)
		if lang == "en" && w.chance(0.07) {
			s.plain(", ")
			s.put(w.of(states), names.Place)
		}
	case "c":
		s.put(strings.ToLower(w.city(lang)), names.Place)
	case "N":
		s.put(w.country(lang), names.Place)
	case "O":
		s.put(w.organisation(lang), names.Organisation)
	case "D":
		s.put(w.disease(lang), names.Diagnosis)
	case "M":
		s.put(w.drug(lang), names.Drug)
	default:
		return w.filler(s, slot)
	}
	return true
}

func (w *writer) filler(s *sample, slot string) bool {
	d := &w.draw
	two := func(n int) string { return fmt.Sprintf("%02d", 1+d.IntN(n)) }
	switch slot {
	case "Ti":
		s.plain(d.of(titles))
	case "Ti0":
		if d.chance(0.6) {
			s.plain(d.of([]string{"Dr. ", "Dr ", "Prof. ", "Mr. ", "Mrs. ", "RN ", "Dr. med. "}))
		}
	case "Ti9":
		s.plain(d.of([]string{"MR ", "MRS ", "MS ", ""}))
	case "date":
		s.plain(d.of([]string{"20" + two(26) + "-" + two(12) + "-" + two(28), two(28) + "." + two(12) + ".19" + two(99), two(12) + "/" + two(28) + "/20" + two(26), w.of(months) + " " + two(28) + ", 20" + two(26), two(28) + " " + w.of(months) + " 19" + two(99)}))
	case "time":
		s.plain(d.of([]string{two(12) + ":" + two(59), two(12) + " pm", two(9) + "am", "noon"}))
	case "ts":
		s.plain(d.of([]string{"20" + two(26) + "-" + two(12) + "-" + two(28) + "T" + two(23) + ":" + two(59) + ":" + two(59) + "Z", "20" + two(26) + "-" + two(12) + "-" + two(28) + " " + two(23) + ":" + two(59) + ":" + two(59) + "," + two(99), w.of(months)[:3] + " " + two(28) + " " + two(23) + ":" + two(59) + ":" + two(59)}))
	case "year":
		s.plain(fmt.Sprint(1900 + d.IntN(130)))
	case "day":
		s.plain(fmt.Sprint(1 + d.IntN(31)))
	case "month":
		s.plain(d.of(months))
	case "weekday":
		s.plain(d.of(strings.Fields("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")))
	case "num":
		s.plain(fmt.Sprint(d.IntN([]int{10, 100, 1000, 10000}[d.IntN(4)])))
	case "age":
		s.plain(fmt.Sprint(1 + d.IntN(99)))
	case "money":
		s.plain(d.of([]string{"$", "€", "£", "USD ", "EUR "}) + fmt.Sprintf("%d.%02d", d.IntN(5000), d.IntN(100)))
	case "phone":
		s.plain(d.of([]string{fmt.Sprintf("+1 (%d) 555-%04d", 200+d.IntN(700), d.IntN(10000)), fmt.Sprintf("+%d %d %d", 30+d.IntN(60), 100+d.IntN(800), 100000+d.IntN(800000)), fmt.Sprintf("0%d-%d", 100+d.IntN(800), 100000+d.IntN(800000)), fmt.Sprintf("555-%04d", d.IntN(10000))}))
	case "id":
		s.plain(d.of([]string{fmt.Sprintf("%s-%d", d.of(strings.Fields("MRN REF INS ACC ORD INV POL EMP ID CLM")), d.IntN(10000000)), fmt.Sprint(d.IntN(100000000)), fmt.Sprintf("%c%07d", 'A'+rune(d.IntN(26)), d.IntN(10000000)), fmt.Sprintf("%08x", d.Uint32())}))
	case "ip":
		s.plain(fmt.Sprintf("%d.%d.%d.%d", d.IntN(256), d.IntN(256), d.IntN(256), d.IntN(256)))
	case "email":
		g, f, _ := d.name("en")
		s.plain(strings.ToLower(strings.ReplaceAll(g+d.of([]string{".", "", "_"})+f, " ", "")) + d.of([]string{"", fmt.Sprint(d.IntN(99))}) + "@" + d.of([]string{"example.com", "example.org", "mail.example", "corp.example"}))
	case "zip":
		s.plain(d.zip("en"))
	case "job":
		if j := d.of(d.l.all["job.en_US"]); j != "" && d.chance(0.7) {
			s.plain(j)
		} else {
			s.plain(d.of([]string{"engineer", "Senior Engineer", "accountant", "Teacher", "Sales Manager", "nurse", "Director of Operations", "Chief Financial Officer", "analyst", "Product Manager", "driver", "Lawyer", "HR Manager"}))
		}
	case "Na":
		s.plain(d.of(strings.Fields("American French German Italian Spanish British Irish Dutch Polish Swedish Indian Chinese Japanese Korean Brazilian Mexican Turkish Russian Greek Danish")))
	case "y":
		s.plain(strings.ToLower(d.of(d.l.all["symptom.en"])))
	case "w":
		s.plain(d.word())
	case "W":
		s.plain(title(d.word()))
	case "X", "x", "H":
		letters := map[string]string{"X": "ABCDEFGHIJKLMNOPQRSTUVWXYZADDMOVSTRLDRSUBVPRXQ0123456789", "x": "abcdefghijklmnopqrstuvwxyzstrlenptrrdcondfnarg0123456789", "H": "0123456789abcdef"}[slot]
		n := 2 + d.IntN(8)
		b := []byte{letters[d.IntN(16)]}
		for range n - 1 {
			b = append(b, letters[d.IntN(len(letters)-10*d.IntN(2))])
		}
		s.plain(string(b))
	case "WU":
		s.plain(strings.ToUpper(d.word()))
	default:
		return false
	}
	return true
}

var months = strings.Fields("January February March April May June July August September October November December")
