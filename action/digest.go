package action

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Version is the prefix of every digest. A change of the envelope changes it.
const Version = "assent-action/1"

const maxInteger = 1 << 53

// A Salt makes the digest of a short payload impossible to guess.
type Salt [32]byte

// NewSalt returns 32 fresh random bytes.
func NewSalt() Salt {
	var s Salt
	_, _ = rand.Read(s[:]) // crypto/rand.Read never fails (Go 1.24)
	return s
}

// A Digest names one action.
type Digest [32]byte

func (d Digest) String() string { return "sha256:" + hex.EncodeToString(d[:]) }

// ParseDigest reads the form String writes.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 7+64 || s[:7] != "sha256:" {
		return d, fmt.Errorf("action digest: want sha256: and 64 hexadecimal digits")
	}
	if _, err := hex.Decode(d[:], []byte(s[7:])); err != nil {
		return d, fmt.Errorf("action digest: %w", err)
	}
	return d, nil
}

// Digest is SHA-256 over Version, a NUL, the salt and the envelope. It errs
// when the action has no canonical form.
func (a *Action) Digest(salt Salt) (Digest, error) {
	env, err := a.Envelope()
	if err != nil {
		return Digest{}, err
	}
	h := sha256.New()
	h.Write([]byte(Version + "\x00"))
	h.Write(salt[:])
	h.Write(env)
	return Digest(h.Sum(nil)), nil
}

// Match is the HMAC-SHA-256 of the envelope under a key that stays on the
// server: it tells a retry of the same action without being a guessable hash.
func (a *Action) Match(key []byte) (string, error) {
	env, err := a.Envelope()
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(Version + "\x00"))
	h.Write(env)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Envelope is the canonical JSON (RFC 8785) of everything the approval binds.
// It holds strings and integers below 2⁵³ only. Time, credential id and
// request id are left out on purpose.
func (a *Action) Envelope() ([]byte, error) {
	payload := sha256.Sum256(a.Payload)
	kinds := make([]string, len(a.Kinds))
	for i, k := range a.Kinds {
		if !k.Valid() {
			return nil, fmt.Errorf("action envelope: kind %q is not on the list", k)
		}
		kinds[i] = string(k)
	}
	sort.Strings(kinds)
	actors := make([]any, len(a.Actors))
	for i, l := range a.Actors {
		actors[i] = map[string]any{"id": l.ID, "type": l.Type}
	}
	return Canonical(map[string]any{
		"v":           Version,
		"kinds":       kinds,
		"verb":        a.Verb,
		"target":      a.Target,
		"resource":    map[string]any{"urn": a.Resource.URN, "type": a.Resource.Type, "env": a.Resource.Env},
		"destination": a.Data.Destination,
		"subject":     a.Subject,
		"actors":      actors,
		"state":       a.State,
		"payload":     map[string]any{"sha256": hex.EncodeToString(payload[:]), "bytes": int64(len(a.Payload))},
	})
}

// Canonical writes v as RFC 8785 canonical JSON. It takes strings, bools,
// integers of magnitude below 2⁵³, and slices and string-keyed maps of these; anything else,
// and any string that is not UTF-8, is an error.
func Canonical(v any) ([]byte, error) { return appendValue(nil, v) }

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return appendInt(b, int64(v))
	case int64:
		return appendInt(b, v)
	case []string:
		return appendList(b, len(v), func(i int) any { return v[i] })
	case []any:
		return appendList(b, len(v), func(i int) any { return v[i] })
	case map[string]string:
		return appendMap(b, v)
	case map[string]int64:
		return appendMap(b, v)
	case map[string]any:
		return appendMap(b, v)
	}
	return nil, fmt.Errorf("canonical JSON: %T has no place in an envelope", v)
}

func appendInt(b []byte, n int64) ([]byte, error) {
	if n <= -maxInteger || n >= maxInteger {
		return nil, fmt.Errorf("canonical JSON: integer %d is not below 2^53", n)
	}
	return strconv.AppendInt(b, n, 10), nil
}

func appendList(b []byte, n int, at func(int) any) ([]byte, error) {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, at(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMap[V any](b []byte, m map[string]V) ([]byte, error) {
	keys := make([]string, 0, len(m))
	for k := range m {
		if !utf8.ValidString(k) {
			return nil, fmt.Errorf("canonical JSON: a key is not UTF-8")
		}
		keys = append(keys, k)
	}
	// RFC 8785 section 3.2.3: keys sort by UTF-16 code units.
	sort.Slice(keys, func(i, j int) bool { return lessUTF16(keys[i], keys[j]) })
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendString(b, k); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = appendValue(b, any(m[k])); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func lessUTF16(a, b string) bool {
	x, y := utf16.Encode([]rune(a)), utf16.Encode([]rune(b))
	for i := 0; i < len(x) && i < len(y); i++ {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return len(x) < len(y)
}

func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("canonical JSON: a string is not UTF-8")
	}
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\f':
			b = append(b, '\\', 'f')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < 0x20:
			b = append(b, fmt.Sprintf("\\u%04x", c)...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"'), nil
}
