package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/leaves"
)

// Columns are what a store files a record under, to find it again.
type Columns struct {
	Time     int64 // microseconds since 1970
	Revision int64
	Type     []byte
	Actor    []byte
	Person   []byte
	Approval []byte
	Resource []byte
	Session  []byte
	About    []byte
	Kinds    []byte // ",data.read,data.export,"
}

// KindsColumn is how a record's kinds are filed.
func KindsColumn(kinds []string) string {
	if len(kinds) == 0 {
		return ""
	}
	return "," + strings.Join(kinds, ",") + ","
}

// FiledAs reports whether a record's exact bytes say what its columns say. A text in a
// column may be cut behind most bytes; 0 is for never.
func FiledAs(record []byte, c *Columns, most int) bool {
	f, ok := leaves.Read(record)
	kinds, plain := kindsAs(f.Kinds, c.Kinds)
	at, err := time.Parse(time.RFC3339Nano, string(f.Time))
	if !ok || !plain || err != nil {
		return decodedAs(record, c, most)
	}
	revision := int64(0)
	if f.Revision != nil {
		if revision, err = strconv.ParseInt(string(f.Revision), 10, 64); err != nil {
			return false
		}
	}
	for _, t := range [...][2][]byte{
		{f.Actor, c.Actor}, {f.Person, c.Person}, {f.Approval, c.Approval}, {f.Resource, c.Resource}, {f.Session, c.Session}, {f.About, c.About},
	} {
		if string(shortened(t[0], most)) != string(t[1]) {
			return false
		}
	}
	return string(f.Type) == string(c.Type) && kinds && at.UnixMicro() == c.Time && revision == c.Revision
}

func shortened[T string | []byte](s T, most int) T {
	if most > 0 && len(s) > most {
		return s[:most]
	}
	return s
}

func decodedAs(record []byte, c *Columns, most int) bool {
	var r Record
	if json.Unmarshal(record, &r) != nil {
		return false
	}
	for _, t := range [...]struct {
		is string
		in []byte
	}{{r.Actor, c.Actor}, {r.Person, c.Person}, {r.Approval, c.Approval}, {r.Resource, c.Resource}, {r.Session, c.Session}, {r.About, c.About}} {
		if shortened(t.is, most) != string(t.in) {
			return false
		}
	}
	return r.Type == string(c.Type) && KindsColumn(r.Kinds) == string(c.Kinds) && r.Time.UnixMicro() == c.Time && r.Revision == c.Revision
}

// kindsAs compares an array of JSON with its column. It is not ok where one of the
// texts isn't written as it reads.
func kindsAs(array, column []byte) (same, ok bool) {
	if len(array) <= len("[]") {
		return len(column) == 0, true
	}
	same = true
	for rest := array[1:]; ; rest = rest[1:] {
		if rest[0] != '"' {
			return false, false
		}
		kind := rest[1:][:bytes.IndexByte(rest[1:], '"')]
		if bytes.IndexByte(kind, '\\') >= 0 {
			return false, false
		}
		same = same && len(column) > len(kind) && column[0] == ',' && bytes.HasPrefix(column[1:], kind)
		if same {
			column = column[1+len(kind):]
		}
		rest = rest[len(kind)+2:]
		if rest[0] == ']' {
			return same && string(column) == ",", true
		}
	}
}
