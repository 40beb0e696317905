package known

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Person is somebody to look for, by every name they go by.
type Person struct {
	c     *collector
	plain int // how many names there are before those in URLs
}

// Look finds the accounts that names lead to. Names count as Collect has them count, and
// as they stand in URLs too.
func Look(ctx context.Context, src Sources, names []string) (*Person, error) {
	p, err := called(names)
	if err == nil {
		err = p.c.accounts(ctx, src)
	}
	if err != nil {
		return nil, err
	}
	return p, p.inURLs()
}

// Exactly is Look without the accounts: of the names alone.
func Exactly(names []string) (*Person, error) {
	p, err := called(names)
	if err != nil {
		return nil, err
	}
	return p, p.inURLs()
}

func called(names []string) (*Person, error) {
	p := &Person{c: &collector{sum: &Summary{Found: map[string]int64{}}}}
	for _, n := range names {
		if err := p.c.look(n); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Person) inURLs() error {
	p.plain = len(p.c.names)
	for _, n := range slices.Clone(p.c.names) {
		for _, as := range []string{url.QueryEscape(n), url.PathEscape(n)} {
			if err := p.c.look(as); err != nil {
				return err
			}
		}
	}
	return nil
}

// Plain are Names but for those that only stand in URLs.
func (p *Person) Plain() []string { return slices.Clone(p.c.sum.Names[:p.plain]) }

// Names are all names that are looked for.
func (p *Person) Names() []string { return slices.Clone(p.c.sum.Names) }

// In reports whether a JSON value names the person: in a text or a name, plain, or in base64 or hexadecimal digits.
func (p *Person) In(v any) bool {
	switch v := v.(type) {
	case string:
		return p.c.inText(v) || p.Encoded(v)
	case []any:
		return slices.ContainsFunc(v, p.In)
	case map[string]any:
		for k, x := range v {
			if p.c.inText(k) || p.In(x) {
				return true
			}
		}
	}
	return false
}

// Encoded reports whether a text, or a part of it between dots, is base64 or hexadecimal of
// bytes that name the person.
func (p *Person) Encoded(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		if len(part) < 4 {
			continue
		}
		for _, decode := range []func(string) ([]byte, error){
			base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString, base64.RawStdEncoding.DecodeString, hex.DecodeString,
		} {
			if b, err := decode(part); err == nil && p.c.inText(string(b)) {
				return true
			}
		}
	}
	return false
}

// InText reports whether a text names the person.
func (p *Person) InText(text string) bool { return p.c.inText(text) }

// Replace puts with in the place of each name in a text, behind the word "person:" where the
// name has it; a text that can't be taken apart is replaced whole.
func (p *Person) Replace(text, with string) string {
	low := strings.ToLower(text)
	if len(low) != len(text) {
		return with
	}
	var out strings.Builder
	from := 0
	for at := 0; at < len(text); {
		if n := p.nameAt(low, at); n > 0 {
			keep := 0
			for _, prefix := range []string{"person:", "person%3a"} {
				if strings.HasPrefix(low[at:at+n], prefix) {
					keep = len(prefix)
				}
			}
			out.WriteString(text[from : at+keep])
			out.WriteString(with)
			at += n
			from = at
			continue
		}
		_, size := utf8.DecodeRuneInString(low[at:])
		at += size
	}
	return out.String() + text[from:]
}

// nameAt is the length of the longest name at a place; 0: none.
func (p *Person) nameAt(low string, at int) (longest int) {
	if before, _ := utf8.DecodeLastRuneInString(low[:at]); wordy(before) {
		return 0
	}
	for _, n := range p.c.names {
		if len(n) > longest && strings.HasPrefix(low[at:], n) {
			if after, _ := utf8.DecodeRuneInString(low[at+len(n):]); !wordy(after) {
				longest = len(n)
			}
		}
	}
	return longest
}
