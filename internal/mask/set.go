package mask

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/detect"
)

// A Set is what one decision asks to mask, for one actor. It is safe for
// concurrent use.
type Set struct {
	engine *detect.Engine
	rules  map[detect.Class]rule
}

// A rule is a method with its keys.
type rule struct {
	method string
	tag    string // of its class
	key    []byte // HMAC key of hash and tokenize
	ff1    cipher.Block
	// stored: the value comes straight out of a column of the upstream. What the
	// client may have written itself never shares a token with what is stored,
	// or SELECT 'guess' would confirm a guess.
	stored bool
}

// origin keeps stored values and others apart under one key.
func (r rule) origin() string {
	if r.stored {
		return "stored"
	}
	return "other"
}

// For returns the set of an actor. methods maps class to method; a group
// ("pii") stands for those of its classes that are not named, and an unknown
// method redacts.
func (m *Masker) For(actor string, methods map[string]string) *Set {
	s := &Set{engine: m.engine, rules: map[detect.Class]rule{}}
	for _, class := range detect.Classes() {
		method, ok := methods[string(class)]
		for _, g := range detect.GroupOf(class) {
			if of, grouped := methods[g]; grouped && methods[string(class)] == "" {
				if !ok || strictness(of) > strictness(method) {
					method, ok = of, true
				}
			}
		}
		if !ok {
			continue
		}
		r := rule{method: method, tag: tag(class)}
		switch method {
		case Hash, Token:
			r.key = m.derive(method, class, actor, sha256.Size)
		case Format:
			block, err := aes.NewCipher(m.derive(method, class, actor, 32))
			if err != nil {
				panic(err) // only for a key length that is wrong in this file
			}
			r.ff1 = block
		case Partial:
		default:
			r.method = Redact
		}
		s.rules[class] = r
	}
	return s
}

// Bare says that the set masks nothing.
func (s *Set) Bare() bool { return len(s.rules) == 0 }

// Clear says cheaply that the set masks nothing in v, a value of a column or member called
// name, "" for free text. False says nothing. It keeps neither.
func (s *Set) Clear(name string, v []byte) bool {
	if len(s.rules) == 0 {
		return true
	}
	if name != "" {
		if class, _ := s.engine.Column(name, nil); class != "" {
			if _, is := s.rules[class]; is {
				return false
			}
		}
	}
	if detect.Clean(v) {
		return true
	}
	found := s.engine.Find(v)
	defer found.Free()
	for _, f := range found.List {
		if _, is := s.rules[f.Class]; is {
			return false
		}
	}
	return true
}

// Text returns free text with the values of the set's classes replaced. It
// returns b itself when there are none.
func (s *Set) Text(b []byte) []byte {
	out, _ := s.TextCounted(b)
	return out
}

// TextCounted is Text with the number of values replaced, by class; nil when none.
func (s *Set) TextCounted(b []byte) (out []byte, counts map[string]int64) {
	if len(s.rules) == 0 {
		return b, nil
	}
	found := s.engine.Find(b)
	defer found.Free()
	return s.replace(b, found.List)
}

// replace masks the findings in b.
func (s *Set) replace(b []byte, found []detect.Finding) (out []byte, counts map[string]int64) {
	at := 0
	for _, f := range found {
		r, ok := s.rules[f.Class]
		if !ok {
			continue
		}
		if counts == nil {
			counts = map[string]int64{}
			out = make([]byte, 0, len(b)+64)
		}
		counts[string(f.Class)]++
		out = append(out, b[at:f.Start]...)
		out = append(out, r.value(f.Class, b[f.Start:f.End])...)
		at = f.End
	}
	if counts == nil {
		return b, nil
	}
	return append(out, b[at:]...), counts
}

func tag(c detect.Class) string {
	if t, known := tags[c]; known {
		return t
	}
	return "[masked:" + string(c) + "]"
}

var tags = func() map[detect.Class]string {
	out := map[detect.Class]string{}
	for _, c := range detect.Classes() {
		out[c] = "[masked:" + string(c) + "]"
	}
	return out
}()

// tagBytes are the tags for Redact: shared, and never modified.
var tagBytes = func() map[detect.Class][]byte {
	out := map[detect.Class][]byte{}
	for c, t := range tags {
		out[c] = []byte(t)
	}
	return out
}()

