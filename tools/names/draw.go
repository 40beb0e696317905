package main

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/names"
)

// A sample is text and what is to be found in it.
type sample struct {
	text  []byte
	spans []names.Span
	hide  map[int]bool // words, by offset, that the lists shall not know
}

func (s *sample) plain(t string) { s.text = append(s.text, t...) }

func (s *sample) put(t string, k names.Kind) {
	s.spans = append(s.spans, names.Span{Start: len(s.text), End: len(s.text) + len(t), Kind: k})
	s.text = append(s.text, t...)
}

func (s sample) marked() string {
	var b strings.Builder
	at := 0
	for _, p := range s.spans {
		fmt.Fprintf(&b, "%s<%d:%s>", s.text[at:p.Start], p.Kind, s.text[p.Start:p.End])
		at = p.End
	}
	b.Write(s.text[at:])
	return strings.ReplaceAll(b.String(), "\n", "⏎")
}

// draw makes the values of slots.
type draw struct {
	*rand.Rand
	l *lists
}

func (d *draw) chance(p float64) bool { return d.Float64() < p }

func (d *draw) of(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[d.IntN(len(list))]
}

func (d *draw) from(w *weighted) string {
	x := d.Float64() * w.upTo[len(w.upTo)-1]
	return w.values[sort.SearchFloat64s(w.upTo, x)]
}

// locales of names, by the language of the text; the first also where it has no say.
var locales = map[string][]string{
	"en": {"en_US", "en_US", "en_US", "en_GB", "en_IN", "en_IE", "en_NZ", "es_MX", "fr_FR", "de_DE", "it_IT", "pl_PL", "nl_NL", "sv_SE", "pt_BR", "da_DK", "no_NO", "fi_FI", "cs_CZ", "hu_HU", "ro_RO", "tr_TR", "hr_HR", "sl_SI", "sk_SK", "vi_VN", "id_ID", "yo_NG", "zu_ZA", "ru_RU", "uk_UA", "ar_SA", "ar_AA", "he_IL", "hi_IN", "zh_CN", "ja_JP", "ko_KR", "el_GR", "et_EE", "lt_LT", "lv_LV", "ga_IE", "tw_GH", "uz_UZ", "az_AZ", "bg_BG", "th_TH", "bn_BD", "ta_IN", "fa_IR", "ka_GE", "hy_AM"},
	"de": {"de_DE", "de_AT", "de_CH", "tr_TR", "pl_PL"}, "fr": {"fr_FR", "fr_CH", "fr_CA", "ar_AA"}, "es": {"es_ES", "es_MX", "es_AR", "es_CO", "es_CL"},
	"it": {"it_IT"}, "pt": {"pt_BR", "pt_PT"}, "nl": {"nl_NL", "nl_BE"}, "pl": {"pl_PL"}, "sv": {"sv_SE", "no_NO", "da_DK", "fi_FI"},
	"ja": {"ja_JP"}, "zh": {"zh_CN", "zh_TW"},
}

var syllables = strings.Fields("ba be bo da de di do fa fe ga go ha he hi ja jo ka ke ki ko ku la le li lo lu ma me mi mo na ne ni no pa pe ra re ri ro ru sa se shi so ta te ti to va ve vi wa ya yo za ze bran dal dor fen gar hart kel lan mar nor ran sen son stan tor van ver wil zan quin thor mond wick ski ov ova ic ez ini elli berg mann sson nen")

// invented is a name that no list has.
func (d *draw) invented() string {
	s := ""
	for range 2 + d.IntN(3) {
		s += d.of(syllables)
	}
	return title(s)
}

