package names

import "bytes"

// Ways in which a line is written.
const (
	lineProse = iota // words in lower case prevail
	lineTitle        // words with capitals do
	lineUpper        // hardly any lower case
	lineShort        // too few words to tell
)

// near is how many tokens beside one that may be a name are looked at too.
const near = 5

// mark decides for each token how its line is written, which key leads it, and
// whether it is looked at.
func (t *Text) mark(seg []byte) {
	for i := range t.tokens {
		if t.tokens[i].sort == aWord {
			t.tokens[i].ident = t.identifier(seg, i)
			if t.inCode(seg, i) {
				t.codes++
			}
		}
	}
	for i := 0; i < len(t.tokens); {
		j := i
		for j < len(t.tokens) && t.tokens[j].sort != aBreak {
			j++
		}
		if i < j {
			t.markLine(seg, i, j)
		}
		i = j + 1
	}
	t.activate()
}

func (t *Text) markLine(seg []byte, i, j int) {
	lower, title, upper := 0, 0, 0
	key, word, since := uint32(0), uint32(0), 3
	for k := i; k < j; k++ {
		p := &t.tokens[k]
		p.key, p.since = key, uint8(min(since, 3))
		since++
		switch p.sort {
		case aWord:
			word = p.hash
			switch p.shape {
			case shapeLower:
				lower++
			case shapeTitle, shapeInitial:
				title++
			case shapeUpper:
				upper++
			}
		case aMark:
			if c := seg[p.start]; (c == ':' || c == '=') && word != 0 {
				key, word, since = word, 0, 0
			}
		}
	}
	line := uint8(lineProse)
	switch n := lower + title + upper; {
	case n < 4:
		line = lineShort
	case upper > lower+title:
		line = lineUpper
	case title+upper > lower:
		line = lineTitle
	}
	code := codeLike(seg[t.tokens[i].start:t.tokens[j-1].end])
	if code {
		t.codes++
	}
	for k := i; k < j; k++ {
		t.tokens[k].line, t.tokens[k].code = line, code || t.tokens[k].ident
	}
}

