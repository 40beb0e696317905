package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// edition changes whenever the detectors find something else than before.
const edition = "detect-2"

func versionOf(o Options) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(o.Columns)) {
		fmt.Fprintf(h, "column %q %q\n", strings.ToLower(k), o.Columns[k])
	}
	off := slices.Clone(o.Off)
	slices.Sort(off)
	for _, c := range slices.Compact(off) {
		fmt.Fprintf(h, "off %q\n", c)
	}
	for _, d := range o.Detectors {
		fmt.Fprintf(h, "detector %+v\n", d)
	}
	if o.Names != nil {
		fmt.Fprintf(h, "names %s %t\n", o.Names.Version(), o.AllNames)
	}
	return edition + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// A phrase is what a name says, as words in a row.
type phrase struct {
	class Class
	sure  float32 // score of the prior
}

const maxPhrase = 5 // words

// phrases are those of the table, by their words.
var phrases = func() map[string]phrase {
	m := map[string]phrase{}
	for i := range table {
		for _, one := range strings.Split(table[i].names, ",") {
			words, sure := strings.TrimSpace(one), float32(1)
			if k := strings.LastIndexByte(words, ' '); k > 0 && words[len(words)-1] <= '9' && strings.HasPrefix(words[k+1:], "0.") {
				if v, err := strconv.ParseFloat(words[k+1:], 32); err == nil {
					words, sure = words[:k], float32(v)
				}
			}
			if words == "" {
				continue
			}
			if _, taken := m[words]; !taken {
				m[words] = phrase{table[i].class, sure}
			}
		}
	}
	return m
}()

// about lists last words that make a name speak about a value instead of
// holding it: email_verified, token_count, password_changed_at. A phrase that ends in one
// ("access key id") says what it says.
var about = " at id ids count sent verified confirmed enabled status type kind length len expires expiry changed optin limit policy attempts country issuer format required valid "

// Column judges a column or key by its name and its sources ("customers.email").
// The deployment's catalogue comes first, then the sources' own names, then the
// name. It returns "" when nothing is known.
func (e *Engine) Column(name string, sources []string) (Class, float32) {
	for _, src := range sources {
		if c, ok := e.catalogued(src); ok {
			return c, 1
		}
	}
	for _, src := range sources {
		if c, sure := e.named(src[strings.LastIndexByte(src, '.')+1:]); c != "" {
			return c, sure
		}
	}
	if c, ok := e.catalogued(name); ok {
		return c, 1
	}
	return e.named(name)
}

// catalogued looks for "table.column" under every qualification it may have.
func (e *Engine) catalogued(source string) (Class, bool) {
	if len(e.catalogue) == 0 {
		return "", false
	}
	source = strings.ToLower(strings.ReplaceAll(source, `"`, ""))
	for strings.Contains(source, ".") {
		if c, ok := e.catalogue[source]; ok && !e.off[c] {
			return c, true
		}
		_, source, _ = strings.Cut(source, ".")
	}
	return "", false
}

// A verdict is what a name was found to say.
type verdict = phrase

// Names that were judged are remembered, up to a number and a length of each:
// the same few columns and words come with every statement.
const (
	maxNames   = 16 << 10
	maxNameLen = 128
)

func (e *Engine) named(name string) (Class, float32) {
	if len(name) > maxNameLen {
		return e.judgeName(name)
	}
	e.mu.RLock()
	v, known := e.names[name]
	e.mu.RUnlock()
	if known {
		return v.class, v.sure
	}
	v.class, v.sure = e.judgeName(name)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.names) >= maxNames {
		clear(e.names)
	}
	e.names[strings.Clone(name)] = v
	return v.class, v.sure
}

// places are words before "token" for one that opens nothing by itself: a place in a
// list, or what a page's form sends back.
const places = " next page continuation pagination csrf xsrf authenticity "

func (e *Engine) judgeName(name string) (Class, float32) {
	split := splitWords(name)
	if c := e.ownColumn(split); c != "" {
		return c, 1
	}
	words := strings.Fields(split)
	n := len(words)
	if n > 1 && words[n-1] == "token" && strings.Contains(places, " "+words[n-2]+" ") {
		return "", 0
	}
	lastOnly := n > 0 && strings.Contains(about, " "+words[n-1]+" ")
	for size := min(n, maxPhrase); size > 0; size-- {
		var best phrase
		for at := n - size; at >= 0; at-- { // what stands last says what a name is of
			if p, ok := phrases[strings.Join(words[at:at+size], " ")]; ok && p.sure > best.sure && !e.off[p.class] {
				best = p
			}
			if lastOnly {
				break
			}
		}
		if best.class != "" {
			return best.class, best.sure
		}
	}
	return "", 0
}

// splitWords turns "billing.cardNumber_2" into " billing card number ".
func splitWords(name string) string {
	out := make([]byte, 1, len(name)+8)
	out[0] = ' '
	for i := 0; i < len(name) && i < 256; i++ {
		c := name[i]
		lowerBefore := i > 0 && isLower(name[i-1])
		upperRunEnds := i > 0 && isUpper(name[i-1]) && i+1 < len(name) && isLower(name[i+1])
		switch {
		case isUpper(c) && (lowerBefore || upperRunEnds) && out[len(out)-1] != ' ':
			out = append(out, ' ', c|0x20)
		case isUpper(c):
			out = append(out, c|0x20)
		case isLower(c), c >= 0x80, c >= '0' && c <= '9' && !digitsToEnd(name[i:]):
			out = append(out, c)
		case out[len(out)-1] != ' ':
			out = append(out, ' ')
		}
	}
	if out[len(out)-1] != ' ' {
		out = append(out, ' ')
	}
	return string(out)
}

// digitsToEnd tells a counter ("email2") from a part of the name ("ipv4").
func digitsToEnd(s string) bool {
	return strings.Trim(s, "0123456789") == "" && s != "4" && s != "6"
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