func title(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// name draws a given name and a family name of one place.
func (d *draw) name(lang string) (given, family, loc string) {
	ll := locales[lang]
	if ll == nil {
		ll = locales["en"]
	}
	loc = d.of(ll)
	given, family = d.of(d.l.all["given."+loc]), d.of(d.l.all["surname."+loc])
	if lang == "en" && d.chance(0.35) || given == "" {
		given = d.from(&d.l.census.female)
		if d.chance(0.5) {
			given = d.from(&d.l.census.male)
		}
	}
	if lang == "en" && d.chance(0.35) || family == "" {
		family = d.from(&d.l.census.last)
	}
	if loc == "ja_JP" || loc == "zh_CN" || loc == "zh_TW" {
		given, family = han(given), han(family)
	}
	if d.chance(0.05) && isASCII(given) {
		given = d.invented()
	}
	if d.chance(0.08) && isASCII(family) {
		family = d.invented()
	}
	return strings.TrimSpace(given), strings.TrimSpace(family), loc
}

// han takes one writing of a name that is given in several.
func han(s string) string { return s }

func asian(loc string) bool {
	return loc == "ja_JP" || loc == "zh_CN" || loc == "zh_TW" || loc == "ko_KR"
}

func (d *draw) person(lang string) string {
	g, f, loc := d.name(lang)
	if asian(loc) && !isASCII(f) {
		switch x := d.Float64(); {
		case x < 0.5:
			return f + g
		case x < 0.75:
			return f + " " + g
		default:
			return g + " " + f
		}
	}
	initial, _ := utf8.DecodeRuneInString(g)
	switch x := d.Float64(); {
	case x < 0.60:
		return g + " " + f
	case x < 0.66:
		return g + " " + string(rune('A'+d.IntN(26))) + ". " + f
	case x < 0.69:
		return g + " " + string(rune('A'+d.IntN(26))) + " " + f
	case x < 0.73:
		return string(unicode.ToUpper(initial)) + ". " + f
	case x < 0.75:
		g2, _, _ := d.name(lang)
		return g + " " + g2 + " " + f
	case x < 0.77:
		_, f2, _ := d.name(lang)
		return g + " " + f + "-" + f2
	case x < 0.80:
		_, f2, _ := d.name(lang)
		return g + " " + f + " " + f2
	case x < 0.82:
		return g + " " + d.of([]string{"van", "van der", "de", "de la", "von", "di", "da", "dos", "del", "la", "al", "bin", "O'", "Mc", "Mac"}) + joint(f)
	case x < 0.84:
		return g + " " + f + " " + d.of([]string{"Jr.", "Sr.", "III", "II", "Jr"})
	case x < 0.87:
		return f + ", " + g
	case x < 0.94:
		return g
	default:
		return f
	}
}

func joint(f string) string {
	return " " + f
}

func (d *draw) city(lang string) string {
	if d.chance(0.5) {
		if c := d.of(d.l.all["city."+d.of(localesOf(lang))]); c != "" {
			return c
		}
	}
	switch x := d.Float64(); {
	case x < 0.12:
		if c := d.of(d.l.all["made.city."+d.of(localesOf(lang))]); c != "" {
			return c
		}
	case x < 0.17:
		return d.invented()
	case x < 0.20:
		return strings.ToUpper(d.from(&d.l.cities))
	}
	return d.from(&d.l.cities)
}

func localesOf(lang string) []string {
	if l := locales[lang]; l != nil {
		return l
	}
	return locales["en"]
}

func (d *draw) country(lang string) string {
	switch x := d.Float64(); {
	case x < 0.12:
		s, _, _ := strings.Cut(d.of(d.l.all["geo.state"]), "\t")
		return s
	case x < 0.35:
		if c := d.of(d.l.all["country."+d.of(localesOf(lang))]); c != "" && isASCII(c) == isASCII(lang) {
			return c
		}
	}
	return d.of(d.l.all["geo.country"])
}

var streetWords = strings.Fields("Street St Avenue Ave Road Rd Lane Ln Drive Dr Court Ct Place Pl Boulevard Blvd Way Terrace Circle Parkway Square Close Crescent Highway Row Walk Hill Route Alley Trail Mews")
var trees = strings.Fields("Oak Elm Maple Pine Cedar Walnut Chestnut Willow Birch Park Lake River Church Mill Station High Main Bridge King Queen Victoria Spring Sunset Highland Meadow Garden Orchard North South First Second Third Fourth Washington Lincoln Franklin Market Broad Center School Forest")

func (d *draw) street(lang string) string {
	loc := d.of(localesOf(lang))
	n := 1 + d.IntN(400)
	if d.chance(0.2) {
		n = 1000 + d.IntN(9000)
	}
	switch x := d.Float64(); {
	case x < 0.3 || lang == "en" && x < 0.55:
		s := d.of(trees)
		if d.chance(0.4) {
			_, s, _ = d.name(lang)
		}
		s += " " + d.of(streetWords)
		if d.chance(0.1) {
			s = d.of([]string{"N", "S", "E", "W", "North", "West"}) + " " + s
		}
		if d.chance(0.04) {
			s = fmt.Sprintf("%d%s %s", 1+d.IntN(99), d.of([]string{"th", "st", "nd", "rd"}), d.of(streetWords))
		}
		return fmt.Sprintf("%d %s", n, s)
	case x < 0.62:
		if a := d.of(d.l.all["made.street_address."+loc]); a != "" {
			return strings.ReplaceAll(a, "|", " ")
		}
	}
	_, f, _ := d.name(lang)
	c := d.from(&d.l.cities)
	switch d.IntN(12) {
	case 0, 1:
		return fmt.Sprintf("%s%s %d", title(strings.ToLower(f)), d.of([]string{"straße", "str.", "strasse", "weg", "gasse", "allee", "platz", "straat", "laan", "weg", "plein", "gatan", "vägen", "vej", "gade", "veien", "katu", "tie"}), n%200)
	case 2:
		return fmt.Sprintf("%d %s %s", n, d.of([]string{"rue", "Rue", "avenue", "Avenue", "boulevard", "place", "chemin", "impasse", "quai"})+d.of([]string{" de", " du", " des", " de la", ""}), f)
	case 3:
		return fmt.Sprintf("%s %s%s %s", d.of([]string{"Calle", "Avenida", "Av.", "Plaza", "Paseo", "Carrer", "C/", "Rua", "Avenida", "Praça", "Travessa"}), d.of([]string{"", "", "de ", "del ", "da ", "dos "}), f, d.of([]string{fmt.Sprint(n), fmt.Sprintf("nº %d", n%200), ", " + fmt.Sprint(n), fmt.Sprint(n, ", ", n%9, "º A")}))
	case 4:
		return fmt.Sprintf("%s %s%s %d", d.of([]string{"Via", "Viale", "Piazza", "Corso", "Vicolo", "Strada", "Largo"}), d.of([]string{"", "", "dei ", "della ", "San "}), f, n%300)
	case 5:
		return fmt.Sprintf("%s %s %d%s", d.of([]string{"ul.", "ulica", "al.", "os.", "plac", "ul"}), f, n%200, d.of([]string{"", "/" + fmt.Sprint(n%40+1), " m. 3"}))
	case 6:
		return fmt.Sprintf("%s %s %d.", f, d.of([]string{"utca", "u.", "út", "tér", "körút", "nám.", "třída", "ulice", "cesta", "sokak", "Cad.", "Sok."}), n%200)
	case 7:
		return fmt.Sprintf("%s %s %d", c, d.of([]string{"Road", "Straße", "tie", "vägen", "gate", "straat", "utca"}), n%200)
	case 8:
		return fmt.Sprintf("%s %d", d.of([]string{"PO Box", "P.O. Box", "Box", "Postfach", "BP", "Apartado", "Casella Postale", "Postbus", "Boîte postale"}), n)
	case 9:
		return fmt.Sprintf("%d %s", n, f)
	case 10:
		return fmt.Sprintf("%d %s %s", n, c, d.of(streetWords))
	}
	return fmt.Sprintf("%s %d", f+d.of([]string{"", " " + d.of(trees)}), n)
}

func (d *draw) zip(lang string) string {
	if z := d.of(d.l.all["made.postcode."+d.of(localesOf(lang))]); z != "" && d.chance(0.6) {
		return z
	}
	return fmt.Sprintf("%05d", d.IntN(100000))
}

var states = strings.Fields("AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY")

// address is a whole one: street, town, code.
func (d *draw) address(lang string) string {
	if d.chance(0.30) {
		loc := d.of(localesOf(lang))
		if lang == "en" && d.chance(0.3) {
			loc = d.of([]string{"en_US", "en_GB", "en_AU", "en_CA"})
		}
		if a := d.of(d.l.all["made.address."+loc]); a != "" {
			return strings.ReplaceAll(a, "|", d.separator())
		}
	}
	if lang == "ja" || lang == "zh" {
		if a := d.of(d.l.all["made.address."+d.of(localesOf(lang))]); a != "" {
			return strings.ReplaceAll(a, "|", "")
		}
	}
	sep := d.separator()
	s := d.street(lang)
	if d.chance(0.2) {
		s += d.of([]string{" ", ", ", sep}) + d.of([]string{"Apt.", "Apt", "Suite", "Ste", "Unit", "Floor", "Flat", "Room", "Whg.", "App.", "#", "Piso", "Bldg"}) + " " + fmt.Sprint(1+d.IntN(990))
	}
	c, z := d.city(lang), d.zip(lang)
	switch d.IntN(8) {
	case 0, 1, 2:
		s += sep + c + d.of([]string{", ", ", ", " "}) + d.of(states) + " " + fmt.Sprintf("%05d", d.IntN(100000))
	case 3, 4:
		s += sep + z + " " + c
	case 5:
		s += sep + c + d.of([]string{" ", ", ", sep}) + z
	case 6:
		s += sep + c
	case 7:
		s += sep + c + d.of([]string{sep, " ", ", "}) + d.of([]string{fmt.Sprintf("%05d", d.IntN(100000)), d.of(states), string(rune('A'+d.IntN(26))) + string(rune('A'+d.IntN(26)))})
	}
	if d.chance(0.3) {
		s += d.of([]string{sep, ", ", " "}) + d.country(lang)
		if d.chance(0.25) {
			s += " " + z
		}
	}
	return s
}

func (d *draw) separator() string {
	return d.of([]string{", ", ", ", ", ", "\n", "\n", " ", "\n ", " - ", ",\n"})
}

var orgEnds = strings.Fields("Inc Inc. Corp Corp. Ltd Ltd. LLC PLC plc GmbH AG SE Group Holdings Partners Solutions Systems Technologies Industries Labs Bank Insurance Foundation Institute Consulting Media Networks Capital Pharma Logistics Energy Health Hospital Clinic University College School Press Studios Airlines Motors Foods Association Society Ministry Council")

func (d *draw) organisation(lang string) string {
	_, f, _ := d.name("en")
	c := d.from(&d.l.cities)
	w := title(d.of(d.l.words))
	switch d.IntN(12) {
	case 0, 1:
		if o := d.of(d.l.all["made.company."+d.of(localesOf(lang))]); o != "" {
			return o
		}
		return f + " " + d.of(orgEnds)
	case 2:
		return f + " " + d.of(orgEnds)
	case 3:
		return f + " & " + d.of([]string{"Sons", "Co.", "Partners", "Company", "Söhne", "Cie"})
	case 4:
		return w + " " + d.of(orgEnds)
	case 5:
		return w + " " + title(d.of(d.l.words)) + " " + d.of(orgEnds)
	case 6:
		return c + " " + d.of([]string{"University", "General Hospital", "Medical Center", "City Council", "Chamber of Commerce", "Savings Bank", "Airport", "High School", "Police Department", "Regional Hospital", "Children's Clinic", "Football Club"})
	case 7:
		return d.of([]string{"University of", "Bank of", "City of", "Ministry of", "Institute of", "Museum of", "Hospital of", "St.", "Saint"}) + " " + c
	case 8:
		return w + d.of([]string{"soft", "tech", "ly", "ify", "corp", "net", "works", "data", "pay", "base", "mart", "health"})
	case 9:
		return d.invented() + d.of([]string{"", "", " " + d.of(orgEnds)})
	case 10:
		_, f2, _ := d.name("en")
		return f + d.of([]string{", ", "-", " and "}) + f2 + d.of([]string{"", " LLP", " Ltd"})
	}
	return strings.ToUpper(d.invented()[:3]) + " " + d.of(orgEnds)
}

func (d *draw) disease(lang string) string {
	switch x := d.Float64(); {
	case x < 0.3 && d.l.all["disease."+lang] != nil:
		return d.casing(d.of(d.l.all["disease."+lang]))
	case x < 0.36 && lang == "en":
		if s := d.of(d.l.all["icd"]); len(s) < 45 && !strings.ContainsAny(s, "[](),") && !strings.Contains(s, "nspecified") && !strings.Contains(s, "ther ") {
			return d.casing(s)
		}
	}
	if l := d.l.all["disease."+lang]; lang != "en" && l != nil {
		return d.casing(d.of(l))
	}
	return d.casing(d.of(d.l.all["own.diseases"]))
}

func (d *draw) casing(s string) string {
	switch x := d.Float64(); {
	case x < 0.35:
		return s
	case x < 0.65:
		words := strings.Split(s, " ")
		for i, w := range words {
			if w != "of" && w != "with" && w != "and" && w != "" {
				words[i] = title(w)
			}
		}
		return strings.Join(words, " ")
	case x < 0.9:
		if strings.ToUpper(s) == s {
			return s
		}
		return strings.ToLower(s)
	}
	return title(s)
}

func (d *draw) drug(lang string) string {
	l := d.l.all["own.drugs"]
	if d.chance(0.4) {
		if m := d.l.all["drug."+lang]; m != nil {
			l = m
		} else {
			l = d.l.all["drug.en"]
		}
	}
	s := ""
	for s == "" || d.l.bits[names.Fold(strings.Split(s, " ")[0])]&names.InDrug == 0 {
		s = d.of(l)
	}
	if d.chance(0.5) {
		s = title(s)
	}
	if d.chance(0.5) {
		s += d.of([]string{" ", " ", ""}) + d.of([]string{"5", "10", "20", "25", "40", "50", "75", "100", "150", "250", "300", "500", "850", "1000", "0.5", "2.5", "12.5"}) + d.of([]string{"mg", " mg", "mg", "mcg", " µg", "ml", " g", " units", "mg/ml", " IU"})
	}
	return s
}

func (d *draw) word() string {
	if d.chance(0.1) {
		return d.of(strings.Fields("server config user token value error cache index query request response client session worker queue schema table column package module image cluster node job task step branch commit merge review label field record string number object array index"))
	}
	return d.of(d.l.words)
}
