package facts

import (
	"strings"
	"unicode/utf8"
)

const longestText = 512

// A cleaner keeps out of tuples what may be a secret. It is told of each new tuple,
// not of each action, and away from whoever waits for a decision.
type cleaner struct {
	mask func(string) string // replaces what the detectors know; may be nil
	seen map[string]string
}

// text is s as it is kept.
func (c *cleaner) text(s string) (kept string, changed bool) {
	if s == "" {
		return "", false
	}
	if kept, is := c.seen[s]; is {
		return kept, kept != s
	}
	kept = withoutQuery(clip(s))
	if c.mask != nil {
		kept = clip(c.mask(kept))
	}
	if len(s) <= 4*longestText {
		if len(c.seen) >= 8192 {
			clear(c.seen)
		}
		if c.seen == nil {
			c.seen = map[string]string{}
		}
		c.seen[s] = kept
	}
	return kept, kept != s
}

// clip keeps what is valid text of at most longestText bytes.
func clip(s string) string {
	if len(s) > longestText {
		n := longestText
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// withoutQuery drops user, password, query and fragment where s looks like a URL or
// its path: a presigned link is a credential.
func withoutQuery(s string) string {
	scheme, rest, is := strings.Cut(s, "://")
	if !is && !strings.HasPrefix(s, "/") {
		return s
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
		if scheme, rest, is = strings.Cut(s, "://"); !is {
			return s
		}
	}
	if !is {
		return s
	}
	host, path, slash := strings.Cut(rest, "/")
	if host = host[strings.LastIndexByte(host, '@')+1:]; slash {
		path = "/" + path
	}
	return scheme + "://" + host + path
}

// tuple is b as it is kept in dictionary d.
func (c *cleaner) tuple(d int, b []byte) string {
	p := parser{b: b}
	var head fields
	var flags uint64
	switch d {
	case dictWhat:
		head = head.list(p.list())
		kept, changed := c.text(p.text())
		head = head.text(kept)
		flags = boolBit(changed, 0)
	case dictAim, dictClaims:
		one, first := c.text(p.text())
		two, second := c.text(p.text())
		head = head.text(one).text(two)
		if d == dictClaims {
			head = head.number(p.number()).number(p.number())
		}
		flags = boolBit(first, 0) | boolBit(second, 1)
	default:
		return string(b)
	}
	p.number()
	return string(append(head.number(flags), p.b...))
}

func boolBit(is bool, i int) uint64 {
	if is {
		return 1 << i
	}
	return 0
}
