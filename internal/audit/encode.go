package audit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// appendRecord writes r as encoding/json does, byte for byte, and allocates
// nothing but room in b: a harmless read costs two records.
func appendRecord(b []byte, r *Record) ([]byte, error) {
	b, err := appendStamp(b, r.Index, r.Time)
	if err != nil {
		return b, err
	}
	b = appendHead(appendText(b, `,"salt":`, r.Salt), r)
	b = appendMap(appendTail(b, r), `,"detail":`, r.Detail, appendString)
	return appendEnd(b, r), nil
}

// appendStamp writes what no two records share.
func appendStamp(b []byte, index int64, t time.Time) ([]byte, error) {
	if y := t.Year(); y < 0 || y > 9999 {
		return b, fmt.Errorf("writing record: a time in the year %d", y) // RFC 3339 section 1
	}
	b = strconv.AppendInt(append(b, `{"index":`...), index, 10)
	b = t.AppendFormat(append(b, `,"time":"`...), time.RFC3339Nano)
	return append(b, '"'), nil
}

// appendHead writes what many records of one session share.
func appendHead(b []byte, r *Record) []byte {
	b = appendString(append(b, `,"type":`...), r.Type)
	b = appendText(b, `,"actor":`, r.Actor)
	b = appendText(b, `,"subject":`, r.Subject)
	b = appendTexts(b, `,"chain":`, r.Chain)
	b = appendText(b, `,"person":`, r.Person)
	b = appendText(b, `,"session":`, r.Session)
	b = appendText(b, `,"gate":`, r.Gate)
	b = appendText(b, `,"resource":`, r.Resource)
	b = appendText(b, `,"env":`, r.Env)
	b = appendTexts(b, `,"kinds":`, r.Kinds)
	b = appendText(b, `,"verb":`, r.Verb)
	b = appendText(b, `,"target":`, r.Target)
	b = appendText(b, `,"title":`, r.Title)
	b = appendText(b, `,"shape":`, r.Shape)
	b = appendText(b, `,"digest":`, r.Digest)
	b = appendText(b, `,"decision":`, r.Decision)
	b = appendTexts(b, `,"rules":`, r.Rules)
	b = appendText(b, `,"policy":`, r.Policy)
	b = appendText(b, `,"approval":`, r.Approval)
	b = appendText(b, `,"about":`, r.About)
	if r.Revision != 0 {
		b = strconv.AppendInt(append(b, `,"revision":`...), r.Revision, 10)
	}
	b = appendText(b, `,"grant":`, r.Grant)
	return appendText(b, `,"outcome":`, r.Outcome)
}

// appendTail writes what is between that and the details.
func appendTail(b []byte, r *Record) []byte {
	if r.Rows != nil {
		b = strconv.AppendInt(append(b, `,"rows":`...), *r.Rows, 10)
	}
	b = appendMap(b, `,"findings":`, r.Findings, appendInt)
	return appendMap(b, `,"masked":`, r.Masked, appendInt)
}

func appendEnd(b []byte, r *Record) []byte {
	if r.Previous != 0 {
		b = strconv.AppendInt(append(b, `,"previous":`...), r.Previous, 10)
	}
	return append(b, '}')
}

func appendText(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, name...), s)
}

func appendTexts(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(append(b, name...), '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

func appendMap[V any](b []byte, name string, m map[string]V, value func([]byte, V) []byte) []byte {
	if len(m) == 0 {
		return b
	}
	var few [16]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(append(b, name...), '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = value(append(appendString(b, k), ':'), m[k])
	}
	return append(b, '}')
}

// appendString writes s as a JSON string, escaped as encoding/json escapes: for
// HTML too, U+2028 and U+2029, and invalid UTF-8 as U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		if i += plain(s[i:]); i == len(s) {
			break
		}
		c := s[i]
		r, size := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) && r != '\u2028' && r != '\u2029' {
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		switch short := strings.IndexByte("\"\\\b\f\n\r\t", c); {
		case short >= 0:
			b = append(b, '\\', "\"\\bfnrt"[short])
		case c >= utf8.RuneSelf:
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i += size
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// plain is how many bytes at the beginning of s a JSON string holds as they are.
func plain(s string) int {
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		if !asItIs(binary.LittleEndian.Uint64([]byte(s[i : i+8]))) {
			break
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			break
		}
	}
	return i
}

// asItIs says that none of eight bytes has to be escaped: all are from ' ' up to
// 0x7f, and none is one of "\<>&. It may say no without need, never yes.
func asItIs(w uint64) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	quotes := (w | 4*each) ^ '&'*each // 0 where a byte is " or &, which differ by one bit
	angles := (w | 2*each) ^ '>'*each // < or >
	slashes := w ^ '\\'*each
	// A byte that was 0 borrows, and so does one below a space.
	found := w | (w - ' '*each) | (quotes - each) | (angles - each) | (slashes - each)
	return found&top == 0
}

const hexDigits = "0123456789abcdef"