// codeLike reports a line of a programming language, in which hardly a word is a
// name of somebody. JSON is not meant: its values are text.
func codeLike(line []byte) bool {
	if c := line[0]; c == '"' || c == '{' && len(line) > 1 && (line[1] == '"' || line[1] == ' ') || c == '<' || c == '>' {
		return false
	}
	if len(line) > 2 && line[0] == '/' && (line[1] == '/' || line[1] == '*') {
		return false
	}
	n, letters := 0, false
	if line[0] == '[' { // a time, or a level
		line = line[1+max(0, bytes.IndexByte(line, ']')):]
	}
	for i, c := range line {
		switch c {
		case '{', '}', ';', '=', '*', '&', '|', '<', '>', '$', '\\', '[', ']':
			n += 2
		case '(', ')', '_', '%', '`':
			n++
			if c == '(' && letters {
				n += 2
			}
		case '.', ':':
			if i+1 < len(line) && line[i+1] > '9' && letters {
				n++
			}
		}
		letters = c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	if len(line) == 0 {
		return false
	}
	switch last := line[len(line)-1]; {
	case last == '{' || last == ';' || last == '}':
		n += 4
	case last == ')' || last == '(' || last == ',' && n > 0:
		n += 2
	}
	return n*7 > len(line)+8
}

// identifier reports a word that is part of a longer one: of a name in a program,
// of a host or an address, of an encoded value.
func (t *Text) identifier(seg []byte, i int) bool {
	k, b, f := &t.tokens[i], t.token(i-1), t.token(i+1)
	n := k.end - k.start
	if k.shape == shapeMixed {
		return true
	}
	if f.glued && f.sort != aWord {
		switch c := seg[f.start]; {
		case c == '_' || c == '@' || c == '(' || c == '[':
			return true
		case f.sort == aNumber && n > 1:
			return true
		case c == '.' || c == ':' || c == '/' || c == '\\':
			if g := t.token(i + 2); g.glued && (g.sort == aWord && g.shape == shapeLower || g.sort == aMark && seg[g.start] == c) {
				return true
			}
		}
	}
	if k.glued {
		switch c := seg[b.start]; {
		case c == '_' || c == '@' || c == '$' || c == '%' || c == '#' || c == '&':
			return true
		case b.sort == aNumber && n > 3:
			return true
		case c == '.' || c == ':' || c == '/' || c == '\\':
			if g := t.token(i - 2); b.glued && (g.sort == aWord && g.shape == shapeLower && g.end-g.start > 2 || g.sort == aMark && seg[g.start] == c) {
				return true
			}
		}
	}
	return false
}

// inCode reports a word that is written like a name in a program, and isn't before an '@' or a '.'.
func (t *Text) inCode(seg []byte, i int) bool {
	f := t.token(i + 1)
	if f.glued && f.sort == aMark {
		switch seg[f.start] {
		case '(':
			return true
		case '@', '.':
			return false
		}
	}
	b := t.token(i - 1)
	if t.tokens[i].glued && b.sort == aMark && (seg[b.start] == '@' || seg[b.start] == '/') {
		return false
	}
	return t.tokens[i].shape == shapeMixed && t.tokens[i].to-t.tokens[i].from > 3
}

// candidate reports a word that may be a name by itself.
func (k *token) candidate() bool {
	if k.sort != aWord || k.code {
		return false
	}
	if k.bits&(isDrug|isDisease) != 0 {
		return true
	}
	switch k.shape {
	case shapeLower:
		return k.bits&(isGiven|isSurname) != 0 && k.bits&(isCommon|isFrequent) == isFrequent || k.bits&(isRegion|isCommon) == isRegion
	case shapeOther:
		return k.bits != 0
	case shapeInitial:
		return false
	}
	return k.bits != isCommon
}

func (t *Text) activate() {
	until := -1 // tokens before it are active
	for i := range t.tokens {
		if !t.tokens[i].candidate() {
			continue
		}
		for j := max(until, i-near); j <= min(i+near, len(t.tokens)-1); j++ {
			if j >= 0 {
				t.tokens[j].active = !t.tokens[j].code
			}
		}
		until = i + near + 1
	}
}

// MaxFeatures is how many features a token has at most.
const MaxFeatures = 40

var edge = token{sort: aBreak, shape: shapeBreak, hash: 7}

func (t *Text) token(i int) *token {
	if i < 0 || i >= len(t.tokens) {
		return &edge
	}
	return &t.tokens[i]
}

// Features writes the features of token i, as numbers of 32 bits.
func (t *Text) Features(i int, dst *[MaxFeatures]uint32) []uint32 {
	n := 0
	add := func(template, a uint32) {
		h := (a ^ template*0x85ebca6b) * 0xc2b2ae35
		h ^= h >> 15
		h *= 0x27d4eb2f
		dst[n] = h ^ h>>13
		n++
	}
	k, b, bb, f, ff := &t.tokens[i], t.token(i-1), t.token(i-2), t.token(i+1), t.token(i+2)
	sh := func(k *token) uint32 { return uint32(k.shape) }
	form := func(k *token) uint32 { return uint32(k.shape)<<8 | uint32(k.bits) }
	glue := uint32(0)
	if k.glued {
		glue = 1
	}
	if f.glued {
		glue |= 2
	}
	// A word's own identity counts unless only lists of names know it: names are
	// told by the lists, so that those which are in none are no different.
	own := k.hash
	if k.sort == aWord && k.bits&(isCommon|isDrug|isDisease|isRegion) == 0 && k.bits&(isGiven|isSurname|isPlace) != 0 {
		own = uint32(k.bits) * 0x9e3779b9
	}
	word := func(k *token) uint32 {
		if k.sort == aWord && k.bits&(isCommon|isDrug|isDisease|isRegion) == 0 && k.bits&(isGiven|isSurname|isPlace) != 0 {
			return uint32(k.bits) * 0x9e3779b9
		}
		return k.hash
	}
	pair := func(a, b uint32) uint32 { return a*0x9e3779b1 + b*0x85ebca77 + a>>15 }
	add(1, own)
	add(2, pair(own, sh(k)))
	add(3, word(b))
	add(4, word(f))
	add(5, word(bb))
	add(6, word(ff))
	add(7, pair(word(b), own))
	add(8, pair(own, word(f)))
	add(9, form(k))
	add(10, pair(form(b), form(k)))
	add(11, pair(form(k), form(f)))
	add(12, pair(sh(b)<<8|sh(k), sh(f)))
	add(13, pair(pair(form(b), form(k)), form(f)))
	add(14, pair(word(b), form(k)))
	add(15, pair(word(f), form(k)))
	add(16, pair(pair(word(bb), word(b)), sh(k)))
	add(17, pair(pair(word(f), word(ff)), sh(k)))
	add(18, pair(pair(word(b), word(f)), sh(k)))
	add(19, pair(word(bb), form(k)))
	add(20, pair(k.key, sh(k)<<2|uint32(k.since)))
	add(21, pair(k.key, form(k)))
	add(22, pair(uint32(k.line)<<8|sh(k), form(b)))
	add(23, pair(uint32(k.line), form(k)))
	add(24, pair(glue<<8|sh(b), sh(k)<<8|sh(f)))
	add(25, pair(sh(bb)<<16|sh(b)<<8|sh(k), sh(f)<<8|sh(ff)))
	add(26, pair(form(bb), pair(form(b), form(k))))
	add(27, pair(form(k), pair(form(f), form(ff))))
	add(28, pair(word(t.token(i-3)), sh(k)))
	add(29, pair(word(t.token(i+3)), sh(k)))
	if k.sort == aWord {
		w := t.folded[k.from:k.to]
		add(30, hash(w[max(0, len(w)-3):]))
		add(31, hash(w[max(0, len(w)-4):])^uint32(k.shape))
		add(32, hash(w[:min(3, len(w))]))
		add(33, hash(w[max(0, len(w)-2):])<<8^form(k))
		add(34, pair(hash(w[max(0, len(w)-3):]), sh(b)))
	}
	if f.sort == aWord {
		w := t.folded[f.from:f.to]
		add(35, pair(hash(w[max(0, len(w)-4):]), sh(k)))
	}
	if b.sort == aWord {
		w := t.folded[b.from:b.to]
		add(36, pair(hash(w[max(0, len(w)-4):]), sh(k)))
	}
	return dst[:n]
}