// appendTo appends what value returns, for the class that r is of.
func (r *rule) appendTo(dst []byte, c detect.Class, v []byte) []byte {
	switch r.method {
	case Redact:
		return append(dst, r.tag...)
	case Partial:
		if out, ok := appendPartial(dst, c, v); ok {
			return out
		}
		return append(dst, r.tag...)
	}
	return append(dst, r.value(c, v)...)
}

// value returns the mask of one value. What a method has no form for is redacted.
func (r rule) value(c detect.Class, v []byte) string {
	switch r.method {
	case Hash:
		return hex.EncodeToString(r.mac(c, v)[:8])
	case Token:
		return "tok_" + strings.ReplaceAll(string(c), "-", "_") + "_" + hex.EncodeToString(r.mac(c, v)[:10])
	case Format:
		if out, ok := r.format(c, v); ok {
			return out
		}
	case Partial:
		if out, ok := partial(c, v); ok {
			return out
		}
	}
	return tag(c)
}

// mac is keyed for deployment, class and actor, and differs by origin. Values that mean the same have
// the same: separators and case don't count where a class has them.
func (r rule) mac(c detect.Class, v []byte) []byte {
	h := hmac.New(sha256.New, r.key)
	h.Write([]byte(r.origin() + "\x00"))
	h.Write(canonical(c, v))
	return h.Sum(nil)
}

func canonical(c detect.Class, v []byte) []byte {
	switch c {
	case detect.Card, detect.USSSN, detect.Phone:
		if d := digitsOf(v); len(d) > 0 {
			return d
		}
	case detect.IBAN:
		return slices.DeleteFunc(slices.Clone(v), func(b byte) bool { return b == ' ' || b == '-' })
	case detect.Email:
		return []byte(strings.ToLower(string(v)))
	}
	return v
}

func digitsOf(v []byte) []byte {
	return slices.DeleteFunc(slices.Clone(v), func(b byte) bool { return b < '0' || b > '9' })
}

// partial shows the last four digits of a card or account and the domain of an
// address: what a person needs to tell two apart.
func partial(c detect.Class, v []byte) (string, bool) {
	out, ok := appendPartial(nil, c, v)
	return string(out), ok
}

// appendPartial appends what partial returns. When it reports false, dst is as it was.
func appendPartial(dst []byte, c detect.Class, v []byte) ([]byte, bool) {
	switch c {
	case detect.Card:
		if last, n := lastDigits(v); n >= 13 && n <= 19 {
			return append(append(dst, "**** **** **** "...), last[:]...), true
		}
	case detect.Phone, detect.USSSN:
		if last, n := lastDigits(v); n >= 9 && n <= 15 {
			return append(append(dst, "*** ** "...), last[:]...), true
		}
	case detect.IBAN:
		d := canonical(c, v)
		if len(d) < 15 || len(d) > 34 || strings.ContainsFunc(string(d), func(r rune) bool {
			return (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
		}) {
			return dst, false
		}
		return append(append(append(dst, d[:2]...), "** **** "...), d[len(d)-4:]...), true
	case detect.Email:
		at := bytes.IndexByte(v, '@')
		if at <= 0 || bytes.IndexByte(v[at+1:], '@') >= 0 || bytes.ContainsAny(v[at:], " \t\r\n,;<>%\\\"'") {
			return dst, false
		}
		return append(append(dst, "***"...), v[at:]...), true
	}
	return dst, false
}

// lastDigits returns the last four digits of v and how many it has, or -1 when it has
// anything but digits and separators.
func lastDigits(v []byte) (last [4]byte, n int) {
	all := uint8(0)
	for _, b := range v {
		n += int(written[b] & 1)
		all |= written[b]
	}
	if all > 1 {
		return last, -1
	}
	for i, k := len(v)-1, len(last)-1; i >= 0 && k >= 0; i-- {
		if written[v[i]] == 1 {
			last[k] = v[i]
			k--
		}
	}
	return last, n
}

// written is what a byte is in a number as people write it: 1 a digit, 0 a separator, 2 none of it.
var written = func() (t [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case b >= '0' && b <= '9':
			t[c] = 1
		case strings.IndexByte(" -./()+", b) < 0:
			t[c] = 2
		}
	}
	return t
}()
